/** The page of a run, looked up by its id and kept up to date. */

import { PromiseDelegate } from '@lumino/coreutils';
import { ISignal, Signal } from '@lumino/signaling';
import * as React from 'react';

import { CopyButton } from '../components/copy_button';
import { stateIcon } from '../components/icons';
import { ProblemBanner } from '../components/problem_banner';
import { KfpPage } from './page';
import { RunHost } from '../model/run_host';
import { IKfpSession } from '../model/session';
import { IHost } from '../run/host';
import { IRunFacts, readData } from '../run/run_data';
import { shownState, stoppedAt } from '../run/shown';
import { RunView } from '../views/run_view';
import { IProblem, problemOf } from '../wire/answers';

export class RunPage extends KfpPage {
  constructor(private readonly _options: RunPage.IOptions) {
    super(
      _options.session,
      _options.session.trans.__('Run'),
      stateIcon('PENDING')
    );
    void this._load();
  }

  get id_(): string {
    return this._options.id;
  }

  get namespace(): string {
    return this._options.namespace;
  }

  /** The run as far as it is known; null before that. */
  get run(): IRunFacts | null {
    return this._host?.get().data.run ?? null;
  }

  /** Emitted when the run has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Fetch the run after it was changed by a verb of KFP's API. */
  async lookAfter(verb: string): Promise<void> {
    await this.ready;
    // The page keeps its data, and follows the run's events.
    await this._host?.lookAfter(verb).catch(() => undefined);
  }

  /** Resolves when there is something to show. */
  get ready(): Promise<void> {
    return this._ready.promise;
  }

  render(): JSX.Element {
    const { copy, session } = this._options;
    const { trans } = session;
    if (this._host) {
      return (
        <>
          <h3 className="jp-KfpMt-hidden">
            {this._host.get().data.run.display_name}
          </h3>
          <RunView host={this._host} />
        </>
      );
    }
    return this._problem ? (
      <div className="jp-KfpMt-notice">
        <ProblemBanner problem={this._problem} copy={copy} trans={trans} />
        <p>
          <code>{this._options.id}</code>
          <CopyButton
            text={this._options.id}
            label={trans.__('Copy the run ID')}
            copy={copy}
            trans={trans}
          />
        </p>
        <button
          type="button"
          className="jp-KfpMt-button"
          onClick={() => void this._load()}
        >
          {trans.__('Try again')}
        </button>
      </div>
    ) : (
      <div className="jp-KfpMt-skeleton" role="status">
        <span className="jp-KfpMt-hidden">{trans.__('Loading the run…')}</span>
        <div />
        <div />
        <div />
      </div>
    );
  }

  dispose(): void {
    this._host?.dispose();
    super.dispose();
  }

  protected startOver(): void {
    this._host?.dispose();
    this._host = null;
    void this._load();
  }

  private async _load(): Promise<void> {
    const { round } = this;
    const { id, session, namespace } = this._options;
    const { requests } = session.runs;
    this._problem = null;
    this.update();
    try {
      const [run, tasks, values] = await Promise.all([
        requests.run(id),
        requests.tasks(id),
        // Only the local KFP has them.
        requests.values(id).catch(() => ({}))
      ]);
      const data = readData({
        namespace: namespace || session.model.namespace,
        seen_at: new Date().toISOString(),
        link: linkTo(session, id, namespace || session.model.namespace),
        run,
        spec: await this._specification(run),
        tasks,
        values
      });
      if (data && !this.isDisposed && round === this.round) {
        const { trans } = session;
        this._host = new RunHost({
          ...session.runs,
          data,
          trans,
          staysOpen: true,
          // All of them are in the toolbar.
          actions: [],
          openOrigin: this._options.openOrigin,
          drawMarkdown: this._options.drawMarkdown
        });
        this._host.subscribe(() => this._name());
        this._name();
      }
    } catch (reason) {
      if (round === this.round) {
        this._problem = problemOf(reason);
      }
    }
    this._ready.resolve();
    this.update();
  }

  /** The specification of its pipeline: its own, or that of its version. */
  private async _specification(run: {
    pipeline_spec?: unknown;
    pipeline_version_reference?: {
      pipeline_id: string;
      pipeline_version_id: string;
    };
  }): Promise<unknown> {
    const reference = run.pipeline_version_reference;
    if (run.pipeline_spec || !reference) {
      return run.pipeline_spec;
    }
    const { pipeline_id, pipeline_version_id } = reference;
    const found = this._options.session.api.version(
      pipeline_id,
      pipeline_version_id
    );
    // It may have been deleted; the tasks are available in any case.
    return found.then(
      version => version.pipeline_spec,
      () => undefined
    );
  }

  private _name(): void {
    const run = this._host?.get().data.run;
    if (run && !this.isDisposed) {
      const isTerminated = stoppedAt(run.state_history) !== null;
      this.name(run.display_name);
      this.title.caption = run.run_id;
      this.title.icon = stateIcon(shownState({ ...run, isTerminated }));
      this._changed.emit();
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private _host: RunHost | null = null;
  private _problem: IProblem | null = null;
  private readonly _ready = new PromiseDelegate<void>();
}

export namespace RunPage {
  export interface IOptions {
    id: string;
    namespace: string;
    session: IKfpSession;
    copy: (text: string) => void;
    openOrigin?: IHost['openOrigin'];
    drawMarkdown?: IHost['drawMarkdown'];
  }
}

/** The URL of a run in KFP's own UI; empty if unknown. */
export function linkTo(
  session: IKfpSession,
  run_id: string,
  namespace: string
): string {
  const isHere = window.location.pathname.startsWith('/notebook/');
  const { local } = session.model.status ?? {};
  const template =
    session.options.linkTemplate ||
    (isHere && !local
      ? '/_/pipeline/?ns={namespace}#/runs/details/{run_id}'
      : '');
  return template
    .replace(/\{namespace\}/g, encodeURIComponent(namespace))
    .replace(/\{run_id\}/g, encodeURIComponent(run_id));
}
