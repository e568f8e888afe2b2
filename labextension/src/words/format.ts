/** Values as words: states, times and names, for people and for screen readers. */

import { TranslationBundle } from '@jupyterlab/translation';

import { IRun, IStatus } from '../wire/api';
import { shownState } from '../run/shown';
import { isFinished } from '../run/states';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export function stateWord(state: string, trans: TranslationBundle): string {
  switch (state) {
    case 'PENDING':
      return trans.__('Pending');
    case 'RUNNING':
      return trans.__('Running');
    case 'SUCCEEDED':
      return trans.__('Succeeded');
    case 'FAILED':
      return trans.__('Failed');
    case 'SKIPPED':
      return trans.__('Skipped');
    case 'CANCELING':
      return trans.__('Canceling');
    case 'CANCELED':
      return trans.__('Canceled');
    case 'PAUSED':
      return trans.__('Paused');
    case 'TERMINATED':
      return trans.__('Terminated');
    default:
      return trans.__('Unknown');
  }
}

/** The state of a run as a sentence for screen readers. */
export function stateChange(
  run: Pick<IRun, 'display_name' | 'state' | 'isTerminated'>,
  trans: TranslationBundle
): string {
  const name = run.display_name;
  switch (shownState(run)) {
    case 'TERMINATED':
      return trans.__('%1 finished: terminated', name);
    case 'RUNNING':
      return trans.__('%1 is running', name);
    case 'SUCCEEDED':
      return trans.__('%1 finished: succeeded', name);
    case 'FAILED':
      return trans.__('%1 finished: failed', name);
    case 'SKIPPED':
      return trans.__('%1 was skipped', name);
    case 'CANCELING':
      return trans.__('%1 is being canceled', name);
    case 'CANCELED':
      return trans.__('%1 finished: canceled', name);
    case 'PAUSED':
      return trans.__('%1 is paused', name);
    default:
      return trans.__('%1 is pending', name);
  }
}

export function age(
  since: number,
  now: number,
  trans: TranslationBundle
): string {
  const passed = now - since;
  if (Number.isNaN(passed)) {
    return '';
  }
  if (passed < MINUTE) {
    return trans.__('just now');
  }
  if (passed < HOUR) {
    return trans.__('%1 min ago', Math.floor(passed / MINUTE));
  }
  if (passed < DAY) {
    return trans.__('%1 h ago', Math.floor(passed / HOUR));
  }
  return trans.__('%1 d ago', Math.floor(passed / DAY));
}

/** The time until a moment to come. */
export function ahead(
  until: number,
  now: number,
  trans: TranslationBundle
): string {
  const left = until - now;
  if (left < MINUTE) {
    return trans.__('in less than a minute');
  }
  if (left < HOUR) {
    return trans.__('in %1 min', Math.floor(left / MINUTE));
  }
  if (left < DAY) {
    return trans.__('in %1 h', Math.floor(left / HOUR));
  }
  return trans.__('in %1 d', Math.floor(left / DAY));
}

/** The age of a list that could not be refreshed. */
export function oldness(
  since: number,
  now: number,
  trans: TranslationBundle
): string {
  return now - since < MINUTE
    ? trans.__('from a moment ago')
    : trans.__('from %1', age(since, now, trans));
}

/** A duration, with a precision that depends on its length. */
export function duration(length: number, trans: TranslationBundle): string {
  if (Number.isNaN(length)) {
    return '';
  }
  const whole = Math.max(0, length);
  const seconds = Math.floor(whole / SECOND) % 60;
  const minutes = Math.floor(whole / MINUTE) % 60;
  const hours = Math.floor(whole / HOUR) % 24;
  const days = Math.floor(whole / DAY);
  if (days) {
    return trans.__('%1 d %2 h', days, hours);
  }
  if (hours) {
    return trans.__('%1 h %2 min', hours, minutes);
  }
  if (minutes >= 10) {
    return trans.__('%1 min', minutes);
  }
  if (minutes) {
    return trans.__('%1 min %2 s', minutes, seconds);
  }
  return trans.__('%1 s', seconds);
}

/** How long it is from one time to the next; as one unit where it is a whole number of those. */
export function period(length: number, trans: TranslationBundle): string {
  if (length >= DAY && length % DAY === 0) {
    return trans._n('day', '%1 days', length / DAY, length / DAY);
  }
  if (length >= HOUR && length % HOUR === 0) {
    return trans._n('hour', '%1 hours', length / HOUR, length / HOUR);
  }
  return length >= MINUTE && length % MINUTE === 0
    ? trans.__('%1 min', length / MINUTE)
    : duration(length, trans);
}

type Times = Pick<IRun, 'state' | 'created_at' | 'finished_at'> &
  Partial<Pick<IRun, 'idle'>>;

/** The duration of a run so far, without the time that it lay finished before a retry. */
export function elapsed(run: Times, now: number): number {
  const { created_at, idle = 0 } = run;
  return (finishedAt(run) ?? now) - Date.parse(created_at) - idle;
}

/** The end of a run. KFP sends 1970, or the year 1, before it has ended. */
export function finishedAt(run: Times): number | null {
  const time = Date.parse(run.finished_at);
  return isFinished(run) && time > 0 ? time : null;
}

export function dateAndTime(time: number): string {
  if (Number.isNaN(time)) {
    return '';
  }
  return new Intl.DateTimeFormat(language(), {
    dateStyle: 'medium',
    timeStyle: 'medium'
  }).format(time);
}

export function count(number: number): string {
  return new Intl.NumberFormat(language()).format(number);
}

function language(): string {
  return document.documentElement.lang || 'en';
}

const SERVICE_ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/;

/** A short form of our identity. */
export function shortIdentity(
  subject: string,
  trans: TranslationBundle
): string {
  const account = SERVICE_ACCOUNT.exec(subject);
  if (account) {
    return `${account[1]} / ${account[2]}`;
  }
  return subject || trans.__('Nobody');
}

/** A short name of the KFP that we are connected to. */
export function connectionName(
  status: IStatus,
  trans: TranslationBundle
): string {
  return status.local ? trans.__('Local KFP') : hostOf(status.endpoint);
}

function hostOf(endpoint: string): string {
  try {
    return new URL(endpoint).host;
  } catch {
    return endpoint;
  }
}
