/** Boxes in layers: none on another, each below those it comes after. */

import { IBox, layOut } from '../layout';

function box(id: string, ...before: string[]): IBox {
  return { id, width: 100, height: 40, before };
}

function check(boxes: IBox[]): void {
  const { places, width, height } = layOut(boxes);
  expect(places.size).toBe(boxes.length);
  const placed = boxes.map(each => ({ ...each, ...places.get(each.id)! }));
  for (const each of placed) {
    expect(each.x).toBeGreaterThanOrEqual(0);
    expect(each.x + each.width).toBeLessThanOrEqual(width + 1);
    expect(each.y + each.height).toBeLessThanOrEqual(height);
    for (const id of each.before) {
      const above = placed.find(other => other.id === id);
      if (above) {
        expect(each.y).toBeGreaterThanOrEqual(above.y + above.height);
      }
    }
    for (const other of placed) {
      const apart =
        other === each ||
        each.x + each.width <= other.x ||
        other.x + other.width <= each.x ||
        each.y + each.height <= other.y ||
        other.y + other.height <= each.y;
      expect(apart).toBe(true);
    }
  }
}

it('a chain stands in one column', () => {
  const boxes = [box('a'), box('b', 'a'), box('c', 'b')];
  check(boxes);
  const { places } = layOut(boxes);
  expect(new Set([...places.values()].map(({ x }) => x)).size).toBe(1);
});

it('a diamond is symmetrical', () => {
  const boxes = [box('a'), box('b', 'a'), box('c', 'a'), box('d', 'b', 'c')];
  check(boxes);
  const { places } = layOut(boxes);
  expect(places.get('a')!.x).toBe(places.get('d')!.x);
});

it('boxes of all sizes stay apart, whatever comes after what', () => {
  let seed = 7;
  const next = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
  for (let round = 0; round < 20; round++) {
    const boxes = Array.from({ length: 40 }, (_, i) => ({
      id: `${i}`,
      width: 50 + next(300),
      height: 20 + next(200),
      before: Array.from({ length: next(4) }, () => `${next(i + 1)}`).filter(
        id => id !== `${i}`
      )
    }));
    check(boxes);
  }
});

it('a box that comes after itself, after none that is there, or in a circle has a place', () => {
  const { places } = layOut([
    box('a', 'a', 'missing'),
    box('b', 'c'),
    box('c', 'b')
  ]);
  expect(places.size).toBe(3);
});

it('nothing has no size', () => {
  expect(layOut([])).toMatchObject({ width: 0, height: 0, path: '' });
});
