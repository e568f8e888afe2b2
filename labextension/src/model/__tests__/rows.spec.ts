/** The rows of long lists: pages from both ends, what is new, and what is gone. */

import {
  append,
  at,
  count,
  IRows,
  loaded,
  merged,
  missing,
  NO_ROWS,
  prepend,
  refreshed,
  without
} from '../rows';
import { Sources } from '../sources';
import { KfpError } from '../../wire/answers';

interface INumber {
  n: number;
  word: string;
}

const item = (n: number, word = ''): INumber => ({ n, word });
const key = ({ n }: INumber) => `${n}`;
// Newest first: the larger number.
const order = (a: INumber, b: INumber) => b.n - a.n;
const all = () => true;

function numbers(rows: IRows<INumber>): number[] {
  return loaded(rows).map(({ n }) => n);
}

function page(from: number, to: number, total: number, next: string) {
  const items = [];
  for (let n = from; n !== to; n += from < to ? 1 : -1) {
    items.push(item(n));
  }
  return { items, total, next };
}

const BEGUN = append<INumber>(NO_ROWS, page(100, 90, 100, 'b'), key);

it('a list whose middle is missing has all of its rows, and says what is missing', () => {
  const both = prepend(BEGUN, page(1, 6, 100, 'e'), key);
  expect(count(both)).toBe(100);
  expect([at(both, 0)?.n, at(both, 9)?.n, at(both, 10)]).toEqual([
    100,
    91,
    undefined
  ]);
  expect([at(both, 95)?.n, at(both, 99)?.n]).toEqual([5, 1]);
  expect(missing(both, 0, 9)).toBeNull();
  expect(missing(both, 8, 12)).toBe('head');
  expect(missing(both, 90, 99)).toBe('tail');
  expect(missing(both, 60, 70)).toBe('tail');
  expect(missing(both, 20, 30)).toBe('head');
});

it('beginning and end become one list once they meet', () => {
  const both = prepend(BEGUN, page(1, 6, 100, 'e'), key);
  const whole = append(both, page(90, 3, 100, 'x'), key);
  expect(numbers(whole)).toEqual(page(100, 0, 100, '').items.map(({ n }) => n));
  expect([whole.next, whole.tail.length]).toEqual(['', 0]);
});

it('a list that is read to its end from the end is whole, too', () => {
  const whole = prepend(BEGUN, page(1, 91, 100, ''), key);
  expect(count(whole)).toBe(100);
  expect(missing(whole, 0, 99)).toBeNull();
});

it('the first page asked for again replaces what is on it, and keeps what is after it', () => {
  const more = append(BEGUN, page(90, 80, 100, 'c'), key);
  const first = { ...page(101, 91, 99, 'b2') };
  first.items.splice(3, 1); // 98 was deleted
  const now = refreshed(more, first, key, order);
  expect(numbers(now).slice(0, 5)).toEqual([101, 100, 99, 97, 96]);
  expect(numbers(now)).not.toContain(98);
  expect([numbers(now).pop(), now.next, now.total]).toEqual([81, 'c', 99]);
});

it('a list that is not sorted by time begins anew with its first page', () => {
  const more = append(BEGUN, page(90, 80, 100, 'c'), key);
  const now = refreshed(more, page(50, 40, 100, 'b2'), key, null);
  expect(numbers(now)).toEqual(page(50, 40, 0, '').items.map(({ n }) => n));
  expect(now.next).toBe('b2');
});

it('news are put where they belong, once, and only among what is loaded', () => {
  const news = [item(101), item(95, 'changed'), item(7)];
  const now = merged(BEGUN, news, key, order, all);
  expect(numbers(now).slice(0, 3)).toEqual([101, 100, 99]);
  expect(numbers(now)).not.toContain(7);
  expect(now.head.find(({ n }) => n === 95)?.word).toBe('changed');
  expect([now.total, merged(now, news, key, order, all).total]).toEqual([
    101, 101
  ]);
});

it('what does not fit the filter any more goes', () => {
  const fits = ({ word }: INumber) => word !== 'failed';
  const news = [item(99, 'failed'), item(101, 'failed')];
  const now = merged(BEGUN, news, key, order, fits);
  expect(numbers(now).slice(0, 2)).toEqual([100, 98]);
  expect(now.total).toBe(99);
});

it('what was deleted is taken from both ends', () => {
  const both = prepend(BEGUN, page(1, 6, 100, 'e'), key);
  const now = without(both, new Set(['100', '1', '50']), key);
  expect([at(now, 0)?.n, now.total, count(now)]).toEqual([99, 98, 98]);
});

describe('several namespaces', () => {
  const lists: Record<string, number[]> = {
    a: [9, 7, 5, 3, 1],
    b: [8, 6],
    c: []
  };

  async function ask(namespace: string, size: number, token: string) {
    const from = Number(token || 0);
    const items = lists[namespace].slice(from, from + size).map(n => item(n));
    const next = from + size < lists[namespace].length ? `${from + size}` : '';
    return { items, total: lists[namespace].length, next };
  }

  it('are read page by page in the order of all', async () => {
    const sources = new Sources<INumber>();
    const found: number[] = [];
    let token = '';
    do {
      const page = await sources.page(['a', 'b', 'c'], ask, order, 2, token);
      expect([page.total, page.items.length <= 2]).toEqual([7, true]);
      found.push(...page.items.map(({ n }) => n));
      token = page.next;
    } while (token);
    expect(found).toEqual([9, 8, 7, 6, 5, 3, 1]);
  });

  it('of which none can be listed are refused as one is', async () => {
    const refused = async () => {
      const problem = { message: 'no', cause: '', cure: '', server_text: '' };
      throw new KfpError(problem, 403);
    };
    const asked = new Sources<INumber>().page(['a', 'b'], refused, order, 2);
    await expect(asked).rejects.toThrow('no');
  });
});
