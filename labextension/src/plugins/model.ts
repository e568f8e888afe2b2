/** The plugin that all others need: the model and the user's settings. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { KfpApi } from '../wire/api';
import { addCommands } from './commands';
import { KfpModel } from '../model/model';
import { IKfpSession, KfpSession, runServices } from '../model/session';

/** The plugin whose schema has the settings of all plugins. */
export const SETTINGS = 'jupyter-kfp-mt:plugin';

export const modelPlugin: JupyterFrontEndPlugin<IKfpSession> = {
  id: 'jupyter-kfp-mt:model',
  description:
    'Keeps the state of Kubeflow Pipelines, and adds the commands that change it.',
  autoStart: true,
  provides: IKfpSession,
  optional: [ITranslator, ISettingRegistry, IStateDB],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null,
    settings: ISettingRegistry | null,
    state: IStateDB | null
  ): IKfpSession => {
    const trans = (translator ?? nullTranslator).load('jupyter_kfp_mt');
    const { serverSettings } = app.serviceManager;
    const api = new KfpApi({ serverSettings, trans });
    const model = new KfpModel({ api, memory: state ?? undefined });
    const services = runServices(serverSettings, trans);
    model.placeChanged.connect(() => services.forget());
    const session = new KfpSession(api, model, services, trans);
    addCommands(app, session);
    followPage(model);
    settings
      ?.load(SETTINGS)
      .then(loaded => followSettings(loaded, session))
      .catch(reason => console.error('No settings for the sidebar.', reason));
    return session;
  }
};

/** Notify the model when the page becomes visible, and when the network is back. */
function followPage(model: KfpModel): void {
  const tell = () => {
    model.isHidden = document.hidden;
  };
  tell();
  document.addEventListener('visibilitychange', tell);
  window.addEventListener('online', tell);
}

function followSettings(
  settings: ISettingRegistry.ISettings,
  session: KfpSession
): void {
  const apply = () => {
    const composite = settings.composite as Record<string, unknown>;
    session.model.intervals = {
      active: 1000 * (composite.activeInterval as number),
      idle: 1000 * (composite.idleInterval as number)
    };
    session.options = {
      linkTemplate: `${composite.linkTemplate ?? ''}`,
      notify: composite.notify !== false,
      statusBar: composite.statusBar !== false,
      insertAs: composite.insertAs === 'python' ? 'python' : 'magic'
    };
  };
  settings.changed.connect(apply);
  apply();
}
