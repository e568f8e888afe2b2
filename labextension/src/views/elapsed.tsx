/** A duration, updated in the browser every second while it grows. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { duration } from '../words/format';
import { IRunView } from '../run/host';
import { ITaskState, timeOf } from '../run/run_data';
import { idleTime } from '../run/shown';
import { isFinished } from '../run/states';

/** Start and end; `to` is null if it has not ended. */
export interface ISpan {
  from: number;
  to: number | null;
  /** How much of it does not count: a run that lay finished before a retry. */
  idle?: number;
}

/** The time span of a task, as of the view's data; null before its start. */
export function spanOf(
  task: ITaskState | undefined,
  view: IRunView
): ISpan | null {
  const from = timeOf(task?.start_time ?? '');
  if (!task || from === null || task.state === 'SKIPPED') {
    return null;
  }
  return { from, to: endOf(isFinished(task), task.end_time, view) };
}

export function runSpan(view: IRunView): ISpan | null {
  const { run } = view.data;
  const from = timeOf(run.created_at);
  return from === null
    ? null
    : {
        from,
        to: endOf(isFinished(run), run.finished_at, view),
        idle: idleTime(run.state_history)
      };
}

function endOf(over: boolean, end: string, view: IRunView): number | null {
  const seen = timeOf(view.data.seen_at);
  if (over) {
    return timeOf(end) ?? seen;
  }
  return view.isLive ? null : seen;
}

export function Elapsed(props: {
  span: ISpan;
  trans: TranslationBundle;
}): JSX.Element {
  const { span, trans } = props;
  const now = useNow(span.to === null);
  const { from, to, idle = 0 } = span;
  const length = (to ?? now) - from - idle;
  const words = idle
    ? trans.__(
        'without %1 between its end and its retry',
        duration(idle, trans)
      )
    : undefined;
  return (
    <span className="jp-KfpMt-viewTime" title={words}>
      {to !== null && length < 9950
        ? short(length, trans)
        : duration(length, trans)}
    </span>
  );
}

/** A duration; below ten seconds with tenths. */
function short(length: number, trans: TranslationBundle): string {
  return trans.__('%1 s', (Math.max(0, length) / 1000).toFixed(1));
}

/** The current time, updated every second if wanted. */
export function useNow(isTicking: boolean): number {
  const [now, setNow] = React.useState(Date.now);
  React.useEffect(() => {
    if (!isTicking) {
      return;
    }
    setNow(Date.now());
    const timer = window.setInterval(() => setNow(Date.now()), 1000);
    return () => window.clearInterval(timer);
  }, [isTicking]);
  return now;
}
