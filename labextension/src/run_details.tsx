/** The details of a run, and the button that stops it. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IProblem, IRun, isFinished, ITask, problemOf } from './api';
import { CopyButton } from './copy_button';
import { dateAndTime, finishedAt, stateWord } from './format';
import { stateIcon } from './icons';
import { ProblemBanner } from './problem_banner';

/** What can be done with a run. */
export interface IRunActions {
  copy: (text: string) => void;
  tasks: (run_id: string) => Promise<ITask[]>;
  terminate: (run_id: string) => Promise<void>;
}

export function RunDetails(props: {
  id: string;
  run: IRun;
  actions: IRunActions;
  trans: TranslationBundle;
}): JSX.Element {
  const { id, run, actions, trans } = props;
  const finished = finishedAt(run);
  return (
    <div className="jp-KfpMt-details" id={id}>
      <dl className="jp-KfpMt-facts">
        <dt>{trans.__('Run ID')}</dt>
        <dd className="jp-KfpMt-runId">
          <code title={run.run_id}>{run.run_id}</code>
          <CopyButton
            text={run.run_id}
            label={trans.__('Copy the run ID')}
            copy={actions.copy}
            trans={trans}
          />
        </dd>
        <dt>{trans.__('Created')}</dt>
        <dd>{dateAndTime(Date.parse(run.created_at))}</dd>
        {finished && (
          <>
            <dt>{trans.__('Finished')}</dt>
            <dd>{dateAndTime(finished)}</dd>
          </>
        )}
      </dl>
      <Tasks run={run} actions={actions} trans={trans} />
      {run.error && <pre className="jp-KfpMt-runError">{run.error}</pre>}
      {!isFinished(run) && run.state !== 'CANCELING' && (
        <Terminate run={run} actions={actions} trans={trans} />
      )}
    </div>
  );
}

// While a run goes on its tasks are looked at again, as long as they are to be seen.
const AGAIN = 5_000;

/** The tasks of a run; none where they are not to be had, which is told elsewhere. */
function Tasks(props: {
  run: IRun;
  actions: IRunActions;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { run, actions, trans } = props;
  const [tasks, setTasks] = React.useState<readonly ITask[]>([]);
  React.useEffect(() => {
    let isShown = true;
    const look = () =>
      actions.tasks(run.run_id).then(
        found => isShown && setTasks(found),
        () => undefined
      );
    void look();
    const timer = isFinished(run) ? 0 : window.setInterval(look, AGAIN);
    return () => {
      isShown = false;
      window.clearInterval(timer);
    };
  }, [run, actions]);
  if (!tasks.length) {
    return null;
  }
  return (
    <ul className="jp-KfpMt-tasks" aria-label={trans.__('Tasks')}>
      {tasks.map(task => (
        <Task key={task.task_id} task={task} trans={trans} />
      ))}
    </ul>
  );
}

function Task(props: { task: ITask; trans: TranslationBundle }): JSX.Element {
  const { task, trans } = props;
  const icon = stateIcon(task.state);
  return (
    <li data-state={task.state}>
      <icon.react tag="span" className="jp-KfpMt-stateIcon" />
      <span className="jp-KfpMt-runName" title={task.display_name}>
        {task.display_name}
      </span>
      <span>{stateWord(task.state, trans)}</span>
    </li>
  );
}

type Step = 'offer' | 'confirm' | 'wait';

function Terminate(props: {
  run: IRun;
  actions: IRunActions;
  trans: TranslationBundle;
}): JSX.Element {
  const { run, actions, trans } = props;
  const [step, setStep] = React.useState<Step>('offer');
  const [problem, setProblem] = React.useState<IProblem | null>(null);

  const terminate = async () => {
    setStep('wait');
    setProblem(null);
    try {
      await actions.terminate(run.run_id);
    } catch (reason) {
      setProblem(problemOf(reason));
    }
    setStep('offer');
  };

  return (
    <>
      {step === 'offer' && (
        <button
          type="button"
          className="jp-KfpMt-button jp-KfpMt-terminate"
          onClick={() => setStep('confirm')}
        >
          {trans.__('Terminate')}
        </button>
      )}
      {step === 'confirm' && (
        <Confirm
          yes={terminate}
          no={() => setStep('offer')}
          name={run.display_name}
          trans={trans}
        />
      )}
      {step === 'wait' && <p role="status">{trans.__('Terminating…')}</p>}
      {problem && (
        <ProblemBanner problem={problem} copy={actions.copy} trans={trans} />
      )}
    </>
  );
}

function Confirm(props: {
  yes: () => void;
  no: () => void;
  name: string;
  trans: TranslationBundle;
}): JSX.Element {
  const { yes, no, name, trans } = props;
  const question = React.useId();
  return (
    <div
      role="group"
      aria-labelledby={question}
      className="jp-KfpMt-confirm"
      onClick={event => event.target !== event.currentTarget && focusRow(event)}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          focusRow(event);
          no();
        }
      }}
    >
      <p id={question}>{trans.__('Terminate %1?', name)}</p>
      <button
        type="button"
        className="jp-KfpMt-button jp-mod-warn"
        onClick={yes}
      >
        {trans.__('Terminate')}
      </button>
      <button type="button" className="jp-KfpMt-button" onClick={no} autoFocus>
        {trans.__('Keep running')}
      </button>
    </div>
  );
}

/** Hand the focus back to the row, for the button that had it is about to go. */
function focusRow(event: React.SyntheticEvent<HTMLElement>): void {
  event.currentTarget.closest('li')?.querySelector('button')?.focus();
}
