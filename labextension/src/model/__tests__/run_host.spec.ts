/** A run on a page: what it hears, what it asks for, what it saves, and what it refuses. */

import { DisposableDelegate, IDisposable } from '@lumino/disposable';

import { KfpError } from '../../wire/api';
import { INews, RunEvents } from '../../wire/run_events';
import { RunHost } from '../run_host';
import { RunRequests } from '../../wire/run_requests';
import { IRunData } from '../../run/run_data';
import { data, task } from '../../views/__tests__/fixtures';
import { trans, until } from '../../__tests__/server';

let hear: ((news: INews) => void) | null;
let saved: IRunData[];
let asked: string[];
let host: RunHost;
let permissions: () => Promise<Record<string, boolean>>;
let told: Record<string, unknown>;

beforeEach(() => {
  [hear, saved, asked, told] = [null, [], [], { display_name: 'training' }];
  permissions = async () => ({});
});

afterEach(() => host.dispose());

function show(shown: IRunData, staysOpen = false): void {
  const events = {
    follow: (_: string, __: string, call: (news: INews) => void) => {
      hear = call;
      return new DisposableDelegate(() => (hear = null)) as IDisposable;
    }
  };
  const requests = {
    run: async () => told,
    tasks: async () => [],
    values: async () => {
      asked.push('values');
      throw new KfpError(
        { message: 'not told', cause: '', cure: '', server_text: '' },
        404
      );
    },
    change: async (_: string, what: string) => asked.push(what),
    clone: async (_: unknown, name: string) => {
      asked.push(name);
      return { run_id: 'r2' };
    }
  };
  host = new RunHost({
    data: shown,
    events: events as unknown as RunEvents,
    requests: requests as unknown as RunRequests,
    permissions: () => permissions(),
    save: news => saved.push(news),
    staysOpen,
    trans
  });
}

const RUNNING = data([task('load', 'RUNNING')], 'RUNNING');

function news(state: string, ...tasks: object[]): INews {
  return {
    run: { run_id: 'r1', display_name: 'training', state },
    tasks: tasks as INews['tasks'],
    problem: ''
  };
}

it('what is told of a run is added to what is known, and saved in the end', async () => {
  show(RUNNING);
  expect(host.get().isLive).toBe(false);
  hear!(news('RUNNING', task('train[0]', 'PENDING')));
  expect(host.get().isLive).toBe(true);
  const names = host.get().data.tasks.map(({ display_name }) => display_name);
  expect(names).toEqual(['load', 'train[0]']);
  expect(host.get().data.run.parameters).toEqual({ rates: [0.1, 0.2] });
  hear!(news('SUCCEEDED', task('load')));
  expect(hear).toBeNull();
  await until(() => saved.length > 0);
  expect(saved[0].run.state).toBe('SUCCEEDED');
  expect(saved[0].tasks[0].state).toBe('SUCCEEDED');
});

it('a run that has finished is not followed', () => {
  show(data([task('load')]));
  expect(hear).toBeNull();
});

it('a page that stays open follows a run that is tried again, and hears of its deletion', () => {
  const ended = data([task('load', 'FAILED')], 'FAILED');
  show({ ...ended, logs: { load: 'of the first attempt' } }, true);
  hear!(news('RUNNING', task('load', 'RUNNING')));
  const view = host.get();
  expect([view.data.run.state, view.isLive]).toEqual(['RUNNING', true]);
  expect(view.data.logs).toEqual({});
  hear!(news('SUCCEEDED', task('load', 'SUCCEEDED')));
  hear!({ tasks: [], problem: '', isGone: true });
  expect(host.get().problem).toBe('The run was deleted.');
});

it('a run is no longer live while nothing is told of it, and says why', () => {
  show(RUNNING);
  hear!(news('RUNNING'));
  hear!({ tasks: [], problem: 'KFP is away.' });
  expect(host.get()).toMatchObject({ isLive: false, problem: 'KFP is away.' });
  hear!({ tasks: [], problem: '', isGone: true });
  expect(host.get().problem).toBe('The run was deleted.');
});

it('older data from a kernel do not undo newer ones', () => {
  show(RUNNING);
  hear!(news('SUCCEEDED', task('load')));
  host.adopt({ ...RUNNING, seen_at: '2026-11-29T05:02:00Z' });
  expect(host.get().data.run.state).toBe('SUCCEEDED');
});

it('values are not asked for again where nobody tells them', async () => {
  show(RUNNING);
  hear!(news('RUNNING', task('a')));
  await until(() => asked.length === 1);
  hear!(news('FAILED', task('b')));
  await until(() => saved.some(({ run }) => run.state === 'FAILED'));
  expect(asked).toEqual(['values']);
});

it('what the state or the role does not allow is refused with the reason', async () => {
  permissions = async () => ({ create: false, terminate: true });
  show(data([task('load')]));
  await until(() => !!host.get().refusals.clone);
  const { terminate, retry, clone } = host.get().refusals;
  expect(terminate).toBe('The run has finished already.');
  expect(retry).toBe('Only a run that has failed can be retried.');
  expect(clone).toBe(
    'Your role in namespace alice does not allow it: it lacks create on runs.'
  );
});

it('a run of another name than the one shown is left alone', async () => {
  show(data([task('load')], 'FAILED'));
  expect(await host.act({ name: 'clone' })).toBe(
    'Started: Clone of training (r2)'
  );
  await host.act({ name: 'retry' });
  expect(asked).toEqual(['Clone of training', 'retry']);
  told = { display_name: 'production' };
  expect(await host.act({ name: 'retry' })).toBe(
    'Nothing was changed: the run with this id is called production.'
  );
  expect(asked).toHaveLength(2);
});
