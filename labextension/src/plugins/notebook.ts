/** The plugin between panel and notebook, which inserts listed items into cells. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';

import { provenanceOf } from '../run/provenance';
import { toRun } from '../wire/answers';
import { Args, CommandIDs, copy, describedBy, idOf } from './commands';
import { openOrigin } from './open_notebook';
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
    addOrigin(app, session);
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

/** The command that opens the cell that started a run. */
function addOrigin(app: JupyterFrontEnd, session: IKfpSession): void {
  const { api, model, trans } = session;
  const known = (args: Args) => {
    const id = idOf(session, 'runs', args);
    const run = model.lists.runs.find(id);
    return run && provenanceOf(run.description);
  };
  app.commands.addCommand(CommandIDs.origin, {
    label: trans.__('Show the cell that started it'),
    caption: args =>
      known(args)?.notebook === ''
        ? trans.__('no notebook started it')
        : trans.__('Open the notebook that started it, at the cell'),
    isEnabled: args =>
      !!idOf(session, 'runs', args) && known(args)?.notebook !== '',
    describedBy: describedBy({
      id: 'The id of the run; without it the one selected in the panel is meant.'
    }),
    execute: async args => {
      const id = idOf(session, 'runs', args);
      const origin =
        known(args) ?? provenanceOf(toRun(await api.run(id)).description);
      await openOrigin(app, origin, trans);
    }
  });
}

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
          trans.__(
            'No notebook is open. The code is on the clipboard: paste it.'
          ),
          { autoClose: 5_000 }
        );
      }
    }
  });
}
