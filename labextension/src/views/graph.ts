/**
 * The tasks of a pipeline as a tree of groups (loops, conditions, exit handlers, nested pipelines),
 * read from the specification, and the state of each in a run.
 */

import {
  IComponent,
  IInput,
  ISpecification,
  ITaskSpecification,
  ITaskState
} from '../run/run_data';
import { together } from '../run/states';

export type Kind = 'task' | 'loop' | 'condition' | 'exit' | 'pipeline';

/** A task or a group of tasks. */
export interface INode {
  /** The keys of its groups and its own, joined by slashes. */
  id: string;
  key: string;
  name: string;
  kind: Kind;
  /** The siblings on which it depends, by key. */
  before: string[];
  /** The nodes in it; empty for a task. */
  inside: INode[];
  task: ITaskSpecification;
  component: IComponent;
  /** The names of its tasks before iterations are added, by key and by label. */
  bases: string[];
}

// The groups that KFP's compiler makes for `with dsl.If` and so on, with generated names.
const COMPILERS_GROUP =
  /^(condition|condition-branches|for-loop|exit-handler)-\d+$/;
const KINDS: Readonly<Record<string, Kind>> = {
  condition: 'condition',
  'condition-branches': 'condition',
  'for-loop': 'loop',
  'exit-handler': 'exit'
};
// No pipeline is this deep, unless a group contains itself.
const DEEPEST = 50;

/** The tasks and groups of a pipeline; only the reported tasks if it is not known. */
export function graphOf(
  spec: ISpecification,
  tasks: readonly ITaskState[] = []
): INode[] {
  const found = inside(spec, spec.root, { id: '', bases: [''], depth: 0 });
  return found.length ? found : tasks.map(alone);
}

interface IPlace {
  id: string;
  bases: string[];
  depth: number;
}

function inside(
  spec: ISpecification,
  group: IComponent | undefined,
  place: IPlace
): INode[] {
  const tasks = Object.entries(group?.dag?.tasks ?? {});
  return tasks.map(([key, task]) => nodeOf(spec, key, task, place));
}

function nodeOf(
  spec: ISpecification,
  key: string,
  task: ITaskSpecification,
  place: IPlace
): INode {
  const component = spec.components?.[task.componentRef?.name ?? ''] ?? {};
  const isGroup = !!component.dag && place.depth < DEEPEST;
  const id = place.id ? `${place.id}/${key}` : key;
  const label = task.taskInfo?.name ?? key;
  const names = [...new Set([key, label])];
  const hidden = isGroup && COMPILERS_GROUP.test(key);
  const bases = hidden
    ? place.bases
    : place.bases.flatMap(base => names.map(name => `${base}${name}`));
  const within = hidden ? bases : bases.map(base => `${base}/`);
  return {
    id,
    key,
    name: label,
    kind: isGroup ? kindOf(key, task) : 'task',
    before: siblings(task),
    inside: isGroup
      ? inside(spec, component, { id, bases: within, depth: place.depth + 1 })
      : [],
    task,
    component,
    bases
  };
}

function alone(task: ITaskState): INode {
  const { display_name } = task;
  return {
    id: task.task_id,
    key: task.task_id,
    name: display_name,
    kind: 'task',
    before: [],
    inside: [],
    task: {},
    component: {},
    bases: [display_name]
  };
}

function kindOf(key: string, task: ITaskSpecification): Kind {
  if (task.parameterIterator || task.artifactIterator) {
    return 'loop';
  }
  const [, group = ''] = COMPILERS_GROUP.exec(key) ?? [];
  return (
    KINDS[group] ?? (task.triggerPolicy?.condition ? 'condition' : 'pipeline')
  );
}

function siblings(task: ITaskSpecification): string[] {
  const given: IInput[] = [
    ...Object.values(task.inputs?.parameters ?? {}),
    ...Object.values(task.inputs?.artifacts ?? {})
  ];
  const makers = given.map(
    input =>
      input.taskOutputParameter?.producerTask ??
      input.taskOutputArtifact?.producerTask ??
      ''
  );
  const all = new Set([...(task.dependentTasks ?? []), ...makers]);
  all.delete('');
  return [...all];
}

/** The source of a condition, as far as the compiled form shows it: `flip == 'heads'`. */
export function conditionText(node: INode): string {
  const condition = node.task.triggerPolicy?.condition ?? '';
  return condition.replace(
    /inputs\.parameter_values\['(?:pipelinechannel--)?(.*?)'\]/g,
    (_, name: string) => shortName(name)
  );
}

/** The title of a group: its own name, or its condition or items. */
export function groupName(node: INode): string {
  const words = { condition: 'If', loop: 'For each of' }[node.kind as string];
  const text = conditionText(node) || itemsText(node);
  return node.name === node.key && words && text
    ? `${words} ${text}`
    : node.name;
}

/** The items of a loop. */
export function itemsText(node: INode): string {
  const items = node.task.parameterIterator?.items;
  const named =
    items?.inputParameter ?? node.task.artifactIterator?.items?.inputArtifact;
  return named ? shortName(named) : (items?.raw ?? '');
}

function shortName(name: string): string {
  return name.replace(/^pipelinechannel--/, '').replace(/-Output$/, '');
}

/** All tasks in some nodes, including those in groups. */
export function leaves(nodes: readonly INode[]): INode[] {
  return nodes.flatMap(node =>
    node.kind === 'task' ? [node] : leaves(node.inside)
  );
}

interface ITold {
  numbers: number[];
  task: ITaskState;
}

const NUMBERS = /((?:\[\d+\])*)$/;

/** A task's name without its iterations, and the iterations. */
export function splitName(name: string): { base: string; numbers: number[] } {
  if (!name.endsWith(']')) {
    return { base: name, numbers: [] };
  }
  const [suffix = ''] = NUMBERS.exec(name) ?? [];
  return {
    base: name.slice(0, name.length - suffix.length),
    numbers: (suffix.match(/\d+/g) ?? []).map(Number)
  };
}

/** The states of tasks, by their place in the graph. */
export class States {
  constructor(tasks: readonly ITaskState[]) {
    for (const task of tasks) {
      const { base, numbers } = splitName(task.display_name);
      const told = this._told.get(base);
      if (told) {
        told.push({ numbers, task });
      } else {
        this._told.set(base, [{ numbers, task }]);
      }
      this._byName.set(task.display_name, task);
    }
  }

  /** The task of a node in these iterations of its loops; undefined before it is reported. */
  task(node: INode, iterations: readonly number[]): ITaskState | undefined {
    const suffix = iterations.map(number => `[${number}]`).join('');
    const names = node.bases.map(base => `${base}${suffix}`);
    const found = names.find(name => this._byName.has(name));
    return found === undefined ? undefined : this._byName.get(found);
  }

  /** The existing iterations of a loop, within these of its enclosing loops. */
  iterations(loop: INode, outer: readonly number[]): number[] {
    const told = this._under([loop], outer);
    const numbers = told.map(({ numbers }) => numbers[outer.length]);
    return [...new Set(numbers.filter(number => number !== undefined))].sort(
      (a, b) => a - b
    );
  }

  /** The states of all tasks in a group, in every iteration. */
  within(nodes: readonly INode[], outer: readonly number[]): ITaskState[] {
    return this._under(nodes, outer).map(({ task }) => task);
  }

  /** The state of a group as a whole. */
  state(group: INode, outer: readonly number[]): string {
    return together(this.within(group.inside, outer).map(({ state }) => state));
  }

  private _under(nodes: readonly INode[], outer: readonly number[]): ITold[] {
    const bases = new Set(leaves(nodes).flatMap(({ bases }) => bases));
    return [...bases]
      .flatMap(base => this._told.get(base) ?? [])
      .filter(({ numbers }) => outer.every((n, i) => numbers[i] === n));
  }

  private readonly _byName = new Map<string, ITaskState>();
  private readonly _told = new Map<string, ITold[]>();
}
