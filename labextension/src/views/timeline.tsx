/** The time of each task, as bars. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { stateWord } from '../words/format';
import { stepOf, tickText, ticksOf } from './axis';
import { Elapsed, runSpan, spanOf, useNow } from './elapsed';
import { IRunView } from '../run/host';
import { StateIcon } from './icons';
import { ITaskState } from '../run/run_data';

export function Timeline(props: {
  view: IRunView;
  selected: string;
  choose: (task: ITaskState) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { view, trans } = props;
  const rows = React.useMemo(() => rowsOf(view), [view]);
  const now = useNow(rows.some(({ span }) => span.to === null));
  const from = runSpan(view)?.from ?? rows[0]?.span.from ?? now;
  const end = runSpan(view)?.to ?? from;
  const to = Math.max(from + 1, end, ...rows.map(({ span }) => span.to ?? now));
  const percent = (time: number) =>
    Math.min(100, Math.max(0, (100 * (time - from)) / (to - from)));
  if (!rows.length) {
    return (
      <p className="jp-KfpMt-viewQuiet">
        {trans.__('No task has started yet.')}
      </p>
    );
  }
  return (
    <div className="jp-KfpMt-timeline" style={gridOf(to - from)}>
      <Axis length={to - from} trans={trans} />
      <ul
        aria-label={trans.__('Time line; the arrow keys walk through it')}
        onKeyDown={walk}
      >
        {rows.map(({ task, span }, index) => (
          <li key={task.task_id}>
            <button
              type="button"
              tabIndex={
                task.task_id === props.selected ||
                (index === 0 &&
                  !rows.some(r => r.task.task_id === props.selected))
                  ? 0
                  : -1
              }
              aria-pressed={task.task_id === props.selected}
              onClick={() => props.choose(task)}
            >
              <StateIcon state={task.state} />
              <span className="jp-KfpMt-graphName" title={task.display_name}>
                {task.display_name}
              </span>
              <span className="jp-KfpMt-hidden">
                {stateWord(task.state, trans)}
              </span>
              <span className="jp-KfpMt-timelineTime">
                <Elapsed span={span} trans={trans} />
              </span>
              <span className="jp-KfpMt-timelineTrack" aria-hidden="true">
                <span
                  data-state={task.state}
                  style={{
                    left: `${percent(span.from)}%`,
                    width: `${percent(span.to ?? now) - percent(span.from)}%`
                  }}
                />
              </span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Axis(props: {
  length: number;
  trans: TranslationBundle;
}): JSX.Element {
  const { length, trans } = props;
  const step = stepOf(length);
  return (
    <div className="jp-KfpMt-timelineAxis" aria-hidden="true">
      <div>
        {ticksOf(length).map(time => {
          const part = time / length;
          return (
            <span
              key={time}
              style={{ left: `${100 * part}%` }}
              data-side={part > 0.9 ? 'end' : part ? 'middle' : 'start'}
            >
              {tickText(time, step, trans)}
            </span>
          );
        })}
      </div>
    </div>
  );
}

/** The distance of its lines, as a style. */
function gridOf(length: number): React.CSSProperties {
  const style: Record<string, string> = {
    '--kfp-step': `${(100 * stepOf(length)) / length}%`
  };
  return style;
}

function rowsOf(
  view: IRunView
): { task: ITaskState; span: { from: number; to: number | null } }[] {
  return view.data.tasks
    .flatMap(task => {
      const span = spanOf(task, view);
      return span ? [{ task, span }] : [];
    })
    .sort((a, b) => a.span.from - b.span.from);
}

function walk(event: React.KeyboardEvent<HTMLUListElement>): void {
  const row = (event.target as HTMLElement).closest('li');
  const list = event.currentTarget;
  const rows: Record<string, Element | null | undefined> = {
    ArrowDown: row?.nextElementSibling,
    ArrowUp: row?.previousElementSibling,
    Home: list.firstElementChild,
    End: list.lastElementChild
  };
  if (event.key in rows) {
    event.preventDefault();
    rows[event.key]?.querySelector('button')?.focus();
  }
}
