/** The axis of a time line: a few round times, in one unit. */

import { TranslationBundle } from '@jupyterlab/translation';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MOST = 5; // intervals

const STEPS: readonly number[] = [
  ...[0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30].map(each => each * SECOND),
  ...[1, 2, 5, 10, 15, 30].map(each => each * MINUTE),
  ...[1, 2, 3, 6, 12].map(each => each * HOUR),
  ...[1, 2, 5, 10, 20, 50, 100].map(each => each * DAY)
];

/** The time between two ticks, in milliseconds, for an axis of a length. */
export function stepOf(length: number): number {
  return STEPS.find(step => length <= MOST * step) ?? length / MOST;
}

/** The ticks from 0 to a length, in milliseconds. */
export function ticksOf(length: number): number[] {
  const step = stepOf(length);
  const number = Math.floor(length / step + 1e-9);
  return Array.from({ length: number + 1 }, (_, index) => index * step);
}

/** A tick in words, in the unit that suits the step. */
export function tickText(
  time: number,
  step: number,
  trans: TranslationBundle
): string {
  if (step < MINUTE) {
    const digits = step < SECOND ? 1 : 0;
    return trans.__('%1 s', (time / SECOND).toFixed(digits));
  }
  if (step < HOUR) {
    return trans.__('%1 min', time / MINUTE);
  }
  return step < DAY
    ? trans.__('%1 h', time / HOUR)
    : trans.__('%1 d', Math.round(time / DAY));
}
