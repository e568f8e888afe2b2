/** Parameters of a pipeline as a form, filters in KFP's words, and schedules in a person's. */

import { fieldsOf, isFiveFields, readTexts, textsOf } from '../form';
import { EVERYTHING, filterOf, reversed, wouldList } from '../../wire/query';
import { toRun } from '../../wire/answers';
import { run, trans } from '../../__tests__/server';

const SPEC = {
  root: {
    inputDefinitions: {
      parameters: {
        word: {
          parameterType: 'STRING',
          defaultValue: 'sum',
          isOptional: true
        },
        rate: { parameterType: 'NUMBER_DOUBLE', isOptional: true },
        steps: { parameterType: 'NUMBER_INTEGER' },
        sizes: { parameterType: 'LIST' },
        more: { parameterType: 'STRUCT', defaultValue: {}, isOptional: true },
        deep: {
          parameterType: 'BOOLEAN',
          defaultValue: false,
          isOptional: true
        }
      }
    }
  }
};
const FIELDS = fieldsOf(SPEC);

it('what needs a value comes first, and defaults are filled in', () => {
  expect(FIELDS.map(({ name }) => name).slice(0, 2)).toEqual([
    'steps',
    'sizes'
  ]);
  expect(textsOf(FIELDS, {})).toEqual({
    steps: '',
    sizes: '',
    word: 'sum',
    rate: null,
    more: '{}',
    deep: 'false'
  });
});

it('the values of another run are taken over as they were', () => {
  const given = { steps: 3, sizes: [1, 'two'], word: '', rate: 0.5 };
  const texts = textsOf(FIELDS, given);
  const { values, errors } = readTexts(FIELDS, texts, trans);
  expect(errors).toEqual({});
  expect(values).toEqual({ ...given, more: {}, deep: false });
});

it.each([
  ['steps', '1.5', 'It takes a whole number.'],
  ['steps', 'one', 'It takes a whole number.'],
  ['steps', '', 'A value is needed: a whole number.'],
  ['rate', 'true', 'It takes a number.'],
  ['sizes', '{}', 'It takes a JSON list.'],
  ['sizes', '[1,', 'It takes a JSON list: '],
  ['more', '[]', 'It takes a JSON object.'],
  ['deep', '1', 'It takes true or false.']
])('%s does not take %j', (name, text, words) => {
  const good = { ...textsOf(FIELDS, {}), steps: '1', sizes: '[]' };
  const { errors } = readTexts(FIELDS, { ...good, [name]: text }, trans);
  expect(Object.keys(errors)).toEqual([name]);
  expect(errors[name]).toContain(words);
});

it('what is not set is left out', () => {
  const texts = { ...textsOf(FIELDS, {}), steps: '1', sizes: '[]' };
  const { values } = readTexts(FIELDS, texts, trans);
  expect('rate' in values).toBe(false);
});

const KNOWS = { state: true, archived: true };

it('a filter has one condition for each thing that is asked', () => {
  const query = { ...EVERYTHING, text: 'a"b', state: 'PENDING', hours: 1 };
  const { predicates } = JSON.parse(filterOf(query, KNOWS, 7_200_000));
  expect(predicates).toEqual([
    {
      key: 'storage_state',
      operation: 'NOT_EQUALS',
      string_value: 'ARCHIVED'
    },
    {
      key: 'state',
      operation: 'IN',
      string_values: { values: ['PENDING', 'RUNTIME_STATE_UNSPECIFIED'] }
    },
    { key: 'name', operation: 'IS_SUBSTRING', string_value: 'a"b' },
    {
      key: 'created_at',
      operation: 'GREATER_THAN_EQUALS',
      timestamp_value: '1970-01-01T01:00:00.000Z'
    }
  ]);
  expect(filterOf(EVERYTHING, {}, 0)).toBe('');
  expect(reversed('created_at desc')).toBe('created_at asc');
});

it('what an event tells is judged as KFP would', () => {
  const told = toRun(run('Train 7', 'RUNNING'));
  const now = Date.parse(told.created_at) + 3_600_000;
  const lists = (query: object) =>
    wouldList({ ...EVERYTHING, ...query }, told, now);
  expect(lists({})).toBe(true);
  expect(lists({ text: 'train' })).toBe(true);
  expect(lists({ state: 'UNFINISHED' })).toBe(true);
  expect(lists({ state: 'FAILED' })).toBe(false);
  expect(lists({ archived: true })).toBe(false);
  expect(lists({ experiment_id: 'other' })).toBe(false);
  expect(lists({ hours: 0.5 })).toBe(false);
});

it('five fields are what KFP reads otherwise than others do', () => {
  expect(isFiveFields('30 6 * * 1')).toBe(true);
  expect(isFiveFields('0 30 6 * * 1')).toBe(false);
  expect(isFiveFields('@every 5m')).toBe(false);
});
