/** The lists of the panel as tabs, each with a search box, filters, a count and rows. */

import { TranslationBundle } from '@jupyterlab/translation';
import { filterIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { Button, IconButton, Skeleton } from '../components/buttons';
import { Command } from '../components/copy_button';
import { useKfp, useTick } from '../components/context';
import { ACTIONS, isFor, refusal } from '../model/actions';
import { Filters } from './filters';
import { count, dateAndTime, oldness } from '../words/format';
import { drawItem } from './item_rows';
import { Item, KindId } from '../wire/kinds';
import { ListModel } from '../model/list_model';
import { EVERYTHING, isFiltered } from '../wire/query';
import { RowList } from './row_list';
import { isFinished } from '../run/states';

export const SECTIONS: readonly KindId[] = [
  'runs',
  'recurring',
  'experiments',
  'pipelines'
];

const SECOND = 1_000;

export function sectionName(kind: KindId, trans: TranslationBundle): string {
  switch (kind) {
    case 'runs':
      return trans.__('Runs');
    case 'recurring':
      return trans.__('Recurring');
    case 'experiments':
      return trans.__('Experiments');
    default:
      return trans.__('Pipelines');
  }
}

/** The tabs; arrow keys choose another one. */
export function SectionTabs({ id }: { id: string }): JSX.Element {
  const { model, trans } = useKfp();
  const walk = (event: React.KeyboardEvent<HTMLDivElement>) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by) {
      const place = SECTIONS.indexOf(model.section) + by + SECTIONS.length;
      const next = place % SECTIONS.length;
      model.show(SECTIONS[next]);
      event.currentTarget
        .querySelectorAll<HTMLElement>('[role=tab]')
        [next]?.focus();
    }
  };
  return (
    <div
      className="jp-KfpMt-tabs"
      role="tablist"
      aria-label={trans.__('Lists')}
      onKeyDown={walk}
    >
      {SECTIONS.map(kind => (
        <button
          key={kind}
          type="button"
          role="tab"
          id={`${id}-${kind}`}
          aria-controls={`${id}-panel`}
          aria-selected={kind === model.section}
          tabIndex={kind === model.section ? 0 : -1}
          onClick={() => model.show(kind)}
        >
          {sectionName(kind, trans)}
        </button>
      ))}
    </div>
  );
}

/** The current list: its rows, or the reason if there are none. */
export function Section({ id }: { id: string }): JSX.Element {
  const { model } = useKfp();
  const kind = model.section;
  const list = model.lists[kind] as unknown as ListModel<Item>;
  return (
    <section
      className="jp-KfpMt-section"
      id={`${id}-panel`}
      role="tabpanel"
      aria-labelledby={`${id}-${kind}`}
      data-old={!!model.problem}
      key={kind}
    >
      <Bar list={list} />
      <Rows list={list} />
      {list.selected.size > 0 && <SelectionBar list={list} />}
    </section>
  );
}

function Rows({ list }: { list: ListModel<Item> }): JSX.Element | null {
  const { execute, model, trans } = useKfp();
  const { id: kind } = list.kind;
  useTick(model.isWatching ? tickOf(list) : 0);
  if (list.count > 0) {
    const seenAt = model.problem ? list.updatedAt : Date.now();
    return (
      <RowList
        list={list}
        label={sectionName(kind, trans)}
        draw={item => drawItem(kind, item, seenAt)}
        open={item => execute(`${kind}-open`, { id: list.kind.key(item) })}
      />
    );
  }
  if (model.problem) {
    return null;
  }
  if (!list.rows || list.isTurning) {
    return <Skeleton />;
  }
  return isFiltered(list.query) ? (
    <NothingMatches list={list} />
  ) : (
    <NothingYet kind={kind} />
  );
}

/** Update durations every second while runs are unfinished, and ages now and then. */
function tickOf(list: ListModel<Item>): number {
  const grows = list.loaded.some(item => 'state' in item && !isFinished(item));
  return grows ? SECOND : 30 * SECOND;
}

/** The search box, the filters, the button to create an item, and the count. */
function Bar({ list }: { list: ListModel<Item> }): JSX.Element {
  const { model, trans } = useKfp();
  const [isOpen, setOpen] = React.useState(false);
  const { query } = list;
  const id = React.useId();
  const label = isFiltered({ ...query, text: '' })
    ? trans.__('Filters (some are set)')
    : trans.__('Filters');
  return (
    <div className="jp-KfpMt-bar">
      <div className="jp-KfpMt-searchRow">
        <Search list={list} />
        <IconButton
          icon={filterIcon}
          label={label}
          isPressed={isOpen}
          isMarked={isFiltered({ ...query, text: '' })}
          controls={isOpen ? id : undefined}
          press={() => setOpen(!isOpen)}
        />
        <Make kind={list.kind.id} />
      </div>
      {isOpen && <Filters list={list} id={id} />}
      <p className="jp-KfpMt-count" role="status">
        {summary(list, trans)}
        {list.among > 0 && (
          <span className="jp-KfpMt-among">
            {' '}
            {trans.__('among the first %1', count(list.among))}
          </span>
        )}
        {model.problem && list.rows && (
          <span className="jp-KfpMt-old" title={dateAndTime(list.updatedAt)}>
            {' '}
            {oldness(list.updatedAt, Date.now(), trans)}
          </span>
        )}
        {list.refused.map(({ namespace, problem }) => (
          <span
            key={namespace}
            className="jp-KfpMt-old"
            title={problem.message}
          >
            {' '}
            {trans.__('(%1 is refused)', namespace)}
          </span>
        ))}
      </p>
    </div>
  );
}

const PAUSE = 250;

/** A search box whose text is applied once typing pauses. */
function Search({ list }: { list: ListModel<Item> }): JSX.Element {
  const { trans } = useKfp();
  const [text, setText] = React.useState(list.query.text);
  const [asked, setAsked] = React.useState(list.query.text);
  if (asked !== list.query.text) {
    setAsked(list.query.text); // the filters were cleared
    setText(list.query.text);
  }
  React.useEffect(() => {
    const timer = window.setTimeout(() => {
      if (text !== list.query.text) {
        void list.ask({ text });
      }
    }, PAUSE);
    return () => window.clearTimeout(timer);
  }, [text]);
  return (
    <input
      className="jp-mod-styled jp-KfpMt-search"
      type="search"
      value={text}
      placeholder={trans.__('Search')}
      aria-label={trans.__('Search names')}
      spellCheck={false}
      onChange={event => setText(event.target.value)}
    />
  );
}

/** The button that adds an item to the list. */
function Make({ kind }: { kind: KindId }): JSX.Element {
  const { execute, refusal, trans } = useKfp();
  const [command, label] = {
    runs: ['start', trans.__('Start…')],
    recurring: ['schedule', trans.__('Schedule…')],
    experiments: ['create-experiment', trans.__('New…')],
    pipelines: ['upload', trans.__('Upload…')]
  }[kind];
  return (
    <Button
      label={label}
      reason={refusal(command)}
      press={() => execute(command)}
    />
  );
}

function summary(list: ListModel<Item>, trans: TranslationBundle): string {
  if (!list.rows) {
    return '';
  }
  const number = list.count;
  const told = count(number);
  switch (list.kind.id) {
    case 'runs':
      return trans._n('%2 run', '%2 runs', number, told);
    case 'recurring':
      return trans._n('%2 recurring run', '%2 recurring runs', number, told);
    case 'experiments':
      return trans._n('%2 experiment', '%2 experiments', number, told);
    default:
      return trans._n('%2 pipeline', '%2 pipelines', number, told);
  }
}

function NothingMatches({ list }: { list: ListModel<Item> }): JSX.Element {
  const { trans } = useKfp();
  return (
    <div className="jp-KfpMt-notice jp-KfpMt-empty">
      <p>{trans.__('Nothing matches')}</p>
      <ul>
        {filterWords(list, trans).map(words => (
          <li key={words}>{words}</li>
        ))}
      </ul>
      <Button
        label={trans.__('Clear the filters')}
        press={() => void list.ask({ ...EVERYTHING, sort: list.query.sort })}
      />
    </div>
  );
}

/** The active filters in words. */
export function filterWords(
  list: ListModel<Item>,
  trans: TranslationBundle
): string[] {
  const { text, state, experiment_id, pipeline_id, hours, notebook, archived } =
    list.query;
  return [
    text && trans.__('“%1” in the name', text),
    state && trans.__('state: %1', state.toLowerCase()),
    experiment_id && trans.__('one experiment'),
    pipeline_id && trans.__('one pipeline'),
    hours > 0 && trans.__('of the last %1 hours', count(hours)),
    notebook && trans.__('started by %1', notebook),
    archived && trans.__('archived')
  ].filter((words): words is string => !!words);
}

const START = '%load_ext jupyter_kfp_mt\n%kfp run FILE';

function NothingYet({ kind }: { kind: KindId }): JSX.Element {
  const { copy, model, trans } = useKfp();
  const { namespace } = model;
  // A cell would use the connection's own namespace.
  const option = model.namespaces.chosen ? ` -n ${namespace}` : '';
  const [first, then] = emptiness(kind, namespace, trans);
  return (
    <div className="jp-KfpMt-notice jp-KfpMt-empty">
      <p>{first}</p>
      <p>{then}</p>
      <Make kind={kind} />
      {kind === 'runs' && (
        <>
          <p>{trans.__('Or start one in a notebook:')}</p>
          <Command text={START + option} copy={copy} trans={trans} />
        </>
      )}
    </div>
  );
}

function emptiness(
  kind: KindId,
  namespace: string,
  trans: TranslationBundle
): [string, string] {
  switch (kind) {
    case 'runs':
      return [
        namespace
          ? trans.__('No runs in %1 yet', namespace)
          : trans.__('No runs yet'),
        trans.__('A run executes a pipeline once.')
      ];
    case 'recurring':
      return [
        trans.__('No recurring runs yet'),
        trans.__('A recurring run starts a pipeline on a schedule.')
      ];
    case 'experiments':
      return [
        trans.__('No experiments yet'),
        trans.__('An experiment groups runs.')
      ];
    default:
      return [
        trans.__('No pipelines yet'),
        trans.__('Upload a compiled pipeline: a YAML file.')
      ];
  }
}

/** The actions for the selected rows. */
function SelectionBar({ list }: { list: ListModel<Item> }): JSX.Element {
  const { execute, model, trans } = useKfp();
  const { id: kind } = list.kind;
  const { selection } = list;
  return (
    <div
      className="jp-KfpMt-selectionBar"
      role="toolbar"
      aria-label={trans.__('Selected')}
    >
      <span className="jp-KfpMt-selected">
        {trans.__('%1 selected', count(selection.length))}
      </span>
      <MoreActions kind={kind} number={selection.length} />
      {ACTIONS.filter(
        action => action.kind === kind && isFor(action, selection, trans)
      ).map(action => (
        <Button
          key={action.verb}
          label={action.label(trans)}
          reason={refusal(model, action, selection, trans)}
          press={() => execute(`${kind}-${action.verb}`)}
        />
      ))}
    </div>
  );
}

/** The commands that open a dialog or a page; most are for a single item. */
function MoreActions(props: { kind: KindId; number: number }): JSX.Element {
  const { execute, refusal, trans } = useKfp();
  const { kind, number } = props;
  if (number > 1 && kind !== 'runs') {
    return <></>;
  }
  const more: Record<KindId, [string, string][]> = {
    runs:
      number > 1
        ? [['runs-compare', trans.__('Compare')]]
        : [
            ['runs-clone', trans.__('Clone…')],
            ['runs-insert', trans.__('Insert')],
            ...(refusal('runs-origin')
              ? []
              : [['runs-origin', trans.__('Notebook')] as [string, string]])
          ],
    recurring: [],
    experiments: [['experiments-runs', trans.__('Runs')]],
    pipelines: [
      ['pipelines-start', trans.__('Start…')],
      ['pipelines-schedule', trans.__('Schedule…')],
      ['pipelines-runs', trans.__('Runs')],
      ['pipelines-version', trans.__('New version…')],
      ['pipelines-insert', trans.__('Insert')]
    ]
  };
  return (
    <>
      {more[kind].map(([command, label]) => (
        <Button
          key={command}
          label={label}
          reason={refusal(command)}
          press={() => execute(command)}
        />
      ))}
    </>
  );
}
