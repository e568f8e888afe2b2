/** The requests of a run's view to the server extension, in addition to events. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';

import { blocks } from './stream';
import { fellSilent, IJson, KfpError, readJson, readProblem } from './answers';
import { ITaskValues, readValues } from '../run/run_data';

const RUNS = 'api/apis/v2beta1/runs';

/** Lines of a log, and the position after them. */
export interface IPiece {
  lines: Uint8Array;
  after: string;
}

export class RunRequests {
  constructor(
    private readonly _settings: ServerConnection.ISettings,
    private readonly _trans: TranslationBundle
  ) {}

  /** A run with its specification, in the API's form. */
  async run(run_id: string): Promise<IJson> {
    return this._json(`${RUNS}/${encodeURIComponent(run_id)}`);
  }

  /** The tasks as written in the pipeline. */
  async tasks(run_id: string): Promise<IJson[]> {
    const body = await this._json(`tasks/${encodeURIComponent(run_id)}`);
    return body.tasks ?? [];
  }

  /**
   * The inputs and outputs of the tasks of a run, by task id. Rejects if they are not available:
   * only the local KFP has them.
   */
  async values(run_id: string): Promise<Record<string, ITaskValues>> {
    const path = `api/apis/v1alpha1/runs/${encodeURIComponent(run_id)}/nodes`;
    return readValues((await this._json(path)).nodes);
  }

  /** The text of an artifact. Rejects with the reason if KFP cannot read it. */
  async artifact(
    run_id: string,
    task_id: string,
    name: string
  ): Promise<string> {
    const [run, task, artifact] = [run_id, task_id, name].map(
      encodeURIComponent
    );
    const path = `${RUNS}/${run}/nodes/${task}/artifacts/${artifact}:read`;
    const { data = '' } = await this._json(path);
    const bytes = Uint8Array.from(atob(data), each => each.charCodeAt(0));
    return new TextDecoder().decode(bytes);
  }

  async change(run_id: string, what: 'terminate' | 'retry'): Promise<void> {
    const path = `${RUNS}/${encodeURIComponent(run_id)}:${what}`;
    await this._json(path, { method: 'POST' });
  }

  /** Start the same pipeline with the same parameters. */
  async clone(run: IJson, name: string): Promise<IJson> {
    const body = {
      display_name: name,
      experiment_id: run.experiment_id,
      runtime_config: run.runtime_config ?? {},
      ...(run.service_account && { service_account: run.service_account }),
      ...(run.pipeline_version_reference
        ? { pipeline_version_reference: run.pipeline_version_reference }
        : { pipeline_spec: run.pipeline_spec })
    };
    return this._json(RUNS, { method: 'POST', body: JSON.stringify(body) });
  }

  /** The permissions of this identity for runs of a namespace, as far as they are known. */
  async permissions(namespace: string): Promise<Record<string, boolean>> {
    const query = URLExt.objectToQueryString(namespace ? { namespace } : {});
    const { namespaces = [] } = await this._json(`namespaces${query}`);
    const found = namespaces.find((each: IJson) => each.name === namespace);
    return found?.permissions?.runs ?? {};
  }

  /** Follow the log of a task from a position on, until its end or `signal`. */
  async *log(
    run_id: string,
    task_id: string,
    after: string,
    signal: AbortSignal
  ): AsyncGenerator<IPiece, void, undefined> {
    const query = URLExt.objectToQueryString({
      follow: '1',
      ...(after && { after })
    });
    const path = `logs/${[run_id, task_id].map(encodeURIComponent).join('/')}`;
    const response = await this._ask(`${path}${query}`, {
      headers: { Accept: 'text/event-stream' },
      signal
    });
    const silent = () => new KfpError(fellSilent(this._trans));
    for await (const block of blocks(response, silent)) {
      const fields = Object.fromEntries(
        block.split('\n').map(line => line.split(/: (.*)/, 2))
      );
      if (fields.event === 'lines') {
        const text = atob(fields.data ?? '');
        const lines = Uint8Array.from(text, each => each.charCodeAt(0));
        yield { lines, after: fields.id ?? '' };
      } else if (fields.event === 'end') {
        return;
      }
    }
  }

  private async _json(path: string, init: RequestInit = {}): Promise<IJson> {
    return (await readJson(await this._ask(path, init))) ?? {};
  }

  private async _ask(path: string, init: RequestInit): Promise<Response> {
    const url = URLExt.join(this._settings.baseUrl, 'kfp-mt', path);
    const response = await ServerConnection.makeRequest(
      url,
      { cache: 'no-cache', ...init },
      this._settings
    );
    if (!response.ok) {
      const body = await readJson(response);
      throw new KfpError(
        readProblem(response, body, this._trans),
        response.status
      );
    }
    return response;
  }
}
