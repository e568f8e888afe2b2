/**
 * The data of a run for the views, in the MIME type `application/vnd.kfp-mt.run+json`
 * (`jupyter_kfp_mt/notebook/run_card.py`). Names are those of KFP's API.
 */

export const MIME_TYPE = 'application/vnd.kfp-mt.run+json';

/** An input, an output or metadata: any JSON value. */
export type IValue = unknown;

export interface IRunFacts {
  run_id: string;
  display_name: string;
  state: string;
  created_at: string;
  finished_at: string;
  error: string;
  experiment_id: string;
  archived: boolean;
  /** The user's description, and the notebook, cell and commit that started it. */
  description: string;
  state_history: IStateChange[];
  parameters: Record<string, IValue>;
}

/** A state of a run, and when it began. */
export interface IStateChange {
  state: string;
  update_time: string;
  error: string;
}

export interface ITaskState {
  task_id: string;
  display_name: string;
  state: string;
  start_time: string;
  end_time: string;
  error: string;
}

export interface IArtifact {
  name: string;
  type: string;
  uri: string;
  metadata: Record<string, IValue>;
}

export interface IValues {
  parameters: Record<string, IValue>;
  artifacts: Record<string, IArtifact[]>;
}

export interface ITaskValues {
  inputs: IValues;
  outputs: IValues;
  /** The run whose outputs were reused instead of executing the task. */
  reused_from: string;
}

/** The compiled pipeline (KFP's IR), as far as the views read it. */
export interface ISpecification {
  root?: IComponent;
  components?: Record<string, IComponent>;
}

export interface IComponent {
  dag?: { tasks?: Record<string, ITaskSpecification> };
  inputDefinitions?: IDefinitions;
  outputDefinitions?: IDefinitions;
}

export interface IDefinitions {
  parameters?: Record<string, { parameterType?: string }>;
  artifacts?: Record<string, { artifactType?: { schemaTitle?: string } }>;
}

export interface ITaskSpecification {
  taskInfo?: { name?: string };
  componentRef?: { name?: string };
  dependentTasks?: string[];
  inputs?: {
    parameters?: Record<string, IInput>;
    artifacts?: Record<string, IInput>;
  };
  triggerPolicy?: { condition?: string; strategy?: string };
  parameterIterator?: {
    items?: { raw?: string; inputParameter?: string };
  };
  artifactIterator?: { items?: { inputArtifact?: string } };
}

/** The source of a task's input. */
export interface IInput {
  componentInputParameter?: string;
  componentInputArtifact?: string;
  runtimeValue?: { constant?: IValue };
  taskOutputParameter?: { producerTask?: string; outputParameterKey?: string };
  taskOutputArtifact?: { producerTask?: string; outputArtifactKey?: string };
}

export interface IRunData {
  namespace: string;
  /** The time of these data. */
  seen_at: string;
  /** The run's page in KFP's own UI; empty if unknown. */
  link: string;
  run: IRunFacts;
  spec: ISpecification;
  tasks: ITaskState[];
  values: Record<string, ITaskValues>;
  /** The last lines of failed tasks, by task id. */
  logs: Record<string, string>;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any
type IJson = Record<string, any>;

/** The received data, with defaults for missing fields; null if they are not a run's. */
export function readData(json: unknown): IRunData | null {
  const body = json as IJson | null;
  if (!body || typeof body !== 'object' || typeof body.run !== 'object') {
    return null;
  }
  return {
    namespace: body.namespace ?? '',
    seen_at: body.seen_at ?? '',
    link: body.link ?? '',
    run: readRun(body.run),
    spec: specificationOf(body.spec),
    tasks: readTasks(body.tasks),
    values: readValues(body.values),
    logs: body.logs ?? {}
  };
}

/** A run, from the API, an event or a saved notebook. */
export function readRun(body: IJson): IRunFacts {
  return {
    run_id: body.run_id ?? '',
    display_name: body.display_name ?? '',
    state: body.state ?? 'PENDING',
    created_at: body.created_at ?? '',
    finished_at: body.finished_at ?? '',
    error: textOf(body.error),
    experiment_id: body.experiment_id ?? '',
    archived: body.storage_state === 'ARCHIVED',
    description: body.description ?? '',
    state_history: readHistory(body.state_history),
    parameters: body.parameters ?? body.runtime_config?.parameters ?? {}
  };
}

export function readHistory(body: IJson[] | undefined): IStateChange[] {
  return (body ?? []).map(change => ({
    state: change.state ?? 'PENDING',
    update_time: change.update_time ?? '',
    error: textOf(change.error)
  }));
}

export function readTasks(body: IJson[] | undefined): ITaskState[] {
  return (body ?? []).map(task => ({
    task_id: task.task_id ?? '',
    display_name: task.display_name ?? '',
    state: task.state ?? 'PENDING',
    start_time: task.start_time ?? '',
    end_time: task.end_time ?? '',
    error: textOf(task.error)
  }));
}

export function readValues(
  body: IJson | undefined
): Record<string, ITaskValues> {
  const found = Object.entries(body ?? {}).map(([task_id, values]) => [
    task_id,
    {
      inputs: readSide(values.inputs),
      outputs: readSide(values.outputs),
      reused_from: values.reused_from ?? values.outputs?.reused_from ?? ''
    }
  ]);
  return Object.fromEntries(found);
}

/** A pipeline specification without the platform specification that may accompany it. */
export function specificationOf(spec: IJson | undefined): ISpecification {
  return spec?.pipeline_spec ?? spec ?? {};
}

/** A time in milliseconds; null if not set, for which KFP sends 1970 or the year 1. */
export function timeOf(text: string): number | null {
  const time = Date.parse(text);
  return time > 0 ? time : null;
}

function readSide(body: IJson | undefined): IValues {
  const artifacts = Object.entries(body?.artifacts ?? {}) as [
    string,
    IJson[]
  ][];
  return {
    parameters: body?.parameters ?? {},
    artifacts: Object.fromEntries(
      artifacts.map(([name, listed]) => [name, listed.map(readArtifact)])
    )
  };
}

function readArtifact(body: IJson): IArtifact {
  return {
    name: body.name ?? '',
    type: body.type ?? '',
    uri: body.uri ?? '',
    metadata: body.metadata ?? {}
  };
}

function textOf(error: string | { message?: string } | undefined): string {
  return typeof error === 'string' ? error : (error?.message ?? '');
}
