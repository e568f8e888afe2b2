/** Responses of the server extension and KFP as typed values. KFP omits zero and empty fields. */

import { TranslationBundle } from '@jupyterlab/translation';

import { readRun, specificationOf } from '../run/run_data';
import { idleTime, stoppedAt } from '../run/shown';

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type IJson = Record<string, any>;

/** An error with its cause, its cure, and KFP's own message. */
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

/** The connection of the server extension: endpoint, identity, and whether it works. */
export interface IStatus {
  endpoint: string;
  local: boolean;
  namespace: string;
  /** The default, used if none is chosen in this Jupyter server. */
  default_namespace: string;
  /** The namespaces of kernels that use their own, by kernel id. */
  kernel_namespaces: Record<string, string>;
  identity: IIdentity;
  /** Those of a local KFP as which the Jupyter server may ask: `NAMESPACE/NAME`, or a user. */
  identities: string[];
  multi_user: boolean;
  ready: boolean;
  error: IProblem | null;
  /** The releases of the server extension and of KFP. */
  version: string;
  server_version: string;
  read_only: boolean;
}

export interface IRun {
  run_id: string;
  display_name: string;
  state: string;
  created_at: string;
  finished_at: string;
  error: string;
  archived: boolean;
  /** Whether it was terminated, which KFP reports as a failure. */
  isTerminated: boolean;
  /** How long it lay finished before it was retried, in milliseconds. */
  idle: number;
  namespace: string;
  experiment_id: string;
  pipeline_id: string;
  /** The name of a pipeline without an id, which was sent with the run. */
  pipeline_name: string;
  /** The user's description, and the notebook, cell and commit that started it. */
  description: string;
  recurring_run_id: string;
}

export interface IRecurringRun {
  recurring_run_id: string;
  display_name: string;
  created_at: string;
  /** ENABLED, DISABLED, or another value of KFP's. */
  status: string;
  cron: string;
  /** Seconds between two runs; 0 with a cron expression. */
  interval: number;
  /** When its schedule begins and ends; empty if it has no such limit. */
  starts_at: string;
  ends_at: string;
  error: string;
  namespace: string;
  experiment_id: string;
  pipeline_id: string;
}

export interface IExperiment {
  experiment_id: string;
  display_name: string;
  description: string;
  created_at: string;
  last_run_created_at: string;
  archived: boolean;
  namespace: string;
}

export interface IPipeline {
  pipeline_id: string;
  display_name: string;
  description: string;
  created_at: string;
  /** Empty for a shared one. */
  namespace: string;
}

export interface IVersion {
  pipeline_id: string;
  pipeline_version_id: string;
  display_name: string;
  description: string;
  created_at: string;
  /** The compiled pipeline, as KFP's IR. */
  pipeline_spec: IJson;
}

/** By resource and verb: allowed, forbidden, or null if not known yet. */
export type IPermissions = Record<string, Record<string, boolean | null>>;

/** A namespace that this identity may be able to use. */
export interface INamespace {
  name: string;
  owner: string;
  /** Whether its runs may be listed; null if not known yet. */
  usable: boolean | null;
  reason: string;
  cure: string;
  permissions: IPermissions;
}

/** All known namespaces, and the sources that did not respond. */
export interface INamespaces {
  namespaces: INamespace[];
  silent: { source: string; problem: IProblem }[];
  /** Why it is unknown for some whether they can be used. */
  unknown: string;
}

/** A finding of the doctor: `passed`, `failed` or `not known`. */
export interface IFinding {
  check: string;
  result: string;
  found: string;
  cause: string;
  cure: string;
}

/** A contributor of a namespace. */
export interface IContributor {
  user: string;
  role: string;
}

/** An event in a namespace, from the server extension. */
/** The namespaces of a status, after one of them was chosen. */
export type INamespaceInUse = Pick<
  IStatus,
  'namespace' | 'default_namespace' | 'kernel_namespaces'
>;

export type KfpEvent =
  | {
      name: 'snapshot' | 'changed';
      runs: IRun[];
      recurring_runs: IRecurringRun[];
      experiments: IExperiment[];
      total?: number;
    }
  | {
      name: 'removed';
      runs: string[];
      recurring_runs: string[];
      experiments: string[];
    }
  | { name: 'error'; problem: IProblem }
  | { name: 'namespace'; in_use: INamespaceInUse }
  | { name: 'back' | 'reset' | 'alive' };

/** A part of a list. */
export interface IPage<T> {
  items: T[];
  /** The total number. */
  total: number;
  /** The token of the next page; empty after the last. */
  next: string;
  /** How many were searched, from the first on, for a filter that KFP does not have. */
  among?: number;
}

/** An error response. */
export class KfpError extends Error {
  constructor(
    readonly problem: IProblem,
    readonly status = 0
  ) {
    super(problem.message);
  }
}

/** The problem behind any thrown value. */
export function problemOf(reason: unknown): IProblem {
  return reason instanceof KfpError
    ? reason.problem
    : {
        message: reason instanceof Error ? reason.message : `${reason}`,
        cause: '',
        cure: '',
        server_text: ''
      };
}

/** The event in a block (null for one that is not used here), and its id. */
export function toEvent(block: string): { event: KfpEvent | null; id: string } {
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
        recurring_runs: (data.recurring_runs ?? []).map(toRecurringRun),
        experiments: (data.experiments ?? []).map(toExperiment),
        total: data.total_runs
      };
    case 'removed':
      return {
        name: 'removed',
        runs: data.runs ?? [],
        recurring_runs: data.recurring_runs ?? [],
        experiments: data.experiments ?? []
      };
    case 'error':
      return { name: 'error', problem: toProblem(data) };
    case 'namespace':
      return { name, in_use: toNamespaceInUse(data) };
    case 'back':
    case 'reset':
      return { name };
    default:
      return null;
  }
}

function toNamespaceInUse(body: IJson): INamespaceInUse {
  return {
    namespace: body.namespace ?? '',
    default_namespace: body.default_namespace ?? '',
    kernel_namespaces: body.kernels ?? {}
  };
}

export function toStatus(body: IJson): IStatus {
  const { subject = '', expires_at = null, source = '' } = body.identity ?? {};
  return {
    endpoint: body.endpoint ?? '',
    local: body.local ?? false,
    namespace: body.namespace ?? '',
    default_namespace: body.default_namespace ?? '',
    kernel_namespaces: body.kernel_namespaces ?? {},
    identity: { subject, expires_at, source },
    identities: body.identities ?? [],
    multi_user: body.multi_user ?? true,
    ready: body.ready ?? true,
    error: body.error ? toProblem(body.error) : null,
    version: body.version ?? '',
    server_version: body.server_version ?? '',
    read_only: body.read_only ?? false
  };
}

export function toNamespaces(body: IJson): INamespaces {
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
    owner: body.owner ?? '',
    usable: body.usable ?? null,
    reason: body.reason ?? '',
    cure: body.cure ?? '',
    permissions: body.permissions ?? {}
  };
}

export function toRun(body: IJson): IRun {
  const run = readRun(body);
  return {
    run_id: run.run_id,
    display_name: run.display_name,
    state: body.state ?? stateless(body),
    created_at: run.created_at,
    finished_at: run.finished_at,
    error: run.error,
    archived: run.archived,
    isTerminated: stoppedAt(run.state_history) !== null,
    idle: idleTime(run.state_history),
    namespace: '',
    experiment_id: run.experiment_id,
    description: run.description,
    pipeline_id: body.pipeline_version_reference?.pipeline_id ?? '',
    pipeline_name: nameOf(body.pipeline_spec),
    recurring_run_id: body.recurring_run_id ?? ''
  };
}

export function toRecurringRun(body: IJson): IRecurringRun {
  const { cron_schedule, periodic_schedule } = body.trigger ?? {};
  const schedule = cron_schedule ?? periodic_schedule ?? {};
  return {
    recurring_run_id: body.recurring_run_id ?? '',
    display_name: body.display_name ?? '',
    created_at: body.created_at ?? '',
    status: body.status ?? (body.mode === 'DISABLE' ? 'DISABLED' : 'ENABLED'),
    cron: cron_schedule?.cron ?? '',
    interval: Number(periodic_schedule?.interval_second ?? 0),
    starts_at: schedule.start_time ?? '',
    ends_at: schedule.end_time ?? '',
    error: body.error?.message ?? '',
    namespace: body.namespace ?? '',
    experiment_id: body.experiment_id ?? '',
    pipeline_id: body.pipeline_version_reference?.pipeline_id ?? ''
  };
}

export function toExperiment(body: IJson): IExperiment {
  return {
    experiment_id: body.experiment_id ?? '',
    display_name: body.display_name ?? '',
    description: body.description ?? '',
    created_at: body.created_at ?? '',
    last_run_created_at: body.last_run_created_at ?? '',
    archived: isArchived(body),
    namespace: body.namespace ?? ''
  };
}

export function toPipeline(body: IJson): IPipeline {
  return {
    pipeline_id: body.pipeline_id ?? '',
    display_name: body.display_name ?? body.name ?? '',
    description: body.description ?? '',
    created_at: body.created_at ?? '',
    namespace: body.namespace ?? ''
  };
}

export function toVersion(body: IJson): IVersion {
  return {
    pipeline_id: body.pipeline_id ?? '',
    pipeline_version_id: body.pipeline_version_id ?? '',
    display_name: body.display_name ?? body.name ?? '',
    description: body.description ?? '',
    created_at: body.created_at ?? '',
    pipeline_spec: specificationOf(body.pipeline_spec)
  };
}

function nameOf(specification: IJson | undefined): string {
  const { pipelineInfo } = specificationOf(specification) as IJson;
  return pipelineInfo?.name ?? '';
}

function isArchived(body: IJson): boolean {
  return body.storage_state === 'ARCHIVED';
}

/** The state if KFP sends none: not started, or skipped. */
function stateless(body: IJson): string {
  return Date.parse(body.finished_at ?? '') > 0 ? 'SKIPPED' : 'PENDING';
}

/** Our own error, or KFP's, whose detail is shorter and clearer than its message. */
export function toProblem(body: IJson): IProblem {
  const detail: string = body.details?.[0]?.message ?? '';
  return {
    message: detail || (body.message ?? ''),
    cause: body.cause ?? '',
    cure: body.cure ?? '',
    server_text: body.server_text ?? (detail ? (body.message ?? '') : '')
  };
}

export async function readJson(response: Response): Promise<IJson | null> {
  try {
    const body = await response.json();
    return typeof body === 'object' ? body : null;
  } catch {
    return null; // a page made for people, such as a login form
  }
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
    message: trans.__('The Jupyter server has not loaded this extension.'),
    cause: trans.__(
      'It does not know the path /kfp-mt/; it may have been started before the installation.'
    ),
    cure: trans.__(
      'Restart the Jupyter server. If that does not help, enable the extension first:\njupyter server extension enable jupyter_kfp_mt'
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
    message: trans.__(
      'The Jupyter server sent an unusable response (%1).',
      status
    ),
    cause: '',
    cure: trans.__(
      'Reload the page and log in again. If that does not help, restart the Jupyter server.'
    ),
    server_text: body?.message ?? ''
  };
}

export function fellSilent(trans: TranslationBundle): IProblem {
  return {
    message: trans.__('The Jupyter server has not sent anything for a while.'),
    cause: trans.__('The connection to it may be broken, or it hangs.'),
    cure: trans.__('The data may be outdated. The panel retries by itself.'),
    server_text: ''
  };
}

export function unreachable(
  reason: unknown,
  trans: TranslationBundle
): IProblem {
  return {
    message: trans.__('The Jupyter server does not respond.'),
    cause: trans.__('It may have stopped, or the network is down.'),
    cure: trans.__(
      'Check that it is running. The panel continues by itself once it responds.'
    ),
    server_text: reason instanceof Error ? reason.message : ''
  };
}
