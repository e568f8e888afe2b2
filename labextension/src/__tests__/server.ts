/** A Jupyter server of a few lines, reached through the `fetch` that JupyterLab lets one pass in. */

import { ServerConnection } from '@jupyterlab/services';
import { nullTranslator } from '@jupyterlab/translation';

import { KfpApi } from '../wire/api';
import { RELEASE } from '../wire/release';

type Json = Record<string, unknown>;
type Answer = (url: URL) => Response | Promise<Response>;

export const trans = nullTranslator.load('jupyter_kfp_mt');

export function json(body: Json, status = 200): Response {
  return new Response(JSON.stringify(body), { status });
}

export function page(text: string, status: number): Response {
  return new Response(text, { status });
}

export const STATUS = {
  endpoint: 'http://127.0.0.1:4000',
  local: true,
  namespace: 'alice',
  default_namespace: 'alice',
  kernel_namespaces: {},
  identity: {
    subject: 'system:serviceaccount:alice:default-editor',
    expires_at: null,
    source: 'token file'
  },
  identities: [],
  multi_user: true,
  ready: true,
  error: null,
  version: RELEASE,
  server_version: '2.17.0',
  read_only: false
};

export function run(run_id: string, state: string, more: Json = {}): Json {
  return {
    run_id,
    display_name: run_id,
    state,
    created_at: '2026-11-23T10:00:00Z',
    finished_at: '1970-01-01T00:00:00Z',
    ...more
  };
}

/** A namespace, as one that may not be used where `usable` is false. */
export function namespace(name: string, usable: boolean | null): Json {
  const refused = usable === false;
  const reason = refused ? `You may not list runs in ${name}.` : '';
  const cure = refused ? 'Its owner can allow it:\nkubectl bind' : '';
  return { name, sources: ['profiles'], usable, reason, cure };
}

/** What is told to whoever listens; without one the server knows no events. */
export class Stream {
  /** How many listen now. */
  listeners = 0;

  response(): Response {
    this.listeners += 1;
    const body = {
      getReader: () => ({
        cancel: async () => undefined,
        read: () =>
          new Promise(resolve => {
            this._read = resolve;
            this._next();
          })
      })
    };
    const headers = new Headers({ 'Content-Type': 'text/event-stream' });
    return { ok: true, status: 200, headers, body } as unknown as Response;
  }

  tell(name: string, data: Json, id = ''): void {
    const numbered = id && `id: ${id}\n`;
    this._send(`${numbered}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** What the server sends when there is nothing to tell. */
  keepAlive(): void {
    this._send(':\n\n');
  }

  end(): void {
    this.listeners -= 1;
    this._read?.({ done: true });
    this._read = null;
  }

  private _send(text: string): void {
    this._sent.push(text);
    this._next();
  }

  private _next(): void {
    const text = this._read && this._sent.shift();
    if (text) {
      const read = this._read;
      this._read = null;
      read?.({ done: false, value: new TextEncoder().encode(text) });
    }
  }

  private _read: ((result: Json) => void) | null = null;
  private _sent: string[] = [];
}

/** Answers `status`, `namespaces` and pages of `runs`, and writes down what it was asked. */
export class Server {
  status: Json = STATUS;
  runs: Json[] = [];
  /** Those of namespaces that have runs of their own. */
  runsOf: Record<string, Json[]> = {};
  namespaces: Json[] = [namespace('alice', true)];
  answers: Record<string, Answer> = {};
  stream: Stream | null = null;
  readonly asked: string[] = [];
  private readonly _chosen = new Map<string, string>();
  /** The ids of the events after which streams were taken up. */
  readonly resumed: string[] = [];

  readonly api = new KfpApi({
    serverSettings: ServerConnection.makeSettings({
      baseUrl: 'http://localhost/user/ann/',
      fetch: async info => this._answer(info as Request)
    }),
    trans
  });

  private async _answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const path = url.pathname.replace('/user/ann/kfp-mt/', '');
    this.asked.push(`${request.method} ${path}${url.search}`);
    if (path === 'events') {
      this.resumed.push(request.headers.get('Last-Event-ID') ?? '');
    }
    const own = this.answers[path];
    if (own) {
      return own(url);
    }
    if (path === 'events') {
      return this.stream ? this.stream.response() : json({}, 404);
    }
    if (path === 'namespaces') {
      return json({ namespaces: this.namespaces, sources: [] });
    }
    if (path === 'namespace') {
      this.choose(url.searchParams.get('namespace') ?? '');
      return json({});
    }
    return path === 'status' ? json(this._status()) : json(this._page(url));
  }

  /** Keep the namespace that is chosen, for whoever it is now. */
  choose(namespace: string): void {
    this._chosen.set(this._place, namespace);
  }

  private _status(): Json {
    const { namespace } = this.status;
    const chosen = this._chosen.get(this._place);
    return {
      ...this.status,
      default_namespace: namespace,
      ...(chosen && { namespace: chosen })
    };
  }

  private get _place(): string {
    return JSON.stringify([this.status.endpoint, this.status.identity]);
  }

  private _page(url: URL): Json {
    const from = Number(url.searchParams.get('page_token') ?? 0);
    const to = from + Number(url.searchParams.get('page_size'));
    const runs =
      this.runsOf[url.searchParams.get('namespace') ?? ''] ?? this.runs;
    return {
      runs: runs.slice(from, to),
      total_size: runs.length,
      ...(to < runs.length && { next_page_token: `${to}` })
    };
  }
}

export const RUNS = 'api/apis/v2beta1/runs';

/** Wait until something is so; the test's own deadline ends it if it never is. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) {
    await new Promise(resolve => window.setTimeout(resolve, 5));
  }
}
