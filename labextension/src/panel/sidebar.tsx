/** The panel: the connection, and the lists of a namespace. */

import { TranslationBundle } from '@jupyterlab/translation';
import {
  closeIcon,
  refreshIcon,
  VDomRenderer
} from '@jupyterlab/ui-components';
import { Message } from '@lumino/messaging';
import * as React from 'react';

import { ConnectionLine } from './connection_card';
import { IKfp, KfpProvider, useKfp } from '../components/context';
import { Command } from '../components/copy_button';
import { stateChange } from '../words/format';
import { pipelinesIcon } from '../components/icons';
import { KfpModel } from '../model/model';
import { KernelNamespaces } from './kernel_namespaces';
import { NamespaceChooser } from './namespace_chooser';
import { ProblemBanner } from '../components/problem_banner';
import { Button, IconButton, Skeleton } from '../components/buttons';
import { RELEASE } from '../wire/release';
import { takeDrops } from './drops';
import { Section, SectionTabs } from './sections';

/** The panel; it keeps the model active while it is visible. */
export class KfpSidebar extends VDomRenderer<KfpModel> {
  constructor(private readonly _kfp: IKfp) {
    super(_kfp.model);
    const trans: TranslationBundle = _kfp.trans;
    this.id = 'jupyter-kfp-mt:sidebar';
    this.addClass('jp-KfpMt-Sidebar');
    this.title.icon = pipelinesIcon;
    this.title.caption = trans.__('Kubeflow Pipelines');
    this.node.tabIndex = -1;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Kubeflow Pipelines'));
    takeDrops(this.node, {
      upload: file => _kfp.upload?.(file),
      uploadPath: path => _kfp.execute('upload-file', { path })
    });
  }

  render(): JSX.Element {
    return (
      <KfpProvider value={this._kfp}>
        <Panel />
      </KfpProvider>
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

  // A disposed widget has no model.
  protected onBeforeDetach(msg: Message): void {
    this.model?.pause();
    super.onBeforeDetach(msg);
  }

  protected onActivateRequest(msg: Message): void {
    super.onActivateRequest(msg);
    const row = this.node.querySelector<HTMLElement>(
      '[role=row][tabindex="0"]'
    );
    (row ?? this.node).focus();
  }
}

function Panel(): JSX.Element {
  const { copy, model, trans } = useKfp();
  const [isChoosing, setChoosing] = React.useState(false);
  const { problem } = model;
  return (
    <>
      <div className="jp-KfpMt-header">
        <Title />
        <Where isChoosing={isChoosing} setChoosing={setChoosing} />
        <KernelNamespaces />
        <ConnectionLine />
      </div>
      <div className="jp-KfpMt-body">
        <Lost />
        <OtherRelease />
        {problem && (
          <ProblemBanner problem={problem} copy={copy} trans={trans} />
        )}
        <Body setChoosing={setChoosing} />
      </div>
      <div className="jp-KfpMt-hidden" aria-live="polite">
        {model.lists.runs.changes
          .map(run => stateChange(run, trans))
          .join('. ')}
      </div>
    </>
  );
}

function Title(): JSX.Element {
  const { model, trans } = useKfp();
  const [busy, setBusy] = React.useState(false);
  const refresh = async () => {
    setBusy(true);
    await model.refresh();
    setBusy(false);
  };
  return (
    <div className="jp-KfpMt-title">
      <h2>{trans.__('Kubeflow Pipelines')}</h2>
      {model.status?.local && (
        <span
          className="jp-KfpMt-badge"
          title={trans.__('KFP runs on this machine, not on a cluster.')}
        >
          {trans.__('local')}
        </span>
      )}
      <IconButton
        icon={refreshIcon}
        label={trans.__('Refresh')}
        className="jp-KfpMt-refresh"
        isBusy={busy}
        press={() => void refresh()}
      />
    </div>
  );
}

/** The namespace chooser, and the role in the namespace. */
function Where(props: {
  isChoosing: boolean;
  setChoosing: (isChoosing: boolean) => void;
}): JSX.Element | null {
  const { copy, model, trans } = useKfp();
  const { status } = model;
  if (!status) {
    return null;
  }
  if (!status.multi_user) {
    return <p className="jp-KfpMt-singleUser">{singleUser(trans)}</p>;
  }
  return (
    <div className="jp-KfpMt-where">
      <span className="jp-KfpMt-namespaceLabel">{trans.__('Namespace')}</span>
      <span className="jp-KfpMt-namespace" title={model.namespace}>
        <NamespaceChooser
          model={model}
          isOpen={props.isChoosing}
          setOpen={props.setChoosing}
          copy={copy}
          trans={trans}
        />
      </span>
    </div>
  );
}

/** The sentence is that of `jupyter_kfp_mt/namespaces/list_namespaces.py`. */
function singleUser(trans: TranslationBundle): string {
  return trans.__('This KFP serves a single user, and has no namespaces.');
}

/** A notice that the namespace of an earlier session cannot be shown, and what is shown. */
function Lost(): JSX.Element | null {
  const { model, trans } = useKfp();
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
      <IconButton
        icon={closeIcon}
        label={trans.__('Dismiss')}
        press={() => model.namespaces.dismiss()}
      />
    </div>
  );
}

/** A notice that page and Jupyter server have different releases, as after an upgrade. */
function OtherRelease(): JSX.Element | null {
  const { model, trans } = useKfp();
  const loaded = model.status?.version;
  if (!loaded || loaded === RELEASE) {
    return null;
  }
  return (
    <div className="jp-KfpMt-lost" role="status">
      <div>
        <p>
          {trans.__(
            'This page has release %1 of the extension, the Jupyter server %2.',
            RELEASE,
            loaded
          )}
        </p>
        <p>
          {trans.__(
            'Reload the page; if that changes nothing, restart the server.'
          )}
        </p>
      </div>
    </div>
  );
}

/** The lists, or the reason if they cannot be shown. */
function Body(props: {
  setChoosing: (isChoosing: boolean) => void;
}): JSX.Element | null {
  const { model } = useKfp();
  const { problem, status } = model;
  const id = React.useId();
  if (!status) {
    return problem ? null : <Skeleton />;
  }
  if (!status.ready) {
    return problem ? null : <Starting />;
  }
  if (!model.isListable) {
    return problem ? null : (
      <NoNamespace choose={() => props.setChoosing(true)} />
    );
  }
  return (
    <>
      <SectionTabs id={id} />
      <Section id={id} />
    </>
  );
}

function Starting(): JSX.Element {
  const { trans } = useKfp();
  return (
    <div className="jp-KfpMt-notice" role="status">
      <p>{trans.__('Kubeflow Pipelines is starting on this machine…')}</p>
    </div>
  );
}

function NoNamespace({ choose }: { choose: () => void }): JSX.Element {
  const { copy, trans } = useKfp();
  return (
    <div className="jp-KfpMt-notice jp-KfpMt-noNamespace">
      <p>{trans.__('No namespace is chosen')}</p>
      <Button label={trans.__('Choose a namespace')} press={choose} />
      <p>{trans.__('Or set one for all of Jupyter in its configuration:')}</p>
      <Command text="c.Kfp.namespace = 'NAME'" copy={copy} trans={trans} />
    </div>
  );
}
