/** The plugin that notifies of the end of runs that were started or are watched here. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';

import { CommandIDs, executeSafely } from './commands';
import { stateChange } from '../words/format';
import { IKfpSession } from '../model/session';
import { shownState } from '../run/shown';
import { IRun } from '../wire/answers';

export const notificationsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-kfp-mt:notifications',
  description: 'Tells when a run that you started or watch has ended.',
  autoStart: true,
  requires: [IKfpSession],
  activate: (app: JupyterFrontEnd, session: IKfpSession): void => {
    session.model.ended.connect((_, run) => {
      if (session.options.notify) {
        tell(app, session, run);
      }
    });
  }
};

function tell(app: JupyterFrontEnd, session: IKfpSession, run: IRun): void {
  const { trans } = session;
  const { run_id: id, namespace } = run;
  const does = (command: string) => () =>
    executeSafely(app.commands, command, { id, namespace });
  const show = { label: trans.__('Show'), callback: does(CommandIDs.openRun) };
  const words = stateChange(run, trans);
  if (run.state === 'SUCCEEDED') {
    Notification.success(words, { autoClose: 10_000, actions: [show] });
    return;
  }
  const retry = {
    label: trans.__('Retry'),
    callback: does('kfp-mt:runs-retry')
  };
  const isFailed = shownState(run) === 'FAILED';
  const emit = isFailed ? Notification.error : Notification.warning;
  emit(words, { autoClose: false, actions: isFailed ? [show, retry] : [show] });
}
