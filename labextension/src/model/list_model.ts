/** One list of the panel: its query, its loaded rows, and their changes. */

import { KfpApi } from '../wire/api';
import { IKind, Item } from '../wire/kinds';
import { EVERYTHING, IQuery, isFiltered, reversed } from '../wire/query';
import * as rows from './rows';
import { IRows, NO_ROWS, Order } from './rows';
import { IRefused, Sources } from './sources';
import { IPage, IProblem, problemOf } from '../wire/answers';

const PAGE_SIZE = 100;
const LARGEST_PAGE = 200;
// After news that may change which rows are listed, the list is fetched once events pause.
const QUIET = 1_000;

export class ListModel<T extends Item> {
  constructor(options: ListModel.IOptions<T>) {
    this.kind = options.kind;
    this._api = options.api;
    this._changed = options.changed;
    this._belongs = options.belongs ?? (() => true);
  }

  readonly kind: IKind<T>;

  /** The rows; null until they are loaded. */
  get rows(): IRows<T> | null {
    return this._rows;
  }

  get count(): number {
    return this._rows ? rows.count(this._rows) : 0;
  }

  at(index: number): T | undefined {
    return this._rows ? rows.at(this._rows, index) : undefined;
  }

  get loaded(): readonly T[] {
    return this._rows ? rows.loaded(this._rows) : [];
  }

  find(id: string): T | undefined {
    return this.loaded.find(item => this.kind.key(item) === id);
  }

  get query(): IQuery {
    return this._query;
  }

  /** Whether the rows belong to an earlier query while new ones are being fetched. */
  get isTurning(): boolean {
    return this._turning;
  }

  get problem(): IProblem | null {
    return this._problem;
  }

  /** The namespaces missing from the list, and the reasons. */
  get refused(): readonly IRefused[] {
    return this._refused;
  }

  /** How many items were searched, if not all; else 0. */
  get among(): number {
    return this._among;
  }

  get updatedAt(): number {
    return this._updatedAt;
  }

  /** The items whose state changed in the last update. */
  get changes(): readonly T[] {
    return this._changes;
  }

  /** The ids of the rows that are selected. */
  get selected(): ReadonlySet<string> {
    return this._selected;
  }

  /** The items that are selected, in the order of the list. */
  get selection(): readonly T[] {
    return this._selected.size
      ? this.loaded.filter(item => this._selected.has(this.kind.key(item)))
      : [];
  }

  select(ids: Iterable<string>): void {
    this._selected = new Set(ids);
    this._changed();
  }

  /** List these namespaces from now on; the empty name stands for shared items. */
  turnTo(namespaces: readonly string[]): void {
    if (namespaces.join() !== this._namespaces.join()) {
      this._namespaces = namespaces;
      this.forgetAll();
    }
  }

  /** Discard everything that was listed. */
  forgetAll(): void {
    this._generation++;
    this._rows = null;
    this._selected = new Set();
    this._changes = [];
    this._problem = null;
    this._refused = [];
    this._updatedAt = 0;
  }

  /** Change the query; the listed rows stay until the response arrives. */
  async ask(query: Partial<IQuery>): Promise<void> {
    this._query = { ...this._query, ...query };
    this._generation++;
    this._turning = true;
    this._changed();
    await this.refresh().catch(() => undefined);
  }

  /** Fetch the first rows again. Rejects with the error. */
  async refresh(): Promise<void> {
    await this._inTurn(async generation => {
      const size = Math.max(PAGE_SIZE, this._rows?.head.length ?? 0);
      const page = await this._page(
        this._turning ? PAGE_SIZE : Math.min(size, LARGEST_PAGE)
      );
      if (generation === this._generation) {
        const known = this._turning ? null : this._rows;
        const { key } = this.kind;
        const byAge = this._isByAge ? this._order : null;
        this._set(rows.refreshed(known ?? NO_ROWS, page, key, byAge));
        this._refused = page.refused;
        this._among = page.among ?? 0;
        this._turning = false;
      }
    });
  }

  /** Load the missing rows between two places; the result is in the rows. */
  need(first: number, last: number): void {
    this._needed = [first, last];
    if (!this._loading && this._missing()) {
      this._loading = true;
      void this._load().finally(() => {
        this._loading = false;
      });
    }
  }

  /** Apply news of some items. */
  hear(news: readonly T[]): void {
    if (!news.length) {
      return;
    }
    void this._inTurn(async () => {
      if (!this._rows) {
        return;
      }
      const { key } = this.kind;
      const known = new Set(this.loaded.map(key));
      const isPlaced = (item: T) => this._isByAge || known.has(key(item));
      const belongs = (item: T) =>
        isPlaced(item) && this._belongs(item, this._query);
      this._set(rows.merged(this._rows, news, key, this._order, belongs));
      if (!this._isByAge || isFiltered(this._query)) {
        this._lookSoon();
      }
    });
  }

  /** Remove deleted items. */
  forget(ids: Iterable<string>): void {
    const gone = new Set(ids);
    if (gone.size) {
      void this._inTurn(async () => {
        if (this._rows) {
          this._rows = rows.without(this._rows, gone, this.kind.key);
          this._deselectGone();
          this._changed();
        }
      });
    }
  }

  dispose(): void {
    window.clearTimeout(this._soon);
    this._generation++;
    this._isDisposed = true;
  }

  private async _load(): Promise<void> {
    for (let side = this._missing(); side; side = this._missing()) {
      const before = this._rows;
      try {
        await this._inTurn(generation => this._loadSide(side!, generation));
      } catch {
        return; // the error is in `problem`
      }
      if (this._rows === before) {
        return; // the query has changed in the meantime
      }
    }
  }

  private async _loadSide(
    side: 'head' | 'tail',
    generation: number
  ): Promise<void> {
    const known = this._rows;
    if (!known || generation !== this._generation) {
      return;
    }
    const isHead = side === 'head';
    const token = isHead ? known.next : (known.before ?? '');
    const page = await this._page(LARGEST_PAGE, token, !isHead);
    if (generation === this._generation && this._rows) {
      const add = isHead ? rows.append : rows.prepend;
      this._set(add(this._rows, page, this.kind.key));
    }
  }

  private _missing(): 'head' | 'tail' | null {
    const [first, last] = this._needed;
    return this._rows && !this._isDisposed
      ? rows.missing(this._rows, first, last)
      : null;
  }

  private _page(
    size: number,
    token = '',
    isReversed = false
  ): Promise<IPage<T> & { refused: readonly IRefused[] }> {
    const { sort } = this._query;
    const query = isReversed
      ? { ...this._query, sort: reversed(sort) }
      : this._query;
    const order = this._order;
    const ask = async (
      namespace: string,
      page_size: number,
      page_token: string
    ) => {
      const asked = { namespace, query, page_size, page_token };
      const page = await this._api.list(this.kind, asked);
      const items = page.items.map(item =>
        item.namespace || !namespace ? item : { ...item, namespace }
      );
      return { ...page, items };
    };
    const namespaces = this._namespaces.length ? this._namespaces : [''];
    return this._sources.page(
      namespaces,
      ask,
      isReversed ? (a, b) => order(b, a) : order,
      size,
      token
    );
  }

  /** Run requests one after another, so that no late response overwrites a newer one. */
  private _inTurn(act: (generation: number) => Promise<void>): Promise<void> {
    const generation = this._generation;
    const turn = this._turn.then(async () => {
      try {
        await act(generation);
        this._problem = generation === this._generation ? null : this._problem;
      } catch (reason) {
        if (generation === this._generation) {
          this._problem = problemOf(reason);
          this._turning = false;
          throw reason;
        }
      } finally {
        if (!this._isDisposed) {
          this._changed();
        }
      }
    });
    this._turn = turn.catch(() => undefined);
    return turn;
  }

  private _set(now: IRows<T>): void {
    const { key } = this.kind;
    const known = new Map(this.loaded.map(item => [key(item), item]));
    const keep = (item: T) => unchanged(known.get(key(item)), item);
    const head = now.head.map(keep);
    const changes = head.filter(item => {
      const before = known.get(key(item));
      return before && stateOf(before) !== stateOf(item);
    });
    this._changes = changes.length ? changes : this._changes;
    this._rows = { ...now, head, tail: now.tail.map(keep) };
    this._deselectGone();
    this._updatedAt = Date.now();
  }

  /** Deselect items that are no longer listed. */
  private _deselectGone(): void {
    if (this._selected.size) {
      this._selected = new Set(this.selection.map(this.kind.key));
    }
  }

  private _lookSoon(): void {
    window.clearTimeout(this._soon);
    this._soon = window.setTimeout(
      () => void this.refresh().catch(() => undefined),
      QUIET
    );
  }

  private get _isByAge(): boolean {
    return this._query.sort.startsWith('created_at');
  }

  private get _order(): Order<T> {
    return orderOf(this._query, this.kind.key);
  }

  private _among = 0;
  private readonly _api: KfpApi;
  private readonly _belongs: (item: T, query: IQuery) => boolean;
  private readonly _changed: () => void;
  private _changes: readonly T[] = [];
  private _generation = 0;
  private _isDisposed = false;
  private _loading = false;
  private _namespaces: readonly string[] = [];
  private _needed: readonly [number, number] = [0, 0];
  private _problem: IProblem | null = null;
  private _query: IQuery = EVERYTHING;
  private _refused: readonly IRefused[] = [];
  private _rows: IRows<T> | null = null;
  private _selected: ReadonlySet<string> = new Set();
  private _soon = 0;
  private readonly _sources = new Sources<T>();
  private _turn: Promise<void> = Promise.resolve();
  private _turning = false;
  private _updatedAt = 0;
}

export namespace ListModel {
  export interface IOptions<T> {
    kind: IKind<T>;
    api: KfpApi;
    changed: () => void;
    /** Return whether an item would be listed, as far as that is known here. */
    belongs?: (item: T, query: IQuery) => boolean;
  }
}

/** The order of a list; equal items are ordered by id, as KFP does. */
function orderOf<T extends Item>(
  query: IQuery,
  key: (item: T) => string
): Order<T> {
  const [field, direction] = query.sort.split(' ');
  const sign = direction === 'desc' ? -1 : 1;
  const compare = (a: T, b: T): number => {
    if (field === 'name') {
      return a.display_name.localeCompare(b.display_name);
    }
    return timeOf(a, field) - timeOf(b, field);
  };
  return (a, b) => sign * (compare(a, b) || (key(a) < key(b) ? -1 : 1));
}

function timeOf(item: Item, field: string): number {
  const text =
    field === 'finished_at' && 'finished_at' in item
      ? item.finished_at
      : item.created_at;
  return Date.parse(text) || 0;
}

function stateOf(item: Item): string {
  return 'state' in item ? item.state : 'status' in item ? item.status : '';
}

/** The known object if nothing has changed, so that its row is not rendered again. */
function unchanged<T extends Item>(known: T | undefined, item: T): T {
  if (!known || known === item) {
    return item;
  }
  const told = { ...item, namespace: item.namespace || known.namespace };
  if ('pipeline_name' in told && 'pipeline_name' in known) {
    // Events omit fields that never change.
    told.pipeline_name ||= known.pipeline_name;
  }
  const same = (Object.keys(told) as (keyof T)[]).every(
    name => known[name] === told[name]
  );
  return same ? known : told;
}
