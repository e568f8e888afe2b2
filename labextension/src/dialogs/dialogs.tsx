/** The dialogs to start, schedule, upload and create. They stay open until that has succeeded. */

import { Dialog, Notification, ReactWidget } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { JSONExt } from '@lumino/coreutils';
import * as React from 'react';

import { ProblemBanner } from '../components/problem_banner';
import { IKfpSession } from '../model/session';
import { Checkbox, Labelled, TextField } from '../components/fields';
import { StartForm } from './start_form';
import { ISeed, Purpose, StartModel } from '../model/start_model';
import {
  IPipeline,
  IProblem,
  IVersion,
  problemOf,
  toVersion
} from '../wire/answers';

type Copy = (text: string) => void;

/** A dialog that closes only if the action of its button has succeeded. */
class DoingDialog extends Dialog<unknown> {
  constructor(
    options: Partial<Dialog.IOptions<unknown>>,
    private readonly _do: () => Promise<boolean>
  ) {
    super(options);
    this.addClass('jp-KfpMt-dialog');
    this.node.setAttribute('aria-label', `${options.title}`);
  }

  resolve(index?: number): void {
    if (index === 0) {
      super.resolve(0);
      return;
    }
    void this._do().then(isDone => {
      if (isDone && !this.isDisposed) {
        super.resolve(1);
      }
    });
  }

  /** Go from the last button to the first field: JupyterLab looks for it before there are any. */
  protected _evtKeydown(event: KeyboardEvent): void {
    const last = [...this.node.querySelectorAll('button')].pop();
    if (
      event.key === 'Tab' &&
      !event.shiftKey &&
      last === document.activeElement
    ) {
      event.preventDefault();
      event.stopPropagation();
      this.node.querySelector<HTMLElement>(FIELDS)?.focus();
      return;
    }
    super._evtKeydown(event);
  }
}

const FIELDS = 'select, input, textarea';

/** Show a form; resolves to whether its action was performed. */
async function ask(options: {
  title: string;
  accept: string;
  body: () => JSX.Element;
  act: () => Promise<boolean>;
  trans: TranslationBundle;
}): Promise<boolean> {
  const { title, accept, body, act, trans } = options;
  const dialog = new DoingDialog(
    {
      title,
      body: ReactWidget.create(React.createElement(body)),
      buttons: [
        Dialog.cancelButton({ label: trans.__('Cancel') }),
        Dialog.okButton({ label: accept })
      ],
      focusNodeSelector: FIELDS
    },
    act
  );
  return (await dialog.launch()).button.accept;
}

/** Start or schedule a run with a form. */
export async function start(
  session: IKfpSession,
  purpose: Purpose,
  seed: ISeed,
  copy: Copy
): Promise<StartModel | null> {
  const { api, model, trans } = session;
  const form = new StartModel({ api, model, purpose, seed, trans });
  const isRun = purpose === 'run';
  const where = form.namespace;
  const isDone = await ask({
    title: isRun
      ? where
        ? trans.__('Start a run in %1', where)
        : trans.__('Start a run')
      : where
        ? trans.__('Schedule a recurring run in %1', where)
        : trans.__('Schedule a recurring run'),
    accept: isRun ? trans.__('Start') : trans.__('Schedule'),
    body: () => (
      <StartForm
        start={form}
        api={api}
        purpose={purpose}
        isMultiUser={!!model.status?.multi_user}
        isLocal={!!model.status?.local}
        copy={copy}
        trans={trans}
      />
    ),
    act: () => form.submit(),
    trans
  });
  return isDone ? form : null;
}

/** The values of a small form, and its error. */
class Draft {
  values: Record<string, string> = {};
  isShared = false;
  file: File | null = null;
  problem: IProblem | null = null;
  isBusy = false;
  changed: () => void = () => undefined;

  set(news: Partial<Draft>): void {
    Object.assign(this, news);
    this.changed();
  }

  setValue(name: string, value: string): void {
    this.set({ values: { ...this.values, [name]: value } });
  }

  /** Perform the action; resolves to whether it succeeded. */
  async do(act: () => Promise<void>): Promise<boolean> {
    if (this.isBusy) {
      return false;
    }
    this.set({ isBusy: true, problem: null });
    try {
      await act();
      return true;
    } catch (reason) {
      this.set({ problem: problemOf(reason) });
      return false;
    } finally {
      this.set({ isBusy: false });
    }
  }
}

function useDraft(draft: Draft): void {
  const [, again] = React.useReducer((n: number) => n + 1, 0);
  React.useEffect(() => {
    draft.changed = again;
  }, [draft]);
}

/** Upload a compiled pipeline: a new one, or a version of an existing one. */
export async function upload(
  session: IKfpSession,
  given: { file?: File; pipeline?: IPipeline },
  copy: Copy
): Promise<boolean> {
  const { api, model, trans } = session;
  const { pipeline } = given;
  const draft = new Draft();
  draft.file = given.file ?? null;
  draft.values = { name: given.file ? nameOf(given.file) : '' };
  const title = pipeline
    ? trans.__('Upload a version of %1', pipeline.display_name)
    : trans.__('Upload a pipeline');
  return ask({
    title,
    accept: trans.__('Upload'),
    body: () => (
      <UploadForm
        draft={draft}
        mayShare={!pipeline && !!model.status?.multi_user}
        copy={copy}
        trans={trans}
      />
    ),
    act: () =>
      draft.do(async () => {
        if (!draft.file) {
          throw new Error(trans.__('Choose a file with a compiled pipeline.'));
        }
        const { name, description } = draft.values;
        const before = pipeline
          ? await api.newestVersion(pipeline.pipeline_id)
          : null;
        const uploaded = await api.upload(draft.file, {
          name: name || versionName(nameOf(draft.file)),
          description,
          namespace: pipeline || draft.isShared ? '' : model.namespace,
          pipeline_id: pipeline?.pipeline_id
        });
        await model.lookAt('pipelines');
        report(session, draft.file.name, toVersion(uploaded), before);
      }),
    trans
  });
}

/** Tell of an upload; of one that changes nothing, and how to undo it. */
function report(
  { api, trans }: IKfpSession,
  file: string,
  version: IVersion,
  before: IVersion | null
): void {
  const isSame =
    before && JSONExt.deepEqual(before.pipeline_spec, version.pipeline_spec);
  if (!isSame) {
    Notification.success(trans.__('Uploaded %1', file), { autoClose: 4_000 });
    return;
  }
  const { pipeline_id, pipeline_version_id } = version;
  const undo = () =>
    api.deleteVersion(pipeline_id, pipeline_version_id).then(
      () =>
        Notification.success(trans.__('The new version is deleted'), {
          autoClose: 4_000
        }),
      reason =>
        Notification.error(problemOf(reason).message, { autoClose: 10_000 })
    );
  Notification.warning(
    trans.__('Uploaded %1, which is identical to the version before it', file),
    {
      autoClose: false,
      actions: [
        {
          label: trans.__('Delete the new version'),
          callback: () => void undo()
        }
      ]
    }
  );
}

/** A file's name up to its first dot. */
function nameOf(file: File): string {
  return file.name.replace(/\.(yaml|yml|json|zip|tar\.gz|tgz)$/i, '');
}

function versionName(name: string): string {
  return `${name} ${new Date().toISOString().slice(0, 19).replace('T', ' ')}`;
}

function UploadForm(props: {
  draft: Draft;
  mayShare: boolean;
  copy: Copy;
  trans: TranslationBundle;
}): JSX.Element {
  const { draft, mayShare, copy, trans } = props;
  useDraft(draft);
  const { name = '' } = draft.values;
  const take = (file: File | null) => {
    if (file) {
      const values = { ...draft.values, name: name || nameOf(file) };
      draft.set({ file, values, problem: null });
    }
  };
  return (
    <div
      className="jp-KfpMt-form"
      data-busy={draft.isBusy}
      onDragOver={event => event.preventDefault()}
      onDrop={event => {
        event.preventDefault();
        take(event.dataTransfer.files[0] ?? null);
      }}
    >
      {draft.problem && (
        <ProblemBanner problem={draft.problem} copy={copy} trans={trans} />
      )}
      <Labelled label={trans.__('File')}>
        {id => (
          <>
            <input
              id={id}
              type="file"
              accept=".yaml,.yml,.json,.zip,.gz,.tgz"
              onChange={event => take(event.target.files?.[0] ?? null)}
            />
            {draft.file && <output>{draft.file.name}</output>}
          </>
        )}
      </Labelled>
      <NameAndDescription draft={draft} trans={trans} />
      {mayShare && (
        <Checkbox
          label={trans.__('Share it with everyone')}
          isOn={draft.isShared}
          set={isShared => draft.set({ isShared })}
        />
      )}
    </div>
  );
}

function NameAndDescription(props: {
  draft: Draft;
  trans: TranslationBundle;
}): JSX.Element {
  const { draft, trans } = props;
  return (
    <>
      <TextField
        label={trans.__('Name')}
        value={draft.values.name ?? ''}
        set={name => draft.setValue('name', name)}
      />
      <TextField
        label={trans.__('Description')}
        value={draft.values.description ?? ''}
        set={description => draft.setValue('description', description)}
      />
    </>
  );
}

/** Create an experiment. */
export async function createExperiment(
  session: IKfpSession,
  copy: Copy
): Promise<boolean> {
  const { api, model, trans } = session;
  const draft = new Draft();
  return ask({
    title: trans.__('New experiment'),
    accept: trans.__('Create'),
    body: () => <ExperimentForm draft={draft} copy={copy} trans={trans} />,
    act: () =>
      draft.do(async () => {
        const { name = '', description = '' } = draft.values;
        if (!name.trim()) {
          throw new Error(trans.__('Enter a name.'));
        }
        const { namespace } = model;
        const made = await api.createExperiment({
          display_name: name.trim(),
          ...(namespace && { namespace }),
          ...(description && { description })
        });
        model.lists.experiments.hear([made]);
      }),
    trans
  });
}

function ExperimentForm(props: {
  draft: Draft;
  copy: Copy;
  trans: TranslationBundle;
}): JSX.Element {
  const { draft, copy, trans } = props;
  useDraft(draft);
  return (
    <div className="jp-KfpMt-form" data-busy={draft.isBusy}>
      {draft.problem && (
        <ProblemBanner problem={draft.problem} copy={copy} trans={trans} />
      )}
      <NameAndDescription draft={draft} trans={trans} />
    </div>
  );
}

/** Ask for confirmation of an action that cannot be undone; Cancel has the focus. */
export async function confirm(
  question: string,
  accept: string,
  names: readonly string[],
  trans: TranslationBundle
): Promise<boolean> {
  const shown = names.slice(0, 8);
  const left = names.length - shown.length;
  const dialog = new Dialog({
    title: accept,
    body: (
      <div className="jp-KfpMt-form">
        <p>{question}</p>
        {names.length > 1 && (
          <ul>
            {shown.map((name, index) => (
              <li key={index}>{name}</li>
            ))}
            {left > 0 && (
              <li>{trans._n('and one more', 'and %1 more', left, left)}</li>
            )}
          </ul>
        )}
      </div>
    ),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: accept })
    ],
    defaultButton: 0
  });
  dialog.node.setAttribute('aria-label', accept);
  return (await dialog.launch()).button.accept;
}
