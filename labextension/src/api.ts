/** The routes of the server extension as typed functions. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';

import { KFP_TIMEOUT, SERVER_TIMEOUT, SILENCE } from './intervals';

export { isFinished } from './views/states';

/** What went wrong, in the words of whoever knows: its cause, its cure, and what KFP itself wrote. */
export interface IProblem {
  message: string;
  cause: string;
  cure: string;
  server_text: string;
}

export interface IIdentity {
  subject: string;
  expires_at: string | null;
  source: string;
}

/** Where the server extension is connected to, as whom, and whether that works. */
export interface IStatus {
  endpoint: string;
  local: boolean;
  namespace: string;
  identity: IIdentity;
  multi_user: boolean;
  ready: boolean;
  error: IProblem | null;
}

export interface IRun {
  run_id: string;
  display_name: string;
  state: string;
  created_at: string;
  finished_at: string;
  error: string;
  archived: boolean;
}

/** A task of a run's pipeline. */
export interface ITask {
  task_id: string;
  display_name: string;
  state: string;
}

/** A namespace that may be this identity's. */
export interface INamespace {
  name: string;
  /** Whether its runs may be listed; null is not known yet. */
  usable: boolean | null;
  reason: string;
  cure: string;
}

/** All that are known, and who of those asked did not tell. */
export interface INamespaces {
  namespaces: INamespace[];
  silent: { source: string; problem: IProblem }[];
  /** Why it is not known of some whether they may be used. */
  unknown: string;
}

/** What happened in a namespace, as the server extension tells it (`jupyter_kfp_mt/connection/event_reader.py`). */
export type KfpEvent =
  | { name: 'snapshot' | 'changed'; runs: IRun[]; total?: number }
  | { name: 'removed'; ids: string[] }
  | { name: 'error'; problem: IProblem }
  | { name: 'back' | 'reset' | 'alive' };

export interface IRunPage {
  runs: IRun[];
  total_size: number;
  next_page_token: string;
}

/** An answer that is not the one asked for. */
export class KfpError extends Error {
  constructor(
    readonly problem: IProblem,
    readonly status = 0
  ) {
    super(problem.message);
  }
}

/** What went wrong, whatever was thrown. */
export function problemOf(reason: unknown): IProblem {
  return reason instanceof KfpError
    ? reason.problem
    : { message: `${reason}`, cause: '', cure: '', server_text: '' };
}

export class KfpApi {
  constructor(options: KfpApi.IOptions) {
    this._settings = options.serverSettings;
    this._trans = options.trans;
  }

  async status(): Promise<IStatus> {
    return toStatus(await this._request('status'));
  }

  async namespaces(): Promise<INamespaces> {
    return toNamespaces(await this._request('namespaces'));
  }

  /** One page of the runs of a namespace, newest first. */
  async runs(asked: KfpApi.IRunsQuery): Promise<IRunPage> {
    const query = URLExt.objectToQueryString({
      ...(asked.namespace && { namespace: asked.namespace }),
      page_size: asked.page_size,
      sort_by: 'created_at desc',
      ...(asked.page_token && { page_token: asked.page_token })
    });
    return toRunPage(await this._request(`${RUNS}${query}`));
  }

  /**
   * Hear what happens in a namespace, until the stream ends or is aborted; after the event of the
   * id `last`, where the server still knows that. `hear` is told the id of the event, too.
   * Rejects with a KfpError where the server does not tell, or fell silent.
   */
  async listen(
    namespace: string,
    hear: (event: KfpEvent, id: string) => void,
    signal: AbortSignal,
    last = ''
  ): Promise<void> {
    const query = URLExt.objectToQueryString(namespace ? { namespace } : {});
    const response = await this._fetch(`events${query}`, {
      signal,
      ...(last && { headers: { 'Last-Event-ID': last } })
    });
    const type = response.headers.get('Content-Type') ?? '';
    if (!response.ok || !type.startsWith('text/event-stream')) {
      const body = await readJson(response);
      const problem = readProblem(response, body, this._trans);
      throw new KfpError(problem, response.status);
    }
    const silent = () => new KfpError(fellSilent(this._trans));
    for await (const block of blocks(response, silent)) {
      const { event, id } = toEvent(block);
      if (event) {
        hear(event, id);
      }
    }
  }

  /** The tasks of a run, as whoever wrote its pipeline knows them. */
  async tasks(run_id: string): Promise<ITask[]> {
    const body = await this._request(`tasks/${encodeURIComponent(run_id)}`);
    return (body.tasks ?? []).map(toTask);
  }

  async terminate(run_id: string): Promise<void> {
    const path = `${RUNS}/${encodeURIComponent(run_id)}:terminate`;
    await this._request(path, { method: 'POST' });
  }

  private async _request(path: string, init?: RequestInit): Promise<IJson> {
    const response = await this._fetch(path, init ?? {});
    const body = await readJson(response);
    if (response.ok && body) {
      return body;
    }
    const problem = readProblem(response, body, this._trans);
    throw new KfpError(problem, response.status);
  }

  private async _fetch(path: string, init: RequestInit): Promise<Response> {
    const url = URLExt.join(this._settings.baseUrl, 'kfp-mt', path);
    const timeout = path.startsWith('api/') ? KFP_TIMEOUT : SERVER_TIMEOUT;
    try {
      return await inTime(
        timeout,
        ServerConnection.makeRequest(
          url,
          { cache: CACHE, ...init },
          this._settings
        )
      );
    } catch (reason) {
      throw new KfpError(unreachable(reason, this._trans));
    }
  }

  private readonly _settings: ServerConnection.ISettings;
  private readonly _trans: TranslationBundle;
}

export namespace KfpApi {
  export interface IOptions {
    serverSettings: ServerConnection.ISettings;
    trans: TranslationBundle;
  }

  export interface IRunsQuery {
    namespace: string;
    page_size: number;
    page_token?: string;
  }
}

const RUNS = 'api/apis/v2beta1/runs';
// Ask again each time, but without the number that JupyterLab adds to a URL for 'no-store'.
const CACHE = 'no-cache';

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type IJson = Record<string, any>;

/** What is waited for, or a rejection once waiting longer makes no sense. */
async function inTime<T>(
  timeout: number,
  answer: Promise<T>,
  late: () => Error = () => new Error()
): Promise<T> {
  let timer = 0;
  const tooLate = new Promise<never>((_, reject) => {
    timer = window.setTimeout(() => reject(late()), timeout);
  });
  try {
    return await Promise.race([answer, tooLate]);
  } finally {
    window.clearTimeout(timer);
  }
}

/**
 * What stands between the blank lines of a stream, however it is cut. Rejects with what `silent`
 * gives once nothing has come for too long, as of a connection that is dead and does not know it.
 */
export async function* blocks(
  response: Response,
  silent: () => Error
): AsyncGenerator<string, void, undefined> {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await inTime(SILENCE, reader.read(), silent);
      if (done) {
        return;
      }
      const whole = (rest + decoder.decode(value, { stream: true })).split(
        '\n\n'
      );
      rest = whole.pop() ?? '';
      yield* whole;
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

/** The event in a block, null for what is of no interest here, and its id. */
function toEvent(block: string): { event: KfpEvent | null; id: string } {
  const lines = block.split('\n').map(line => line.split(/: (.*)/, 2));
  const fields = Object.fromEntries(lines);
  const data: IJson = JSON.parse(fields.data ?? '{}');
  return { event: eventOf(fields.event, data), id: fields.id ?? '' };
}

function eventOf(name: string | undefined, data: IJson): KfpEvent | null {
  switch (name) {
    case undefined:
      return { name: 'alive' };
    case 'snapshot':
    case 'changed':
      return {
        name,
        runs: (data.runs ?? []).map(toRun),
        total: data.total_runs
      };
    case 'removed':
      return { name: 'removed', ids: data.runs ?? [] };
    case 'error':
      return { name: 'error', problem: toProblem(data) };
    case 'back':
    case 'reset':
      return { name };
    default:
      return null;
  }
}

export async function readJson(response: Response): Promise<IJson | null> {
  try {
    const body = await response.json();
    return typeof body === 'object' ? body : null;
  } catch {
    return null; // a page made for people, such as a login form
  }
}

function toStatus(body: IJson): IStatus {
  const { subject = '', expires_at = null, source = '' } = body.identity ?? {};
  return {
    endpoint: body.endpoint ?? '',
    local: body.local ?? false,
    namespace: body.namespace ?? '',
    identity: { subject, expires_at, source },
    multi_user: body.multi_user ?? true,
    ready: body.ready ?? true,
    error: body.error ? toProblem(body.error) : null
  };
}

function toNamespaces(body: IJson): INamespaces {
  const sources: IJson[] = body.sources ?? [];
  return {
    namespaces: (body.namespaces ?? []).map(toNamespace),
    silent: sources
      .filter(({ problem }) => problem)
      .map(({ name, problem }) => ({
        source: name,
        problem: toProblem(problem)
      })),
    unknown: body.unknown ?? ''
  };
}

function toNamespace(body: IJson): INamespace {
  return {
    name: body.name ?? '',
    usable: body.usable ?? null,
    reason: body.reason ?? '',
    cure: body.cure ?? ''
  };
}

// KFP leaves out whatever is zero or empty.
function toRunPage(body: IJson): IRunPage {
  return {
    runs: (body.runs ?? []).map(toRun),
    total_size: Number(body.total_size ?? 0),
    next_page_token: body.next_page_token ?? ''
  };
}

function toRun(body: IJson): IRun {
  return {
    run_id: body.run_id ?? '',
    display_name: body.display_name ?? '',
    state: body.state ?? stateless(body),
    created_at: body.created_at ?? '',
    finished_at: body.finished_at ?? '',
    error: body.error?.message ?? '',
    archived: body.storage_state === 'ARCHIVED'
  };
}

function toTask(body: IJson): ITask {
  return {
    task_id: body.task_id ?? '',
    display_name: body.display_name ?? '',
    state: body.state ?? stateless({})
  };
}

/** What it means that KFP knows no state: it has not started, or did not have to. */
function stateless(body: IJson): string {
  return Date.parse(body.finished_at ?? '') > 0 ? 'SKIPPED' : 'PENDING';
}

/** Either our own error or KFP's, whose detail is shorter and clearer than its message. */
function toProblem(body: IJson): IProblem {
  const detail: string = body.details?.[0]?.message ?? '';
  return {
    message: detail || (body.message ?? ''),
    cause: body.cause ?? '',
    cure: body.cure ?? '',
    server_text: body.server_text ?? (detail ? (body.message ?? '') : '')
  };
}

export function readProblem(
  response: Response,
  body: IJson | null,
  trans: TranslationBundle
): IProblem {
  if (body && ('cause' in body || 'cure' in body)) {
    return toProblem(body);
  }
  if (response.status === 404) {
    return notEnabled(trans);
  }
  return jupyterRefused(response, body, trans);
}

function notEnabled(trans: TranslationBundle): IProblem {
  return {
    message: trans.__('The server half of this extension is not switched on.'),
    cause: trans.__('The Jupyter server does not know the path /kfp-mt/.'),
    cure: trans.__(
      'Switch it on and restart the Jupyter server:\njupyter server extension enable jupyter_kfp_mt'
    ),
    server_text: ''
  };
}

function jupyterRefused(
  response: Response,
  body: IJson | null,
  trans: TranslationBundle
): IProblem {
  const status = `${response.status} ${response.statusText}`.trim();
  return {
    message: trans.__('The Jupyter server gave no usable answer (%1).', status),
    cause: '',
    cure: trans.__(
      'Reload the page and log in again. If that does not help, restart the Jupyter server.'
    ),
    server_text: body?.message ?? ''
  };
}

export function fellSilent(trans: TranslationBundle): IProblem {
  return {
    message: trans.__('The Jupyter server has told nothing for a while.'),
    cause: trans.__('The connection to it may be broken, or it hangs.'),
    cure: trans.__('What is shown may be old. The panel asks again by itself.'),
    server_text: ''
  };
}

function unreachable(reason: unknown, trans: TranslationBundle): IProblem {
  return {
    message: trans.__('The Jupyter server does not answer.'),
    cause: trans.__('It may have stopped, or the network is down.'),
    cure: trans.__(
      'Check that it still runs. The panel goes on by itself once it answers.'
    ),
    server_text: reason instanceof Error ? reason.message : ''
  };
}
