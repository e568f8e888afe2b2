/** The routes of the server extension, and KFP's API behind it, as typed functions. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';

import { KFP_TIMEOUT, SERVER_TIMEOUT } from './intervals';
import { IKind } from './kinds';
import { filterOf, IQuery } from './query';
import { blocks, inTime } from './stream';
import {
  fellSilent,
  IContributor,
  IExperiment,
  IFinding,
  IJson,
  INamespaces,
  IPage,
  IPipeline,
  IRecurringRun,
  IRun,
  IStatus,
  IVersion,
  KfpError,
  KfpEvent,
  readJson,
  readProblem,
  toEvent,
  toExperiment,
  toNamespaces,
  toPipeline,
  toRecurringRun,
  toRun,
  toStatus,
  toVersion,
  unreachable
} from './answers';

export { isFinished } from '../run/states';
export * from './answers';

const V2 = 'api/apis/v2beta1';
// Never cached, but without the number that JupyterLab adds to a URL for 'no-store'.
const CACHE = 'no-cache';
const LONGEST_PAGE = 200;
// How many items are searched for a filter that KFP does not have.
const MOST_SIFTED = 1_000;
// The server's limit for one request.
export const MOST_NAMES = 100;

export class KfpApi {
  constructor(options: KfpApi.IOptions) {
    this._settings = options.serverSettings;
    this._trans = options.trans;
  }

  async status(): Promise<IStatus> {
    return toStatus(await this._request('status'));
  }

  /** Use a namespace in this server, or in one kernel; without a name, the default. */
  async chooseNamespace(namespace: string, kernel = ''): Promise<void> {
    const query = URLExt.objectToQueryString({
      ...(namespace && { namespace }),
      ...(kernel && { kernel })
    });
    await this._request(`namespace${query}`, { method: 'PUT' });
  }

  /** Ask a local KFP as another of its identities from now on. */
  async chooseIdentity(identity: string): Promise<void> {
    const query = URLExt.objectToQueryString({ identity });
    await this._request(`identity${query}`, { method: 'PUT' });
  }

  async namespaces(): Promise<INamespaces> {
    return toNamespaces(await this._request('namespaces'));
  }

  /** The faults of the connection, and their cures. */
  async doctor(): Promise<IFinding[]> {
    return (await this._request('doctor')).findings ?? [];
  }

  async contributors(namespace: string): Promise<IContributor[]> {
    const query = URLExt.objectToQueryString({ namespace });
    return (await this._request(`contributors${query}`)).contributors ?? [];
  }

  /**
   * The names of experiments and pipelines by id, without deleted ones. Known namespaces save
   * requests to KFP.
   */
  async names(asked: {
    experiment: readonly string[];
    pipeline: readonly string[];
    namespace?: readonly string[];
  }): Promise<Record<'experiments' | 'pipelines', Record<string, string>>> {
    const query = new URLSearchParams();
    asked.experiment.forEach(id => query.append('experiment', id));
    asked.pipeline.forEach(id => query.append('pipeline', id));
    asked.namespace?.forEach(name => query.append('namespace', name));
    const body = await this._request(`names?${query}`);
    return {
      experiments: body.experiments ?? {},
      pipelines: body.pipelines ?? {}
    };
  }

  /** One page of a list; all items if they are of one pipeline. */
  async list<T>(kind: IKind<T>, asked: KfpApi.IListQuery): Promise<IPage<T>> {
    const { pipeline_id } = asked.query;
    return pipeline_id && kind.filters.pipeline
      ? this._sift(kind, asked, item => isOf(item, pipeline_id))
      : this._list(kind, asked);
  }

  /** The matching items, among as many as are searched. */
  private async _sift<T>(
    kind: IKind<T>,
    asked: KfpApi.IListQuery,
    isWanted: (item: T) => boolean
  ): Promise<IPage<T>> {
    const found: T[] = [];
    let [seen, page_token] = [0, ''];
    do {
      const part = { ...asked, page_size: LONGEST_PAGE, page_token };
      const page = await this._list(kind, part);
      found.push(...page.items.filter(isWanted));
      seen += page.items.length;
      page_token = page.next;
    } while (page_token && seen < MOST_SIFTED);
    const among = page_token ? seen : undefined;
    return { items: found, total: found.length, next: '', among };
  }

  private async _list<T>(
    kind: IKind<T>,
    asked: KfpApi.IListQuery
  ): Promise<IPage<T>> {
    const { namespace, query, page_size, page_token } = asked;
    const filter = filterOf(query, kind.filters, Date.now());
    const parameters = URLExt.objectToQueryString({
      ...(namespace && { namespace }),
      ...(query.experiment_id &&
        kind.filters.experiment && { experiment_id: query.experiment_id }),
      page_size,
      sort_by: query.sort,
      // KFP's server decodes it one more time.
      ...(filter && { filter: encodeURIComponent(filter) }),
      ...(page_token && { page_token })
    });
    const body = await this._request(`${V2}/${kind.path}${parameters}`);
    return {
      items: (body[kind.listed] ?? []).map(kind.read),
      total: Number(body.total_size ?? 0),
      next: body.next_page_token ?? ''
    };
  }

  /** The versions of a pipeline, newest first. */
  async versions(pipeline_id: string): Promise<IVersion[]> {
    const found: IVersion[] = [];
    let page_token = '';
    do {
      const query = URLExt.objectToQueryString({
        page_size: LONGEST_PAGE,
        sort_by: 'created_at desc',
        ...(page_token && { page_token })
      });
      const path = `${one('pipelines', pipeline_id)}/versions${query}`;
      const body = await this._request(path);
      found.push(...(body.pipeline_versions ?? []).map(toVersion));
      page_token = body.next_page_token ?? '';
    } while (page_token);
    return found;
  }

  /** The newest version of a pipeline; null if it has none. */
  async newestVersion(pipeline_id: string): Promise<IVersion | null> {
    const query = URLExt.objectToQueryString({
      page_size: 1,
      sort_by: 'created_at desc'
    });
    const path = `${one('pipelines', pipeline_id)}/versions${query}`;
    const [newest] = (await this._request(path)).pipeline_versions ?? [];
    return newest ? toVersion(newest) : null;
  }

  async version(pipeline_id: string, version_id: string): Promise<IVersion> {
    const path = one('pipelines', pipeline_id);
    return toVersion(
      await this._request(`${path}/versions/${encodeURIComponent(version_id)}`)
    );
  }

  async pipeline(pipeline_id: string): Promise<IPipeline> {
    return toPipeline(await this._request(one('pipelines', pipeline_id)));
  }

  async experiment(experiment_id: string): Promise<IExperiment> {
    return toExperiment(await this._request(one('experiments', experiment_id)));
  }

  /** A run in the API's form, with its specification and parameters. */
  async run(run_id: string): Promise<IJson> {
    return this._request(one('runs', run_id));
  }

  async recurringRun(recurring_run_id: string): Promise<IJson> {
    return this._request(one('recurringruns', recurring_run_id));
  }

  /**
   * Listen to the events of a namespace, until the stream ends or is aborted; from the event after
   * `last` on, if the server still has it. `hear` gets each event and its id. Rejects with a
   * KfpError if the server refuses or falls silent.
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

  /** Perform an action on one item: a verb of KFP's API, or `delete`. */
  async change(path: string, id: string, verb: string): Promise<void> {
    if (verb === 'delete') {
      // Versions of a pipeline are deleted with it.
      const cascade = path === 'pipelines' ? '?cascade=true' : '';
      await this._request(one(path, id) + cascade, { method: 'DELETE' });
    } else {
      await this._request(`${one(path, id)}:${verb}`, { method: 'POST' });
    }
  }

  async deleteVersion(pipeline_id: string, version_id: string): Promise<void> {
    const version = encodeURIComponent(version_id);
    const path = `${one('pipelines', pipeline_id)}/versions/${version}`;
    await this._request(path, { method: 'DELETE' });
  }

  async startRun(body: IJson): Promise<IRun> {
    return toRun(await this._post('runs', body));
  }

  async schedule(body: IJson): Promise<IRecurringRun> {
    return toRecurringRun(await this._post('recurringruns', body));
  }

  async createExperiment(body: IJson): Promise<IExperiment> {
    return toExperiment(await this._post('experiments', body));
  }

  /** Upload a compiled pipeline: a new one, or a version of the one with this id. */
  async upload(file: File, asked: KfpApi.IUpload): Promise<IJson> {
    const { pipeline_id, namespace, name, description } = asked;
    const what = pipeline_id ? 'upload_version' : 'upload';
    const query = URLExt.objectToQueryString({
      name,
      ...(description && { description }),
      ...(pipeline_id && { pipelineid: pipeline_id }),
      ...(namespace && { namespace })
    });
    const body = new FormData();
    body.append('uploadfile', file, file.name);
    return this._request(`${V2}/pipelines/${what}${query}`, {
      method: 'POST',
      body
    });
  }

  /** A cron expression in words, and its next times in milliseconds. */
  async due(cron: string): Promise<{ words: string; times: number[] }> {
    const query = URLExt.objectToQueryString({ cron });
    const { words = '', times = [] } = await this._request(`schedule${query}`);
    return { words, times: times.map((time: string) => Date.parse(time)) };
  }

  /** The next times of many cron expressions, in milliseconds; without those KFP cannot read. */
  async dueTimes(crons: readonly string[]): Promise<Record<string, number[]>> {
    const query = new URLSearchParams(crons.map(cron => ['cron', cron]));
    const { times = {} } = await this._request(`due-times?${query}`);
    const found = Object.entries(times as Record<string, string[]>);
    return Object.fromEntries(
      found.map(([cron, due]) => [cron, due.map(time => Date.parse(time))])
    );
  }

  private async _post(path: string, body: IJson): Promise<IJson> {
    const init = { method: 'POST', body: JSON.stringify(body) };
    return this._request(`${V2}/${path}`, init);
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

  export interface IListQuery {
    namespace: string;
    query: IQuery;
    page_size: number;
    page_token?: string;
  }

  export interface IUpload {
    name: string;
    description?: string;
    /** Empty for a shared pipeline. */
    namespace?: string;
    /** The pipeline for a new version; empty for a new pipeline. */
    pipeline_id?: string;
  }
}

function isOf(item: unknown, pipeline_id: string): boolean {
  return (item as { pipeline_id?: string }).pipeline_id === pipeline_id;
}

function one(path: string, id: string): string {
  return `${V2}/${path}/${encodeURIComponent(id)}`;
}
