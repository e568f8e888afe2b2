/** The states of runs and tasks, with KFP's names. */

// `TERMINATED` is a failure caused by a termination: see `shown.ts`.
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

// The state of a group is the first of these among its tasks.
const TELLING = [
  'FAILED',
  'RUNNING',
  'CANCELING',
  'PAUSED',
  'CANCELED',
  'TERMINATED'
];

/** The state of a group, from those of its tasks. */
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
