/** A run or recurring run to be started: the choices so far, and their errors. */

import { TranslationBundle } from '@jupyterlab/translation';
import { ISignal, Signal } from '@lumino/signaling';

import { KfpApi } from '../wire/api';
import { fieldsOf, IField, readTexts, Texts, textsOf } from './form';
import { EXPERIMENTS, PIPELINES } from '../wire/kinds';
import { KfpModel } from './model';
import { EVERYTHING } from '../wire/query';
import { specificationOf } from '../run/run_data';
import { nameOfClone, nameOfStart } from '../run/run_names';
import {
  IExperiment,
  IJson,
  IPipeline,
  IProblem,
  IRecurringRun,
  IRun,
  IVersion,
  KfpError,
  problemOf
} from '../wire/answers';

export type Purpose = 'run' | 'recurring';
export type TriggerKind = 'cron' | 'interval';

const LONGEST_PAGE = 200;
const DEFAULT = 'Default';

/** The initial choices of the dialog. */
export interface ISeed {
  pipeline_id?: string;
  experiment_id?: string;
  /** The run to clone, as the API has it. */
  run?: IJson;
  namespace?: string;
}

export class StartModel {
  constructor(private readonly _options: StartModel.IOptions) {
    const { seed, model } = _options;
    this.namespace = seed.namespace || model.namespace;
    this.experiment_id = seed.experiment_id ?? seed.run?.experiment_id ?? '';
    if (seed.run) {
      this.name = nameOfClone(seed.run.display_name);
      this._given = seed.run.runtime_config?.parameters ?? {};
    }
  }

  readonly namespace: string;
  pipelines: IPipeline[] = [];
  versions: IVersion[] = [];
  experiments: IExperiment[] = [];
  pipeline_id = '';
  version_id = '';
  experiment_id: string;
  name = '';
  fields: readonly IField[] = [];
  texts: Texts = {};
  trigger: TriggerKind = 'cron';
  cron = '0 0 6 * * *';
  /** Seconds. */
  interval = 3600;
  catchUp = false;
  concurrency = 1;
  errors: Record<string, string> = {};
  problem: IProblem | null = null;
  isLoading = true;
  isBusy = false;
  /** The run or recurring run that was started. */
  started: IRun | IRecurringRun | null = null;

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isClone(): boolean {
    return !!this._options.seed.run;
  }

  /** Load the choices. */
  async load(): Promise<void> {
    const { seed, model } = this._options;
    const reference = seed.run?.pipeline_version_reference;
    const wanted = reference?.pipeline_id ?? seed.pipeline_id ?? '';
    try {
      const [own, shared, experiments] = await Promise.all([
        this._list(this.namespace),
        model.status?.multi_user && this.namespace ? this._list('') : [],
        this._experiments()
      ]);
      this.pipelines = [...own, ...shared];
      this.experiments = experiments;
      this._chooseExperiment();
      await this._chooseFirst(wanted, reference?.pipeline_version_id);
    } catch (reason) {
      this.problem = problemOf(reason);
    }
    this.isLoading = false;
    this._changed.emit();
  }

  async choosePipeline(pipeline_id: string, version_id = ''): Promise<void> {
    this.pipeline_id = pipeline_id;
    this.versions = [];
    this.version_id = '';
    this._take({});
    this._changed.emit();
    try {
      const versions = await this._options.api.versions(pipeline_id);
      if (this.pipeline_id === pipeline_id) {
        this.versions = versions;
        this.problem = versions.length ? null : noVersion(this._options.trans);
        this.chooseVersion(
          version_id || versions[0]?.pipeline_version_id || ''
        );
      }
    } catch (reason) {
      this.problem = problemOf(reason);
      this._changed.emit();
    }
  }

  chooseVersion(version_id: string): void {
    this.version_id = version_id;
    const version = this.versions.find(
      each => each.pipeline_version_id === version_id
    );
    this._take(version?.pipeline_spec ?? {});
    this._changed.emit();
  }

  set(news: Partial<StartModel>): void {
    Object.assign(this, news);
    this._changed.emit();
  }

  setText(name: string, text: string | null): void {
    this.texts = { ...this.texts, [name]: text };
    const { errors } = readTexts(this.fields, this.texts, this._options.trans);
    // A field with an error is checked again at each change.
    this.errors = Object.fromEntries(
      Object.entries(this.errors).filter(([each]) => each in errors)
    );
    this._changed.emit();
  }

  /** Start it; resolves to whether that succeeded. Errors are in `errors` and `problem`. */
  async submit(): Promise<boolean> {
    if (this.isBusy) {
      return false;
    }
    const { values, errors } = readTexts(
      this.fields,
      this.texts,
      this._options.trans
    );
    this.errors = errors;
    this.problem = this.isChosen ? null : this._nothingChosen;
    if (Object.keys(errors).length || this.problem) {
      this._changed.emit();
      return false;
    }
    this.isBusy = true;
    this._changed.emit();
    try {
      await this._start(values);
    } catch (reason) {
      this.problem = problemOf(reason);
    }
    this.isBusy = false;
    this._changed.emit();
    return !this.problem;
  }

  private async _start(values: Record<string, unknown>): Promise<void> {
    const { api, model, purpose } = this._options;
    const body = await this._body(values);
    if (purpose === 'run') {
      const { namespace } = this;
      const run = { ...(await api.startRun(body)), namespace };
      this.started = run;
      model.lists.runs.hear([run]);
      model.watchRun(run);
    } else {
      const recurring = await api.schedule({ ...body, ...this._schedule });
      this.started = recurring;
      model.lists.recurring.hear([recurring]);
    }
  }

  private async _body(values: Record<string, unknown>): Promise<IJson> {
    const { seed } = this._options;
    const { run } = seed;
    const { pipeline_root } = run?.runtime_config ?? {};
    return {
      display_name: this.name || this._defaultName,
      experiment_id: this.experiment_id || (await this._ensureDefault()),
      runtime_config: {
        parameters: values,
        ...(pipeline_root && { pipeline_root })
      },
      ...(run?.service_account && { service_account: run.service_account }),
      ...(this._isFromFile
        ? { pipeline_spec: run!.pipeline_spec }
        : {
            pipeline_version_reference: {
              pipeline_id: this.pipeline_id,
              pipeline_version_id: this.version_id
            }
          })
    };
  }

  private get _schedule(): IJson {
    return {
      mode: 'ENABLE',
      max_concurrency: `${this.concurrency}`,
      no_catchup: !this.catchUp,
      trigger:
        this.trigger === 'cron'
          ? { cron_schedule: { cron: this.cron.trim() } }
          : { periodic_schedule: { interval_second: `${this.interval}` } }
    };
  }

  /** Whether a run is cloned whose pipeline was never uploaded. */
  private get _isFromFile(): boolean {
    const { run } = this._options.seed;
    return !!run && !run.pipeline_version_reference;
  }

  /** Whether a pipeline is chosen. */
  get isChosen(): boolean {
    return this._isFromFile || !!this.version_id;
  }

  private get _nothingChosen(): IProblem {
    const { trans } = this._options;
    return {
      message: trans.__('There is no pipeline to start.'),
      cause: '',
      cure: trans.__(
        'Upload one under Pipelines first, or in a cell: %kfp upload FILE'
      ),
      server_text: ''
    };
  }

  private get _defaultName(): string {
    const pipeline = this.pipelines.find(
      each => each.pipeline_id === this.pipeline_id
    );
    return nameOfStart(pipeline?.display_name ?? 'run');
  }

  private async _chooseFirst(wanted: string, version = ''): Promise<void> {
    if (this._isFromFile) {
      this._take(specificationOf(this._options.seed.run?.pipeline_spec));
      return;
    }
    if (wanted && !this.pipelines.some(each => each.pipeline_id === wanted)) {
      this.pipelines.unshift(await this._options.api.pipeline(wanted));
    }
    const first = wanted || this.pipelines[0]?.pipeline_id;
    if (first) {
      await this.choosePipeline(first, version);
    }
  }

  private _take(spec: IJson): void {
    this.fields = fieldsOf(spec);
    this.texts = textsOf(this.fields, this._given);
    this.errors = {};
  }

  private _chooseExperiment(): void {
    const known = this.experiments.some(
      each => each.experiment_id === this.experiment_id
    );
    if (!known) {
      const found = this.experiments.find(
        each => each.display_name === DEFAULT
      );
      this.experiment_id = found?.experiment_id ?? '';
    }
  }

  private async _list(namespace: string): Promise<IPipeline[]> {
    const query = EVERYTHING;
    const asked = { namespace, query, page_size: LONGEST_PAGE };
    return (await this._options.api.list(PIPELINES, asked)).items;
  }

  private async _experiments(text = ''): Promise<IExperiment[]> {
    const { api } = this._options;
    const { namespace } = this;
    const query = { ...EVERYTHING, text };
    const asked = { namespace, query, page_size: LONGEST_PAGE };
    return (await api.list(EXPERIMENTS, asked)).items;
  }

  /** The id of the default experiment, which is created if missing. */
  private async _ensureDefault(): Promise<string> {
    const find = async () =>
      (await this._experiments(DEFAULT)).find(
        each => each.display_name === DEFAULT
      )?.experiment_id;
    const found = await find();
    if (found) {
      return found;
    }
    try {
      const { namespace } = this;
      const body = { display_name: DEFAULT, ...(namespace && { namespace }) };
      return (await this._options.api.createExperiment(body)).experiment_id;
    } catch (reason) {
      const isThere = reason instanceof KfpError && reason.status === 409;
      const made = isThere ? await find() : undefined;
      if (made) {
        return made; // somebody else has just created it
      }
      throw reason;
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private readonly _given: Record<string, unknown> = {};
}

export namespace StartModel {
  export interface IOptions {
    api: KfpApi;
    model: KfpModel;
    purpose: Purpose;
    seed: ISeed;
    trans: TranslationBundle;
  }
}

function noVersion(trans: TranslationBundle): IProblem {
  return {
    message: trans.__('This pipeline has no version to run.'),
    cause: '',
    cure: trans.__('Upload a version of it.'),
    server_text: ''
  };
}
