/** The plugin between panel and notebook: what is listed is put into cells. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';

import { CommandIDs, copy, describedBy, idOf } from './commands';
import { KindId } from '../wire/kinds';
import { pipelinesIcon } from '../components/icons';
import { codeOf, insertCell, makeTask } from './notebooks';
import { IKfpSession } from '../model/session';

export const notebookPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-kfp-mt:notebook',
  description: 'Inserts runs and pipelines into notebooks, as code.',
  autoStart: true,
  requires: [IKfpSession],
  activate: (app: JupyterFrontEnd, session: IKfpSession): void => {
    addInsert(app, session, CommandIDs.insertRun, 'runs');
    addInsert(app, session, CommandIDs.insertPipeline, 'pipelines');
    const { trans } = session;
    app.commands.addCommand('kfp-mt:run-as-task', {
      label: trans.__('Run as pipeline task'),
      caption: trans.__(
        'Run this cell in the namespace, as a task of Kubeflow Pipelines'
      ),
      icon: pipelinesIcon,
      describedBy: describedBy({}),
      execute: async () => {
        if (await makeTask(app.shell)) {
          await app.commands.execute('notebook:run-cell');
        }
      }
    });
  }
};

function addInsert(
  app: JupyterFrontEnd,
  session: IKfpSession,
  command: string,
  kind: KindId
): void {
  const { trans } = session;
  app.commands.addCommand(command, {
    label: trans.__('Insert into the notebook'),
    caption: trans.__('Insert a cell that shows it below the active one'),
    isEnabled: args => !!idOf(session, kind, args),
    describedBy: describedBy({
      id: 'The id of the thing; without it what is selected in the panel is meant.'
    }),
    execute: args => {
      const id = idOf(session, kind, args);
      const code = codeOf(session, { kind, id });
      if (!insertCell(app.shell, code)) {
        copy(code);
        Notification.info(
          trans.__('No notebook is open. The code was copied: paste it.'),
          { autoClose: 5_000 }
        );
      }
    }
  });
}
