/** The server extension as the panel sees it: what is asked, and what becomes of each answer. */

import { KfpError, problemOf } from '../api';
import { RUNS as KIND } from '../kinds';
import { EVERYTHING } from '../query';
import {
  json,
  page,
  RUNS,
  Server,
  STATUS,
  Stream
} from '../../__tests__/server';

const QUERY = { namespace: 'alice', query: EVERYTHING, page_size: 50 };
const NOT_ARCHIVED =
  '{"predicates":[{"key":"storage_state","operation":"NOT_EQUALS","string_value":"ARCHIVED"}]}';

function runs(server: Server, more: object = {}) {
  return server.api.list(KIND, { ...QUERY, ...more });
}

async function problem(asked: Promise<unknown>) {
  const reason = await asked.catch(reason => reason);
  expect(reason).toBeInstanceOf(KfpError);
  return problemOf(reason);
}

it('runs are asked for newest first, under the base URL and in one namespace', async () => {
  const server = new Server();
  await runs(server, { page_token: 'a&b' });
  expect(server.asked).toEqual([
    `GET ${RUNS}?namespace=alice&page_size=50&sort_by=created_at%20desc` +
      // KFP's server decodes a filter once more.
      `&filter=${encodeURIComponent(encodeURIComponent(NOT_ARCHIVED))}` +
      '&page_token=a%26b'
  ]);
});

it('without a namespace none is asked for', async () => {
  const server = new Server();
  await runs(server, { namespace: '' });
  expect(server.asked[0]).not.toContain('namespace');
});

it('what KFP leaves out is empty, not undefined', async () => {
  const server = new Server();
  server.answers[RUNS] = () => json({});
  expect(await runs(server)).toEqual({ items: [], total: 0, next: '' });
  server.answers[RUNS] = () => json({ runs: [{ run_id: '1' }] });
  expect((await runs(server)).items[0]).toEqual({
    run_id: '1',
    display_name: '',
    state: 'PENDING',
    created_at: '',
    finished_at: '',
    error: '',
    archived: false,
    isTerminated: false,
    idle: 0,
    namespace: '',
    experiment_id: '',
    pipeline_id: '',
    pipeline_name: '',
    description: '',
    recurring_run_id: ''
  });
});

it('a run without a state has not started, or has ended without one', async () => {
  const server = new Server();
  server.answers[RUNS] = () =>
    json({
      runs: [
        { run_id: '1', finished_at: '0001-01-01T00:00:00Z' },
        { run_id: '2', finished_at: '2026-11-28T22:12:14Z' },
        { run_id: '3', state: 'FAILED', storage_state: 'ARCHIVED' }
      ]
    });
  const { items } = await runs(server);
  expect(items.map(run => run.state)).toEqual(['PENDING', 'SKIPPED', 'FAILED']);
  expect(items.map(run => run.archived)).toEqual([false, false, true]);
});

it('namespaces come with what is not known yet, and with who did not tell', async () => {
  const server = new Server();
  const refused = { message: 'No answer in 2.5 s.' };
  server.answers['namespaces'] = () =>
    json({
      namespaces: [{ name: 'bob', sources: ['pod'], usable: null }],
      sources: [{ name: 'pod' }, { name: 'kfam', problem: refused }],
      unknown: 'There is no Kubernetes API to ask from here.'
    });
  const { namespaces, silent, unknown } = await server.api.namespaces();
  expect(namespaces).toEqual([
    {
      name: 'bob',
      owner: '',
      usable: null,
      reason: '',
      cure: '',
      permissions: {}
    }
  ]);
  expect(silent.map(({ source }) => source)).toEqual(['kfam']);
  expect(silent[0].problem.message).toBe('No answer in 2.5 s.');
  expect(unknown).toContain('no Kubernetes API');
});

it('a run is terminated by a POST, whatever its id holds', async () => {
  const server = new Server();
  await server.api.change('runs', '7f3/../x', 'terminate');
  expect(server.asked).toEqual([`POST ${RUNS}/7f3%2F..%2Fx:terminate`]);
});

it("a refusal of KFP's shows its detail first and keeps its message", async () => {
  const server = new Server();
  server.answers[RUNS] = () =>
    json(
      {
        code: 7,
        message: 'Failed to list runs: PermissionDenied: ...',
        details: [{ message: 'bob is not authorized' }],
        cause: 'bob has no role in alice.',
        cure: 'Ask alice.'
      },
      403
    );
  expect(await problem(runs(server))).toEqual({
    message: 'bob is not authorized',
    cause: 'bob has no role in alice.',
    cure: 'Ask alice.',
    server_text: 'Failed to list runs: PermissionDenied: ...'
  });
});

it('an error of our own arrives as it was sent', async () => {
  const server = new Server();
  const sent = {
    message: 'No answer',
    cause: 'a',
    cure: 'b',
    server_text: 'c'
  };
  server.answers['status'] = () => json(sent, 502);
  expect(await problem(server.api.status())).toEqual(sent);
});

it('a connection that does not work is told with its cure', async () => {
  const server = new Server();
  server.status = { ...STATUS, error: { message: 'expired', cure: 'wait' } };
  expect((await server.api.status()).error).toEqual({
    message: 'expired',
    cause: '',
    cure: 'wait',
    server_text: ''
  });
});

it('a missing server extension is named, with the command that enables it', async () => {
  const server = new Server();
  server.answers['status'] = () => page('<html>404</html>', 404);
  const { cause, cure } = await problem(server.api.status());
  expect(cause).toContain('started before the installation');
  expect(cure).toMatch(/^Restart the Jupyter server/);
  expect(cure).toContain('jupyter server extension enable jupyter_kfp_mt');
});

it.each([
  [200, '<html>Log in</html>'],
  [403, '{"message": "Forbidden"}'],
  [503, 'Service Unavailable']
])(
  'a %d of something other than KFP asks to log in again',
  async (status, text) => {
    const server = new Server();
    server.answers['status'] = () => page(text, status);
    const { message, cure } = await problem(server.api.status());
    expect(message).toContain(`${status}`);
    expect(cure).toContain('log in again');
  }
);

it('a server that is gone is a sentence', async () => {
  const server = new Server();
  server.answers['status'] = () => Promise.reject(new TypeError('refused'));
  const { message } = await problem(server.api.status());
  expect(message).toBe('The Jupyter server does not respond.');
});

function streamed(text: string, size: number): Response {
  const bytes = new TextEncoder().encode(text);
  let from = 0;
  const read = async () => {
    const value = bytes.slice(from, (from += size));
    return { done: value.length === 0, value };
  };
  const headers = new Headers({ 'Content-Type': 'text/event-stream' });
  const body = { getReader: () => ({ read, cancel: async () => undefined }) };
  return { ok: true, status: 200, headers, body } as unknown as Response;
}

it.each([1, 2, 7, 1000])(
  'events are read however they are cut: %d bytes at a time',
  async size => {
    const server = new Server();
    const text =
      ':\n\nid: a-1\nevent: removed\ndata: {"runs":["é: x"]}\n\nevent: back\ndata: {}\n\n';
    server.answers['events'] = () => streamed(text, size);
    const heard: unknown[] = [];
    const { signal } = new AbortController();
    await server.api.listen('alice', event => heard.push(event), signal);
    expect(server.asked).toEqual(['GET events?namespace=alice']);
    expect(heard).toEqual([
      { name: 'alive' },
      {
        name: 'removed',
        runs: ['é: x'],
        recurring_runs: [],
        experiments: []
      },
      { name: 'back' }
    ]);
  }
);

describe('a stream', () => {
  const server = new Server();
  let stream: Stream;
  let ended: unknown;

  beforeEach(async () => {
    jest.useFakeTimers();
    stream = server.stream = new Stream();
    ended = undefined;
    const { signal } = new AbortController();
    void server.api
      .listen('alice', () => undefined, signal)
      .catch(reason => (ended = reason));
    await jest.advanceTimersByTimeAsync(0);
  });

  afterEach(() => jest.useRealTimers());

  it('that says it is there is listened to for hours', async () => {
    for (let minutes = 0; minutes < 120; minutes += 0.25) {
      stream.keepAlive();
      await jest.advanceTimersByTimeAsync(15_000);
    }
    expect(ended).toBeUndefined();
  });

  it('that is silent is dead after more than two signs of life', async () => {
    await jest.advanceTimersByTimeAsync(2 * 15_000);
    expect(ended).toBeUndefined();
    await jest.advanceTimersByTimeAsync(10_000);
    expect(problemOf(ended).message).toContain('not sent anything for a while');
  });
});

it('a page in place of events is a problem', async () => {
  const server = new Server();
  server.answers['events'] = () => page('<html>log in</html>', 200);
  const { signal } = new AbortController();
  await problem(server.api.listen('alice', () => undefined, signal));
});

/** Runs of which each fifth is of the pipeline `wanted`. */
function mixed(number: number) {
  return Array.from({ length: number }, (_, index) => ({
    run_id: `r${index}`,
    pipeline_version_reference: {
      pipeline_id: index % 5 ? 'other' : 'wanted'
    }
  }));
}

it('runs of a pipeline are looked for here, for KFP knows no such filter', async () => {
  const server = new Server();
  server.runs = mixed(450);
  const query = { ...EVERYTHING, pipeline_id: 'wanted' };
  const found = await runs(server, { query });
  expect(found).toMatchObject({ total: 90, next: '', among: undefined });
  expect(new Set(found.items.map(each => each.pipeline_id))).toEqual(
    new Set(['wanted'])
  );
  expect(server.asked).toHaveLength(3);
});

it('of a very long list so many are looked through, and it is said how many', async () => {
  const server = new Server();
  server.runs = mixed(5_000);
  const query = { ...EVERYTHING, pipeline_id: 'wanted' };
  const found = await runs(server, { query });
  expect(found).toMatchObject({ total: 200, among: 1_000 });
  expect(server.asked).toHaveLength(5);
});

it('a pipeline that came with its run has a name of its own', async () => {
  const server = new Server();
  const pipeline_spec = { pipelineInfo: { name: 'inline' } };
  server.answers[RUNS] = () => json({ runs: [{ run_id: '1', pipeline_spec }] });
  expect((await runs(server)).items[0].pipeline_name).toBe('inline');
});
