/** The kinds of resources that KFP lists: their URLs, readers and filters. */

import { IFilters, Sort } from './query';
import {
  IExperiment,
  IJson,
  IPipeline,
  IRecurringRun,
  IRun,
  toExperiment,
  toPipeline,
  toRecurringRun,
  toRun
} from './answers';

export type KindId = 'runs' | 'recurring' | 'experiments' | 'pipelines';

export interface IKind<T> {
  id: KindId;
  /** In the URLs of the API. */
  path: string;
  /** The name of the items in the answer to a list. */
  listed: string;
  /** Its name in the rules of Kubernetes. */
  resource: string;
  read: (body: IJson) => T;
  key: (item: T) => string;
  filters: IFilters;
  sorts: readonly Sort[];
}

const COMMON: readonly Sort[] = [
  'created_at desc',
  'created_at asc',
  'name asc',
  'name desc'
];

export const RUNS: IKind<IRun> = {
  id: 'runs',
  path: 'runs',
  listed: 'runs',
  resource: 'runs',
  read: toRun,
  key: run => run.run_id,
  filters: {
    state: true,
    archived: true,
    experiment: true,
    pipeline: true,
    notebook: true
  },
  sorts: [...COMMON, 'finished_at desc']
};

export const RECURRING_RUNS: IKind<IRecurringRun> = {
  id: 'recurring',
  path: 'recurringruns',
  listed: 'recurringRuns',
  resource: 'jobs',
  read: toRecurringRun,
  key: recurring => recurring.recurring_run_id,
  filters: { experiment: true, pipeline: true },
  sorts: COMMON
};

export const EXPERIMENTS: IKind<IExperiment> = {
  id: 'experiments',
  path: 'experiments',
  listed: 'experiments',
  resource: 'experiments',
  read: toExperiment,
  key: experiment => experiment.experiment_id,
  filters: { archived: true },
  sorts: COMMON
};

export const PIPELINES: IKind<IPipeline> = {
  id: 'pipelines',
  path: 'pipelines',
  listed: 'pipelines',
  resource: 'pipelines',
  read: toPipeline,
  key: pipeline => pipeline.pipeline_id,
  filters: {},
  sorts: COMMON
};

/** An item of any list. */
export type Item = IRun | IRecurringRun | IExperiment | IPipeline;
