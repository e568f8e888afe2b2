/** The plugin: puts the sidebar into the application and wires it to its collaborators. */

import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Clipboard, ICommandPalette } from '@jupyterlab/apputils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { KfpApi } from './api';
import { addCommands } from './commands';
import { KfpModel } from './model';
import { runOutput } from './run_output';
import { KfpSidebar } from './sidebar';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-kfp-mt:plugin',
  description:
    'A sidebar with the runs of your namespace in Kubeflow Pipelines.',
  autoStart: true,
  optional: [
    ITranslator,
    ILayoutRestorer,
    ISettingRegistry,
    ICommandPalette,
    IStateDB
  ],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null,
    restorer: ILayoutRestorer | null,
    settings: ISettingRegistry | null,
    palette: ICommandPalette | null,
    state: IStateDB | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('jupyter_kfp_mt');
    const { serverSettings } = app.serviceManager;
    const api = new KfpApi({ serverSettings, trans });
    const model = new KfpModel({ api, memory: state ?? undefined });
    const copy = (text: string) => Clipboard.copyToSystem(text);
    const sidebar = new KfpSidebar({ model, copy, trans });
    app.shell.add(sidebar, 'left', { rank: 600, type: 'Kubeflow Pipelines' });
    restorer?.add(sidebar, sidebar.id);
    addCommands(app, sidebar, palette, trans);
    settings
      ?.load(plugin.id)
      .then(loaded => followSettings(loaded, model))
      .catch(reason => console.error('No settings for the sidebar.', reason));
  }
};

function followSettings(
  settings: ISettingRegistry.ISettings,
  model: KfpModel
): void {
  const apply = () => {
    const { activeInterval, idleInterval } = settings.composite;
    model.intervals = {
      active: 1000 * (activeInterval as number),
      idle: 1000 * (idleInterval as number)
    };
  };
  settings.changed.connect(apply);
  apply();
}

export default [plugin, runOutput];
