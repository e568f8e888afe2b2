/**
 * Places boxes in layers from top to bottom, each below those that it comes after.
 *
 * The layer of a box is the longest way to it. A connection over several layers goes through a
 * point in each of them. Within a layer, boxes are ordered by the mean place of their neighbours
 * (barycentre), then moved as near to those as the order allows (least squares under that order,
 * by pooling adjacent violators).
 */

export interface IBox {
  id: string;
  width: number;
  height: number;
  /** The ids of the boxes above; unknown ids are ignored. */
  before: readonly string[];
}

export interface IPoint {
  x: number;
  y: number;
}

/** The upper left corners of the boxes, and the connections as one path for SVG. */
export interface ILayout {
  places: Map<string, IPoint>;
  path: string;
  width: number;
  height: number;
}

const ACROSS = 20;
const DOWN = 30;
const SWEEPS = 8;

interface ICell {
  box: IBox | null; // null: a point of a connection
  width: number;
  layer: number;
  order: number;
  centre: number;
  above: ICell[];
  below: ICell[];
}

export function layOut(boxes: readonly IBox[]): ILayout {
  const cells = cellsOf(boxes);
  const layers = layersOf(cells);
  order(layers);
  spread(layers);
  return placed(layers, [...cells.values()]);
}

function cellsOf(boxes: readonly IBox[]): Map<string, ICell> {
  const cells = new Map<string, ICell>();
  for (const box of boxes) {
    cells.set(box.id, cell(box, box.width));
  }
  const layerOf = depths(boxes, cells);
  for (const [id, each] of cells) {
    each.layer = layerOf.get(id) ?? 0;
  }
  return cells;
}

function cell(box: IBox | null, width: number): ICell {
  return { box, width, layer: 0, order: 0, centre: 0, above: [], below: [] };
}

/** The longest path to each box; cycles are cut where they are met. */
function depths(
  boxes: readonly IBox[],
  cells: ReadonlyMap<string, ICell>
): Map<string, number> {
  const byId = new Map(boxes.map(box => [box.id, box]));
  const found = new Map<string, number>();
  const open = new Set<string>();
  for (const { id } of boxes) {
    // Without recursion: a chain may be thousands of boxes long.
    const stack = [id];
    while (stack.length) {
      const at = stack[stack.length - 1];
      const before = (byId.get(at)?.before ?? []).filter(b => cells.has(b));
      const unknown = before.filter(b => !found.has(b) && !open.has(b));
      if (unknown.length && !found.has(at)) {
        open.add(at);
        stack.push(...unknown);
        continue;
      }
      stack.pop();
      open.delete(at);
      const layers = before.map(b => (found.get(b) ?? -1) + 1);
      found.set(at, Math.max(0, ...layers));
    }
  }
  return found;
}

/** The cells of each layer, with points where connections pass through. */
function layersOf(cells: ReadonlyMap<string, ICell>): ICell[][] {
  const last = Math.max(-1, ...[...cells.values()].map(each => each.layer));
  const layers = Array.from({ length: last + 1 }, (): ICell[] => []);
  for (const each of cells.values()) {
    layers[each.layer].push(each);
  }
  for (const each of cells.values()) {
    for (const id of new Set(each.box?.before)) {
      const from = cells.get(id);
      if (from && from.layer < each.layer) {
        connect(from, each, layers);
      }
    }
  }
  layers.forEach(layer => layer.forEach((each, i) => (each.order = i)));
  return layers;
}

function connect(from: ICell, to: ICell, layers: ICell[][]): void {
  let last = from;
  for (let layer = from.layer + 1; layer <= to.layer; layer++) {
    const next = layer === to.layer ? to : cell(null, 0);
    next.layer = layer;
    if (next !== to) {
      layers[layer].push(next);
    }
    last.below.push(next);
    next.above.push(last);
    last = next;
  }
}

/** Order each layer so that few connections cross. */
function order(layers: ICell[][]): void {
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const down = sweep % 2 === 0;
    const side = down ? 'above' : 'below';
    for (const layer of down ? layers : [...layers].reverse()) {
      const key = new Map(
        layer.map(each => [each, mean(each[side], n => n.order) ?? each.order])
      );
      layer.sort((a, b) => key.get(a)! - key.get(b)!);
      layer.forEach((each, i) => (each.order = i));
    }
  }
}

/** Move the cells of each layer as near to their neighbours as their order allows. */
function spread(layers: ICell[][]): void {
  for (const layer of layers) {
    settle(layer, () => 0);
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const down = sweep % 2 === 0;
    const side = down ? 'above' : 'below';
    for (const layer of down ? layers : [...layers].reverse()) {
      settle(layer, each => mean(each[side], n => n.centre) ?? each.centre);
    }
  }
}

/** Put each cell at its preferred centre; cells that would overlap share their mean. */
function settle(layer: ICell[], wanted: (each: ICell) => number): void {
  const offsets: number[] = [];
  let offset = 0;
  const blocks: { sum: number; count: number }[] = [];
  layer.forEach((each, i) => {
    const before = layer[i - 1];
    offset += before ? (before.width + each.width) / 2 + ACROSS : 0;
    offsets.push(offset);
    blocks.push({ sum: wanted(each) - offset, count: 1 });
    while (blocks.length > 1 && violates(blocks)) {
      const { sum, count } = blocks.pop()!;
      const last = blocks[blocks.length - 1];
      last.sum += sum;
      last.count += count;
    }
  });
  let index = 0;
  for (const { sum, count } of blocks) {
    for (let i = 0; i < count; i++, index++) {
      layer[index].centre = sum / count + offsets[index];
    }
  }
}

function violates(blocks: { sum: number; count: number }[]): boolean {
  const [a, b] = blocks.slice(-2);
  return a.sum / a.count > b.sum / b.count;
}

function placed(layers: ICell[][], cells: ICell[]): ILayout {
  const edges = layers.flat();
  const left = Math.min(0, ...edges.map(each => each.centre - each.width / 2));
  const right = Math.max(0, ...edges.map(each => each.centre + each.width / 2));
  const tops: number[] = [];
  const heights: number[] = [];
  let top = 0;
  for (const layer of layers) {
    const height = Math.max(0, ...layer.map(each => each.box?.height ?? 0));
    tops.push(top);
    heights.push(height);
    top += height + DOWN;
  }
  const places = new Map<string, IPoint>();
  for (const each of cells) {
    const x = Math.round(each.centre - each.width / 2 - left);
    places.set(each.box!.id, { x, y: tops[each.layer] });
  }
  return {
    places,
    path: pathOf(edges, tops, heights, left),
    width: Math.ceil(right - left),
    height: Math.max(0, top - DOWN)
  };
}

function pathOf(
  cells: ICell[],
  tops: number[],
  heights: number[],
  left: number
): string {
  const pieces: string[] = [];
  for (const from of cells) {
    for (const to of from.below) {
      const [x1, x2] = [from, to].map(each => Math.round(each.centre - left));
      const bottom = tops[from.layer] + heights[from.layer];
      const y1 = from.box ? tops[from.layer] + from.box.height : bottom;
      const y2 = tops[to.layer];
      const half = Math.round((bottom + y2) / 2);
      const through = to.box ? '' : `V${y2 + heights[to.layer]}`;
      pieces.push(
        `M${x1} ${y1}V${bottom}C${x1} ${half} ${x2} ${half} ${x2} ${y2}${through}`
      );
    }
  }
  return pieces.join('');
}

function mean(
  cells: readonly ICell[],
  of: (each: ICell) => number
): number | null {
  return cells.length
    ? cells.reduce((sum, each) => sum + of(each), 0) / cells.length
    : null;
}
