/** One task: its error, inputs, outputs and log. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { dateAndTime, stateWord } from '../words/format';
import { Elapsed, spanOf } from './elapsed';
import { plain } from './ansi';
import { stateOf } from './graph_view';
import { States } from './graph';
import { IHost, ILog, IRunView } from '../run/host';
import { Icon, PATH, StateIcon } from './icons';
import { LogView } from './log_view';
import { ITaskState, timeOf } from '../run/run_data';
import { IItem } from './scene';
import { isFinished } from '../run/states';
import { tracebackIn } from '../run/traceback';
import { Facts, Inputs, Outputs } from './values';

export function TaskDetails(props: {
  item: Pick<IItem, 'node' | 'iterations'>;
  states: States;
  view: IRunView;
  host: IHost;
  close: () => void;
}): JSX.Element {
  const { item, states, view, host, close } = props;
  const trans = host.text;
  const task = states.task(item.node, item.iterations);
  const log = useLog(task, view, host);
  const state = stateOf(task, view);
  const span = spanOf(task, view);
  const values = task && view.data.values[task.task_id];
  const title = task?.display_name ?? item.node.name;
  return (
    <div
      className="jp-KfpMt-taskDetails"
      role="group"
      aria-label={trans.__('Task %1', title)}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          close();
        }
      }}
    >
      <div className="jp-KfpMt-taskTitle">
        <StateIcon state={state} />
        <h4 title={title}>{title}</h4>
        <button
          type="button"
          className="jp-KfpMt-viewIcon"
          aria-label={trans.__('Close the task')}
          title={trans.__('Close')}
          onClick={close}
        >
          <Icon path={PATH.close} />
        </button>
      </div>
      <p className="jp-KfpMt-viewQuiet">
        {stateWord(state, trans)}
        {span && (
          <>
            {' · '}
            <Elapsed span={span} trans={trans} />
            {' · '}
            {dateAndTime(span.from)}
          </>
        )}
      </p>
      {task && <Failure task={task} log={log} trans={trans} />}
      {values?.reused_from && (
        <p className="jp-KfpMt-viewNote">
          {trans.__(
            'Not executed: the outputs of the same task in run %1 are reused.',
            values.reused_from
          )}
        </p>
      )}
      <Outputs node={item.node} values={values} task={task} host={host} />
      <Inputs node={item.node} data={view.data} values={values} trans={trans} />
      <Facts title={trans.__('Times')} facts={times(task, trans)} />
      {log && (log.lines.length > 0 || log.problem) && (
        <section>
          <h5>{trans.__('Log')}</h5>
          <LogView
            log={log}
            label={trans.__('Log of task %1', title)}
            trans={trans}
          />
        </section>
      )}
    </div>
  );
}

/** The error of a task: the user's own part of the traceback, with the rest collapsed. */
function Failure(props: {
  task: ITaskState;
  log: ILog | undefined;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { task, log, trans } = props;
  const lines = log?.lines;
  const traceback = React.useMemo(
    () =>
      task.state === 'FAILED'
        ? tracebackIn((lines ?? []).slice(-400).map(plain).join('\n'))
        : null,
    [task.state, lines?.length]
  );
  if (!traceback && !task.error) {
    return null;
  }
  return (
    <div className="jp-KfpMt-viewFailure" role="alert">
      {traceback ? (
        <pre tabIndex={0}>{traceback.own}</pre>
      ) : (
        <pre tabIndex={0}>{task.error}</pre>
      )}
      {traceback && traceback.hidden > 0 && (
        <details>
          <summary>
            {trans._n(
              '%1 line of the executor',
              '%1 lines of the executor',
              traceback.hidden,
              traceback.hidden
            )}
          </summary>
          <pre tabIndex={0}>{traceback.whole}</pre>
        </details>
      )}
    </div>
  );
}

/** The log of a task: read while it is shown, else as saved with the run. */
function useLog(
  task: ITaskState | undefined,
  view: IRunView,
  host: IHost
): ILog | undefined {
  const task_id = task?.task_id ?? '';
  const begun =
    !!task_id && task?.state !== 'PENDING' && task?.state !== 'SKIPPED';
  React.useEffect(() => {
    if (!begun) {
      return;
    }
    void host.act({ name: 'log', task_id }).catch(() => undefined);
    return () => {
      void host.act({ name: 'unlog', task_id }).catch(() => undefined);
    };
  }, [host, task_id, begun]);
  const read = view.logs[task_id];
  const saved = view.data.logs[task_id];
  return React.useMemo(() => {
    const isEmpty = !read?.lines.length;
    return isEmpty && saved
      ? { lines: saved.split('\n'), isOpen: false, problem: '' }
      : read;
  }, [read, saved]);
}

function times(
  task: ITaskState | undefined,
  trans: TranslationBundle
): [string, React.ReactNode][] {
  if (!task) {
    return [];
  }
  const found: [string, number | null][] = [
    [trans.__('Started'), timeOf(task.start_time)],
    [trans.__('Ended'), isFinished(task) ? timeOf(task.end_time) : null]
  ];
  return found
    .filter(([, time]) => time !== null && task.state !== 'SKIPPED')
    .map(([name, time]) => [name, dateAndTime(time!)]);
}
