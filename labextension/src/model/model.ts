/** The state of the panel: the connection, the lists of a namespace, and the last error. */

import { StateDB } from '@jupyterlab/statedb';
import { IPoll, Poll } from '@lumino/polling';
import { ISignal, Signal } from '@lumino/signaling';

import {
  IExperiment,
  INamespace,
  INamespaceInUse,
  IPipeline,
  IProblem,
  IRecurringRun,
  IRun,
  IStatus,
  isFinished,
  KfpApi,
  KfpError,
  KfpEvent,
  problemOf
} from '../wire/api';
import { LONGEST_BACKOFF, TOLD } from '../wire/intervals';
import {
  EXPERIMENTS,
  KindId,
  PIPELINES,
  RECURRING_RUNS,
  RUNS
} from '../wire/kinds';
import { DueTimes } from './due_times';
import { ListModel } from './list_model';
import { Names } from './names';
import { ALL, IMemory, Namespaces } from './namespaces';
import { wouldList } from '../wire/query';

const DAY = 24 * 3_600_000;
const WATCHED = 'jupyter-kfp-mt:watched';
const MOST_WATCHED = 100;

/** Milliseconds between polls, with and without unfinished runs. */
export interface IIntervals {
  active: number;
  idle: number;
}

export class KfpModel {
  constructor(options: KfpModel.IOptions) {
    this._api = options.api;
    this.namespaces = new Namespaces({
      api: options.api,
      memory: options.memory ?? new StateDB(),
      changed: () => this._namespacesChanged()
    });
    const changed = () => this._stateChanged.emit();
    const { api } = options;
    this.names = new Names(api, changed, () =>
      this.isAll ? this._everybody : [this.namespace].filter(Boolean)
    );
    this.due = new DueTimes(api, changed);
    this.lists = {
      runs: new ListModel({
        kind: RUNS,
        api,
        changed: () => this._runsChanged(),
        belongs: (run, query) => wouldList(query, run, Date.now())
      }),
      recurring: new ListModel({ kind: RECURRING_RUNS, api, changed }),
      experiments: new ListModel({ kind: EXPERIMENTS, api, changed }),
      pipelines: new ListModel({ kind: PIPELINES, api, changed })
    };
    void this._recallWatched(options.memory);
    this._intervals = options.intervals ?? { active: 2_000, idle: 5_000 };
    this._poll = new Poll({
      name: 'jupyter-kfp-mt:runs',
      auto: false,
      factory: () => this._inTurn(() => this._look()),
      frequency: frequency(this._intervals.active),
      standby: options.standby ?? 'when-hidden'
    });
  }

  /** The known namespaces, and the chosen one. */
  readonly namespaces: Namespaces;

  /** The lists, by kind. */
  readonly lists: Readonly<KfpModel.ILists>;

  readonly names: Names;

  readonly due: DueTimes;

  /** Emitted when something visible has changed. */
  get stateChanged(): ISignal<this, void> {
    return this._stateChanged;
  }

  /** It is another KFP, or another person, of whom nothing that was shown before may be shown. */
  get placeChanged(): ISignal<this, void> {
    return this._placeChanged;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Emitted when a run ends that was started or is watched here. */
  get ended(): ISignal<this, IRun> {
    return this._ended;
  }

  /** The kind of the list that is shown. */
  get section(): KindId {
    return this._section;
  }

  /** The connection, once known. */
  get status(): IStatus | null {
    return this._status;
  }

  /** The namespace that is shown, or our own if all are; empty if there is none. */
  get namespace(): string {
    const { multi_user = false, namespace = '' } = this._status ?? {};
    const { chosen } = this.namespaces;
    return multi_user ? (chosen !== ALL && chosen) || namespace : '';
  }

  /** Whether the lists cover all usable namespaces. */
  get isAll(): boolean {
    return !!this._status?.multi_user && this.namespaces.chosen === ALL;
  }

  /** The details of a namespace, by default of the one that is shown. */
  known(namespace = this.namespace): INamespace | undefined {
    return this.namespaces.found?.namespaces.find(
      ({ name }) => name === namespace
    );
  }

  /** Whether an action is allowed in a namespace; null if unknown. */
  may(resource: string, verb: string, namespace = ''): boolean | null {
    const { permissions } = this.known(namespace || this.namespace) ?? {};
    return permissions?.[resource]?.[verb] ?? null;
  }

  /** Whether another namespace can be chosen, as far as is known. */
  get hasChoice(): boolean {
    const { found, problem } = this.namespaces;
    const others = found?.namespaces.some(
      ({ name }) => name !== this.namespace
    );
    return this._hasNamespaces && (!this.namespace || (others ?? !!problem));
  }

  /** The runs loaded so far; null before the first ones. */
  get runs(): readonly IRun[] | null {
    return this.lists.runs.rows && this.lists.runs.loaded;
  }

  /** The last error; the rows are then older ones. */
  get problem(): IProblem | null {
    return this._problem ?? this.lists[this._section].problem;
  }

  /** How many runs are unfinished, and how many failed in the last 24 hours, as far as known. */
  get counts(): { unfinished: number; failed: number } | null {
    if (!this.runs && !this._recent.size) {
      return null;
    }
    const recent = this._recent.size
      ? [...this._recent.values()]
      : (this.runs ?? []);
    const since = Date.now() - DAY;
    return {
      unfinished: recent.filter(run => !isFinished(run)).length,
      failed: recent.filter(
        run => run.state === 'FAILED' && Date.parse(run.created_at) > since
      ).length
    };
  }

  /** Whether runs can be listed: multi-user KFP needs a namespace. */
  get isListable(): boolean {
    const status = this._status;
    const isSome = !!this.namespace || this.isAll || !status?.multi_user;
    return !!status?.ready && isSome;
  }

  get isWatching(): boolean {
    return this._watchers.size > 0;
  }

  set intervals(intervals: IIntervals) {
    this._intervals = intervals;
    this._poll.frequency = this._nextFrequency();
  }

  /** Whether the page is hidden, which pauses polling and events. */
  set isHidden(isHidden: boolean) {
    this._isHidden = isHidden;
    if (isHidden) {
      this._stopListening();
    } else {
      void this._lookNow();
    }
  }

  /** Start polling, for as long as there are watchers. */
  watch(who = PANEL): void {
    const wasWatching = this.isWatching;
    this._watchers.add(who);
    if (!wasWatching) {
      void this._poll.start();
    } else if (who === PANEL) {
      void this._lookNow();
    }
    this._stateChanged.emit();
  }

  /** Stop polling until there is a watcher again. */
  pause(who = PANEL): void {
    this._watchers.delete(who);
    if (!this.isWatching) {
      this._stopListening();
      void this._poll.stop();
    }
    this._stateChanged.emit();
  }

  /** Show another list. */
  show(section: KindId): void {
    if (section !== this._section) {
      this._section = section;
      this._problem = null;
      this._stateChanged.emit();
      void this._refreshLists(true).catch(() => undefined);
    }
  }

  /** Notify when this run has ended. */
  watchRun(run: Pick<IRun, 'run_id' | 'state'>, isWatched = true): void {
    if (isWatched) {
      this._watched.add(run.run_id);
      this.watch(WATCHED);
    } else {
      this._watched.delete(run.run_id);
    }
    this._rememberWatched();
    this._stateChanged.emit();
  }

  isWatched(run_id: string): boolean {
    return this._watched.has(run_id);
  }

  /** Fetch everything now; the result is in the state. */
  async refresh(): Promise<void> {
    if (this.isWatching && this._hasNamespaces) {
      void this.namespaces.look();
    }
    this._isForced = true;
    await this._lookNow();
  }

  /** Show all namespaces, or use another one in this Jupyter server, including its kernels. */
  choose(namespace: string): void {
    const isUsual = namespace === this._status?.default_namespace;
    const chosen = this.namespaces.choose(namespace, isUsual);
    void chosen.then(() => this._namespacesChanged());
    this._problem = null;
    this._turnTo();
    this._stateChanged.emit();
    void this._lookNow();
  }

  /** Use another identity of the local KFP, in the panel, in all pages and in cells. */
  async become(identity: string): Promise<void> {
    try {
      await this._api.chooseIdentity(identity);
    } catch (reason) {
      this._problem = problemOf(reason);
      this._stateChanged.emit();
      return;
    }
    await this._lookNow();
  }

  /** Make a kernel use the namespace of the panel instead of its own. */
  async forgetNamespaceOf(kernel: string): Promise<void> {
    try {
      await this._api.chooseNamespace('', kernel);
    } catch (reason) {
      this._problem = problemOf(reason);
    }
    await this._lookNow();
    this._stateChanged.emit();
  }

  /** Fetch a list again after a change in it. */
  async lookAt(section: KindId): Promise<void> {
    if (this.isListable && !this.isDisposed) {
      await this.lists[section].refresh().catch(() => undefined);
    }
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this._stopListening();
    Object.values(this.lists).forEach(list => list.dispose());
    this._poll.dispose();
    this._isDisposed = true;
    Signal.clearData(this);
  }

  private async _lookNow(): Promise<void> {
    if (!this.isWatching || this.isDisposed) {
      return;
    }
    await this._poll.refresh();
    await this._poll.tick.catch(() => undefined);
  }

  private async _look(): Promise<void> {
    try {
      const isKnown = !this.namespaces.isChoosing;
      await this._adopt(await this._api.status(), isKnown);
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
      this._stateChanged.emit();
    }
  }

  /** `isKnown`: the choice here is older than the request. */
  private async _adopt(status: IStatus, isKnown: boolean): Promise<void> {
    const before = this._place;
    const isOther = !before || isElsewhere(status, before);
    if (isOther) {
      this._place = status;
      await this.namespaces.enter(
        `${placeOf(status)} ${status.identity.subject}`
      );
    }
    this._status = status;
    if (isOther && before) {
      this._watched.clear();
      this._rememberWatched();
      this._placeChanged.emit();
    }
    if (isKnown) {
      this.namespaces.settle();
    }
    this._turnTo();
    if (status.error) {
      throw new KfpError(status.error);
    }
  }

  /** Discard everything that belongs to another namespace or connection. */
  private _turnTo(): void {
    const place = this._place;
    const { chosen } = this.namespaces;
    const whose = chosen === ALL ? this._everybody.join() : this.namespace;
    const at = place && [placeOf(place), place.identity.subject];
    const view = JSON.stringify([at, whose]);
    if (view !== this._view) {
      this._view = view;
      this._forget();
    }
    const own = this.isAll ? this._everybody : [this.namespace];
    this.lists.runs.turnTo(own);
    this.lists.recurring.turnTo(own);
    this.lists.experiments.turnTo(own);
    this.lists.pipelines.turnTo([...new Set([...own, ''])]);
  }

  /** The usable namespaces, as far as they are known. */
  private get _everybody(): string[] {
    const found = this.namespaces.found?.namespaces ?? [];
    const usable = found.filter(({ usable }) => usable !== false);
    const names = usable.map(({ name }) => name).sort();
    return names.length ? names : [this._status?.namespace ?? ''];
  }

  private _namespacesChanged(): void {
    const before = this._view;
    this._turnTo();
    this._stateChanged.emit();
    if (before !== this._view) {
      void this._lookNow();
    }
  }

  /** Fetch the list that is shown; again, if another namespace is chosen in the meantime. */
  private async _list(): Promise<void> {
    const isForced = this._isForced;
    this._isForced = false;
    for (let view = ''; this.isListable && view !== this._view;) {
      view = this._view;
      try {
        await this._refreshLists(isForced);
        if (view === this._view) {
          this.namespaces.accept();
        }
      } catch (reason) {
        if (view === this._view && !this._fallBack(reason)) {
          throw reason;
        }
      }
    }
  }

  /** Fetch what is shown, unless events report it. */
  private async _refreshLists(isForced: boolean): Promise<void> {
    const shown = new Set<KindId>();
    if (this._watchers.has(PANEL)) {
      shown.add(this._section);
    }
    if (this._watchers.size > (this._watchers.has(PANEL) ? 1 : 0)) {
      shown.add('runs');
    }
    const isTold = (id: KindId) =>
      this._told && id !== 'pipelines' && this.lists[id].rows !== null;
    const asked = [...shown].filter(id => isForced || !isTold(id));
    await Promise.all(asked.map(id => this.lists[id].refresh()));
  }

  /** Return to the connection's own namespace if that of an earlier session is refused. */
  private _fallBack(reason: unknown): boolean {
    const refused = reason instanceof KfpError && reason.status === 403;
    const { namespace, namespaces } = this;
    const usual = this._status?.default_namespace ?? '';
    const isChosen = namespace !== usual && !this.isAll;
    if (
      !refused ||
      !isChosen ||
      !namespaces.giveUp(namespace, usual, reason.problem)
    ) {
      return false;
    }
    this._adoptNamespace({ ...this._status!, namespace: usual });
    return true;
  }

  /** Listen to events. If that fails, polling continues, and listening is tried again. */
  private async _listen(): Promise<void> {
    const idle = this._listening || !this.isWatching || this._isHidden;
    const tooSoon = this._deaf || Date.now() < this._listenAgainAt;
    if (idle || tooSoon || !this.isListable || this.isAll || this.isDisposed) {
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
        this._problem = problemOf(reason); // until the next poll, which follows at once
        this._stateChanged.emit();
      }
    }
    if (this._listening === listening) {
      this._lose();
    }
  }

  /** The stream has ended: poll as often as without one. */
  private _lose(): void {
    const told = this._told;
    this._stopListening();
    this._losses = told ? 0 : this._losses + 1;
    const pause = Math.min(1000 * 2 ** this._losses, LONGEST_BACKOFF);
    this._listenAgainAt = told ? 0 : Date.now() + pause;
    if (told) {
      void this._poll.schedule(); // the next poll was planned for much later
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
          this._pauseAsking(); // missed events are sent now
        }
        return;
      case 'snapshot':
      case 'changed':
        this._merge(event, event.name === 'snapshot');
        this._pauseAsking();
        break;
      case 'removed':
        this._remove(event);
        break;
      case 'error':
        this._problem = event.problem;
        break;
      case 'namespace':
        this._adoptNamespace(event.in_use);
        break;
      default:
        this._problem = null;
    }
    this._stateChanged.emit();
  }

  /** Another namespace was chosen: here, in another page, or in a cell. */
  private _adoptNamespace(in_use: INamespaceInUse): void {
    const view = this._view;
    if (this._status) {
      this._status = { ...this._status, ...in_use };
      this.namespaces.settle();
      this._turnTo();
    }
    if (view !== this._view) {
      void this._lookNow();
    }
  }

  private _pauseAsking(): void {
    if (!this._told) {
      this._told = true;
      this._poll.frequency = this._nextFrequency();
      void this._poll.schedule();
    }
  }

  private _merge(told: KfpModel.ITold, isAll: boolean): void {
    const { namespace } = this;
    const runs = told.runs.map(run => ({ ...run, namespace }));
    if (isAll) {
      this._recent.clear();
    }
    runs.forEach(run => this._recent.set(run.run_id, run));
    told.experiments.forEach(each =>
      this.names.learn('experiment', each.experiment_id, each.display_name)
    );
    this.lists.runs.hear(runs);
    this.lists.recurring.hear(told.recurring_runs);
    this.lists.experiments.hear(told.experiments);
    this._tellEnded(runs);
  }

  private _remove(gone: KfpModel.IGone): void {
    gone.runs.forEach(id => this._recent.delete(id));
    this.lists.runs.forget(gone.runs);
    this.lists.recurring.forget(gone.recurring_runs);
    this.lists.experiments.forget(gone.experiments);
  }

  private _runsChanged(): void {
    this._tellEnded(this._watched.size ? (this.runs ?? []) : []);
    this._stateChanged.emit();
  }

  private _tellEnded(runs: readonly IRun[]): void {
    const ended = runs.filter(
      run => this._watched.has(run.run_id) && isFinished(run)
    );
    for (const run of ended) {
      this._watched.delete(run.run_id);
      this._ended.emit(run);
    }
    if (ended.length) {
      this._rememberWatched();
    }
  }

  private async _recallWatched(memory: IMemory | undefined): Promise<void> {
    this._memory = memory;
    const kept = await memory?.fetch(WATCHED).catch(() => null);
    if (Array.isArray(kept) && kept.length && !this.isDisposed) {
      kept.forEach(run_id => this._watched.add(`${run_id}`));
      this.watch(WATCHED);
    }
  }

  private _rememberWatched(): void {
    const kept = [...this._watched].slice(-MOST_WATCHED);
    void this._memory?.save(WATCHED, kept).catch(() => undefined);
    if (!kept.length) {
      this.pause(WATCHED);
    }
  }

  private _forget(): void {
    this._stopListening();
    this._lastId = '';
    this._recent.clear();
    this.names.forgetAll();
    Object.values(this.lists).forEach(list => list.forgetAll());
  }

  /** Run requests one after another, so that no late response overwrites a newer one. */
  private _inTurn(ask: () => Promise<void>): Promise<void> {
    const turn = this._turn.then(ask);
    this._turn = turn.catch(() => undefined);
    return turn;
  }

  /** Poll fast while something happens, and slowly otherwise. */
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
    const runs = this.runs ?? [];
    return !!this.problem || !this._status?.ready || !runs.every(isFinished);
  }

  /** How many requests a poll takes: several must not cost KFP more than one does. */
  private get _requests(): number {
    return this.isAll ? this._everybody.length : 1;
  }

  private readonly _api: KfpApi;
  private _place: IStatus | null = null;
  private readonly _poll: Poll;
  private readonly _ended = new Signal<this, IRun>(this);
  private _isDisposed = false;
  private _isForced = false;
  private _isHidden = false;
  private _memory: IMemory | undefined;
  private readonly _placeChanged = new Signal<this, void>(this);
  private readonly _recent = new Map<string, IRun>();
  private _section: KindId = 'runs';
  private _deaf = false; // an older server extension does not send it
  private _intervals: IIntervals;
  private _lastId = ''; // of the last event received
  private _listening: AbortController | null = null;
  private _listenAgainAt = 0;
  private _losses = 0;
  private _problem: IProblem | null = null;
  private readonly _stateChanged = new Signal<this, void>(this);
  private _status: IStatus | null = null;
  private _told = false;
  private _turn: Promise<void> = Promise.resolve();
  private _view = '';
  private readonly _watched = new Set<string>();
  private readonly _watchers = new Set<string>();
}

export namespace KfpModel {
  export interface IOptions {
    api: KfpApi;
    intervals?: IIntervals;
    memory?: IMemory;
    standby?: Poll.Standby;
  }

  export interface ILists {
    runs: ListModel<IRun>;
    recurring: ListModel<IRecurringRun>;
    experiments: ListModel<IExperiment>;
    pipelines: ListModel<IPipeline>;
  }

  export type ITold = Extract<KfpEvent, { name: 'snapshot' | 'changed' }>;
  export type IGone = Extract<KfpEvent, { name: 'removed' }>;
}

// A watcher is active while it is visible.
const PANEL = 'panel';

function frequency(interval: number): IPoll.Frequency {
  return { interval, backoff: true, max: Math.max(interval, LONGEST_BACKOFF) };
}

/** The place of KFP: a local one that was started again has another port, and is the same. */
function placeOf(status: IStatus): string {
  return status.local ? 'local KFP' : status.endpoint;
}

/** Whether KFP or the user has changed; a broken connection may not know the user. */
function isElsewhere(status: IStatus, place: IStatus): boolean {
  const works = status.ready && !status.error;
  return [
    [placeOf(status), placeOf(place)],
    [status.identity.subject, place.identity.subject]
  ].some(([now, before]) => now !== before && (now || works));
}
