/** The actions on a run; a disabled one says why. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ACTIONS, IHost, IRunView, RunAction } from '../run/host';
import { Button } from './button';

export function RunButtons(props: {
  host: IHost;
  view: IRunView;
}): JSX.Element {
  const { host, view } = props;
  const trans = host.text;
  const [asked, setAsked] = React.useState<RunAction | null>(null);
  const [said, setSaid] = React.useState('');
  const act = async (name: RunAction) => {
    setAsked(null);
    setSaid(trans.__('…'));
    try {
      setSaid(await host.act({ name }));
    } catch (reason) {
      setSaid(reason instanceof Error ? reason.message : `${reason}`);
    }
  };
  return (
    <div className="jp-KfpMt-runButtons">
      {asked ? (
        <Confirm
          action={asked}
          yes={() => void act(asked)}
          no={() => setAsked(null)}
          trans={trans}
        />
      ) : (
        <>
          {(host.actions ?? ACTIONS).map(action => (
            <Button
              key={action}
              label={
                action === 'clone' && host.hasCloneForm
                  ? trans.__('Clone…')
                  : labelOf(action, trans)
              }
              className="jp-KfpMt-viewButton"
              reason={view.refusals[action]}
              press={() =>
                action === 'clone' && host.hasCloneForm
                  ? void act(action)
                  : setAsked(action)
              }
            />
          ))}
          <OpenInKfp link={view.data.link} trans={trans} />
        </>
      )}
      <span role="status" className="jp-KfpMt-runSaid">
        {said}
      </span>
    </div>
  );
}

function labelOf(action: RunAction, trans: TranslationBundle): string {
  switch (action) {
    case 'terminate':
      return trans.__('Terminate');
    case 'retry':
      return trans.__('Retry');
    default:
      return trans.__('Clone');
  }
}

function Confirm(props: {
  action: RunAction;
  yes: () => void;
  no: () => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { action, yes, no, trans } = props;
  const questions: Record<RunAction, string> = {
    terminate: trans.__('Terminate this run? It cannot be resumed.'),
    retry: trans.__('Retry the failed tasks?'),
    clone: trans.__('Start the same pipeline with the same parameters?')
  };
  const id = React.useId();
  return (
    <span
      role="group"
      aria-labelledby={id}
      onKeyDown={event => event.key === 'Escape' && no()}
    >
      <span id={id}>{questions[action]}</span>{' '}
      <button type="button" className="jp-KfpMt-viewButton" onClick={yes}>
        {labelOf(action, trans)}
      </button>{' '}
      <button
        type="button"
        className="jp-KfpMt-viewButton"
        onClick={no}
        ref={focus}
      >
        {trans.__('No')}
      </button>
    </span>
  );
}

function focus(button: HTMLButtonElement | null): void {
  button?.focus();
}

/** The run's page in KFP's own UI; nothing if there is none, as with a local KFP. */
function OpenInKfp(props: {
  link: string;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { link, trans } = props;
  return isWebAddress(link) ? (
    <a
      className="jp-KfpMt-viewButton"
      href={link}
      target="_blank"
      rel="noopener noreferrer"
    >
      {trans.__('Open in KFP')}
    </a>
  ) : null;
}

/** Return whether a link is a web page: data may come from anybody's notebook. */
function isWebAddress(link: string): boolean {
  return /^(https?:\/\/|\/(?![/\\]))/.test(link);
}
