/** The query of a list, in the form of KFP's API, which filters, searches and sorts. */

import { FINISHED } from '../run/states';
import { IRun } from './answers';

/** The order of a list, in KFP's form. */
export type Sort =
  | 'created_at desc'
  | 'created_at asc'
  | 'name asc'
  | 'name desc'
  | 'finished_at desc'
  | 'finished_at asc';

/** A state of runs, or `UNFINISHED` for all that have not ended. */
export type StateFilter = string;

export interface IQuery {
  /** Part of the name, or empty. */
  text: string;
  state: StateFilter;
  experiment_id: string;
  pipeline_id: string;
  /** The maximum age in hours; 0 for any age. */
  hours: number;
  /** The path of the notebook that started the runs, or empty. */
  notebook: string;
  /** Show only archived items. */
  archived: boolean;
  sort: Sort;
}

export const EVERYTHING: IQuery = {
  text: '',
  state: '',
  experiment_id: '',
  pipeline_id: '',
  hours: 0,
  notebook: '',
  archived: false,
  sort: 'created_at desc'
};

// KFP stores pending runs under another name.
const WAITING = ['PENDING', 'RUNTIME_STATE_UNSPECIFIED'];
const UNFINISHED = [...WAITING, 'RUNNING', 'CANCELING', 'PAUSED'];
const HOUR = 3_600_000;

interface IPredicate {
  key: string;
  operation: string;
  string_value?: string;
  string_values?: { values: readonly string[] };
  timestamp_value?: string;
}

/** The conditions that KFP supports for a kind. */
export interface IFilters {
  state?: boolean;
  archived?: boolean;
  experiment?: boolean;
  /** KFP does not support it: the list is searched here. */
  pipeline?: boolean;
  notebook?: boolean;
}

/** The conditions of a query as the `filter` of a list: JSON, or empty if there are none. */
export function filterOf(query: IQuery, knows: IFilters, now: number): string {
  const predicates = [
    ...(knows.archived ? [archivedOrNot(query.archived)] : []),
    ...(knows.state && query.state ? [ofState(query.state)] : []),
    ...(query.text ? [contains('name', query.text)] : []),
    ...(knows.notebook && query.notebook
      ? [contains('description', `Notebook: ${query.notebook}`)]
      : []),
    ...(query.hours ? [since(now - query.hours * HOUR)] : [])
  ];
  return predicates.length ? JSON.stringify({ predicates }) : '';
}

/** The same list from its end. */
export function reversed(sort: Sort): Sort {
  const [key, direction] = sort.split(' ');
  return `${key} ${direction === 'asc' ? 'desc' : 'asc'}` as Sort;
}

/** Return whether any filter is set. */
export function isFiltered(query: IQuery): boolean {
  return (Object.keys(EVERYTHING) as (keyof IQuery)[]).some(
    key => key !== 'sort' && query[key] !== EVERYTHING[key]
  );
}

/** Return whether a run would be listed, as far as that is known here. */
export function wouldList(query: IQuery, run: IRun, now: number): boolean {
  const isOfState =
    !query.state ||
    (query.state === 'UNFINISHED'
      ? !FINISHED.includes(run.state)
      : run.state === query.state);
  return (
    isOfState &&
    run.archived === query.archived &&
    (!query.experiment_id || run.experiment_id === query.experiment_id) &&
    (!query.pipeline_id || run.pipeline_id === query.pipeline_id) &&
    run.display_name.toLowerCase().includes(query.text.toLowerCase()) &&
    (!query.hours || Date.parse(run.created_at) >= now - query.hours * HOUR) &&
    !query.notebook
  );
}

function archivedOrNot(archived: boolean): IPredicate {
  const operation = archived ? 'EQUALS' : 'NOT_EQUALS';
  return { key: 'storage_state', operation, string_value: 'ARCHIVED' };
}

function ofState(state: StateFilter): IPredicate {
  const values =
    state === 'UNFINISHED'
      ? UNFINISHED
      : state === 'PENDING'
        ? WAITING
        : [state];
  return { key: 'state', operation: 'IN', string_values: { values } };
}

function contains(key: string, text: string): IPredicate {
  return { key, operation: 'IS_SUBSTRING', string_value: text };
}

function since(time: number): IPredicate {
  return {
    key: 'created_at',
    operation: 'GREATER_THAN_EQUALS',
    timestamp_value: new Date(time).toISOString()
  };
}
