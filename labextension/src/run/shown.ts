/** A run as it is shown: a terminated one is not shown as failed. */

import { IRunData, IStateChange, timeOf } from './run_data';
import { isFinished } from './states';

// KFP has no state for terminated runs, and reports them as failed.
export const TERMINATED = 'TERMINATED';
// The local KFP records the termination, to the second, after the tasks have ended.
const LATE = 2_000;

/** When a run was terminated; null if it was not. Like `Run.terminated` in Python. */
export function stoppedAt(history: readonly IStateChange[]): number | null {
  const stop = history.find(
    ({ state, error }) =>
      ['CANCELING', 'CANCELED'].includes(state) || error === 'terminated'
  );
  return stop ? timeOf(stop.update_time) : null;
}

/** The time that a run lay finished before it was retried, in milliseconds. Like `Run.idle` in Python. */
export function idleTime(history: readonly IStateChange[]): number {
  return history.slice(1).reduce((idle, change, index) => {
    const before = history[index];
    const isRetry = isFinished(before) && !isFinished(change);
    const [from, to] = [before, change].map(each => timeOf(each.update_time));
    return isRetry && from !== null && to !== null ? idle + to - from : idle;
  }, 0);
}

/** The state of a run: KFP's, or TERMINATED. */
export function shownState(run: {
  state: string;
  isTerminated?: boolean;
}): string {
  return run.state === 'FAILED' && run.isTerminated ? TERMINATED : run.state;
}

/** The run, with tasks that were terminated with it distinguished from earlier failures. */
export function shownRun(data: IRunData): IRunData {
  const stop = stoppedAt(data.run.state_history);
  if (stop === null) {
    return data;
  }
  const { run } = data;
  const tasks = data.tasks.map(task =>
    task.state === 'FAILED' && Date.parse(task.end_time) >= stop - LATE
      ? { ...task, state: TERMINATED, error: '' }
      : task
  );
  const state = shownState({ ...run, isTerminated: true });
  const error = state === TERMINATED ? '' : run.error;
  return { ...data, run: { ...run, state, error }, tasks };
}
