/**
 * The rows of a long list, whose beginning and end are loaded and whose middle may be missing: pure
 * values and functions, independent of network and screen.
 */

import { IPage } from '../wire/answers';

export interface IRows<T> {
  /** From the first row on. */
  head: readonly T[];
  /** Up to the last row. */
  tail: readonly T[];
  total: number;
  /** The token of the page after `head`; empty if no rows are missing. */
  next: string;
  /** The token of the page before `tail`, counted from the end; null before the first request. */
  before: string | null;
}

export const NO_ROWS = {
  head: [],
  tail: [],
  total: 0,
  next: '',
  before: null
} as const;

/** How many rows there are, loaded or not. */
export function count<T>(rows: IRows<T>): number {
  const loaded = rows.head.length + rows.tail.length;
  return rows.next ? Math.max(rows.total, loaded) : loaded;
}

/** The row at a place; undefined if it is not loaded yet. */
export function at<T>(rows: IRows<T>, index: number): T | undefined {
  return index < rows.head.length
    ? rows.head[index]
    : rows.tail[index - (count(rows) - rows.tail.length)];
}

export function loaded<T>(rows: IRows<T>): readonly T[] {
  return rows.tail.length ? [...rows.head, ...rows.tail] : rows.head;
}

/** The side from which missing rows between two places are nearer; null if none are missing. */
export function missing<T>(
  rows: IRows<T>,
  first: number,
  last: number
): 'head' | 'tail' | null {
  const start = rows.head.length;
  const end = count(rows) - rows.tail.length;
  if (!rows.next || last < start || first >= end) {
    return null;
  }
  return Math.max(first, start) - start <= end - Math.min(last, end)
    ? 'head'
    : 'tail';
}

/** The rows with the page after `head`. */
export function append<T>(
  rows: IRows<T>,
  page: IPage<T>,
  key: Key<T>
): IRows<T> {
  return joined(
    { ...rows, head: distinct([...rows.head, ...page.items], key) },
    page,
    key
  );
}

/** The rows with the page before `tail`, which is in reverse order. */
export function prepend<T>(
  rows: IRows<T>,
  page: IPage<T>,
  key: Key<T>
): IRows<T> {
  const tail = distinct([...[...page.items].reverse(), ...rows.tail], key);
  const next = page.next ? rows.next : '';
  return joined({ ...rows, tail, before: page.next }, { ...page, next }, key);
}

/**
 * The rows after the first page was fetched again: rows on it are updated, rows after it are kept,
 * and rows that are missing from it were deleted.
 */
export function refreshed<T>(
  rows: IRows<T>,
  page: IPage<T>,
  key: Key<T>,
  order: Order<T> | null
): IRows<T> {
  const last = page.items[page.items.length - 1];
  if (!page.next || last === undefined || !order) {
    const { total, next } = page;
    return { ...NO_ROWS, head: page.items, total, next };
  }
  const ids = new Set(page.items.map(key));
  const older = (item: T) => !ids.has(key(item)) && order(item, last) > 0;
  const kept = rows.head.filter(older);
  const next = kept.length ? rows.next : page.next;
  const head = [...page.items, ...kept];
  return joined(
    { ...rows, head, tail: rows.tail.filter(older), next },
    { total: page.total, next },
    key
  );
}

/** The rows with news of some; new rows are inserted in order. */
export function merged<T>(
  rows: IRows<T>,
  news: readonly T[],
  key: Key<T>,
  order: Order<T>,
  belongs: (item: T) => boolean
): IRows<T> {
  const told = new Map(news.map(item => [key(item), item]));
  const known = new Set(loaded(rows).map(key));
  const update = (items: readonly T[]) =>
    items.map(item => told.get(key(item)) ?? item).filter(belongs);
  const last = rows.next ? rows.head[rows.head.length - 1] : undefined;
  const fresh = news.filter(
    item =>
      belongs(item) &&
      !known.has(key(item)) &&
      !(last !== undefined && order(item, last) > 0)
  );
  const head = [...fresh, ...update(rows.head)];
  const tail = update(rows.tail);
  const gone =
    rows.head.length +
    rows.tail.length +
    fresh.length -
    head.length -
    tail.length;
  return {
    ...rows,
    head: fresh.length ? head.sort(order) : head,
    tail,
    total: rows.total + fresh.length - gone
  };
}

/** The rows without some. */
export function without<T>(
  rows: IRows<T>,
  ids: ReadonlySet<string>,
  key: Key<T>
): IRows<T> {
  const stays = (item: T) => !ids.has(key(item));
  const head = rows.head.filter(stays);
  const tail = rows.tail.filter(stays);
  const gone = rows.head.length + rows.tail.length - head.length - tail.length;
  return { ...rows, head, tail, total: Math.max(0, rows.total - gone) };
}

export type Key<T> = (item: T) => string;
export type Order<T> = (a: T, b: T) => number;

/** Join beginning and end once they meet. */
function joined<T>(
  rows: IRows<T>,
  page: { total: number; next: string },
  key: Key<T>
): IRows<T> {
  const { head, tail } = rows;
  const ids = new Set(head.map(key));
  const meet = tail.some(item => ids.has(key(item)));
  const isWhole = !page.next || meet;
  return isWhole
    ? {
        head: distinct([...head, ...tail], key),
        tail: [],
        total: page.total,
        next: '',
        before: null
      }
    : { ...rows, total: page.total, next: page.next };
}

function distinct<T>(items: readonly T[], key: Key<T>): T[] {
  const ids = new Set<string>();
  return items.filter(item => {
    const id = key(item);
    return ids.has(id) ? false : ids.add(id);
  });
}
