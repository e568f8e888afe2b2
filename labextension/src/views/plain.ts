/** A run as plain HTML and as text, for front ends without our views or widgets. */

import { groupName, INode, graphOf, States } from './graph';
import { IRunData, ITaskState, timeOf } from '../run/run_data';
import { shownRun } from '../run/shown';

const SIGNS: Readonly<Record<string, string>> = {
  PENDING: '○',
  RUNNING: '▶',
  SUCCEEDED: '✓',
  FAILED: '✗',
  SKIPPED: '–',
  CANCELING: '■',
  CANCELED: '■',
  TERMINATED: '■',
  PAUSED: '‖'
};

interface IRow {
  depth: number;
  name: string;
  task: ITaskState | undefined;
}

export function textOf(known: IRunData): string {
  const data = shownRun(known);
  const { run } = data;
  const rows = rowsOf(data).map(
    ({ depth, name, task }) =>
      `${'  '.repeat(depth + 1)}${signed(task?.state)}${name}${lasted(task)}`
  );
  const head = `${run.display_name}  ${told(run.state)}`;
  return [head, ...(run.error ? [run.error] : []), ...rows].join('\n');
}

export function htmlOf(known: IRunData): string {
  const data = shownRun(known);
  const { run } = data;
  const rows = rowsOf(data).map(
    ({ depth, name, task }) =>
      `<tr><td style="padding-left:${depth}em">${escaped(name)}</td>` +
      `<td>${escaped(task ? told(task.state) : '')}</td>` +
      `<td>${escaped(lasted(task).trim())}</td></tr>`
  );
  return [
    '<div class="jp-KfpMt-value">',
    `<p><strong>${escaped(run.display_name)}</strong> `,
    `${escaped(told(run.state))}</p>`,
    run.error ? `<pre>${escaped(run.error)}</pre>` : '',
    `<table><tbody>${rows.join('')}</tbody></table></div>`
  ].join('');
}

function rowsOf(data: IRunData): IRow[] {
  const states = new States(data.tasks);
  return rows(graphOf(data.spec, data.tasks), states, [], 0);
}

function rows(
  nodes: readonly INode[],
  states: States,
  iterations: readonly number[],
  depth: number
): IRow[] {
  return nodes.flatMap((node): IRow[] => {
    if (node.kind === 'task') {
      const task = states.task(node, iterations);
      return [{ depth, name: node.name, task }];
    }
    const name = groupName(node);
    const inside = (numbers: readonly number[]) =>
      rows(node.inside, states, numbers, depth + 1);
    if (node.kind !== 'loop') {
      return [{ depth, name, task: undefined }, ...inside(iterations)];
    }
    return states
      .iterations(node, iterations)
      .flatMap(number => [
        { depth, name: `${name} [${number}]`, task: undefined },
        ...inside([...iterations, number])
      ]);
  });
}

function signed(state: string | undefined): string {
  return state ? `${SIGNS[state] ?? '?'} ` : '';
}

/** A state in words, the same as in cells. */
function told(state: string): string {
  return `${signed(state)}${state.charAt(0)}${state.slice(1).toLowerCase()}`;
}

function lasted(task: ITaskState | undefined): string {
  const [from, to] = [task?.start_time, task?.end_time].map(t =>
    timeOf(t ?? '')
  );
  return from && to ? `  ${((to - from) / 1000).toFixed(1)} s` : '';
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`);
}
