/** The scene of a graph: open groups, shown iterations, and the place of everything. */

import { INode, States } from './graph';
import { IPoint, layOut } from './layout';
import { together } from '../run/states';

export const NODE = { width: 184, height: 48 } as const;
const GROUP_HEAD = 34;
const GROUP_PADDING = 12;
// The size of a group's head; a loop's has buttons.
const NARROWEST = { group: 240, loop: 330 } as const;
// Pipelines with up to this many tasks start with all groups open.
const FEW = 60;

/** A task or group, at its place in the whole drawing. */
export interface IItem extends IPoint {
  node: INode;
  /** The iterations of its enclosing loops. */
  iterations: readonly number[];
  width: number;
  height: number;
  isOpen: boolean;
  depth: number;
}

export interface IScene {
  items: IItem[];
  /** All connections, each group's relative to its corner. */
  paths: (IPoint & { path: string })[];
  width: number;
  height: number;
}

/** The shown iteration of each loop, by the loop's id and the enclosing iterations. */
export type Choices = Readonly<Record<string, number>>;

export function placeOf(node: INode, iterations: readonly number[]): string {
  return [node.id, ...iterations].join('#');
}

/** The iterations to show: the chosen ones, else the first that failed, runs, or exists. */
export function choicesOf(
  nodes: readonly INode[],
  states: States,
  chosen: Choices,
  outer: readonly number[] = []
): Record<string, number> {
  let found: Record<string, number> = {};
  for (const node of nodes) {
    let within = outer;
    if (node.kind === 'loop') {
      const place = placeOf(node, outer);
      const shown = chosen[place] ?? telling(node, states, outer);
      found[place] = shown;
      within = [...outer, shown];
    }
    if (node.inside.length) {
      found = { ...found, ...choicesOf(node.inside, states, chosen, within) };
    }
  }
  return found;
}

function telling(
  loop: INode,
  states: States,
  outer: readonly number[]
): number {
  const numbers = states.iterations(loop, outer);
  const stateOf = (number: number) =>
    together(
      states.within(loop.inside, [...outer, number]).map(({ state }) => state)
    );
  for (const state of ['FAILED', 'RUNNING']) {
    const found = numbers.find(number => stateOf(number) === state);
    if (found !== undefined) {
      return found;
    }
  }
  return numbers[0] ?? 0;
}

/** The groups that are initially open. */
export function openAtFirst(nodes: readonly INode[]): Set<string> {
  const isSmall = count(nodes) <= FEW;
  return new Set(
    all(nodes)
      .filter(node => node.inside.length)
      .filter(node => isSmall || !node.id.includes('/'))
      .filter(node => isSmall || count(node.inside) <= FEW)
      .map(node => node.id)
  );
}

function all(nodes: readonly INode[]): INode[] {
  return nodes.flatMap(node => [node, ...all(node.inside)]);
}

function count(nodes: readonly INode[]): number {
  return all(nodes).filter(node => node.kind === 'task').length;
}

export function sceneOf(
  nodes: readonly INode[],
  open: ReadonlySet<string>,
  choices: Choices
): IScene {
  const scene: IScene = { items: [], paths: [], width: 0, height: 0 };
  const size = place(nodes, { open, choices, iterations: [], depth: 0 }, scene);
  // In reading order, for screen readers; a group comes before its content.
  scene.items.sort((a, b) => a.y - b.y || a.x - b.x);
  return { ...scene, ...size };
}

interface IWithin {
  open: ReadonlySet<string>;
  choices: Choices;
  iterations: readonly number[];
  depth: number;
}

/** Add the nodes of one group to the drawing, relative to the group's corner. */
function place(
  nodes: readonly INode[],
  within: IWithin,
  scene: IScene
): { width: number; height: number } {
  const parts = nodes.map(node => partOf(node, within));
  const layout = layOut(
    parts.map(({ scene: { width, height } }, index) => ({
      id: nodes[index].key,
      width,
      height,
      before: nodes[index].before
    }))
  );
  scene.paths.push({ x: 0, y: 0, path: layout.path });
  parts.forEach((part, index) => {
    const { x, y } = layout.places.get(nodes[index].key)!;
    for (const item of part.scene.items) {
      item.x += x;
      item.y += y;
      scene.items.push(item);
    }
    for (const path of part.scene.paths) {
      path.x += x;
      path.y += y;
      scene.paths.push(path);
    }
  });
  return { width: layout.width, height: layout.height };
}

function partOf(node: INode, within: IWithin): { scene: IScene } {
  const { open, choices, iterations, depth } = within;
  const isOpen = open.has(node.id) && node.inside.length > 0;
  const item: IItem = { node, iterations, x: 0, y: 0, ...NODE, isOpen, depth };
  const scene: IScene = { items: [item], paths: [], ...NODE };
  if (!isOpen) {
    return { scene };
  }
  const shown = choices[placeOf(node, iterations)];
  const inner = node.kind === 'loop' ? [...iterations, shown ?? 0] : iterations;
  const inside: IScene = { items: [], paths: [], width: 0, height: 0 };
  const size = place(
    node.inside,
    { ...within, iterations: inner, depth: depth + 1 },
    inside
  );
  const least = node.kind === 'loop' ? NARROWEST.loop : NARROWEST.group;
  const width = Math.max(size.width + 2 * GROUP_PADDING, least);
  const height = size.height + GROUP_HEAD + GROUP_PADDING;
  const left = Math.round((width - size.width) / 2);
  for (const each of [...inside.items, ...inside.paths]) {
    each.x += left;
    each.y += GROUP_HEAD;
  }
  scene.items = [{ ...item, width, height }, ...inside.items];
  scene.paths = inside.paths;
  return { scene: { ...scene, width, height } };
}

/** The nearest item in the direction of an arrow key. */
export function neighbour(
  items: readonly IItem[],
  from: IItem,
  key: string
): IItem | undefined {
  const at = handle(from);
  const steps: Record<string, (x: number, y: number) => [number, number]> = {
    ArrowRight: (x, y) => [x, y],
    ArrowLeft: (x, y) => [-x, y],
    ArrowDown: (x, y) => [y, x],
    ArrowUp: (x, y) => [-y, x]
  };
  let best: IItem | undefined;
  let least = Infinity;
  for (const item of items) {
    const to = handle(item);
    const [ahead, aside] = steps[key](to.x - at.x, to.y - at.y);
    const cost = ahead + 3 * Math.abs(aside);
    if (ahead > 1 && cost < least) {
      [best, least] = [item, cost];
    }
  }
  return best;
}

/** The position of an item for arrow keys; for an open group, its head. */
function handle(item: IItem): IPoint {
  const height = item.isOpen ? GROUP_HEAD : item.height;
  return { x: item.x + item.width / 2, y: item.y + height / 2 };
}
