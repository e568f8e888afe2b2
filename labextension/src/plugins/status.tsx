/** The plugin of the status bar: the numbers of unfinished and failed runs in the namespace. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { IStatusBar } from '@jupyterlab/statusbar';
import { VDomRenderer } from '@jupyterlab/ui-components';
import { Signal } from '@lumino/signaling';
import * as React from 'react';

import { CommandIDs, executeSafely } from './commands';
import { count } from '../words/format';
import { pipelinesIcon } from '../components/icons';
import { KfpModel } from '../model/model';
import { IKfpSession } from '../model/session';

const WATCHER = 'status bar';

export const statusPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-kfp-mt:status',
  description:
    'Shows in the status bar how many runs are unfinished and how many have failed.',
  autoStart: true,
  requires: [IKfpSession],
  optional: [IStatusBar],
  activate: (
    app: JupyterFrontEnd,
    session: IKfpSession,
    statusBar: IStatusBar | null
  ): void => {
    if (!statusBar) {
      return;
    }
    const open = () => executeSafely(app.commands, CommandIDs.open);
    const item = new StatusItem(session, open);
    statusBar.registerStatusItem('jupyter-kfp-mt:status', {
      item,
      align: 'left',
      rank: 4,
      isActive: () => session.options.statusBar && !!session.model.counts,
      activeStateChanged: item.activeChanged
    });
    const follow = () =>
      session.options.statusBar
        ? session.model.watch(WATCHER)
        : session.model.pause(WATCHER);
    session.optionsChanged.connect(follow);
    void app.restored.then(follow);
  }
};

class StatusItem extends VDomRenderer<KfpModel> {
  constructor(
    private readonly _session: IKfpSession,
    private readonly _open: () => void
  ) {
    super(_session.model);
    this.addClass('jp-KfpMt-status');
    const changed = () => this.activeChanged.emit();
    _session.model.stateChanged.connect(changed);
    _session.optionsChanged.connect(changed);
  }

  readonly activeChanged = new Signal<this, void>(this);

  render(): JSX.Element | null {
    const { model, trans } = this._session;
    const { counts } = model;
    if (!counts) {
      return null;
    }
    const { unfinished, failed } = counts;
    const parts = [
      trans.__('%1 running', count(unfinished)),
      ...(failed ? [trans.__('%1 failed', count(failed))] : [])
    ];
    return (
      <button
        type="button"
        title={trans.__(
          'Runs in %1: unfinished, and failed within the last 24 hours',
          model.namespace
        )}
        onClick={this._open}
      >
        <pipelinesIcon.react tag="span" />
        <span>{parts.join(' · ')}</span>
      </button>
    );
  }
}
