/** A run: its facts and progress, its graph and time line, and the chosen task. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { dateAndTime, stateWord } from '../words/format';
import { Elapsed, runSpan } from './elapsed';
import { graphOf, INode, leaves, splitName, States } from './graph';
import { GraphView } from './graph_view';
import { IHost, IRunView } from '../run/host';
import { useView } from './use_view';
import { StateIcon } from './icons';
import { provenanceOf, withoutProvenance } from '../run/provenance';
import { IStateChange, ITaskState, timeOf } from '../run/run_data';
import { isFinished } from '../run/states';
import { RunButtons } from './run_buttons';
import { choicesOf, IItem, openAtFirst, placeOf, sceneOf } from './scene';
import { TaskDetails } from './task_details';
import { Timeline } from './timeline';
import { Facts, Value } from './values';

type Chosen = Pick<IItem, 'node' | 'iterations'>;
const TABS = ['graph', 'timeline', 'run'] as const;
type Tab = (typeof TABS)[number];

export function RunView(props: { host: IHost }): JSX.Element {
  const { host } = props;
  const view = useView(host);
  const trans = host.text;
  const [tab, setTab] = React.useState<Tab>('graph');
  const graph = useGraph(view);
  const { chosen, choose } = useChosen(view, graph);
  const id = React.useId();
  const task = chosen && graph.states.task(chosen.node, chosen.iterations);
  return (
    <div
      className="jp-KfpMt-runView"
      role="group"
      aria-label={trans.__('Run %1', view.data.run.display_name)}
    >
      <Head host={host} view={view} />
      <Tabs tab={tab} setTab={setTab} id={id} trans={trans} />
      <div className="jp-KfpMt-runBody" data-has-task={!!chosen}>
        <div
          className="jp-KfpMt-runMain"
          role="tabpanel"
          id={`${id}-panel`}
          aria-labelledby={`${id}-${tab}`}
        >
          {tab === 'graph' && (
            <GraphTab
              graph={graph}
              view={view}
              chosen={chosen}
              choose={choose}
              trans={trans}
            />
          )}
          {tab === 'timeline' && (
            <Timeline
              view={view}
              selected={task?.task_id ?? ''}
              choose={each => choose(graph.find(each))}
              trans={trans}
            />
          )}
          {tab === 'run' && <RunFacts view={view} trans={trans} />}
        </div>
        {chosen && (
          <TaskDetails
            key={placeOf(chosen.node, chosen.iterations)}
            item={chosen}
            states={graph.states}
            view={view}
            host={host}
            close={() => choose(null)}
          />
        )}
      </div>
    </div>
  );
}

function Head(props: { host: IHost; view: IRunView }): JSX.Element {
  const { host, view } = props;
  const { run, namespace, tasks } = view.data;
  const trans = host.text;
  const span = runSpan(view);
  const inState = (wanted: string) =>
    tasks.filter(({ state }) => state === wanted).length;
  const [done, skipped] = [inState('SUCCEEDED'), inState('SKIPPED')];
  return (
    <div className="jp-KfpMt-runHead">
      <div className="jp-KfpMt-runTitle">
        <StateIcon state={run.state} />
        <span className="jp-KfpMt-runViewName" title={run.display_name}>
          {run.display_name}
        </span>
        <RunButtons host={host} view={view} />
      </div>
      <p className="jp-KfpMt-viewQuiet">
        <strong role="status">{stateWord(run.state, trans)}</strong>
        {span && run.state !== 'PENDING' && (
          <>
            {' · '}
            <Elapsed span={span} trans={trans} />
          </>
        )}
        {tasks.length > 0 && (
          <> · {trans.__('%1 of %2 tasks succeeded', done, tasks.length)}</>
        )}
        {skipped > 0 && <> · {trans.__('%1 skipped', skipped)}</>}
        {namespace && <> · {namespace}</>}
        <Origin host={host} view={view} />
      </p>
      <Oldness view={view} trans={trans} />
      {run.error && (
        <p className="jp-KfpMt-viewFailure" role="alert">
          {run.error}
        </p>
      )}
    </div>
  );
}

/** The origin of the run; a link to its cell if there are notebooks. */
function Origin(props: { host: IHost; view: IRunView }): JSX.Element | null {
  const { host, view } = props;
  const origin = provenanceOf(view.data.run.description);
  if (!origin.notebook) {
    return null;
  }
  const trans = host.text;
  const name = origin.notebook.split('/').pop() ?? '';
  const words = origin.cell ? trans.__('%1, cell %2', name, origin.cell) : name;
  const open = host.openOrigin;
  return (
    <>
      {' · '}
      {open ? (
        <button
          type="button"
          className="jp-KfpMt-viewLink"
          title={trans.__('Show the cell in %1', origin.notebook)}
          onClick={() => open(origin)}
        >
          {words}
        </button>
      ) : (
        <span title={origin.notebook}>{words}</span>
      )}
    </>
  );
}

/** A notice that the data may be outdated, and why. */
function Oldness(props: {
  view: IRunView;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { view, trans } = props;
  const seen = timeOf(view.data.seen_at);
  const isOver = isFinished(view.data.run);
  if (view.isLive || isOver || seen === null) {
    return null;
  }
  return (
    <p className="jp-KfpMt-viewNote">
      {trans.__('As it was on %1.', dateAndTime(seen))} {view.problem}
    </p>
  );
}

function RunFacts(props: {
  view: IRunView;
  trans: TranslationBundle;
}): JSX.Element {
  const { view, trans } = props;
  const { run, namespace } = view.data;
  const times: [string, number | null][] = [
    [trans.__('Created'), timeOf(run.created_at)],
    [trans.__('Finished'), timeOf(run.finished_at)]
  ];
  const facts: [string, React.ReactNode][] = [
    [trans.__('Run ID'), <code key="id">{run.run_id}</code>],
    ...(namespace
      ? [[trans.__('Namespace'), namespace] as [string, React.ReactNode]]
      : []),
    ...times
      .filter(([, time]) => time !== null)
      .map(([name, time]): [string, React.ReactNode] => [
        name,
        dateAndTime(time!)
      ]),
    ...originFacts(run.description, trans)
  ];
  return (
    <div className="jp-KfpMt-runFactsTab">
      <Facts
        title={trans.__('Parameters')}
        facts={Object.entries(run.parameters).map(([name, value]) => [
          name,
          <Value key={name} value={value} />
        ])}
      />
      <Facts title={trans.__('Run')} facts={facts} />
      <History changes={run.state_history} trans={trans} />
    </div>
  );
}

function originFacts(
  description: string,
  trans: TranslationBundle
): [string, React.ReactNode][] {
  const { notebook, cell, commit, by } = provenanceOf(description);
  const place = cell ? trans.__('%1, cell %2', notebook, cell) : notebook;
  const facts: [string, string][] = [
    [trans.__('Description'), withoutProvenance(description)],
    [trans.__('Started from'), notebook && place],
    [trans.__('Git commit'), commit],
    [trans.__('Started by'), by]
  ];
  return facts.filter(([, text]) => text);
}

/** The history of a run's states. */
function History(props: {
  changes: readonly IStateChange[];
  trans: TranslationBundle;
}): JSX.Element | null {
  const { changes, trans } = props;
  if (!changes.length) {
    return null;
  }
  return (
    <section>
      <h5>{trans.__('History')}</h5>
      <ol className="jp-KfpMt-viewHistory">
        {changes.map(({ state, update_time, error }, index) => (
          <li key={index}>
            <StateIcon state={state} />
            <span>{stateWord(state, trans)}</span>
            <time dateTime={update_time}>
              {dateAndTime(timeOf(update_time) ?? NaN)}
            </time>
            {error && <span className="jp-KfpMt-viewQuiet">{error}</span>}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Tabs(props: {
  tab: Tab;
  setTab: (tab: Tab) => void;
  id: string;
  trans: TranslationBundle;
}): JSX.Element {
  const { tab, setTab, id, trans } = props;
  const labels: Record<Tab, string> = {
    graph: trans.__('Graph'),
    timeline: trans.__('Time line'),
    run: trans.__('Run')
  };
  const walk = (event: React.KeyboardEvent<HTMLDivElement>) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by) {
      const next = (TABS.indexOf(tab) + by + TABS.length) % TABS.length;
      setTab(TABS[next]);
      event.currentTarget
        .querySelectorAll<HTMLElement>('[role=tab]')
        [next]?.focus();
    }
  };
  return (
    <div className="jp-KfpMt-runTabs" role="tablist" onKeyDown={walk}>
      {TABS.map(each => (
        <button
          key={each}
          type="button"
          role="tab"
          id={`${id}-${each}`}
          aria-selected={each === tab}
          aria-controls={`${id}-panel`}
          tabIndex={each === tab ? 0 : -1}
          onClick={() => setTab(each)}
        >
          {labels[each]}
        </button>
      ))}
    </div>
  );
}

interface IGraph {
  nodes: INode[];
  states: States;
  /** The place of a task in the graph. */
  find: (task: ITaskState) => Chosen | null;
}

function useGraph(view: IRunView): IGraph {
  const { spec, tasks } = view.data;
  const states = React.useMemo(() => new States(tasks), [tasks]);
  // If the pipeline is not known, there are only the tasks.
  const names = spec.root ? '' : tasks.map(each => each.task_id).join();
  const nodes = React.useMemo(() => graphOf(spec, tasks), [spec, names]);
  return React.useMemo(
    () => ({ nodes, states, find: task => placeOfTask(task, nodes) }),
    [nodes, states]
  );
}

function placeOfTask(task: ITaskState, nodes: INode[]): Chosen | null {
  const { base, numbers } = splitName(task.display_name);
  const node = leaves(nodes).find(
    ({ bases }) => bases.includes(base) || bases.includes(task.display_name)
  );
  return node ? { node, iterations: numbers } : null;
}

/** The shown task: the one clicked on, at first the one that failed. */
function useChosen(
  view: IRunView,
  graph: IGraph
): { chosen: Chosen | null; choose: (chosen: Chosen | null) => void } {
  const [asked, choose] = React.useState<Chosen | null | undefined>(undefined);
  const failed = React.useMemo(() => {
    const first = view.data.tasks
      .filter(({ state }) => state === 'FAILED')
      .sort((a, b) => Date.parse(a.end_time) - Date.parse(b.end_time))[0];
    return view.data.run.state === 'FAILED' && first ? graph.find(first) : null;
  }, [view.data.run.state, view.data.tasks, graph]);
  return { chosen: asked === undefined ? failed : asked, choose };
}

/** The graph of a pipeline without a run. */
export function PipelineGraph(props: {
  view: IRunView;
  trans: TranslationBundle;
}): JSX.Element {
  const graph = useGraph(props.view);
  const [chosen, choose] = React.useState<Chosen | null>(null);
  return <GraphTab {...props} graph={graph} chosen={chosen} choose={choose} />;
}

function GraphTab(props: {
  graph: IGraph;
  view: IRunView;
  chosen: Chosen | null;
  choose: (chosen: Chosen | null) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { graph, view, chosen, choose, trans } = props;
  const { nodes, states } = graph;
  const [turned, setTurned] = React.useState<Record<string, number>>({});
  const [toggled, setToggled] = React.useState<ReadonlySet<string>>(new Set());
  const atFirst = React.useMemo(() => openAtFirst(nodes), [nodes]);
  const open = React.useMemo(
    () => different(atFirst, toggled),
    [atFirst, toggled]
  );
  const found = choicesOf(nodes, states, {
    ...turned,
    ...iterationsOf(chosen, nodes)
  });
  const places = JSON.stringify(found);
  const choices = React.useMemo(() => found, [places]);
  const scene = React.useMemo(
    () => sceneOf(nodes, open, choices),
    [nodes, open, choices]
  );
  const actions = React.useMemo(
    () => ({
      choose: (item: IItem) =>
        item.node.kind === 'task'
          ? choose(item)
          : setToggled(before => different(before, new Set([item.node.id]))),
      turn: (place: string, iteration: number) => {
        choose(null);
        setTurned(before => ({ ...before, [place]: iteration }));
      }
    }),
    [choose]
  );
  if (!nodes.length) {
    return (
      <p className="jp-KfpMt-viewQuiet">
        {trans.__('The tasks appear once the run has started.')}
      </p>
    );
  }
  return (
    <GraphView
      scene={scene}
      states={states}
      view={view}
      choices={choices}
      selected={chosen ? placeOf(chosen.node, chosen.iterations) : ''}
      actions={actions}
      trans={trans}
    />
  );
}

/** The iterations that must be shown for a task to be visible. */
function iterationsOf(
  chosen: Chosen | null,
  nodes: readonly INode[]
): Record<string, number> {
  const found: Record<string, number> = {};
  const outer: number[] = [];
  let level = nodes;
  while (chosen) {
    const group: INode | undefined = level.find(({ id }) =>
      chosen.node.id.startsWith(`${id}/`)
    );
    if (!group) {
      break;
    }
    const number = chosen.iterations[outer.length];
    if (group.kind === 'loop' && number !== undefined) {
      found[placeOf(group, outer)] = number;
      outer.push(number);
    }
    level = group.inside;
  }
  return found;
}

/** The symmetric difference of two sets. */
function different(
  one: ReadonlySet<string>,
  other: ReadonlySet<string>
): Set<string> {
  const found = new Set(one);
  for (const each of other) {
    if (!found.delete(each)) {
      found.add(each);
    }
  }
  return found;
}
