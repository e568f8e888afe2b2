/** What the model knows, when it asks, and what it never forgets or keeps. */

import { StateDB } from '@jupyterlab/statedb';

import { KfpModel } from '../model';
import { ALL } from '../namespaces';
import { toRun } from '../../wire/answers';
import { SILENCE } from '../../wire/intervals';
import {
  json,
  namespace,
  run,
  RUNS,
  Server,
  STATUS,
  Stream,
  until
} from '../../__tests__/server';

let server: Server;
let model: KfpModel;
let memory: StateDB;

function newModel(intervals = { active: 5, idle: 5 }): KfpModel {
  const { api } = server;
  return new KfpModel({ api, memory, intervals, standby: 'never' });
}

beforeEach(() => {
  server = new Server();
  memory = new StateDB();
  model = newModel();
});

afterEach(() => {
  model.dispose();
});

function ids(): string[] {
  return (model.runs ?? []).map(({ run_id }) => run_id);
}

function total(): number {
  return model.lists.runs.count;
}

/** Scroll to the end of the list. */
async function loadAll(): Promise<void> {
  const list = model.lists.runs;
  list.need(0, list.count - 1);
  await until(() => !list.rows?.next);
}

/** Runs from the newest on, a second apart. */
function manyRuns(number: number, state = 'SUCCEEDED') {
  const newest = Date.parse('2026-11-23T10:00:00Z');
  return Array.from({ length: number }, (_, index) =>
    run(`r${index}`, state, {
      created_at: new Date(newest - 1000 * index).toISOString()
    })
  );
}

function listsAsked(): string[] {
  return server.asked.filter(line => line.includes(RUNS));
}

it('nothing is asked before anybody watches', () => {
  expect(server.asked).toEqual([]);
  expect(model.runs).toBeNull();
});

it('watching shows the connection and its runs', async () => {
  server.runs = [run('train', 'RUNNING')];
  model.watch();
  await until(() => model.runs !== null);
  expect(model.status?.namespace).toBe('alice');
  expect(ids()).toEqual(['train']);
  expect(model.problem).toBeNull();
});

it('the first rows take one list, and nothing else of KFP', async () => {
  server.runs = [run('train', 'RUNNING')];
  server.stream = new Stream();
  let asked: string[] = [];
  model.stateChanged.connect(() => {
    if (model.runs !== null && !asked.length) {
      asked = [...server.asked];
    }
  });
  model.watch();
  await until(() => asked.length > 0);
  const [status, list, ...others] = asked;
  expect(status).toBe('GET status');
  expect(list).toContain(RUNS);
  expect(others).toEqual([]);
});

it('a run that goes on is seen to end', async () => {
  server.runs = [run('train', 'RUNNING'), run('old', 'FAILED')];
  model.watch();
  await until(() => ids().length === 2);
  expect(model.lists.runs.changes).toEqual([]);
  server.runs = [
    run('new', 'PENDING'),
    run('train', 'SUCCEEDED'),
    server.runs[1]
  ];
  await until(() => ids().length === 3);
  expect(model.lists.runs.changes.map(({ run_id }) => run_id)).toEqual([
    'train'
  ]);
});

it('a run of which nothing changed stays the same object', async () => {
  server.runs = [run('train', 'SUCCEEDED')];
  model.watch();
  await until(() => ids().length === 1);
  const known = model.runs?.[0];
  server.runs = [run('next', 'PENDING'), server.runs[0]];
  await until(() => ids().length === 2);
  expect(model.runs?.[1]).toBe(known);
});

it('what is scrolled to is loaded, and refreshing keeps it', async () => {
  server.runs = manyRuns(420);
  model.watch();
  await until(() => model.runs !== null);
  expect([ids().length, total()]).toEqual([100, 420]);
  await loadAll();
  expect([ids().length, total()]).toEqual([420, 420]);
  await model.refresh();
  expect(new Set(ids()).size).toBe(420);
});

it('a long list is refreshed with one page of at most 200', async () => {
  model.dispose();
  model = newModel({ active: 60_000, idle: 60_000 });
  server.runs = manyRuns(300);
  model.watch();
  await until(() => model.runs !== null);
  await loadAll();
  server.asked.length = 0;
  await model.refresh();
  const sizes = listsAsked().map(line => /page_size=(\d+)/.exec(line)?.[1]);
  expect(sizes).toEqual(['200']);
  expect(ids().length).toBe(300);
});

it('a refusal is a problem, and the last good list stays', async () => {
  server.runs = [run('train', 'RUNNING')];
  model.watch();
  await until(() => model.runs !== null);
  const seen = model.lists.runs.updatedAt;
  server.answers[RUNS] = () => json({ message: 'no', cause: 'role' }, 403);
  await until(() => model.problem !== null);
  expect(model.problem?.message).toBe('no');
  expect(ids()).toEqual(['train']);
  expect(model.lists.runs.updatedAt).toBeGreaterThanOrEqual(seen);
});

it('a problem goes once things work again', async () => {
  server.answers['status'] = () => Promise.reject(new TypeError('refused'));
  model.watch();
  await until(() => model.problem !== null);
  delete server.answers['status'];
  await until(() => model.problem === null);
  expect(model.runs).toEqual([]);
});

it('a connection that does not work is a problem, and no runs are asked for', async () => {
  server.status = { ...STATUS, error: { message: 'expired' } };
  model.watch();
  await until(() => model.problem !== null);
  expect(model.problem?.message).toBe('expired');
  expect(listsAsked()).toEqual([]);
});

it.each([
  ['KFP still starts', { ready: false }],
  ['there is no namespace', { namespace: '' }]
])('while %s no runs are asked for', async (_, part) => {
  server.status = { ...STATUS, ...part };
  model.watch();
  await until(() => model.status !== null);
  expect(model.isListable).toBe(false);
  expect(listsAsked()).toEqual([]);
  server.status = STATUS;
  await until(() => model.runs !== null);
});

it('a KFP for one user needs no namespace', async () => {
  server.status = { ...STATUS, namespace: '', multi_user: false };
  server.runs = [run('train', 'SUCCEEDED')];
  model.watch();
  await until(() => model.runs !== null);
  expect(ids()).toEqual(['train']);
});

it.each([
  ['namespace', { namespace: 'bob' }],
  ['identity', { identity: { subject: 'bob@example.com' } }],
  ['endpoint', { endpoint: 'http://elsewhere', local: false }]
])('another %s shows nothing of the one before', async (_, part) => {
  server.runs = [run('train', 'RUNNING')];
  model.watch();
  await until(() => model.runs !== null);
  server.answers[RUNS] = () => json({ message: 'no', cause: '' }, 403);
  server.status = { ...STATUS, ...part };
  await until(() => model.problem !== null && model.runs === null);
  expect(model.lists.runs.changes).toEqual([]);
  expect(total()).toBe(0);
});

it('a local KFP that was started again at another port keeps its rows', async () => {
  server.runs = [run('train', 'RUNNING')];
  model.watch();
  await until(() => model.runs !== null);
  const shown: unknown[] = [];
  model.stateChanged.connect(() => shown.push(model.runs));
  model.placeChanged.connect(() => shown.push(null));
  server.status = { ...STATUS, endpoint: 'http://127.0.0.1:4001' };
  await until(() => model.status?.endpoint === 'http://127.0.0.1:4001');
  expect(shown).not.toContain(null);
  expect(ids()).toEqual(['train']);
});

it('another tenant of the local KFP is told to pages, and is shown nothing of the one before', async () => {
  server.runs = [run('train', 'RUNNING')];
  server.answers['identity'] = () => {
    const subject = 'system:serviceaccount:bob:default-editor';
    const identity = { ...STATUS.identity, subject };
    server.status = { ...STATUS, namespace: 'bob', identity };
    server.runs = [run('tune', 'RUNNING')];
    return json({});
  };
  model.watch();
  await until(() => model.runs !== null);
  model.watchRun({ run_id: 'train', state: 'RUNNING' });
  let told = 0;
  model.placeChanged.connect(() => (told += 1));
  await model.become('bob/default-editor');
  expect([told, model.namespace, ...ids()]).toEqual([1, 'bob', 'tune']);
  expect(model.isWatched('train')).toBe(false);
});

it('an identity that cannot be had is a problem, and all stays as it is', async () => {
  server.runs = [run('train', 'RUNNING')];
  server.answers['identity'] = () =>
    json({ message: 'no identity', cause: '' }, 404);
  model.watch();
  await until(() => model.runs !== null);
  await model.become('carol/default-editor');
  expect(model.problem?.message).toBe('no identity');
  expect(ids()).toEqual(['train']);
});

it('a KFP that does not say who we are keeps what is shown', async () => {
  server.runs = [run('train', 'RUNNING')];
  model.watch();
  await until(() => model.runs !== null);
  const identity = { subject: '', expires_at: null, source: 'token file' };
  server.status = { ...STATUS, identity, error: { message: 'no answer' } };
  await until(() => model.problem !== null);
  expect(ids()).toEqual(['train']);
});

describe('another namespace', () => {
  const refused = () => json({ message: 'not bob', cause: 'role' }, 403);

  function refuse(name: string): void {
    server.answers[RUNS] = url =>
      url.searchParams.get('namespace') === name
        ? refused()
        : json({ runs: [run('train', 'RUNNING')] });
  }

  beforeEach(async () => {
    server.namespaces = [namespace('alice', true), namespace('bob', true)];
    server.runsOf = { alice: [run('train', 'RUNNING')] };
    server.runsOf.bob = [run('tune', 'RUNNING')];
    model.watch();
    await until(() => model.runs !== null);
  });

  /** What a page that is loaded again shows at first. */
  async function reload(): Promise<void> {
    model.dispose();
    model = newModel({ active: 60_000, idle: 60_000 });
    model.watch();
    await until(() => !!model.runs || !!model.problem || isNowhere());
  }

  function isNowhere(): boolean {
    return model.status !== null && !model.isListable;
  }

  it('is shown at once, in this page and in the next', async () => {
    model.choose('bob');
    expect(model.runs).toBeNull();
    await until(() => model.runs !== null);
    expect(ids()).toEqual(['tune']);
    await reload();
    expect([model.namespace, ...ids()]).toEqual(['bob', 'tune']);
  });

  it.each([
    ['identity', { identity: { subject: 'bob@example.com' } }],
    ['endpoint', { endpoint: 'http://elsewhere', local: false }]
  ])('is not chosen for another %s', async (_, part) => {
    model.choose('bob');
    server.status = { ...STATUS, ...part };
    await until(() => ids()[0] === 'train');
    expect(model.namespace).toBe('alice');
    server.status = STATUS;
    await until(() => ids()[0] === 'tune');
  });

  it('that is chosen elsewhere is shown here, too', async () => {
    server.stream = new Stream();
    await reload();
    await until(() => server.stream!.listeners === 1);
    const kernels = { k1: 'alice' };
    server.choose('bob');
    server.status = { ...STATUS, kernel_namespaces: kernels };
    const told = { namespace: 'bob', default_namespace: 'alice', kernels };
    server.stream.tell('namespace', told);
    await until(() => model.namespace === 'bob' && ids()[0] === 'tune');
    expect(model.status?.kernel_namespaces).toEqual(kernels);
  });

  it('that the server does not take is not shown, and why is', async () => {
    server.answers['namespace'] = () =>
      json({ message: 'no kernel', cause: '' }, 400);
    model.choose('bob');
    await until(() => model.namespaces.lost !== null);
    const { lost } = model.namespaces;
    expect([lost?.name, lost?.problem.message]).toEqual(['bob', 'no kernel']);
    expect(model.namespace).toBe('alice');
  });

  it('stays chosen when the connection has another', async () => {
    model.choose('bob');
    server.status = { ...STATUS, namespace: 'carol' };
    await until(() => model.status?.default_namespace === 'carol');
    expect(model.namespace).toBe('bob');
  });

  it('of the connection follows it, also if it was chosen', async () => {
    model.choose('bob');
    model.choose('alice');
    server.status = { ...STATUS, namespace: 'bob' };
    await until(() => model.namespace === 'bob' && ids()[0] === 'tune');
  });

  it('refused says so, and is not left', async () => {
    refuse('bob');
    model.choose('bob');
    await until(() => model.problem !== null);
    expect(model.problem?.message).toBe('not bob');
    expect([model.namespace, model.runs]).toEqual(['bob', null]);
  });

  it('refused is not left where there is no other either', async () => {
    server.status = { ...STATUS, namespace: '' };
    refuse('bob');
    await reload();
    model.choose('bob');
    await until(() => model.problem !== null);
    expect([model.namespace, model.namespaces.lost]).toEqual(['bob', null]);
  });

  it('of an earlier session is left if it is refused, and forgotten', async () => {
    model.choose('bob');
    refuse('bob');
    await reload();
    expect([model.namespace, ...ids()]).toEqual(['alice', 'train']);
    const { lost } = model.namespaces;
    expect([lost?.name, lost?.problem.message]).toEqual(['bob', 'not bob']);
    await reload();
    expect(model.namespaces.lost).toBeNull();
  });

  it('of an earlier session is kept while KFP does not answer', async () => {
    model.choose('bob');
    server.answers[RUNS] = () => json({ message: 'down', cause: '' }, 502);
    await reload();
    expect([model.namespace, model.problem?.message]).toEqual(['bob', 'down']);
    delete server.answers[RUNS];
    await model.refresh();
    expect(ids()).toEqual(['tune']);
  });

  it('does not show the late answer of the first', async () => {
    let answer: ((response: Response) => void) | null = null;
    server.answers[RUNS] = () => new Promise(resolve => (answer = resolve));
    await until(() => answer !== null);
    server.answers[RUNS] = () => json({ message: 'down', cause: '' }, 502);
    model.choose('bob');
    answer!(json({ runs: [run('late', 'RUNNING')] }));
    await until(() => model.problem !== null);
    expect(model.runs).toBeNull();
  });
});

const V2 = 'api/apis/v2beta1';

function namespacesAsked(): number {
  return server.asked.filter(line => line === 'GET namespaces').length;
}

it('namespaces are asked for once, and when somebody asks, but not each time', async () => {
  model.watch();
  await until(() => listsAsked().length > 5);
  expect(namespacesAsked()).toBe(1);
  expect(model.hasChoice).toBe(false);
  server.namespaces = [namespace('alice', true), namespace('bob', false)];
  await model.namespaces.look();
  expect([namespacesAsked(), model.hasChoice]).toEqual([2, true]);
});

it('namespaces that cannot be asked for are no problem of the runs', async () => {
  server.answers['namespaces'] = () => json({ message: 'no', cause: '' }, 502);
  model.watch();
  await until(() => model.namespaces.problem !== null);
  await until(() => listsAsked().length > 3);
  expect([model.problem, namespacesAsked()]).toEqual([null, 1]);
  expect(model.hasChoice).toBe(true);
});

it('a KFP for one user is not asked for namespaces, nor sent one', async () => {
  server.status = { ...STATUS, multi_user: false };
  model.watch();
  await until(() => listsAsked().length > 2);
  await model.refresh();
  expect([model.namespace, namespacesAsked()]).toEqual(['', 0]);
  expect(listsAsked()[0]).not.toContain('namespace=');
});

it('what was changed here is looked at again at once', async () => {
  model.dispose();
  model = newModel({ active: 60_000, idle: 60_000 });
  server.runs = [run('train', 'RUNNING')];
  model.watch();
  await until(() => model.runs !== null);
  server.runs = [run('train', 'CANCELING')];
  await model.lookAt('runs');
  expect(model.runs?.[0].state).toBe('CANCELING');
});

it('a run that was started here is shown without asking', async () => {
  model.dispose();
  model = newModel({ active: 60_000, idle: 60_000 });
  model.watch();
  await until(() => model.runs !== null);
  const asked = server.asked.length;
  model.lists.runs.hear([toRun(run('mine', 'PENDING'))]);
  await until(() => ids().length === 1);
  expect([total(), server.asked.length]).toEqual([1, asked]);
});

it('the end of a run that is watched is told once, also without the panel', async () => {
  const ended: string[] = [];
  model.ended.connect((_, { run_id, state }) =>
    ended.push(`${run_id} ${state}`)
  );
  model.watchRun({ run_id: 'mine', state: 'RUNNING' });
  server.runs = [run('mine', 'RUNNING'), run('other', 'RUNNING')];
  await until(() => ids().length === 2);
  server.runs = [run('mine', 'FAILED'), run('other', 'FAILED')];
  await until(() => ended.length > 0);
  const asked = server.asked.length;
  await model.refresh();
  expect(ended).toEqual(['mine FAILED']);
  // Nobody watches any more, so nothing is asked.
  expect([model.isWatching, server.asked.length]).toEqual([false, asked]);
});

describe('all namespaces', () => {
  beforeEach(async () => {
    model.dispose();
    model = newModel({ active: 60_000, idle: 60_000 });
    const at = (minute: number) => ({
      created_at: `2026-11-23T10:0${minute}:00Z`
    });
    server.namespaces = ['alice', 'bob', 'eve'].map(name =>
      namespace(name, name !== 'eve')
    );
    server.runsOf = {
      alice: [run('a2', 'RUNNING', at(4)), run('a1', 'RUNNING', at(1))],
      bob: [run('b2', 'RUNNING', at(3)), run('b1', 'RUNNING', at(2))]
    };
    model.watch();
    await until(() => model.namespaces.found !== null);
    model.choose(ALL);
    await until(() => ids().length === 4);
  });

  it('are one list, in the order of time, each run with its namespace', () => {
    expect(ids()).toEqual(['a2', 'b2', 'b1', 'a1']);
    const names = model.runs?.map(({ namespace }) => namespace);
    expect(names).toEqual(['alice', 'bob', 'bob', 'alice']);
    expect(server.asked.join()).not.toContain('namespace=eve');
    expect([model.isAll, model.namespace]).toEqual([true, 'alice']);
  });

  it('of which one is refused name it, and list the others', async () => {
    server.answers[RUNS] = url =>
      url.searchParams.get('namespace') === 'bob'
        ? json({ message: 'not bob', cause: '' }, 403)
        : json({ runs: server.runsOf.alice });
    await model.refresh();
    expect(ids()).toEqual(['a2', 'a1']);
    expect(model.problem).toBeNull();
    const [refused] = model.lists.runs.refused;
    expect([refused.namespace, refused.problem.message]).toEqual([
      'bob',
      'not bob'
    ]);
  });
});

it('another list is asked for when it is shown, and not before', async () => {
  server.answers[`${V2}/experiments`] = () =>
    json({ experiments: [{ experiment_id: 'e', display_name: 'sweep' }] });
  model.watch();
  await until(() => model.runs !== null);
  expect(server.asked.join()).not.toContain('/experiments');
  model.show('experiments');
  await until(() => model.lists.experiments.count === 1);
  expect(model.lists.experiments.at(0)?.display_name).toBe('sweep');
});

it('paused, nothing is asked, not even on request', async () => {
  model.watch();
  await until(() => model.runs !== null);
  model.pause();
  const asked = server.asked.length;
  await model.refresh();
  expect(server.asked.length).toBe(asked);
  model.watch();
  await until(() => server.asked.length > asked);
});

it('disposed while it waits for an answer, it says nothing more', async () => {
  let answer: (response: Response) => void = () => undefined;
  server.answers['status'] = () => new Promise(resolve => (answer = resolve));
  model.watch();
  await until(() => server.asked.length === 1);
  const said = jest.fn();
  model.stateChanged.connect(said);
  model.dispose();
  answer(json({ ...STATUS, namespace: 'bob' }));
  await until(() => model.status?.namespace === 'bob');
  expect(said).not.toHaveBeenCalled();
  expect(model.isDisposed).toBe(true);
});

describe('a stream that hangs', () => {
  beforeEach(() => {
    jest.useFakeTimers({ advanceTimers: true });
    model.dispose();
    model = newModel({ active: 2_000, idle: 5_000 });
  });

  afterEach(() => jest.useRealTimers());

  it('is noticed once its signs of life stay out, and is opened again', async () => {
    const stream = (server.stream = new Stream());
    server.runs = [run('train', 'RUNNING')];
    model.watch();
    await until(() => stream.listeners === 1 && model.runs !== null);
    const told = run('train', 'RUNNING', { display_name: 'told' });
    stream.tell('snapshot', { runs: [told] });
    await until(() => model.runs?.[0].display_name === 'told');
    for (let sign = 0; sign < 4; sign++) {
      await jest.advanceTimersByTimeAsync(0.4 * SILENCE);
      stream.keepAlive();
    }
    expect(stream.listeners).toBe(1);
    await jest.advanceTimersByTimeAsync(1.2 * SILENCE);
    await until(() => stream.listeners === 2);
    expect(ids()).toEqual(['train']);
  });
});

describe('a server that tells', () => {
  let stream: Stream;

  beforeEach(async () => {
    stream = server.stream = new Stream();
    server.runs = [run('train', 'RUNNING')];
    model.watch();
    await until(() => stream.listeners === 1 && model.runs !== null);
    const told = run('train', 'RUNNING', { display_name: 'told' });
    stream.tell('snapshot', { runs: [told] });
    await until(() => model.runs?.[0].display_name === 'told');
  });

  const later = { created_at: '2026-11-23T10:00:01Z' };

  it('is not asked for what it tells', async () => {
    const next = run('next', 'PENDING', later);
    stream.tell('changed', { runs: [next] });
    await until(() => ids().length === 2);
    const asked = server.asked.length;
    stream.tell('changed', { runs: [run('train', 'SUCCEEDED')] });
    await until(() => model.lists.runs.changes.length === 1);
    expect(ids()).toEqual(['next', 'train']);
    expect(total()).toBe(2);
    stream.tell('removed', { runs: ['train'] });
    await until(() => ids().length === 1);
    expect(server.asked.length).toBe(asked);
  });

  it('tells how many runs go on and how many have failed lately', async () => {
    const now = { created_at: new Date().toISOString() };
    stream.tell('changed', { runs: [run('bad', 'FAILED', now)] });
    await until(() => model.counts?.failed === 1);
    expect(model.counts).toEqual({ unfinished: 1, failed: 1 });
  });

  it('tells of runs that a filter leaves out, which are not shown', async () => {
    await model.lists.runs.ask({ state: 'RUNNING' });
    stream.tell('changed', { runs: [run('bad', 'FAILED', later)] });
    stream.tell('changed', { runs: [run('good', 'RUNNING', later)] });
    await until(() => ids().includes('good'));
    expect(ids()).toEqual(['good', 'train']);
    stream.tell('changed', { runs: [run('good', 'SUCCEEDED', later)] });
    await until(() => !ids().includes('good'));
  });

  it('tells of trouble and of its end', async () => {
    stream.tell('error', { message: 'no answer', cause: '', cure: '' });
    await until(() => model.problem?.message === 'no answer');
    expect(ids()).toEqual(['train']);
    stream.tell('back', {});
    await until(() => model.problem === null);
  });

  it('is asked and listened to again when its stream ends', async () => {
    server.runs = [run('train', 'FAILED')];
    stream.end();
    await until(() => model.runs?.[0].state === 'FAILED');
    await until(() => stream.listeners === 1);
  });

  it('is taken up again after the last event, silently', async () => {
    stream.tell('changed', { runs: [run('a', 'RUNNING')] }, 'x-1');
    await until(() => total() === 2);
    const problems: unknown[] = [];
    model.stateChanged.connect(() => problems.push(model.problem));
    stream.end();
    await until(() => server.resumed.length === 2);
    stream.keepAlive();
    stream.tell('changed', { runs: [run('b', 'RUNNING')] }, 'x-2');
    await until(() => ids().includes('b'));
    expect(server.resumed).toEqual(['', 'x-1']);
    expect(problems.every(problem => problem === null)).toBe(true);
  });

  it('is listened to for the namespace that is chosen', async () => {
    server.runsOf.bob = [];
    model.choose('bob');
    await until(() => server.asked.includes('GET events?namespace=bob'));
    stream.tell('snapshot', { runs: [run('tune', 'RUNNING')] });
    await until(() => total() === 1);
    expect(ids()).toEqual(['tune']);
  });

  it('has no listener while paused', async () => {
    model.pause();
    stream.tell('changed', { runs: [run('train', 'FAILED')] });
    await model.refresh();
    expect(model.runs?.[0].state).toBe('RUNNING');
  });

  it('has runs of one second in the order of KFP, by their ids', async () => {
    const news = [run('sweep', 'RUNNING'), run('tune', 'RUNNING')];
    stream.tell('changed', { runs: news });
    await until(() => total() === 3);
    expect(ids()).toEqual(['tune', 'train', 'sweep']);
  });

  it('does not show what is older than the pages loaded', async () => {
    server.runs = manyRuns(110);
    stream.end();
    await until(() => ids().length === 100 && stream.listeners === 1);
    const old = run('old', 'RUNNING', { created_at: '2020-01-01T00:00:00Z' });
    const { created_at } = server.runs[99];
    const ofTheSameSecond = run('a', 'RUNNING', { created_at });
    stream.tell('changed', { runs: [old, ofTheSameSecond] });
    stream.tell('changed', { runs: [run('r0', 'FAILED')] });
    await until(() => model.runs?.[0].state === 'FAILED');
    expect([ids().length, total()]).toEqual([100, 110]);
  });
});

it('a server that does not tell is asked once whether it does', async () => {
  model.watch();
  await until(() => listsAsked().length > 3);
  const asked = server.asked.filter(line => line.includes('events'));
  expect(asked.length).toBe(1);
});

it('a stream that does not come about is tried less and less often', async () => {
  server.answers['events'] = () => json({ message: 'no' }, 502);
  model.watch();
  await until(() => listsAsked().length > 20);
  const asked = server.asked.filter(line => line.includes('events'));
  expect(asked.length).toBe(1);
});

describe('the clock', () => {
  beforeEach(() => {
    jest.useFakeTimers();
    model.dispose();
    model = newModel({ active: 2_000, idle: 30_000 });
  });

  afterEach(() => {
    jest.useRealTimers();
  });

  async function looksIn(seconds: number): Promise<number> {
    server.asked.length = 0;
    await jest.advanceTimersByTimeAsync(1000 * seconds);
    return listsAsked().length;
  }

  it('shows as old what is told by a stream that falls silent, and asks anew', async () => {
    const stream = (server.stream = new Stream());
    server.runs = [run('train', 'RUNNING')];
    model.watch();
    await looksIn(1);
    stream.tell('snapshot', { runs: server.runs, total_runs: 1 }, 'x-1');
    await looksIn(20);
    expect(model.problem).toBeNull();
    server.answers['status'] = () => new Promise(() => undefined);
    await looksIn(20);
    expect(model.problem?.message).toContain('not sent anything for a while');
    expect(ids()).toEqual(['train']);
    delete server.answers['status'];
    await looksIn(60);
    expect(server.resumed.slice(0, 2)).toEqual(['', 'x-1']);
    stream.keepAlive();
    await looksIn(5);
    expect(model.problem).toBeNull();
  });

  it('looks every two seconds while a run is unfinished', async () => {
    server.runs = [run('train', 'RUNNING')];
    model.watch();
    await looksIn(1);
    expect(await looksIn(60)).toBe(30);
  });

  it('looks every 30 seconds while nothing runs, if so set', async () => {
    server.runs = [run('train', 'SUCCEEDED')];
    model.watch();
    await looksIn(1);
    expect(await looksIn(90)).toBe(3);
  });

  it('looks less and less often at a KFP that refuses', async () => {
    server.answers[RUNS] = () => json({ message: 'no', cause: '' }, 403);
    model.watch();
    await looksIn(600);
    expect(await looksIn(600)).toBeLessThan(60);
  });
});
