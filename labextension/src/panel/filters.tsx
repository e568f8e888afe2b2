/** The filters and the order of a list. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { useKfp } from '../components/context';
import { Checkbox, LabelledSelect } from '../components/fields';
import { Item } from '../wire/kinds';
import { ListModel } from '../model/list_model';
import { Sort } from '../wire/query';
import { IExperiment } from '../wire/answers';

const DAY = 24;

export function Filters(props: {
  list: ListModel<Item>;
  id: string;
}): JSX.Element {
  const { list, id } = props;
  const { trans } = useKfp();
  const { query, kind } = list;
  const { filters, sorts } = kind;
  return (
    <div
      className="jp-KfpMt-filters"
      id={id}
      role="group"
      aria-label={trans.__('Filters')}
    >
      {filters.state && (
        <LabelledSelect
          label={trans.__('State')}
          value={query.state}
          options={states(trans)}
          choose={state => void list.ask({ state })}
        />
      )}
      {filters.experiment && <Experiment list={list} />}
      {filters.pipeline && <Pipeline list={list} />}
      <LabelledSelect
        label={trans.__('Created')}
        value={`${query.hours}`}
        options={times(trans)}
        choose={hours => void list.ask({ hours: Number(hours) })}
      />
      <LabelledSelect
        label={trans.__('Sort')}
        value={query.sort}
        options={sorts.map(sort => [sort, sortWords(sort, trans)])}
        choose={sort => void list.ask({ sort: sort as Sort })}
      />
      {filters.notebook && <ThisNotebook list={list} />}
      {filters.archived && (
        <Checkbox
          label={trans.__('Archived')}
          isOn={query.archived}
          set={archived => void list.ask({ archived })}
        />
      )}
    </div>
  );
}

function Experiment({ list }: { list: ListModel<Item> }): JSX.Element {
  const { model, trans } = useKfp();
  const { experiments } = model.lists;
  React.useEffect(() => {
    if (!experiments.rows) {
      void experiments.refresh().catch(() => undefined);
    }
  }, [experiments]);
  const found: readonly IExperiment[] = experiments.loaded;
  return (
    <LabelledSelect
      label={trans.__('Experiment')}
      value={list.query.experiment_id}
      options={[
        ['', trans.__('any')],
        ...found.map((each): [string, string] => [
          each.experiment_id,
          each.display_name
        ])
      ]}
      choose={experiment_id => void list.ask({ experiment_id })}
    />
  );
}

function Pipeline({ list }: { list: ListModel<Item> }): JSX.Element {
  const { model, trans } = useKfp();
  const { pipelines } = model.lists;
  const { pipeline_id } = list.query;
  React.useEffect(() => {
    if (!pipelines.rows) {
      void pipelines.refresh().catch(() => undefined);
    }
  }, [pipelines]);
  const found = pipelines.loaded.map((each): [string, string] => [
    each.pipeline_id,
    each.display_name
  ]);
  const isListed = !pipeline_id || found.some(([id]) => id === pipeline_id);
  const name = model.names.of('pipeline', pipeline_id) || pipeline_id;
  return (
    <LabelledSelect
      label={trans.__('Pipeline')}
      value={pipeline_id}
      options={[
        ['', trans.__('any')],
        ...(isListed ? [] : [[pipeline_id, name] as const]),
        ...found
      ]}
      choose={id => void list.ask({ pipeline_id: id })}
    />
  );
}

/** A filter for runs started from the current notebook. */
function ThisNotebook({ list }: { list: ListModel<Item> }): JSX.Element | null {
  const { notebook, trans } = useKfp();
  const path = notebook?.() ?? '';
  const { query } = list;
  if (!path && !query.notebook) {
    return null;
  }
  return (
    <Checkbox
      label={trans.__('From this notebook')}
      isOn={!!query.notebook}
      set={isOn => void list.ask({ notebook: isOn ? path : '' })}
    />
  );
}

function states(trans: TranslationBundle): [string, string][] {
  return [
    ['', trans.__('any')],
    ['UNFINISHED', trans.__('unfinished')],
    ['RUNNING', trans.__('running')],
    ['SUCCEEDED', trans.__('succeeded')],
    ['FAILED', trans.__('failed')],
    ['CANCELED', trans.__('canceled')],
    ['SKIPPED', trans.__('skipped')],
    ['PENDING', trans.__('pending')]
  ];
}

function times(trans: TranslationBundle): [string, string][] {
  return [
    ['0', trans.__('at any time')],
    ['1', trans.__('in the last hour')],
    [`${DAY}`, trans.__('in the last day')],
    [`${7 * DAY}`, trans.__('in the last week')],
    [`${30 * DAY}`, trans.__('in the last 30 days')]
  ];
}

function sortWords(sort: Sort, trans: TranslationBundle): string {
  switch (sort) {
    case 'created_at desc':
      return trans.__('newest first');
    case 'created_at asc':
      return trans.__('oldest first');
    case 'name asc':
      return trans.__('by name');
    case 'name desc':
      return trans.__('by name, reversed');
    case 'finished_at desc':
      return trans.__('last finished first');
    default:
      return trans.__('first finished first');
  }
}
