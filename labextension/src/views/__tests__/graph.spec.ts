/** A pipeline's specification as a tree, and the states of its tasks in a run. */

import { conditionText, graphOf, groupName, leaves, States } from '../graph';
import { choicesOf, openAtFirst, sceneOf } from '../scene';
import { together } from '../../run/states';
import { SPEC, task } from './fixtures';

const NODES = graphOf(SPEC);

function named(name: string) {
  return [...NODES, ...leaves(NODES)].find(({ id }) => id === name)!;
}

it('loops, conditions and nested pipelines are groups of the tasks in them', () => {
  expect(NODES.map(({ key, kind }) => [key, kind])).toEqual([
    ['load', 'task'],
    ['for-loop-1', 'loop'],
    ['condition-2', 'condition'],
    ['inner', 'pipeline']
  ]);
  expect(leaves(NODES).map(({ id }) => id)).toEqual([
    'load',
    'for-loop-1/train',
    'for-loop-1/check',
    'condition-2/tell',
    'inner/train'
  ]);
});

it('a task waits for those that it names, and for those whose outputs it takes', () => {
  expect(named('for-loop-1').before).toEqual(['load']);
  expect(named('for-loop-1/train').before).toEqual(['load']);
});

it('groups are called as their author wrote them', () => {
  expect(conditionText(named('condition-2'))).toBe("load == 'x'");
  expect(groupName(named('condition-2'))).toBe("If load == 'x'");
  expect(groupName(named('for-loop-1'))).toBe('For each of rates');
  expect(groupName(named('inner'))).toBe('nested');
});

it('a pipeline that is not known is the tasks that were told', () => {
  const nodes = graphOf({}, [task('a'), task('b[0]')]);
  expect(nodes.map(({ name }) => name)).toEqual(['a', 'b[0]']);
});

it('a group that is in itself has an end', () => {
  const loop = {
    root: { dag: { tasks: { a: { componentRef: { name: 'c' } } } } },
    components: {
      c: { dag: { tasks: { a: { componentRef: { name: 'c' } } } } }
    }
  };
  expect(leaves(graphOf(loop))).toHaveLength(1);
});

describe('the state of a task', () => {
  const states = new States([
    task('load'),
    task('train[0]'),
    task('train[1]', 'FAILED'),
    task('train[10]', 'RUNNING'),
    task('nested/train', 'PENDING')
  ]);

  it('is found by the groups and iterations that it is in', () => {
    const train = named('for-loop-1/train');
    expect(states.task(train, [1])?.state).toBe('FAILED');
    expect(states.task(train, [2])).toBeUndefined();
    expect(states.task(named('inner/train'), [])?.state).toBe('PENDING');
  });

  it('makes that of its group, and there are as many iterations as were told', () => {
    const loop = named('for-loop-1');
    expect(states.iterations(loop, [])).toEqual([0, 1, 10]);
    expect(states.state(loop, [])).toBe('FAILED');
  });

  it('decides which iteration is seen first: the one that failed', () => {
    expect(choicesOf(NODES, states, {})['for-loop-1']).toBe(1);
    const chosen = { 'for-loop-1': 0 };
    expect(choicesOf(NODES, states, chosen)['for-loop-1']).toBe(0);
  });
});

it.each([
  [['SUCCEEDED', 'FAILED', 'RUNNING'], 'FAILED'],
  [['SUCCEEDED', 'PENDING'], 'RUNNING'],
  [['SUCCEEDED', 'SKIPPED'], 'SUCCEEDED'],
  [['SKIPPED', 'SKIPPED'], 'SKIPPED'],
  [[], 'PENDING']
])('tasks that are %s make a group that is %s', (states, whole) => {
  expect(together(states)).toBe(whole);
});

it('an open group holds what is in it, and a closed one is a box like any other', () => {
  const open = openAtFirst(NODES);
  const scene = sceneOf(NODES, open, {});
  const group = scene.items.find(({ node }) => node.key === 'for-loop-1')!;
  for (const item of scene.items.filter(each =>
    each.node.id.startsWith('for-loop-1/')
  )) {
    expect(item.x).toBeGreaterThan(group.x);
    expect(item.y).toBeGreaterThan(group.y);
    expect(item.x + item.width).toBeLessThan(group.x + group.width);
    expect(item.y + item.height).toBeLessThan(group.y + group.height);
  }
  const closed = sceneOf(NODES, new Set(), {});
  expect(closed.items).toHaveLength(4);
});
