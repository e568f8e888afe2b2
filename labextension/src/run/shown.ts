/** A run as it is shown: what somebody has stopped is not said to have failed. */

import { IRunData, IStateChange, timeOf } from './run_data';

// KFP has no state for a run that was stopped, and says that it failed.
export const TERMINATED = 'TERMINATED';
// The local KFP notes to the second that it was stopped, once its tasks have ended.
const LATE = 2_000;

/** When somebody stopped a run; null where nobody has. As `Run.terminated` in Python. */
export function stoppedAt(history: readonly IStateChange[]): number | null {
  const stop = history.find(
    ({ state, error }) =>
      ['CANCELING', 'CANCELED'].includes(state) || error === 'terminated'
  );
  return stop ? timeOf(stop.update_time) : null;
}

/** The state of a run in the words of people: KFP's, or that it was terminated. */
export function shownState(run: {
  state: string;
  isTerminated?: boolean;
}): string {
  return run.state === 'FAILED' && run.isTerminated ? TERMINATED : run.state;
}

/** The run, with the tasks that were stopped with it told apart from those that failed before. */
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
