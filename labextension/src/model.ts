/** What the panel shows: the connection, the runs of a namespace, and what went wrong last. */

import { StateDB } from '@jupyterlab/statedb';
import { VDomModel } from '@jupyterlab/ui-components';
import { IPoll, Poll } from '@lumino/polling';

import {
  IProblem,
  IRun,
  IRunPage,
  IStatus,
  ITask,
  isFinished,
  KfpApi,
  KfpError,
  KfpEvent,
  problemOf
} from './api';
import { LONGEST_BACKOFF, TOLD } from './intervals';
import { IMemory, Namespaces } from './namespaces';

const PAGE_SIZE = 50;
const LARGEST_PAGE = 200;

/** Milliseconds between two looks, while something is unfinished and while nothing is. */
export interface IIntervals {
  active: number;
  idle: number;
}

export class KfpModel extends VDomModel {
  constructor(options: KfpModel.IOptions) {
    super();
    this._api = options.api;
    this.namespaces = new Namespaces({
      api: options.api,
      memory: options.memory ?? new StateDB(),
      changed: () => this.stateChanged.emit()
    });
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

  /** Those there are, and which one is chosen. */
  readonly namespaces: Namespaces;

  /** The connection, once it is known. */
  get status(): IStatus | null {
    return this._status;
  }

  /** Whose runs are shown; empty where there is none. */
  get namespace(): string {
    const { multi_user = false, namespace = '' } = this._status ?? {};
    return multi_user ? this.namespaces.chosen || namespace : '';
  }

  /** Whether there is another namespace to choose, as far as is known. */
  get hasChoice(): boolean {
    const { found, problem } = this.namespaces;
    const others = found?.namespaces.some(
      ({ name }) => name !== this.namespace
    );
    return this._hasNamespaces && (!this.namespace || (others ?? !!problem));
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
    return !!status?.ready && (!!this.namespace || !status.multi_user);
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

  /** Look at everything now; what comes of it is in the state. */
  async refresh(): Promise<void> {
    if (this._watching && this._hasNamespaces) {
      void this.namespaces.look();
    }
    await this._lookNow();
  }

  /** Show the runs of another namespace, here and in later sessions. */
  choose(namespace: string): void {
    const isOwn = namespace === this._status?.namespace;
    this.namespaces.choose(isOwn ? '' : namespace);
    this._problem = null;
    this._turnTo();
    this.stateChanged.emit();
    void this._lookNow();
  }

  async loadMore(): Promise<void> {
    await this._inTurn(async () => {
      const view = this._view;
      try {
        const page = await this._page(PAGE_SIZE, this._next);
        if (view === this._view) {
          this._append(page);
        }
      } catch (reason) {
        this._problem = view === this._view ? problemOf(reason) : this._problem;
      }
      this.stateChanged.emit();
    });
  }

  /** The tasks of a run. Rejects with a KfpError where they cannot be had. */
  async tasks(run_id: string): Promise<ITask[]> {
    return this._api.tasks(run_id);
  }

  /** Stop a run. Rejects with a KfpError if it may not or cannot be stopped. */
  async terminate(run_id: string): Promise<void> {
    await this._api.terminate(run_id);
    await this._lookNow();
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

  private async _lookNow(): Promise<void> {
    if (!this._watching || this.isDisposed) {
      return;
    }
    await this._poll.refresh();
    await this._poll.tick.catch(() => undefined);
  }

  private async _look(): Promise<void> {
    try {
      await this._adopt(await this._api.status());
      await this._list();
      this._problem = null;
      void this._listen();
      if (this._hasNamespaces) {
        this.namespaces.lookOnce();
      }
    } catch (reason) {
      this._problem = problemOf(reason);
      throw reason; // so that the poll backs off
    } finally {
      this._poll.frequency = this._nextFrequency();
      this.stateChanged.emit();
    }
  }

  private async _adopt(status: IStatus): Promise<void> {
    if (!this._place || isElsewhere(status, this._place)) {
      this._place = status;
      const { endpoint, identity } = status;
      await this.namespaces.enter(`${endpoint} ${identity.subject}`);
    }
    this._status = status;
    this._turnTo();
    if (status.error) {
      throw new KfpError(status.error);
    }
  }

  /** Nothing of what was seen before is to stay where something else is to be seen. */
  private _turnTo(): void {
    const { endpoint, identity } = this._place ?? {};
    const view = JSON.stringify([endpoint, identity?.subject, this.namespace]);
    if (view !== this._view) {
      this._view = view;
      this._forget();
    }
  }

  /** List the runs; those of another namespace, if one is chosen before the answer is here. */
  private async _list(): Promise<void> {
    for (let view = ''; this.isListable && view !== this._view;) {
      view = this._view;
      try {
        const page = await this._loadedPages();
        if (view === this._view) {
          this._replace(page);
          this.namespaces.accept();
        }
      } catch (reason) {
        if (view === this._view && !this._fallBack(reason)) {
          throw reason;
        }
      }
    }
  }

  /** Go back to the connection's own namespace, if the one of an earlier session is refused. */
  private _fallBack(reason: unknown): boolean {
    const refused = reason instanceof KfpError && reason.status === 403;
    const isOwn = this.namespace === this._status?.namespace;
    if (!refused || isOwn || !this.namespaces.giveUp(reason.problem)) {
      return false;
    }
    this._turnTo();
    return true;
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
        this.namespace,
        (event, id) =>
          void this._inTurn(async () => this._hear(event, id, listening)),
        listening.signal,
        this._lastId
      );
    } catch (reason) {
      this._deaf = reason instanceof KfpError && reason.status === 404;
      if (this._told && this._listening === listening) {
        this._problem = problemOf(reason); // until the next look, which is at once
        this.stateChanged.emit();
      }
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

  private _hear(event: KfpEvent, id: string, listening: AbortController): void {
    if (this._listening !== listening || this.isDisposed) {
      return;
    }
    const resumed = this._lastId !== '';
    this._lastId = id || this._lastId;
    switch (event.name) {
      case 'alive':
        if (resumed) {
          this._pauseAsking(); // whatever was missed is told now
        }
        return;
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
    const oldest = this._next ? loaded[loaded.length - 1] : undefined;
    const told = new Map(news.map(run => [run.run_id, run]));
    const known = loaded.map(run => told.get(run.run_id) ?? run);
    const ids = new Set(loaded.map(run => run.run_id));
    const fresh = news.filter(
      run => !ids.has(run.run_id) && !(oldest && byAge(run, oldest) > 0)
    );
    this._replace({
      runs: [...fresh, ...known].sort(byAge),
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
      void this._lookNow();
    }
  };

  private _forget(): void {
    this._stopListening();
    this._lastId = '';
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
    const { namespace } = this;
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

  private get _hasNamespaces(): boolean {
    const status = this._status;
    return !!status?.ready && !status.error && status.multi_user;
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
  private _place: IStatus | null = null;
  private readonly _poll: Poll;
  private _changes: readonly IRun[] = [];
  private _deaf = false; // an older server half does not tell
  private _intervals: IIntervals;
  private _lastId = ''; // of the event told last
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
  private _view = '';
  private _watching = false;
}

export namespace KfpModel {
  export interface IOptions {
    api: KfpApi;
    intervals?: IIntervals;
    memory?: IMemory;
    standby?: Poll.Standby;
  }
}

function frequency(interval: number): IPoll.Frequency {
  return { interval, backoff: true, max: Math.max(interval, LONGEST_BACKOFF) };
}

/** Newest first, and those of one second in the order in which KFP lists them. */
function byAge(a: IRun, b: IRun): number {
  const between = Date.parse(b.created_at) - Date.parse(a.created_at);
  return between || (a.run_id < b.run_id ? 1 : -1);
}

/** Whether it is another KFP or another person; what does not work may not say who we are. */
function isElsewhere(status: IStatus, place: IStatus): boolean {
  const works = status.ready && !status.error;
  return [
    [status.endpoint, place.endpoint],
    [status.identity.subject, place.identity.subject]
  ].some(([now, before]) => now !== before && (now || works));
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
