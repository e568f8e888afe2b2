/** Values as the words that people read. */

import { IStatus } from '../../wire/api';
import {
  age,
  ahead,
  connectionName,
  count,
  dateAndTime,
  duration,
  elapsed,
  period,
  finishedAt,
  oldness,
  shortIdentity,
  stateWord
} from '../format';
import { STATUS, trans } from '../../__tests__/server';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const RUN = {
  run_id: '1',
  display_name: 'train',
  state: 'SUCCEEDED',
  created_at: '2026-11-23T10:00:00Z',
  finished_at: '2026-11-23T10:00:12Z',
  error: '',
  archived: false
};
const NOW = Date.parse('2026-11-23T10:03:00Z');

it.each([
  [-5 * SECOND, 'just now'],
  [59 * SECOND, 'just now'],
  [3 * MINUTE, '3 min ago'],
  [5 * HOUR + MINUTE, '5 h ago'],
  [49 * HOUR, '2 d ago'],
  [NaN, '']
])('an age of %d ms is "%s"', (passed, words) => {
  expect(age(NOW - passed, NOW, trans)).toBe(words);
});

it.each([
  [-1, '0 s'],
  [12 * SECOND, '12 s'],
  [72 * SECOND, '1 min 12 s'],
  [26 * MINUTE + SECOND, '26 min'],
  [2 * HOUR + 5 * MINUTE, '2 h 5 min'],
  [76 * HOUR, '3 d 4 h'],
  [NaN, '']
])('a duration of %d ms is "%s"', (length, words) => {
  expect(duration(length, trans)).toBe(words);
});

it('a finished run took the time from its creation to its end', () => {
  expect(elapsed(RUN, NOW)).toBe(12 * SECOND);
});

it('the time that a run lay finished before its retry does not count', () => {
  expect(elapsed({ ...RUN, idle: 5 * SECOND }, NOW)).toBe(7 * SECOND);
});

it('an unfinished run has taken the time until now, for KFP says it ended in 1970', () => {
  const run = { ...RUN, state: 'RUNNING', finished_at: '1970-01-01T00:00:00Z' };
  expect(finishedAt(run)).toBeNull();
  expect(elapsed(run, NOW)).toBe(3 * MINUTE);
});

it('a list that could not be read again says how old it is', () => {
  expect(oldness(NOW - SECOND, NOW, trans)).toBe('from a moment ago');
  expect(oldness(NOW - 2 * MINUTE, NOW, trans)).toBe('from 2 min ago');
});

it('a state that KFP left out is unknown, not empty', () => {
  expect(stateWord('', trans)).toBe('Unknown');
});

it.each([
  ['system:serviceaccount:alice:default-editor', 'alice / default-editor'],
  ['alice@example.com', 'alice@example.com'],
  ['', 'Nobody']
])('the identity "%s" is shown as "%s"', (subject, words) => {
  expect(shortIdentity(subject, trans)).toBe(words);
});

it.each([
  [{ local: true }, 'Local KFP'],
  [
    { endpoint: 'https://kfp.example.com:8888/pipeline' },
    'kfp.example.com:8888'
  ],
  [{ endpoint: 'https://ann:secret@kfp.example.com/' }, 'kfp.example.com'],
  [{ endpoint: 'not an address' }, 'not an address']
])('the connection %j is called "%s"', (part, words) => {
  const status: IStatus = { ...STATUS, local: false, ...part };
  expect(connectionName(status, trans)).toBe(words);
});

it.each([
  [60_000, '1 min'],
  [3_600_000, 'hour'],
  [7_200_000, '2 hours'],
  [86_400_000, 'day'],
  [90_000, '1 min 30 s'],
  [90_000_000, '25 hours']
])('what happens every %d ms happens every "%s"', (length, words) => {
  expect(period(length, trans)).toBe(words);
});

it.each([
  [SECOND, 'in less than a minute'],
  [5 * MINUTE, 'in 5 min'],
  [3 * HOUR + 59 * MINUTE, 'in 3 h'],
  [49 * HOUR, 'in 2 d']
])('what comes in %d ms comes "%s"', (left, words) => {
  expect(ahead(NOW + left, NOW, trans)).toBe(words);
});

it('large counts and times are written as the language does', () => {
  expect(count(10000)).toBe('10,000');
  expect(dateAndTime(NOW)).toContain('2026');
  expect(dateAndTime(NaN)).toBe('');
});
