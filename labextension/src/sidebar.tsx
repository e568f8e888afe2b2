/** The sidebar: who and where we are, and the runs of a namespace. */

import { TranslationBundle } from '@jupyterlab/translation';
import {
  closeIcon,
  refreshIcon,
  VDomRenderer
} from '@jupyterlab/ui-components';
import { Message } from '@lumino/messaging';
import * as React from 'react';

import { IRun, IStatus, isFinished } from './api';
import { Command } from './copy_button';
import {
  connectionName,
  count,
  dateAndTime,
  oldness,
  shortIdentity,
  stateChange
} from './format';
import { pipelinesIcon } from './icons';
import { KfpModel } from './model';
import { NamespaceChooser } from './namespace_chooser';
import { ProblemBanner } from './problem_banner';
import { IRunActions } from './run_details';
import { RunList } from './run_list';

/** The panel; it watches as long as it can be seen. */
export class KfpSidebar extends VDomRenderer<KfpModel> {
  constructor(options: KfpSidebar.IOptions) {
    super(options.model);
    this._trans = options.trans;
    this._actions = {
      copy: options.copy,
      tasks: run_id => options.model.tasks(run_id),
      terminate: run_id => options.model.terminate(run_id)
    };
    this.id = 'jupyter-kfp-mt:sidebar';
    this.addClass('jp-KfpMt-Sidebar');
    this.title.icon = pipelinesIcon;
    this.title.caption = this._trans.__('Kubeflow Pipelines');
    this.node.tabIndex = -1;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', this._trans.__('Kubeflow Pipelines'));
  }

  dispose(): void {
    this.model?.dispose();
    super.dispose();
  }

  render(): JSX.Element {
    return (
      <Panel model={this.model} actions={this._actions} trans={this._trans} />
    );
  }

  protected onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    if (this.isVisible) {
      this.model.watch();
    }
  }

  protected onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this.model.watch();
  }

  protected onBeforeHide(msg: Message): void {
    this.model?.pause();
    super.onBeforeHide(msg);
  }

  // Once disposed, the widget has no model any more.
  protected onBeforeDetach(msg: Message): void {
    this.model?.pause();
    super.onBeforeDetach(msg);
  }

  protected onActivateRequest(msg: Message): void {
    super.onActivateRequest(msg);
    const row = this.node.querySelector<HTMLElement>('button[tabindex="0"]');
    (row ?? this.node).focus();
  }

  private readonly _actions: IRunActions;
  private readonly _trans: TranslationBundle;
}

export namespace KfpSidebar {
  export interface IOptions {
    model: KfpModel;
    copy: (text: string) => void;
    trans: TranslationBundle;
  }
}

interface IPanelProps {
  model: KfpModel;
  actions: IRunActions;
  trans: TranslationBundle;
}

function Panel({ model, actions, trans }: IPanelProps): JSX.Element {
  const { changes, problem, runs } = model;
  const [isChoosing, setChoosing] = React.useState(false);
  useTick(model.isWatching ? tickOf(runs) : 0);
  return (
    <>
      <header className="jp-KfpMt-header">
        <Title model={model} trans={trans} />
        <Connection
          model={model}
          actions={actions}
          isChoosing={isChoosing}
          setChoosing={setChoosing}
          trans={trans}
        />
      </header>
      <div className="jp-KfpMt-body">
        <Lost model={model} trans={trans} />
        {problem && (
          <ProblemBanner problem={problem} copy={actions.copy} trans={trans} />
        )}
        <Body
          model={model}
          actions={actions}
          setChoosing={setChoosing}
          trans={trans}
        />
      </div>
      <div className="jp-KfpMt-hidden" aria-live="polite">
        {changes.map(run => stateChange(run, trans)).join('. ')}
      </div>
    </>
  );
}

const SECOND = 1_000;

/** Durations tick every second while there are any that grow, ages now and then. */
function tickOf(runs: readonly IRun[] | null): number {
  return runs?.every(isFinished) ? 30 * SECOND : SECOND;
}

/** Draw again every so many milliseconds; 0 is never. */
function useTick(interval: number): void {
  const [, setTime] = React.useState(0);
  React.useEffect(() => {
    if (interval) {
      const timer = window.setInterval(() => setTime(Date.now()), interval);
      return () => window.clearInterval(timer);
    }
  }, [interval]);
}

function Title(props: {
  model: KfpModel;
  trans: TranslationBundle;
}): JSX.Element {
  const { model, trans } = props;
  const [busy, setBusy] = React.useState(false);
  const refresh = async () => {
    setBusy(true);
    await model.refresh();
    setBusy(false);
  };
  return (
    <div className="jp-KfpMt-title" role="toolbar">
      <h2>{trans.__('Kubeflow Pipelines')}</h2>
      <button
        type="button"
        className="jp-KfpMt-iconButton jp-KfpMt-refresh"
        title={trans.__('Refresh')}
        aria-label={trans.__('Refresh')}
        data-busy={busy}
        onClick={refresh}
      >
        <refreshIcon.react tag="span" />
      </button>
    </div>
  );
}

function Connection(
  props: IPanelProps & {
    isChoosing: boolean;
    setChoosing: (isChoosing: boolean) => void;
  }
): JSX.Element | null {
  const { model, actions, isChoosing, setChoosing, trans } = props;
  const { namespace, status } = model;
  if (!status) {
    return null;
  }
  const { identity } = status;
  return (
    <>
      <dl className="jp-KfpMt-connection">
        <dt>{trans.__('Server')}</dt>
        <dd className="jp-KfpMt-server" title={status.endpoint}>
          {connectionName(status, trans)}
        </dd>
        <dt>{trans.__('Identity')}</dt>
        <dd className="jp-KfpMt-identity" title={identityTitle(status, trans)}>
          {shortIdentity(identity.subject, trans)}
        </dd>
        {status.multi_user && (
          <>
            <dt>{trans.__('Namespace')}</dt>
            <dd className="jp-KfpMt-namespace" title={namespace}>
              <NamespaceChooser
                model={model}
                isOpen={isChoosing}
                setOpen={setChoosing}
                copy={actions.copy}
                trans={trans}
              />
            </dd>
          </>
        )}
      </dl>
      {!status.multi_user && (
        <p className="jp-KfpMt-singleUser">{singleUser(trans)}</p>
      )}
    </>
  );
}

function identityTitle(
  { identity }: IStatus,
  trans: TranslationBundle
): string {
  const until = Date.parse(identity.expires_at ?? '');
  const lines = [
    identity.subject,
    identity.source,
    until ? trans.__('valid until %1', dateAndTime(until)) : ''
  ];
  return lines.filter(Boolean).join('\n');
}

/** In the words of `jupyter_kfp_mt/namespaces/list_namespaces.py`. */
function singleUser(trans: TranslationBundle): string {
  return trans.__(
    'This KFP serves a single user: it keeps no namespaces apart.'
  );
}

/** The namespace of an earlier session cannot be shown: which, why, and what is shown instead. */
function Lost(props: {
  model: KfpModel;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { model, trans } = props;
  const { lost } = model.namespaces;
  if (!lost) {
    return null;
  }
  return (
    <div className="jp-KfpMt-lost" role="status">
      <div>
        <p>
          {model.namespace
            ? trans.__(
                '%1, chosen here before, is refused. These are the runs of %2.',
                lost.name,
                model.namespace
              )
            : trans.__('%1, chosen here before, is refused.', lost.name)}
        </p>
        <p>{lost.problem.message}</p>
      </div>
      <button
        type="button"
        className="jp-KfpMt-iconButton"
        title={trans.__('Dismiss')}
        aria-label={trans.__('Dismiss')}
        onClick={() => model.namespaces.dismiss()}
      >
        <closeIcon.react tag="span" />
      </button>
    </div>
  );
}

/** The runs, or why there are none to be seen. */
function Body(
  props: IPanelProps & { setChoosing: (isChoosing: boolean) => void }
): JSX.Element | null {
  const { model, actions, setChoosing, trans } = props;
  const { problem, runs, status } = model;
  if (runs?.length) {
    return <Runs model={model} actions={actions} trans={trans} />;
  }
  if (problem) {
    return null;
  }
  if (!status) {
    return <Skeleton trans={trans} />;
  }
  if (!status.ready) {
    return <Starting trans={trans} />;
  }
  if (!model.isListable) {
    return (
      <NoNamespace
        choose={() => setChoosing(true)}
        actions={actions}
        trans={trans}
      />
    );
  }
  return runs ? (
    <NoRuns model={model} actions={actions} trans={trans} />
  ) : (
    <Skeleton trans={trans} />
  );
}

function Runs({ model, actions, trans }: IPanelProps): JSX.Element {
  const { problem, runs, updatedAt } = model;
  const now = Date.now();
  return (
    <section data-old={!!problem}>
      <div className="jp-KfpMt-listHeader">
        <h3>{trans.__('Runs')}</h3>
        {problem && (
          <span className="jp-KfpMt-old" title={dateAndTime(updatedAt)}>
            {oldness(updatedAt, now, trans)}
          </span>
        )}
        <span className="jp-KfpMt-count">{countOf(model, trans)}</span>
      </div>
      <RunList
        runs={runs ?? []}
        seenAt={problem ? updatedAt : now}
        actions={actions}
        label={trans.__('Runs')}
        trans={trans}
      />
      {model.hasMore && <LoadMore model={model} trans={trans} />}
    </section>
  );
}

function countOf(model: KfpModel, trans: TranslationBundle): string {
  const loaded = model.runs?.length ?? 0;
  return model.hasMore
    ? trans.__('%1 of %2', count(loaded), count(model.total))
    : count(loaded);
}

function LoadMore(props: {
  model: KfpModel;
  trans: TranslationBundle;
}): JSX.Element {
  const { model, trans } = props;
  const [busy, setBusy] = React.useState(false);
  const load = async () => {
    setBusy(true);
    await model.loadMore();
    setBusy(false);
  };
  return (
    <button
      type="button"
      className="jp-KfpMt-button jp-KfpMt-loadMore"
      aria-disabled={busy}
      onClick={busy ? undefined : load}
    >
      {busy ? trans.__('Loading…') : trans.__('Load more')}
    </button>
  );
}

function Skeleton({ trans }: { trans: TranslationBundle }): JSX.Element {
  return (
    <div className="jp-KfpMt-skeleton" role="status">
      <span className="jp-KfpMt-hidden">{trans.__('Loading the runs…')}</span>
      <div />
      <div />
      <div />
    </div>
  );
}

function Starting({ trans }: { trans: TranslationBundle }): JSX.Element {
  return (
    <div className="jp-KfpMt-notice" role="status">
      <p>{trans.__('Kubeflow Pipelines is starting on this machine…')}</p>
    </div>
  );
}

function NoNamespace(props: {
  choose: () => void;
  actions: IRunActions;
  trans: TranslationBundle;
}): JSX.Element {
  const { choose, actions, trans } = props;
  return (
    <div className="jp-KfpMt-notice jp-KfpMt-noNamespace">
      <p>{trans.__('No namespace is chosen')}</p>
      <button
        type="button"
        className="jp-KfpMt-button jp-KfpMt-choose"
        onClick={choose}
      >
        {trans.__('Choose a namespace')}
      </button>
      <p>{trans.__('Or for all of Jupyter, in its configuration:')}</p>
      <Command
        text="c.Kfp.namespace = 'NAME'"
        copy={actions.copy}
        trans={trans}
      />
    </div>
  );
}

const START = '%load_ext jupyter_kfp_mt\n%kfp run FILE';

function NoRuns({ model, actions, trans }: IPanelProps): JSX.Element {
  const { namespace } = model;
  const isOther = !!model.namespaces.chosen; // a cell would use the connection's own
  return (
    <div className="jp-KfpMt-notice jp-KfpMt-empty">
      <p>
        {namespace
          ? trans.__('No runs in %1 yet', namespace)
          : trans.__('No runs yet')}
      </p>
      <p>{trans.__('Start one in a notebook:')}</p>
      <Command
        text={START + (isOther ? ` -n ${namespace}` : '')}
        copy={actions.copy}
        trans={trans}
      />
    </div>
  );
}
