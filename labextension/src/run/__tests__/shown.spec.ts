/** What was stopped is not said to have failed, and a description says where a run came from. */

import { provenanceOf, withoutProvenance } from '../provenance';
import { readData } from '../run_data';
import { idleTime, shownRun, shownState } from '../shown';

const CANCELING = { state: 'CANCELING', update_time: '2026-11-29T05:00:05Z' };
const FAILED = { state: 'FAILED', update_time: '2026-11-29T05:00:09Z' };

function stopped(state_history: object[]) {
  return shownRun(
    readData({
      run: { run_id: 'r', state: 'FAILED', error: 'terminated', state_history },
      tasks: [
        {
          display_name: 'early',
          state: 'FAILED',
          end_time: '2026-11-29T05:00:01Z',
          error: 'bug'
        },
        {
          display_name: 'late',
          state: 'FAILED',
          end_time: '2026-11-29T05:00:08Z',
          error: 'killed'
        },
        {
          display_name: 'done',
          state: 'SUCCEEDED',
          end_time: '2026-11-29T05:00:08Z'
        }
      ]
    })!
  );
}

it.each([
  ['a cluster', [{ state: 'RUNNING' }, CANCELING, FAILED]],
  [
    'the local KFP',
    [
      { state: 'RUNNING' },
      { ...FAILED, error: { code: 13, message: 'terminated' } }
    ]
  ]
])(
  'a run that was stopped on %s is terminated, with its tasks',
  (_, history) => {
    const { run, tasks } = stopped(history);
    expect([run.state, run.error]).toEqual(['TERMINATED', '']);
    expect(tasks.map(({ state }) => state)).toEqual([
      'FAILED',
      'TERMINATED',
      'SUCCEEDED'
    ]);
    expect(tasks.map(({ error }) => error)).toEqual(['bug', '', '']);
  }
);

function change(state: string, second: number) {
  const time = new Date(Date.UTC(2026, 10, 29, 5, 0, second));
  return { state, update_time: time.toISOString(), error: '' };
}

it.each([
  ['was never retried', [change('RUNNING', 0), change('FAILED', 5)], 0],
  [
    'was retried twice',
    [
      change('FAILED', 5),
      change('PENDING', 35),
      change('RUNNING', 36),
      change('FAILED', 40),
      change('RUNNING', 50)
    ],
    40_000
  ],
  ['ended in two words', [change('CANCELED', 5), change('FAILED', 9)], 0],
  [
    'was told of without times',
    [{ ...change('FAILED', 5), update_time: '' }, change('RUNNING', 50)],
    0
  ]
])('a run that %s lay idle for so many milliseconds', (_, history, idle) => {
  expect(idleTime(history)).toBe(idle);
});

it('a run that failed by itself has failed', () => {
  const { run, tasks } = stopped([{ state: 'RUNNING' }, FAILED]);
  expect([run.state, tasks[1].state]).toEqual(['FAILED', 'FAILED']);
});

it('a run that succeeded before it could be stopped has succeeded', () => {
  expect(shownState({ state: 'SUCCEEDED', isTerminated: true })).toBe(
    'SUCCEEDED'
  );
});

const DESCRIPTION =
  'Which rate?\n\nNotebook: work/train.ipynb\nCell: 3 (ab-c)\nGit commit: 0123 with changes\nStarted by: ann';

it('a description says which cell of which notebook started a run', () => {
  expect(provenanceOf(DESCRIPTION)).toEqual({
    notebook: 'work/train.ipynb',
    cell: '3',
    cell_id: 'ab-c',
    commit: '0123 with changes',
    by: 'ann'
  });
  expect(withoutProvenance(DESCRIPTION)).toBe('Which rate?');
});

it.each(['', 'Nothing of the kind', 'Cell: 3 (a b)'])(
  'a description without it says nothing: %p',
  text => {
    expect(provenanceOf(text)).toMatchObject({ notebook: '', cell_id: '' });
  }
);

it('the number of an execution is enough for a cell', () => {
  expect(provenanceOf('Notebook: a.ipynb\nCell: 12')).toMatchObject({
    cell: '12',
    cell_id: ''
  });
});
