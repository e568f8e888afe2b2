/** Runs side by side: what they were given, what their tasks returned, and what differs. */

import { readData } from '../../run/run_data';
import { compare } from '../compare';

function run(id: string, rate: number, tasks: readonly [string, number][]) {
  return readData({
    run: { run_id: id, display_name: id, parameters: { rate } },
    tasks: tasks.map(([name], index) => ({
      task_id: `${index}`,
      display_name: name,
      state: 'SUCCEEDED'
    })),
    values: Object.fromEntries(
      tasks.map(([, value], index) => [
        `${index}`,
        { outputs: { parameters: { Output: value, rows: 7 } } }
      ])
    )
  })!;
}

test('what tasks return is compared, by the name of the task', () => {
  const runs = [
    run('a', 0.1, [['train', 0.95]]),
    run('b', 0.2, [['train', 0.9]])
  ];
  expect(compare(runs).outputs).toEqual([
    { name: 'train', values: [0.95, 0.9], isDifferent: true },
    { name: 'train: rows', values: [7, 7], isDifferent: false }
  ]);
});

test('iterations of a loop share a name, so that none stands for the others', () => {
  const looped = run('a', 0.1, [
    ['train', 1],
    ['train', 2]
  ]);
  expect(compare([looped, looped]).outputs).toEqual([]);
});
