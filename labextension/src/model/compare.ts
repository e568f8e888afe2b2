/** Runs side by side: their inputs, their results, and the differences. */

import { IRunData, IValue } from '../run/run_data';

export interface IComparedRow {
  name: string;
  /** One value for each run; undefined for a run without one. */
  values: readonly (IValue | undefined)[];
  isDifferent: boolean;
}

export interface IComparison {
  parameters: IComparedRow[];
  outputs: IComparedRow[];
  metrics: IComparedRow[];
  tasks: IComparedRow[];
}

/** Compare runs by the names of their parameters, outputs, metrics and tasks. */
export function compare(runs: readonly IRunData[]): IComparison {
  return {
    parameters: rowsOf(runs.map(({ run }) => run.parameters)),
    outputs: rowsOf(runs.map(outputsOf)),
    metrics: rowsOf(runs.map(metricsOf)),
    tasks: rowsOf(
      runs.map(({ tasks }) =>
        Object.fromEntries(tasks.map(task => [task.display_name, task.state]))
      )
    )
  };
}

function rowsOf(columns: readonly Record<string, IValue>[]): IComparedRow[] {
  const names = new Set(columns.flatMap(column => Object.keys(column)));
  return [...names].map(name => {
    const values = columns.map(column => column[name]);
    const texts = new Set(values.map(value => JSON.stringify(value)));
    return { name, values, isDifferent: texts.size > 1 };
  });
}

/** The SDK's name for what a component returns without naming it. */
const RETURNED = 'Output';

/** The values that the tasks of a run returned; those of iterations, which share a name, are not. */
function outputsOf({ tasks, values }: IRunData): Record<string, IValue> {
  const names = tasks.map(task => task.display_name);
  const single = tasks.filter(
    ({ display_name }) =>
      names.indexOf(display_name) === names.lastIndexOf(display_name)
  );
  return Object.fromEntries(
    single.flatMap(({ task_id, display_name }) =>
      Object.entries(values[task_id]?.outputs.parameters ?? {}).map(
        ([output, value]): [string, IValue] => [
          output === RETURNED ? display_name : `${display_name}: ${output}`,
          value
        ]
      )
    )
  );
}

/** The metrics logged by the tasks of a run, by task and name. */
function metricsOf({ tasks, values }: IRunData): Record<string, IValue> {
  const found: Record<string, IValue> = {};
  for (const { task_id, display_name } of tasks) {
    const artifacts = values[task_id]?.outputs.artifacts ?? {};
    for (const artifact of Object.values(artifacts).flat()) {
      if (artifact.type === 'system.Metrics') {
        for (const [name, value] of Object.entries(artifact.metadata)) {
          if (typeof value === 'number') {
            found[`${display_name}: ${name}`] = value;
          }
        }
      }
    }
  }
  return found;
}
