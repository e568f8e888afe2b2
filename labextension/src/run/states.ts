/** The states of runs and tasks, in KFP's own words. */

// `TERMINATED` is a failure that somebody wanted: see `shown.ts`.
export const FINISHED: readonly string[] = [
  'SUCCEEDED',
  'FAILED',
  'SKIPPED',
  'CANCELED',
  'TERMINATED'
];

export function isFinished(value: { state: string }): boolean {
  return FINISHED.includes(value.state);
}

// The first of these that occurs among the tasks of a group is what the group is.
const TELLING = [
  'FAILED',
  'RUNNING',
  'CANCELING',
  'PAUSED',
  'CANCELED',
  'TERMINATED'
];

/** The state of a group, out of those of the tasks in it. */
export function together(states: readonly string[]): string {
  const found = new Set(states);
  const telling = TELLING.find(state => found.has(state));
  if (telling) {
    return telling;
  }
  if (found.has('PENDING')) {
    return found.has('SUCCEEDED') ? 'RUNNING' : 'PENDING';
  }
  if (found.has('SUCCEEDED')) {
    return 'SUCCEEDED';
  }
  return found.has('SKIPPED') ? 'SKIPPED' : 'PENDING';
}
