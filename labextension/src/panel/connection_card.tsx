/** The connection: a short line, and a card with all details and cures. */

import { TranslationBundle } from '@jupyterlab/translation';
import { caretDownIcon, closeIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { useKfp } from '../components/context';
import { CopyButton } from '../components/copy_button';
import {
  connectionName,
  dateAndTime,
  duration,
  shortIdentity
} from '../words/format';
import { Cure } from '../components/problem_banner';
import { IconButton } from '../components/buttons';
import {
  IContributor,
  IFinding,
  IProblem,
  IStatus,
  problemOf
} from '../wire/answers';

/** The endpoint, the identity, and whether the connection works; a click opens the card. */
export function ConnectionLine(): JSX.Element | null {
  const { model, trans } = useKfp();
  const [isOpen, setOpen] = React.useState(false);
  const button = React.useRef<HTMLButtonElement>(null);
  const { status } = model;
  if (!status) {
    return null;
  }
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  const isWell = !status.error && !model.problem;
  return (
    <>
      <button
        ref={button}
        type="button"
        className="jp-KfpMt-connection"
        aria-haspopup="dialog"
        aria-expanded={isOpen}
        title={status.endpoint}
        onClick={() => setOpen(!isOpen)}
      >
        <span
          className="jp-KfpMt-light"
          data-well={isWell && status.ready}
          role="img"
          aria-label={stateOf(status, isWell, trans)}
        />
        <span className="jp-KfpMt-server">{connectionName(status, trans)}</span>
        <span aria-hidden={true}>·</span>
        <span className="jp-KfpMt-identity">
          {shortIdentity(status.identity.subject, trans)}
        </span>
        <caretDownIcon.react tag="span" />
      </button>
      {isOpen && <Card status={status} close={close} />}
    </>
  );
}

function stateOf(
  status: IStatus,
  isWell: boolean,
  trans: TranslationBundle
): string {
  if (!status.ready) {
    return trans.__('starting');
  }
  return isWell ? trans.__('connected') : trans.__('not connected');
}

function Card(props: { status: IStatus; close: () => void }): JSX.Element {
  const { status, close } = props;
  const { copy, model, trans } = useKfp();
  const { identity } = status;
  const focus = React.useCallback((node: HTMLElement | null) => {
    node?.focus();
  }, []);
  const until = Date.parse(identity.expires_at ?? '');
  const facts: [string, string][] = [
    [trans.__('Endpoint'), status.endpoint],
    [trans.__('KFP'), status.server_version],
    [trans.__('Extension'), status.version],
    [trans.__('Identity'), identity.subject],
    [trans.__('From'), identity.source],
    [trans.__('Token'), until ? lifetime(until, trans) : '']
  ];
  return (
    <div
      className="jp-KfpMt-card"
      role="dialog"
      aria-label={trans.__('Connection')}
      tabIndex={-1}
      ref={focus}
      onKeyDown={event => event.key === 'Escape' && close()}
    >
      <div className="jp-KfpMt-cardTitle">
        <h3>{trans.__('Connection')}</h3>
        {status.local && (
          <span className="jp-KfpMt-badge">
            {trans.__('on this machine only')}
          </span>
        )}
        <IconButton
          icon={closeIcon}
          label={trans.__('Close')}
          press={close}
          className="jp-KfpMt-close"
        />
      </div>
      <dl className="jp-KfpMt-facts">
        {facts
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <React.Fragment key={name}>
              <dt>{name}</dt>
              <dd>
                <span title={value}>{value}</span>
                <CopyButton
                  text={value}
                  label={trans.__('Copy: %1', name)}
                  copy={copy}
                  trans={trans}
                />
              </dd>
            </React.Fragment>
          ))}
      </dl>
      <Findings />
      {model.namespace && <Contributors namespace={model.namespace} />}
    </div>
  );
}

function lifetime(until: number, trans: TranslationBundle): string {
  const left = until - Date.now();
  return left > 0
    ? trans.__(
        'valid for %1, until %2',
        duration(left, trans),
        dateAndTime(until)
      )
    : trans.__('expired on %1', dateAndTime(until));
}

/** A value that is fetched once, when it is first shown. */
function useAnswer<T>(
  ask: () => Promise<T>,
  key: string
): { found: T | null; problem: IProblem | null } {
  const [answer, setAnswer] = React.useState<{
    found: T | null;
    problem: IProblem | null;
  }>({ found: null, problem: null });
  React.useEffect(() => {
    let isShown = true;
    const tell = (found: T | null, problem: IProblem | null) =>
      isShown && setAnswer({ found, problem });
    ask().then(
      found => tell(found, null),
      reason => tell(null, problemOf(reason))
    );
    return () => {
      isShown = false;
    };
  }, [key]);
  return answer;
}

/** The doctor's findings, with their cures. */
function Findings(): JSX.Element {
  const { api, copy, trans } = useKfp();
  const { found, problem } = useAnswer(() => api.doctor(), 'doctor');
  return (
    <>
      <h4>{trans.__('Checks')}</h4>
      {!found && !problem && <p role="status">{trans.__('Looking…')}</p>}
      {problem && <p role="alert">{problem.message}</p>}
      <ul className="jp-KfpMt-findings">
        {(found ?? []).map(finding => (
          <li key={finding.check} data-result={finding.result}>
            <span className="jp-KfpMt-verdict">{verdict(finding, trans)}</span>{' '}
            {finding.check}: {finding.found}
            {finding.cause && <p>{finding.cause}</p>}
            {finding.cure && (
              <Cure text={finding.cure} copy={copy} trans={trans} />
            )}
          </li>
        ))}
      </ul>
    </>
  );
}

function verdict(finding: IFinding, trans: TranslationBundle): string {
  switch (finding.result) {
    case 'passed':
      return trans.__('✓ passed');
    case 'failed':
      return trans.__('✗ failed');
    default:
      return trans.__('? not known');
  }
}

function Contributors({ namespace }: { namespace: string }): JSX.Element {
  const { api, trans } = useKfp();
  const { found, problem } = useAnswer<IContributor[]>(
    () => api.contributors(namespace),
    namespace
  );
  return (
    <>
      <h4>{trans.__('Who works in %1', namespace)}</h4>
      {!found && !problem && <p role="status">{trans.__('Looking…')}</p>}
      {problem && <p>{problem.message}</p>}
      {found && (
        <ul className="jp-KfpMt-findings">
          {found.map(({ user, role }) => (
            <li key={`${user} ${role}`}>{trans.__('%1: %2', user, role)}</li>
          ))}
          {!found.length && <li>{trans.__('Nobody else is known.')}</li>}
        </ul>
      )}
    </>
  );
}
