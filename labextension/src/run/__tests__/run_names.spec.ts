/** Names of runs that are started without one. */

import { nameOfClone, nameOfStart } from '../run_names';

// Those of `%kfp` are the same (tests/client/test_run_names.py).
const CLONES = jest.requireActual<Record<string, string>>(
  '../../../../tests/recorded/names_of_clones.json'
);

it.each(Object.entries(CLONES))('a clone of %j is %j', (name, clone) => {
  expect(nameOfClone(name)).toBe(clone);
});

it('the name of a clone is no longer than KFP takes', () => {
  expect(nameOfClone('x'.repeat(255))).toHaveLength(255);
});

it('a run is named after its pipeline and the time here', () => {
  const now = new Date(2026, 0, 31, 9, 30, 5);
  expect(nameOfStart('churn', now)).toBe('churn-20260131-093005');
});
