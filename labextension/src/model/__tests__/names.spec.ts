/** Names by their ids: how many requests they take, and what becomes of those that fail. */

import { Names } from '../names';
import { json, Server, until } from '../../__tests__/server';

const ids = (number: number) =>
  Array.from({ length: number }, (_, index) => `p${index}`);

/** Answers with a name for each id, as the server extension does. */
function telling(server: Server): void {
  server.answers.names = url => {
    const of = (noun: string) =>
      Object.fromEntries(
        url.searchParams.getAll(noun).map(id => [id, `name of ${id}`])
      );
    return json({ experiments: of('experiment'), pipelines: of('pipeline') });
  };
}

it('the names of a hundred rows are asked for in one request', async () => {
  const server = new Server();
  telling(server);
  let changes = 0;
  const names = new Names(server.api, () => changes++);
  const drawn = () => [
    names.of('experiment', 'e'),
    ...ids(99).map(id => names.of('pipeline', id))
  ];
  expect(new Set(drawn())).toEqual(new Set(['']));
  await until(() => changes === 1);
  expect(drawn().slice(0, 2)).toEqual(['name of e', 'name of p0']);
  expect(drawn()).not.toContain('');
  expect(server.asked).toHaveLength(1);
});

it('more names than the server tells at once are asked for one after the other', async () => {
  const server = new Server();
  telling(server);
  const names = new Names(server.api, () => undefined);
  const drawn = () => ids(150).map(id => names.of('pipeline', id));
  drawn();
  await until(() => !drawn().includes(''));
  expect(server.asked).toHaveLength(2);
});

it('what is gone has no name, and is not asked for again and again', async () => {
  const server = new Server();
  server.answers.names = () => json({ experiments: {}, pipelines: {} });
  let changes = 0;
  const names = new Names(server.api, () => changes++);
  names.of('pipeline', 'gone');
  await until(() => changes === 1);
  names.of('pipeline', 'gone');
  names.of('pipeline', 'another');
  await until(() => changes === 2);
  expect(server.asked[1]).toBe('GET names?pipeline=another');
});

it('names of a place that was left are not taken over', async () => {
  const server = new Server();
  telling(server);
  const answer = server.answers.names;
  let isAsked = false;
  let go: () => void = () => undefined;
  server.answers.names = async url => {
    isAsked = true;
    await new Promise<void>(resolve => (go = resolve));
    return answer(url);
  };
  let changes = 0;
  const names = new Names(server.api, () => changes++);
  names.of('pipeline', 'secret');
  await until(() => isAsked);
  names.forgetAll();
  go();
  await until(() => changes === 1);
  expect(names.of('pipeline', 'secret')).toBe('');
});
