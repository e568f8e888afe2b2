/** One list of several namespaces, whose pages are merged in order. */

import { Order } from './rows';
import { IPage, IProblem, KfpError, problemOf } from '../wire/answers';

/** Fetches a page of one namespace. */
export type AskPage<T> = (
  namespace: string,
  page_size: number,
  page_token: string
) => Promise<IPage<T>>;

/** A namespace that cannot be listed. */
export interface IRefused {
  namespace: string;
  problem: IProblem;
}

export interface IMergedPage<T> extends IPage<T> {
  refused: readonly IRefused[];
}

/** The progress in a namespace: items not shown yet, and the token of the next page. */
interface IPart<T> {
  namespace: string;
  items: readonly T[];
  next: string | null;
  total: number;
  among?: number;
}

export class Sources<T> {
  /**
   * The first page of the namespaces, or the one at a token of the page before. Rejects where none
   * can be listed; else those that cannot are named in the answer.
   */
  async page(
    namespaces: readonly string[],
    ask: AskPage<T>,
    order: Order<T>,
    page_size: number,
    page_token = ''
  ): Promise<IMergedPage<T>> {
    if (namespaces.length === 1) {
      const page = await ask(namespaces[0], page_size, page_token);
      return { ...page, refused: [] };
    }
    const parts: IPart<T>[] = this._parts.get(page_token) ?? begin(namespaces);
    const refused: IRefused[] = [];
    const read = async (part: IPart<T>) => {
      try {
        return await readOn(part, ask, page_size);
      } catch (reason) {
        if (!(reason instanceof KfpError) || reason.status !== 403) {
          throw reason;
        }
        const problem = problemOf(reason);
        refused.push({ namespace: part.namespace, problem });
        return { ...part, next: null };
      }
    };
    const full = await Promise.all(parts.map(read));
    if (refused.length && refused.length === namespaces.length) {
      throw new KfpError(refused[0].problem, 403);
    }
    return { ...this._take(full, order, page_size), refused };
  }

  private _take(
    parts: IPart<T>[],
    order: Order<T>,
    page_size: number
  ): IPage<T> {
    const all = parts.flatMap((part, of) =>
      part.items.map(item => ({ item, of }))
    );
    all.sort((a, b) => order(a.item, b.item));
    const taken = all.slice(0, page_size);
    const left = parts.map((part, index) => ({
      ...part,
      items: part.items.slice(taken.filter(({ of }) => of === index).length)
    }));
    const isOver = left.every(({ items, next }) => !items.length && !next);
    return {
      items: taken.map(({ item }) => item),
      total: parts.reduce((sum, { total }) => sum + total, 0),
      next: isOver ? '' : this._keep(left),
      among: parts.reduce((sum, { among = 0 }) => sum + among, 0)
    };
  }

  private _keep(parts: IPart<T>[]): string {
    const token = `merged-${++this._number}`;
    this._parts.set(token, parts);
    return token;
  }

  private _number = 0;
  private readonly _parts = new Map<string, IPart<T>[]>();
}

function begin<T>(namespaces: readonly string[]): IPart<T>[] {
  return namespaces.map(namespace => ({
    namespace,
    items: [],
    next: '',
    total: 0
  }));
}

/** Enough items of a namespace to fill a page alone. */
async function readOn<T>(
  part: IPart<T>,
  ask: AskPage<T>,
  page_size: number
): Promise<IPart<T>> {
  if (part.next === null || part.items.length >= page_size) {
    return part;
  }
  const page = await ask(part.namespace, page_size, part.next);
  return {
    namespace: part.namespace,
    items: [...part.items, ...page.items],
    next: page.next || null,
    total: page.total,
    among: page.among
  };
}
