/** The details of a run, and the button that stops it. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IProblem, IRun, isFinished, problemOf } from './api';
import { CopyButton } from './copy_button';
import { dateAndTime, finishedAt } from './format';
import { ProblemBanner } from './problem_banner';

/** What can be done with a run. */
export interface IRunActions {
  copy: (text: string) => void;
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
      {run.error && <pre className="jp-KfpMt-runError">{run.error}</pre>}
      {!isFinished(run) && run.state !== 'CANCELING' && (
        <Terminate run={run} actions={actions} trans={trans} />
      )}
    </div>
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
