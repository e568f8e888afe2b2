/** The runs as a list: arrows walk through it, Enter opens the details of a run in place. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IRun } from './api';
import { age, dateAndTime, duration, elapsed, stateWord } from './format';
import { stateIcon } from './icons';
import { IRunActions, RunDetails } from './run_details';

export function RunList(props: {
  runs: readonly IRun[];
  seenAt: number;
  actions: IRunActions;
  label: string;
  trans: TranslationBundle;
}): JSX.Element {
  const { runs, seenAt, actions, label, trans } = props;
  const [active, setActive] = React.useState('');
  const [open, setOpen] = React.useState<ReadonlySet<string>>(new Set());
  const toggle = React.useCallback((run_id: string) => {
    setOpen(before => toggled(before, run_id));
  }, []);
  const reachable = runs.some(run => run.run_id === active)
    ? active
    : runs[0]?.run_id;
  const now = Date.now();
  return (
    <ul
      className="jp-KfpMt-runs"
      aria-label={label}
      onFocus={event => setActive(runIdOf(event.target) ?? active)}
      onKeyDown={walk}
    >
      {runs.map(run => (
        <RunItem
          key={run.run_id}
          run={run}
          age={age(Date.parse(run.created_at), now, trans)}
          duration={duration(elapsed(run, seenAt), trans)}
          isOpen={open.has(run.run_id)}
          isReachable={run.run_id === reachable}
          toggle={toggle}
          actions={actions}
          trans={trans}
        />
      ))}
    </ul>
  );
}

const RunItem = React.memo(function RunItem(props: {
  run: IRun;
  age: string;
  duration: string;
  isOpen: boolean;
  isReachable: boolean;
  toggle: (run_id: string) => void;
  actions: IRunActions;
  trans: TranslationBundle;
}): JSX.Element {
  const { run, isOpen, actions, trans } = props;
  const details = React.useId();
  const icon = stateIcon(run.state);
  return (
    <li className="jp-KfpMt-run" data-state={run.state} data-open={isOpen}>
      <button
        type="button"
        className="jp-KfpMt-runButton"
        data-run-id={run.run_id}
        tabIndex={props.isReachable ? 0 : -1}
        aria-expanded={isOpen}
        aria-controls={isOpen ? details : undefined}
        onClick={() => props.toggle(run.run_id)}
      >
        <icon.react tag="span" className="jp-KfpMt-stateIcon" />
        <span className="jp-KfpMt-runName" title={run.display_name}>
          {run.display_name}
        </span>
        <span className="jp-KfpMt-runFacts">
          <span className="jp-KfpMt-runState">
            {stateWord(run.state, trans)}
          </span>
          {run.archived && <span>{trans.__('archived')}</span>}
          <span className="jp-KfpMt-runDuration">{props.duration}</span>
          <span
            className="jp-KfpMt-runAge"
            title={dateAndTime(Date.parse(run.created_at))}
          >
            {props.age}
          </span>
        </span>
      </button>
      {isOpen && (
        <RunDetails id={details} run={run} actions={actions} trans={trans} />
      )}
    </li>
  );
});

function toggled(
  before: ReadonlySet<string>,
  run_id: string
): ReadonlySet<string> {
  const after = new Set(before);
  if (!after.delete(run_id)) {
    after.add(run_id);
  }
  return after;
}

function runIdOf(target: EventTarget): string | undefined {
  return (target as HTMLElement).dataset.runId;
}

/** Move the focus from row to row, as arrows, Home and End ask. */
function walk(event: React.KeyboardEvent<HTMLUListElement>): void {
  const row = (event.target as HTMLElement).closest('li');
  if (!row || !runIdOf(event.target)) {
    return; // a button among the details
  }
  const list = event.currentTarget;
  const rows: Record<string, Element | null> = {
    ArrowDown: row.nextElementSibling,
    ArrowUp: row.previousElementSibling,
    Home: list.firstElementChild,
    End: list.lastElementChild
  };
  if (event.key in rows) {
    event.preventDefault();
    rows[event.key]?.querySelector('button')?.focus();
  }
}
