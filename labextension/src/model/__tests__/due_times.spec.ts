/** When recurring runs are due next. */

import { DueTimes } from '../due_times';
import { json, Server, until } from '../../__tests__/server';
import { toRecurringRun } from '../../wire/answers';

const NOW = Date.parse('2026-11-29T05:00:00Z');
const MINUTE = 60_000;

function recurring(trigger: object, more: object = {}) {
  const created_at = '2026-11-29T04:58:30Z';
  return toRecurringRun({ status: 'ENABLED', created_at, trigger, ...more });
}

function inTheServer(times: Record<string, number[]>) {
  const server = new Server();
  server.answers['due-times'] = () => {
    const told = Object.entries(times).map(([cron, due]) => [
      cron,
      due.map(time => new Date(time).toISOString())
    ]);
    return json({ times: Object.fromEntries(told) });
  };
  let changes = 0;
  const due = new DueTimes(server.api, () => (changes += 1));
  return { server, due, changed: () => until(() => changes > 0) };
}

it('an interval counts from the start of the schedule, else from its creation', () => {
  const { due } = inTheServer({});
  const every = { interval_second: '60' };
  const next = due.of(recurring({ periodic_schedule: every }), NOW);
  expect(next).toBe(NOW + MINUTE / 2);
  const start_time = '2026-11-29T04:00:10Z';
  const started = { periodic_schedule: { ...every, start_time } };
  expect(due.of(recurring(started), NOW)).toBe(NOW + 10_000);
});

it.each([
  ['disabled', { periodic_schedule: { interval_second: '60' } }, 'DISABLED'],
  ['due once only', {}, 'ENABLED'],
  [
    'over before',
    {
      periodic_schedule: {
        interval_second: '60',
        end_time: '2026-11-29T05:00:01Z'
      }
    },
    'ENABLED'
  ],
  [
    'not begun',
    {
      periodic_schedule: {
        interval_second: '60',
        start_time: '2026-11-29T05:00:01Z'
      }
    },
    'ENABLED'
  ]
])('what is %s has no next time', (_, trigger, status) => {
  const { due } = inTheServer({});
  expect(due.of(recurring(trigger, { status }), NOW)).toBeNull();
});

it('the crons of many rows are asked for at once, and only once', async () => {
  const crons = { '0 0 6 * * *': [NOW + MINUTE], never: [] };
  const { server, due, changed } = inTheServer(crons);
  const rows = Object.keys(crons).map(cron =>
    recurring({ cron_schedule: { cron } })
  );
  const times = () => [...rows, ...rows].map(each => due.of(each, NOW));
  expect(times()).toEqual([null, null, null, null]);
  await changed();
  expect(times()).toEqual([NOW + MINUTE, null, NOW + MINUTE, null]);
  expect(server.asked).toHaveLength(1);
});

it('once the known times are over, others are asked for', async () => {
  const cron = '0 0 6 * * *';
  const { server, due, changed } = inTheServer({ [cron]: [NOW + MINUTE] });
  const row = recurring({ cron_schedule: { cron } });
  due.of(row, NOW);
  await changed();
  expect(due.of(row, NOW + 2 * MINUTE)).toBeNull();
  await until(() => server.asked.length === 2);
});
