/** The plugin that adds the panel and its menu entries to the application. */

import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { ILauncher } from '@jupyterlab/launcher';

import {
  CommandIDs,
  copy,
  describedBy,
  executeSafely,
  PREFIX
} from './commands';
import { IKfp } from '../components/context';
import { pipelinesIcon } from '../components/icons';
import { codeOf, drag, notebookPath } from './notebooks';
import { IKfpSession } from '../model/session';
import { KfpSidebar } from '../panel/sidebar';
import { SETTINGS } from './model';

export const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: SETTINGS,
  description:
    'A sidebar with the runs, recurring runs, experiments and pipelines of your namespace.',
  autoStart: true,
  requires: [IKfpSession],
  optional: [ILayoutRestorer, ICommandPalette, ILauncher],
  activate: (
    app: JupyterFrontEnd,
    session: IKfpSession,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null
  ): void => {
    const sidebar = new KfpSidebar(contextOf(app, session));
    app.shell.add(sidebar, 'left', { rank: 600, type: 'Kubeflow Pipelines' });
    restorer?.add(sidebar, sidebar.id);
    keepFocus(app, sidebar.node);
    const { trans } = session;
    app.commands.addCommand(CommandIDs.open, {
      label: args =>
        args.isLauncher
          ? trans.__('Kubeflow Pipelines')
          : trans.__('Show Kubeflow Pipelines'),
      caption: trans.__('Show the runs of your namespace in the sidebar'),
      icon: pipelinesIcon,
      describedBy: describedBy({}),
      execute: () => app.shell.activateById(sidebar.id)
    });
    const category = trans.__('Kubeflow Pipelines');
    for (const command of IN_PALETTE) {
      palette?.addItem({ command, category });
    }
    launcher?.add({
      command: CommandIDs.open,
      args: { isLauncher: true },
      category: trans.__('Other'),
      rank: 10
    });
  }
};

/** Give the focus back once a context menu is closed, which JupyterLab leaves on the page's body. */
function keepFocus(app: JupyterFrontEnd, node: HTMLElement): void {
  let focused: Element | null = null;
  node.addEventListener('contextmenu', () => {
    focused = document.activeElement;
  });
  app.contextMenu.menu.aboutToClose.connect(() => {
    const before = focused;
    focused = null;
    queueMicrotask(() => {
      if (document.activeElement === document.body && node.contains(before)) {
        (before as HTMLElement).focus();
      }
    });
  });
}

const IN_PALETTE = [
  CommandIDs.open,
  CommandIDs.refresh,
  CommandIDs.start,
  CommandIDs.schedule,
  CommandIDs.upload,
  CommandIDs.createExperiment
];

const OF_ONE = [
  'runs-clone',
  'runs-insert',
  'runs-origin',
  'experiments-runs',
  'pipelines-start',
  'pipelines-schedule',
  'pipelines-runs',
  'pipelines-version',
  'pipelines-insert'
];

function nameOfKernel(app: JupyterFrontEnd, kernel: string): string {
  const sessions = [...app.serviceManager.sessions.running()];
  const found = sessions.find(session => session.kernel?.id === kernel);
  return found ? PathExt.basename(found.path) : '';
}

/** The context of the panel in this application. */
function contextOf(app: JupyterFrontEnd, session: IKfpSession): IKfp {
  const { api, model, trans } = session;
  const { commands, shell } = app;
  return {
    api,
    model,
    trans,
    copy,
    execute: (name, args = {}) =>
      commands.hasCommand(PREFIX + name)
        ? executeSafely(commands, PREFIX + name, args)
        : undefined,
    refusal: name => {
      const command = PREFIX + name;
      if (!commands.hasCommand(command)) {
        return trans.__('its plugin is disabled');
      }
      if (commands.isEnabled(command)) {
        return '';
      }
      const isOfOne = OF_ONE.includes(name);
      return isOfOne && model.lists[model.section].selected.size !== 1
        ? trans.__('select only one')
        : commands.caption(command);
    },
    upload: file =>
      void import('../dialogs/dialogs').then(({ upload }) =>
        upload(session, { file }, copy)
      ),
    notebook: () => notebookPath(shell),
    nameOfKernel: kernel => nameOfKernel(app, kernel),
    drag: (item, event) => drag(codeOf(session, item), event)
  };
}
