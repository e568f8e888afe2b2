/** Events of the runs on this page: one stream for each namespace. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';
import { DisposableDelegate, IDisposable } from '@lumino/disposable';

import { blocks } from './stream';
import {
  fellSilent,
  IJson,
  KfpError,
  problemOf,
  readJson,
  readProblem
} from './answers';
import { LONGEST_BACKOFF } from './intervals';

/** News of one run. */
export interface INews {
  /** The run in the API's form, if it has changed. */
  run?: IJson;
  tasks: IJson[];
  /** Why there are no news at present; empty if there are. */
  problem: string;
  /** Whether the run was deleted. */
  isGone?: boolean;
}

type Hear = (news: INews) => void;

// The server's limit for one stream.
const MOST = 20;
const SOON = 50;

export class RunEvents {
  constructor(options: RunEvents.IOptions) {
    this._options = options;
  }

  /** Listen to a run until the result is disposed. */
  follow(namespace: string, run_id: string, hear: Hear): IDisposable {
    const stream =
      this._streams.get(namespace) ?? new Stream(namespace, this._options);
    this._streams.set(namespace, stream);
    stream.add(run_id, hear);
    return new DisposableDelegate(() => stream.remove(run_id, hear));
  }

  private readonly _options: RunEvents.IOptions;
  private readonly _streams = new Map<string, Stream>();
}

export namespace RunEvents {
  export interface IOptions {
    serverSettings: ServerConnection.ISettings;
    trans: TranslationBundle;
  }
}

/** The stream of one namespace, reopened when other runs are added. */
class Stream {
  constructor(
    private readonly _namespace: string,
    private readonly _options: RunEvents.IOptions
  ) {}

  add(run_id: string, hear: Hear): void {
    const hearers = this._hearers.get(run_id) ?? new Set();
    const isNew = !hearers.size;
    this._hearers.set(run_id, hearers.add(hear));
    if (isNew) {
      this._reopen(SOON);
    }
  }

  remove(run_id: string, hear: Hear): void {
    const hearers = this._hearers.get(run_id);
    hearers?.delete(hear);
    if (!hearers?.size) {
      this._hearers.delete(run_id);
    }
    if (!this._hearers.size) {
      window.clearTimeout(this._timer);
      this._open?.abort();
      this._open = null;
    }
  }

  private _reopen(pause: number): void {
    window.clearTimeout(this._timer);
    this._timer = window.setTimeout(() => void this._listen(), pause);
  }

  private async _listen(): Promise<void> {
    this._open?.abort();
    const open = (this._open = new AbortController());
    try {
      for await (const block of this._blocks(open.signal)) {
        if (this._open !== open) {
          return;
        }
        this._failures = 0;
        this._tell(block);
      }
      this._failures = Math.min(this._failures, 1);
    } catch (reason) {
      if (this._open === open) {
        this._failures++;
        this._tellAll({ tasks: [], problem: problemOf(reason).message });
      }
    }
    if (this._open === open && this._hearers.size) {
      this._reopen(Math.min(500 * 2 ** this._failures, LONGEST_BACKOFF));
    }
  }

  private async *_blocks(
    signal: AbortSignal
  ): AsyncGenerator<string, void, undefined> {
    const { serverSettings, trans } = this._options;
    const query = new URLSearchParams(
      this._namespace ? { namespace: this._namespace } : {}
    );
    [...this._hearers.keys()]
      .slice(0, MOST)
      .forEach(run_id => query.append('run', run_id));
    const response = await ServerConnection.makeRequest(
      URLExt.join(serverSettings.baseUrl, 'kfp-mt/events') + `?${query}`,
      { cache: 'no-cache', signal },
      serverSettings
    );
    const type = response.headers.get('Content-Type') ?? '';
    if (!response.ok || !type.startsWith('text/event-stream')) {
      const body = await readJson(response);
      throw new KfpError(readProblem(response, body, trans), response.status);
    }
    yield* blocks(response, () => new KfpError(fellSilent(trans)));
  }

  private _tell(block: string): void {
    const fields = Object.fromEntries(
      block.split('\n').map(line => line.split(/: (.*)/, 2))
    );
    const data: IJson = JSON.parse(fields.data ?? '{}');
    switch (fields.event) {
      case 'snapshot':
      case 'changed':
        this._changed(data, fields.event === 'snapshot');
        return;
      case 'removed':
        for (const run_id of data.runs ?? []) {
          this._tellOne(run_id, { tasks: [], problem: '', isGone: true });
        }
        return;
      case 'error':
        this._failed(data);
        return;
      case 'back':
        this._tellAll({ tasks: [], problem: '' });
    }
  }

  private _changed(data: IJson, isAll: boolean): void {
    for (const run_id of this._hearers.keys()) {
      const of = (each: IJson) => each.run_id === run_id;
      const run = (data.runs ?? []).find(of);
      const tasks = (data.tasks ?? []).filter(of);
      if (isAll || run || tasks.length) {
        this._tellOne(run_id, { run, tasks, problem: '' });
      }
    }
  }

  private _failed(data: IJson): void {
    const news = { tasks: [], problem: data.message ?? '' };
    if (data.run_id) {
      this._tellOne(data.run_id, news);
    } else {
      this._tellAll(news);
    }
  }

  private _tellAll(news: INews): void {
    [...this._hearers.keys()].forEach(run_id => this._tellOne(run_id, news));
  }

  private _tellOne(run_id: string, news: INews): void {
    [...(this._hearers.get(run_id) ?? [])].forEach(hear => hear(news));
  }

  private _failures = 0;
  private readonly _hearers = new Map<string, Set<Hear>>();
  private _open: AbortController | null = null;
  private _timer = 0;
}
