/** A page that compares runs: parameters, outputs, metrics and tasks, one column for each. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { compare, IComparedRow } from '../model/compare';
import { Checkbox } from '../components/fields';
import { duration, stateWord } from '../words/format';
import { pipelinesIcon } from '../components/icons';
import { ProblemBanner } from '../components/problem_banner';
import { IKfpSession } from '../model/session';
import { KfpPage } from './page';
import { IRunData, readData, timeOf } from '../run/run_data';
import { idleTime, shownRun } from '../run/shown';
import { StateIcon } from '../views/icons';
import { IProblem, problemOf } from '../wire/answers';

interface IPageOptions {
  ids: readonly string[];
  session: IKfpSession;
  copy: (text: string) => void;
  open: (id: string) => void;
}

export class ComparePage extends KfpPage {
  constructor(private readonly _options: IPageOptions) {
    const { trans } = _options.session;
    super(
      _options.session,
      trans.__('Compare %1 runs', _options.ids.length),
      pipelinesIcon
    );
  }

  get ids(): readonly string[] {
    return this._options.ids;
  }

  render(): JSX.Element {
    return <Page key={this.round} {...this._options} />;
  }
}

async function load(id: string, session: IKfpSession): Promise<IRunData> {
  const { requests } = session.runs;
  const [run, tasks, values] = await Promise.all([
    requests.run(id),
    requests.tasks(id),
    requests.values(id).catch(() => ({}))
  ]);
  return shownRun(readData({ run, tasks, values })!);
}

function Page(props: IPageOptions): JSX.Element {
  const { ids, session, copy, open } = props;
  const { trans } = session;
  const [runs, setRuns] = React.useState<IRunData[] | null>(null);
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const [isOnlyDifferent, setOnlyDifferent] = React.useState(false);
  React.useEffect(() => {
    Promise.all(ids.map(id => load(id, session))).then(setRuns, reason =>
      setProblem(problemOf(reason))
    );
  }, []);
  if (!runs) {
    return problem ? (
      <ProblemBanner problem={problem} copy={copy} trans={trans} />
    ) : (
      <p role="status" className="jp-KfpMt-notice">
        {trans.__('Loading the runs…')}
      </p>
    );
  }
  const { parameters, outputs, metrics, tasks } = compare(runs);
  const kept = (rows: IComparedRow[]) =>
    rows.filter(row => row.isDifferent || !isOnlyDifferent);
  return (
    <div className="jp-KfpMt-compare" tabIndex={0}>
      <Checkbox
        label={trans.__('Only differences')}
        isOn={isOnlyDifferent}
        set={setOnlyDifferent}
      />
      <table>
        <thead>
          <tr>
            <th scope="col">{trans.__('Run')}</th>
            {runs.map(({ run }) => (
              <th key={run.run_id} scope="col">
                <button type="button" onClick={() => open(run.run_id)}>
                  {run.display_name}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row">{trans.__('State')}</th>
            {runs.map(({ run }) => (
              <td key={run.run_id}>
                <StateIcon state={run.state} /> {stateWord(run.state, trans)}
              </td>
            ))}
          </tr>
          <tr>
            <th scope="row">{trans.__('Duration')}</th>
            {runs.map(data => (
              <td key={data.run.run_id}>{durationOf(data, trans)}</td>
            ))}
          </tr>
        </tbody>
        <Part title={trans.__('Parameters')} rows={kept(parameters)} />
        <Part title={trans.__('Outputs')} rows={kept(outputs)} hasBars />
        <Part title={trans.__('Metrics')} rows={kept(metrics)} hasBars />
        <Part
          title={trans.__('Tasks')}
          rows={kept(tasks)}
          word={state => stateWord(state, trans)}
        />
      </table>
    </div>
  );
}

function durationOf({ run }: IRunData, trans: TranslationBundle): string {
  const [start, end] = [timeOf(run.created_at), timeOf(run.finished_at)];
  return start && end
    ? duration(end - start - idleTime(run.state_history), trans)
    : '–';
}

function Part(props: {
  title: string;
  rows: readonly IComparedRow[];
  hasBars?: boolean;
  word?: (text: string) => string;
}): JSX.Element | null {
  const { title, rows, hasBars, word } = props;
  if (!rows.length) {
    return null;
  }
  return (
    <tbody>
      <tr>
        <th className="jp-KfpMt-comparePart" scope="rowgroup">
          {title}
        </th>
        {rows[0].values.map((_, index) => (
          <td key={index} className="jp-KfpMt-comparePart" />
        ))}
      </tr>
      {rows.map(row => (
        <tr key={row.name} data-different={row.isDifferent}>
          <th scope="row">{row.name}</th>
          {row.values.map((value, index) => (
            <td key={index}>
              {value === undefined ? (
                '–'
              ) : (
                <code>
                  {typeof value === 'string'
                    ? (word?.(value) ?? value)
                    : JSON.stringify(value)}
                </code>
              )}
              {hasBars && <Bar value={value} all={row.values} />}
            </td>
          ))}
        </tr>
      ))}
    </tbody>
  );
}

/** A number relative to the largest one in its row. */
function Bar(props: {
  value: unknown;
  all: readonly unknown[];
}): JSX.Element | null {
  const numbers = props.all.filter(
    (each): each is number => typeof each === 'number'
  );
  const most = Math.max(...numbers.map(Math.abs));
  return typeof props.value === 'number' && most > 0 ? (
    <span
      className="jp-KfpMt-compareBar"
      aria-hidden={true}
      style={{ width: `${(100 * Math.abs(props.value)) / most}%` }}
    />
  ) : null;
}
