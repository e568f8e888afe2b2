/** What the panel shows: the connection, the runs of its namespace, and what went wrong last. */

import { VDomModel } from '@jupyterlab/ui-components';
import { IPoll, Poll } from '@lumino/polling';

import {
  IProblem,
  IRun,
  IRunPage,
  IStatus,
  isFinished,
  KfpApi,
  KfpError,
  KfpEvent,
  problemOf
} from './api';

const PAGE_SIZE = 50;
const LARGEST_PAGE = 200;
const LONGEST_BACKOFF = 60_000;
// While changes are told, to ask is only for what is not: the connection.
const TOLD = 30_000;

/** Milliseconds between two looks, while something is unfinished and while nothing is. */
export interface IIntervals {
  active: number;
  idle: number;
}

export class KfpModel extends VDomModel {
  constructor(options: KfpModel.IOptions) {
    super();
    this._api = options.api;
    this._intervals = options.intervals ?? { active: 2_000, idle: 5_000 };
    this._poll = new Poll({
      name: 'jupyter-kfp-mt:runs',
      auto: false,
      factory: () => this._inTurn(() => this._look()),
      frequency: frequency(this._intervals.active),
      standby: options.standby ?? 'when-hidden'
    });
    document.addEventListener('visibilitychange', this._onVisibility);
  }

  /** The connection, once it is known. */
  get status(): IStatus | null {
    return this._status;
  }

  /** The runs loaded so far, newest first; null until they are known. */
  get runs(): readonly IRun[] | null {
    return this._runs;
  }

  /** How many runs there are, loaded or not. */
  get total(): number {
    return this._total;
  }

  get hasMore(): boolean {
    return this._next !== '';
  }

  /** What went wrong last; the runs are then those of `updatedAt`. */
  get problem(): IProblem | null {
    return this._problem;
  }

  get updatedAt(): number {
    return this._updatedAt;
  }

  /** The runs whose state changed when something last did. */
  get changes(): readonly IRun[] {
    return this._changes;
  }

  /** Whether runs may be listed: KFP wants a namespace wherever there are many. */
  get isListable(): boolean {
    const status = this._status;
    return !!status?.ready && (!!status.namespace || !status.multi_user);
  }

  get isWatching(): boolean {
    return this._watching;
  }

  set intervals(intervals: IIntervals) {
    this._intervals = intervals;
    this._poll.frequency = this._nextFrequency();
  }

  /** Look now, and again and again. */
  watch(): void {
    this._watching = true;
    void this._poll.start();
    this.stateChanged.emit();
  }

  /** Ask nothing until watched again. */
  pause(): void {
    this._watching = false;
    this._stopListening();
    void this._poll.stop();
    this.stateChanged.emit();
  }

  /** Look now; what comes of it is in the state. */
  async refresh(): Promise<void> {
    if (!this._watching || this.isDisposed) {
      return;
    }
    await this._poll.refresh();
    await this._poll.tick.catch(() => undefined);
  }

  async loadMore(): Promise<void> {
    await this._inTurn(async () => {
      try {
        this._append(await this._page(PAGE_SIZE, this._next));
      } catch (reason) {
        this._problem = problemOf(reason);
      }
      this.stateChanged.emit();
    });
  }

  /** Stop a run. Rejects with a KfpError if it may not or cannot be stopped. */
  async terminate(run_id: string): Promise<void> {
    await this._api.terminate(run_id);
    await this.refresh();
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    document.removeEventListener('visibilitychange', this._onVisibility);
    this._stopListening();
    this._poll.dispose();
    super.dispose();
  }

  private async _look(): Promise<void> {
    try {
      this._adopt(await this._api.status());
      if (this.isListable) {
        this._replace(await this._loadedPages());
      }
      this._problem = null;
      void this._listen();
    } catch (reason) {
      this._problem = problemOf(reason);
      throw reason; // so that the poll backs off
    } finally {
      this._poll.frequency = this._nextFrequency();
      this.stateChanged.emit();
    }
  }

  private _adopt(status: IStatus): void {
    if (this._status && whose(status) !== whose(this._status)) {
      this._forget();
    }
    this._status = status;
    if (status.error) {
      throw new KfpError(status.error);
    }
  }

  /** Be told what changes. Where that does not work, the poll goes on asking, and tries again. */
  private async _listen(): Promise<void> {
    const idle = this._listening || !this._watching || document.hidden;
    const tooSoon = this._deaf || Date.now() < this._listenAgainAt;
    if (idle || tooSoon || !this.isListable || this.isDisposed) {
      return;
    }
    const listening = (this._listening = new AbortController());
    try {
      await this._api.listen(
        this._status?.namespace ?? '',
        event => void this._inTurn(async () => this._hear(event, listening)),
        listening.signal
      );
    } catch (reason) {
      this._deaf = reason instanceof KfpError && reason.status === 404;
    }
    if (this._listening === listening) {
      this._lose();
    }
  }

  /** The stream ended by itself: ask again as often as without one. */
  private _lose(): void {
    const told = this._told;
    this._stopListening();
    this._losses = told ? 0 : this._losses + 1;
    const pause = Math.min(1000 * 2 ** this._losses, LONGEST_BACKOFF);
    this._listenAgainAt = told ? 0 : Date.now() + pause;
    if (told) {
      void this._poll.schedule(); // the next look was to be long after
    }
  }

  private _stopListening(): void {
    this._listening?.abort();
    this._listening = null;
    this._told = false;
    if (!this._poll.isDisposed) {
      this._poll.frequency = this._nextFrequency();
    }
  }

  private _hear(event: KfpEvent, listening: AbortController): void {
    if (this._listening !== listening || this.isDisposed) {
      return;
    }
    switch (event.name) {
      case 'snapshot':
      case 'changed':
        this._merge(event.runs, event.total ?? this._total);
        this._pauseAsking();
        break;
      case 'removed':
        this._remove(new Set(event.ids));
        break;
      case 'error':
        this._problem = event.problem;
        break;
      default:
        this._problem = null;
    }
    this.stateChanged.emit();
  }

  private _pauseAsking(): void {
    if (!this._told) {
      this._told = true;
      this._poll.frequency = this._nextFrequency();
      void this._poll.schedule();
    }
  }

  /** Add what is new among the runs that are loaded; older ones come with their page. */
  private _merge(news: IRun[], total: number): void {
    const loaded = this._runs ?? [];
    const oldest = this._next ? created(loaded[loaded.length - 1]) : 0;
    const told = new Map(news.map(run => [run.run_id, run]));
    const known = loaded.map(run => told.get(run.run_id) ?? run);
    const ids = new Set(loaded.map(run => run.run_id));
    const fresh = news.filter(
      run => !ids.has(run.run_id) && created(run) >= oldest
    );
    this._replace({
      runs: [...fresh, ...known].sort((a, b) => created(b) - created(a)),
      total_size: total,
      next_page_token: this._next
    });
  }

  private _remove(ids: Set<string>): void {
    this._runs = this._runs?.filter(run => !ids.has(run.run_id)) ?? null;
  }

  private _onVisibility = (): void => {
    if (document.hidden) {
      this._stopListening();
    } else {
      void this.refresh();
    }
  };

  private _forget(): void {
    this._stopListening();
    this._runs = null;
    this._changes = [];
    this._total = 0;
    this._next = '';
    this._updatedAt = 0;
  }

  /** As many runs as are loaded now, in pages that KFP answers quickly. */
  private async _loadedPages(): Promise<IRunPage> {
    const wanted = Math.max(PAGE_SIZE, this._runs?.length ?? 0);
    const page = await this._page(Math.min(wanted, LARGEST_PAGE));
    while (page.next_page_token && page.runs.length < wanted) {
      const size = Math.min(wanted - page.runs.length, LARGEST_PAGE);
      const next = await this._page(size, page.next_page_token);
      page.runs.push(...next.runs);
      page.next_page_token = next.runs.length ? next.next_page_token : '';
    }
    return page;
  }

  private _page(page_size: number, page_token?: string): Promise<IRunPage> {
    const namespace = this._status?.namespace ?? '';
    return this._api.runs({ namespace, page_size, page_token });
  }

  private _replace(page: IRunPage): void {
    const before = new Map(this._runs?.map(run => [run.run_id, run]));
    const changes = page.runs.filter(run => {
      const known = before.get(run.run_id);
      return known && known.state !== run.state;
    });
    this._changes = changes.length ? changes : this._changes;
    this._runs = page.runs.map(run => unchanged(before.get(run.run_id), run));
    this._total = page.total_size;
    this._next = page.next_page_token;
    this._updatedAt = Date.now();
  }

  private _append(page: IRunPage): void {
    const runs = this._runs ?? [];
    const known = new Set(runs.map(run => run.run_id));
    this._runs = [...runs, ...page.runs.filter(run => !known.has(run.run_id))];
    this._next = page.next_page_token;
  }

  /** One request after the other, so that no late answer undoes a newer one. */
  private _inTurn(ask: () => Promise<void>): Promise<void> {
    const turn = this._turn.then(ask);
    this._turn = turn.catch(() => undefined);
    return turn;
  }

  /** Quick while something happens, slower while nothing does. */
  private _nextFrequency(): IPoll.Frequency {
    if (this._told) {
      return frequency(TOLD);
    }
    const { active, idle } = this._intervals;
    const interval = this._isBusy() ? active : idle;
    return frequency(interval * this._requests);
  }

  private _isBusy(): boolean {
    const runs = this._runs ?? [];
    return !!this._problem || !this._status?.ready || !runs.every(isFinished);
  }

  /** How many requests the list takes: a long one is not to cost KFP more than a short one. */
  private get _requests(): number {
    return Math.max(1, Math.ceil((this._runs?.length ?? 0) / LARGEST_PAGE));
  }

  private readonly _api: KfpApi;
  private readonly _poll: Poll;
  private _changes: readonly IRun[] = [];
  private _deaf = false; // an older server half does not tell
  private _intervals: IIntervals;
  private _listening: AbortController | null = null;
  private _listenAgainAt = 0;
  private _losses = 0;
  private _next = '';
  private _problem: IProblem | null = null;
  private _runs: readonly IRun[] | null = null;
  private _status: IStatus | null = null;
  private _told = false;
  private _total = 0;
  private _turn: Promise<void> = Promise.resolve();
  private _updatedAt = 0;
  private _watching = false;
}

export namespace KfpModel {
  export interface IOptions {
    api: KfpApi;
    intervals?: IIntervals;
    standby?: Poll.Standby;
  }
}

function frequency(interval: number): IPoll.Frequency {
  return { interval, backoff: true, max: Math.max(interval, LONGEST_BACKOFF) };
}

function created(run: IRun | undefined): number {
  return run ? Date.parse(run.created_at) : 0;
}

/** Where and as whom: runs of another place or person are not to stay on the screen. */
function whose({ endpoint, identity, namespace }: IStatus): string {
  return JSON.stringify([endpoint, identity.subject, namespace]);
}

/** The run as known if nothing about it is new, so that its row is not drawn again. */
function unchanged(known: IRun | undefined, run: IRun): IRun {
  const same =
    known &&
    known.state === run.state &&
    known.display_name === run.display_name &&
    known.finished_at === run.finished_at &&
    known.error === run.error;
  return same ? known : run;
}
