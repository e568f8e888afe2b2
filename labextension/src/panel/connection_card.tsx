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
import { LabelledSelect } from '../components/fields';
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
      <Identities status={status} />
      <Findings />
      {model.namespace && <Contributors namespace={model.namespace} />}
    </div>
  );
}

/** The tenants of a local KFP, as each of whom it can be tried out. */
function Identities({ status }: { status: IStatus }): JSX.Element | null {
  const { model, trans } = useKfp();
  const { identities, identity } = status;
  const now = identities.find(each => subjectOf(each) === identity.subject);
  if (identities.length < 2 || !now) {
    return null;
  }
  return (
    <div className="jp-KfpMt-filters">
      <LabelledSelect
        label={trans.__('Work as')}
        value={now}
        options={identities.map(each => [each, each])}
        choose={each => void model.become(each)}
      />
      <p className="jp-KfpMt-quiet">
        {trans.__(
          'The panel, its pages and the cells of notebooks follow, until the Jupyter server ends.'
        )}
      </p>
    </div>
  );
}

/** Its name in tokens, in the words of `jupyter_kfp_mt/resource_names.py`. */
function subjectOf(identity: string): string {
  return identity.includes('/')
    ? `system:serviceaccount:${identity.replace('/', ':')}`
    : identity;
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

/** The doctor's findings, with their cures; those that passed are folded away. */
function Findings(): JSX.Element {
  const { api, trans } = useKfp();
  const { found, problem } = useAnswer(() => api.doctor(), 'doctor');
  const passed = (found ?? []).filter(({ result }) => result === 'passed');
  const others = (found ?? []).filter(({ result }) => result !== 'passed');
  return (
    <>
      <h4>{trans.__('Checks')}</h4>
      {!found && !problem && <p role="status">{trans.__('Looking…')}</p>}
      {problem && <p role="alert">{problem.message}</p>}
      <FindingList findings={others} />
      {passed.length > 0 && (
        <details className="jp-KfpMt-passed">
          <summary>
            {trans._n(
              '✓ %1 check passed',
              '✓ %1 checks passed',
              passed.length,
              passed.length
            )}
          </summary>
          <FindingList findings={passed} />
        </details>
      )}
    </>
  );
}

function FindingList(props: { findings: readonly IFinding[] }): JSX.Element {
  const { copy, trans } = useKfp();
  return (
    <ul className="jp-KfpMt-findings">
      {props.findings.map(finding => (
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
