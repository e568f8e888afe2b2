/** What views of runs hear, and that they hear again of a stream that hung. */

import { ServerConnection } from '@jupyterlab/services';

import { Stream, trans, until } from '../../__tests__/server';
import { SILENCE } from '../intervals';
import { INews, RunEvents } from '../run_events';

beforeEach(() => jest.useFakeTimers({ advanceTimers: true }));

afterEach(() => jest.useRealTimers());

it('a stream that hangs is told as a problem, and opened again', async () => {
  const stream = new Stream();
  const serverSettings = ServerConnection.makeSettings({
    baseUrl: 'http://localhost/',
    fetch: async () => stream.response()
  });
  const news: INews[] = [];
  const events = new RunEvents({ serverSettings, trans });
  const following = events.follow('alice', 'r1', each => news.push(each));
  await until(() => stream.listeners === 1);
  stream.tell('snapshot', { runs: [{ run_id: 'r1' }], tasks: [] });
  await until(() => news.length === 1);
  await jest.advanceTimersByTimeAsync(0.8 * SILENCE);
  stream.keepAlive();
  await jest.advanceTimersByTimeAsync(0.8 * SILENCE);
  expect(news.length).toBe(1);
  await jest.advanceTimersByTimeAsync(0.4 * SILENCE);
  expect(news[1].problem).not.toBe('');
  await until(() => stream.listeners === 2);
  stream.tell('snapshot', { runs: [{ run_id: 'r1' }], tasks: [] });
  await until(() => news[news.length - 1].problem === '');
  following.dispose();
});
