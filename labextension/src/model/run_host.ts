/** A run shown on a page of JupyterLab, kept up to date by the server's events. */

import { TranslationBundle } from '@jupyterlab/translation';
import { IDisposable } from '@lumino/disposable';

import { IJson, KfpError, problemOf } from '../wire/api';
import { INews, RunEvents } from '../wire/run_events';
import { RunRequests } from '../wire/run_requests';
import { Action, IHost, ILog, IRunView, RunAction } from '../run/host';
import { IRunData, readRun, readTasks, specificationOf } from '../run/run_data';
import { nameOfClone } from '../run/run_names';
import { isFinished } from '../run/states';
import { withoutMessages } from '../run/traceback';

// Consequences of a change are fetched and saved after events have paused this long.
const QUIET = 400;
const SAVE = 2_000;
const RETRIABLE = ['FAILED', 'CANCELED'];
const TAIL = 50;
const LOOKS = 5;
const MOST_LINES = 200_000;

export class RunHost implements IHost, IDisposable {
  constructor(options: RunHost.IOptions) {
    this._options = options;
    this.text = options.trans;
    this.actions = options.actions;
    this.openOrigin = options.openOrigin;
    this.drawMarkdown = options.drawMarkdown;
    this.hasCloneForm = !!options.clone;
    this._view = {
      data: options.data,
      isLive: false,
      problem: '',
      refusals: {},
      logs: {}
    };
    this._set({});
    this._follow();
    void this._learnPermissions();
  }

  readonly actions: IHost['actions'];
  readonly openOrigin: IHost['openOrigin'];
  readonly drawMarkdown: IHost['drawMarkdown'];
  readonly hasCloneForm: boolean;
  readonly text: TranslationBundle;
  isDisposed = false;

  get(): IRunView {
    return this._view;
  }

  subscribe(changed: () => void): () => void {
    this._changed.add(changed);
    return () => this._changed.delete(changed);
  }

  /** Adopt data from elsewhere, such as the kernel, if they are newer. */
  adopt(data: IRunData): void {
    const known = this._view.data;
    if (data.seen_at > known.seen_at) {
      const isOther = data.run.run_id !== known.run.run_id;
      this._set({ data: isOther ? data : together(known, data) });
      this._follow();
    }
  }

  readonly readArtifact = (task_id: string, name: string): Promise<string> =>
    this._options.requests.artifact(this._view.data.run.run_id, task_id, name);

  async act(action: Action): Promise<string> {
    switch (action.name) {
      case 'log':
        void this._readLog(action.task_id);
        return '';
      case 'unlog':
        this._logs.get(action.task_id)?.abort();
        this._logs.delete(action.task_id);
        return '';
      default:
        return this._change(action.name);
    }
  }

  dispose(): void {
    this.isDisposed = true;
    this._following?.dispose();
    this._following = null;
    this._logs.forEach(reading => reading.abort());
    window.clearTimeout(this._asking);
    window.clearTimeout(this._saving);
    this._changed.clear();
  }

  private _follow(): void {
    const { namespace, run } = this._view.data;
    const isOver = isFinished(run) && !this._options.staysOpen;
    if (this._following || isOver || this.isDisposed || !run.run_id) {
      return;
    }
    this._following = this._options.events.follow(namespace, run.run_id, news =>
      this._hear(news)
    );
  }

  private _hear(news: INews): void {
    if (news.isGone) {
      const problem = this.text.__('The run was deleted.');
      this._set({ isLive: false, problem });
      return;
    }
    if (news.problem) {
      this._set({ isLive: false, problem: news.problem });
      return;
    }
    if (this._isTriedAgain(news)) {
      this._forgetLogs();
    }
    const { data } = this._view;
    const isNew = !!news.run || news.tasks.length > 0;
    const seen_at = new Date().toISOString();
    const run = news.run ? this._updated(news.run) : data.run;
    const tasks = merged(data, news.tasks);
    this._set({
      data: { ...data, seen_at, run, tasks },
      isLive: true,
      problem: ''
    });
    if (isNew) {
      this._askSoon();
    }
    if (isFinished(run) && !this._options.staysOpen) {
      this._following?.dispose();
      this._following = null;
    }
  }

  private _isTriedAgain({ run }: INews): boolean {
    return (
      !!run && isFinished(this._view.data.run) && !isFinished(readRun(run))
    );
  }

  private _forgetLogs(): void {
    this._logs.forEach(reading => reading.abort());
    this._logs.clear();
    this._set({ logs: {}, data: { ...this._view.data, logs: {} } });
  }

  /** The run with its news; events omit fields that never change. */
  private _updated(news: IJson): IRunData['run'] {
    const { parameters, description } = this._view.data.run;
    const told = readRun(news);
    return {
      ...told,
      parameters,
      description: told.description || description
    };
  }

  private _askSoon(): void {
    window.clearTimeout(this._asking);
    this._asking = window.setTimeout(() => void this._ask(), QUIET);
  }

  /** Fetch what events do not have: values, a missing graph, and at the end the logs. */
  private async _ask(): Promise<void> {
    const { requests } = this._options;
    const { run } = this._view.data;
    await Promise.all([
      this._hasNoValues
        ? undefined
        : requests.values(run.run_id).then(
            values => this._learn({ values }),
            reason => (this._hasNoValues = reason instanceof KfpError)
          ),
      this._view.data.spec.root
        ? undefined
        : requests.run(run.run_id).then(
            told =>
              this._learn({
                spec: specificationOf(told.pipeline_spec),
                run: {
                  ...this._view.data.run,
                  parameters: readRun(told).parameters
                }
              }),
            () => undefined
          )
    ]);
    this._saveSoon(isFinished(this._view.data.run) ? 0 : SAVE);
  }

  private _learn(news: Partial<IRunData>): void {
    this._set({ data: { ...this._view.data, ...news } });
  }

  private _saveSoon(pause: number): void {
    window.clearTimeout(this._saving);
    this._saving = window.setTimeout(() => {
      if (!this.isDisposed) {
        this._options.save?.(this._view.data);
      }
    }, pause);
  }

  private async _readLog(task_id: string): Promise<void> {
    if (this._logs.has(task_id)) {
      return;
    }
    const reading = new AbortController();
    this._logs.set(task_id, reading);
    const lines: string[] = [];
    const decoder = new TextDecoder();
    let rest = '';
    const tell = (log: Partial<ILog>) => {
      if (!reading.signal.aborted) {
        this._setLog(task_id, { lines, isOpen: true, problem: '', ...log });
      }
    };
    try {
      const pieces = this._options.requests.log(
        this._view.data.run.run_id,
        task_id,
        '',
        reading.signal
      );
      for await (const piece of pieces) {
        const text = rest + decoder.decode(piece.lines, { stream: true });
        const whole = text.split(/\r?\n/);
        rest = whole.pop() ?? '';
        whole.forEach(line => lines.push(line));
        lines.splice(0, Math.max(0, lines.length - MOST_LINES));
        tell({});
      }
      if (rest) {
        lines.push(rest);
      }
      tell({ isOpen: false });
      this._keepLog(task_id, lines);
    } catch (reason) {
      tell({ isOpen: false, problem: problemOf(reason).message });
    }
  }

  /** Save the last lines of failed tasks with the run, without the executor's messages. */
  private _keepLog(task_id: string, lines: readonly string[]): void {
    const { data } = this._view;
    const task = data.tasks.find(each => each.task_id === task_id);
    if (task?.state === 'FAILED' && !data.logs[task_id]) {
      const kept = withoutMessages(lines).slice(-TAIL).join('\n');
      const logs = { ...data.logs, [task_id]: kept };
      this._learn({ logs });
      this._saveSoon(0);
    }
  }

  private _setLog(task_id: string, log: ILog): void {
    this._set({ logs: { ...this._view.logs, [task_id]: log } });
  }

  private async _change(action: RunAction): Promise<string> {
    const { requests } = this._options;
    const { run } = this._view.data;
    const trans = this.text;
    try {
      // Somebody else's notebook may show a different run than it names.
      const told = await requests.run(run.run_id);
      if (told.display_name !== run.display_name) {
        return trans.__(
          'Nothing was changed: the run with this id is called %1.',
          told.display_name
        );
      }
      if (action === 'clone') {
        return await this._clone(told);
      }
      await requests.change(run.run_id, action);
      await this.lookAfter(action);
      return '';
    } catch (reason) {
      throw new Error(problemOf(reason).message);
    }
  }

  /** Start the same again: by a form where there is one. */
  private async _clone(run: IJson): Promise<string> {
    const { clone, requests } = this._options;
    const name = nameOfClone(run.display_name);
    const started = clone
      ? await clone(run.run_id, this._view.data.namespace)
      : await requests.clone(run, name);
    return started
      ? this.text.__(
          'Started: %1 (%2)',
          started.display_name ?? name,
          started.run_id
        )
      : '';
  }

  /** Fetch the current state of the run. */
  async look(): Promise<void> {
    const { requests } = this._options;
    const { run_id } = this._view.data.run;
    const [run, tasks] = [
      await requests.run(run_id),
      await requests.tasks(run_id)
    ];
    const { data } = this._view;
    this._set({
      data: {
        ...data,
        seen_at: new Date().toISOString(),
        run: this._updated(run),
        tasks: readTasks(tasks)
      }
    });
    this._follow();
  }

  /** Fetch the run after it was changed; after a retry, until it is running. */
  async lookAfter(verb: string): Promise<void> {
    await this.look();
    this._lookUntilItGoesOn(verb === 'retry' ? LOOKS : 0);
  }

  /** Poll after a retry, which KFP on a cluster reports with some delay. */
  private _lookUntilItGoesOn(looks: number): void {
    if (looks && isFinished(this._view.data.run) && !this.isDisposed) {
      window.clearTimeout(this._asking);
      this._asking = window.setTimeout(
        () =>
          void this.look().then(
            () => this._lookUntilItGoesOn(looks - 1),
            () => undefined
          ),
        SAVE
      );
    }
  }

  private async _learnPermissions(): Promise<void> {
    const { namespace } = this._view.data;
    try {
      this._permissions = await this._options.permissions(namespace);
      this._unreachable = '';
    } catch (reason) {
      this._unreachable = problemOf(reason).message;
    }
    if (!this.isDisposed) {
      this._set({});
    }
  }

  private _refusals(data: IRunData): IRunView['refusals'] {
    const trans = this.text;
    const { state } = data.run;
    const over = isFinished(data.run);
    return {
      terminate:
        this._refusal('terminate', data.namespace) ||
        (over
          ? trans.__('The run has finished already.')
          : state === 'CANCELING'
            ? trans.__('The run is being terminated already.')
            : ''),
      retry:
        this._refusal('retry', data.namespace) ||
        (RETRIABLE.includes(state)
          ? ''
          : trans.__('Only a run that has failed can be retried.')),
      clone: this._refusal('create', data.namespace)
    };
  }

  private _refusal(verb: string, namespace: string): string {
    if (this._unreachable) {
      return this._unreachable;
    }
    return this._permissions[verb] === false
      ? this.text.__(
          'Your role in namespace %1 does not allow it: it lacks %2 on runs.',
          namespace,
          verb
        )
      : '';
  }

  private _set(news: Partial<IRunView>): void {
    const view = { ...this._view, ...news };
    this._view = { ...view, refusals: this._refusals(view.data) };
    this._changed.forEach(changed => changed());
  }

  private _asking = 0;
  private readonly _changed = new Set<() => void>();
  private _following: IDisposable | null = null;
  private _hasNoValues = false;
  private readonly _logs = new Map<string, AbortController>();
  private readonly _options: RunHost.IOptions;
  private _permissions: Record<string, boolean> = {};
  private _saving = 0;
  private _unreachable = '';
  private _view: IRunView;
}

export namespace RunHost {
  export interface IOptions {
    data: IRunData;
    events: RunEvents;
    requests: RunRequests;
    /** The permissions in a namespace; fetched once for a whole page. */
    permissions: (namespace: string) => Promise<Record<string, boolean>>;
    /** Save data that are newer than those given. */
    save?: (data: IRunData) => void;
    /** Whether it is followed after its end, too: it may be retried or deleted. */
    staysOpen?: boolean;
    actions?: IHost['actions'];
    /** Clone a run by a form with its values; resolves to the new run, null if none is started. */
    clone?: (run_id: string, namespace: string) => Promise<IJson | null>;
    openOrigin?: IHost['openOrigin'];
    drawMarkdown?: IHost['drawMarkdown'];
    trans: TranslationBundle;
  }
}

/** Newer data, with fields that only the older ones have. */
function together(older: IRunData, newer: IRunData): IRunData {
  return {
    ...newer,
    spec: newer.spec.root ? newer.spec : older.spec,
    values: { ...older.values, ...newer.values },
    logs: { ...older.logs, ...newer.logs }
  };
}

function merged(data: IRunData, news: IJson[]): IRunData['tasks'] {
  if (!news.length) {
    return data.tasks;
  }
  const told = new Map(readTasks(news).map(task => [task.task_id, task]));
  const known = data.tasks.map(task => told.get(task.task_id) ?? task);
  const ids = new Set(data.tasks.map(task => task.task_id));
  return [...known, ...[...told.values()].filter(t => !ids.has(t.task_id))];
}
