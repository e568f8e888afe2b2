/** The graph of a run: boxes, which the arrow keys walk through, and lines between them. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { stateWord } from '../words/format';
import { Elapsed, spanOf } from './elapsed';
import { conditionText, INode, itemsText, States } from './graph';
import { IRunView } from '../run/host';
import { Icon, PATH, StateIcon } from './icons';
import { ITaskState } from '../run/run_data';
import { isFinished } from '../run/states';
import { Choices, IItem, IScene, neighbour, NODE, placeOf } from './scene';

const MARGIN = 12;
// The margin around the visible part in which boxes are rendered, in pixels.
const BEYOND = 300;
// The margin that stays visible around the focused box, in pixels.
const AROUND = 90;
const SCALES = [0.25, 0.5, 0.7, 0.85, 1] as const;
// The smallest scale used by itself: names would become unreadable.
const READABLE = 2;

export interface IGraphActions {
  /** Handle a click on a task, or on the head of a group, which it opens or closes. */
  choose: (item: IItem) => void;
  /** Show another iteration of a loop. */
  turn: (place: string, iteration: number) => void;
}

export function GraphView(props: {
  scene: IScene;
  states: States;
  view: IRunView;
  choices: Choices;
  selected: string;
  actions: IGraphActions;
  trans: TranslationBundle;
}): JSX.Element {
  const { scene, trans } = props;
  const frame = React.useRef<HTMLDivElement>(null);
  const [asked, setStep] = React.useState<number | null>(null);
  const [active, setActive] = React.useState('');
  const [isMoved, setMoved] = React.useState(false);
  const seen = useSeen(frame);
  const step = asked ?? fitting(scene, seen.w);
  const window = windowOf(seen, SCALES[step]);
  const reachable =
    scene.items.find(item => keyOf(item) === active) ??
    scene.items.find(item => keyOf(item) === props.selected) ??
    scene.items[0];
  React.useEffect(() => {
    if (isMoved) {
      setMoved(false);
      focusOn(frame.current, active);
    }
  }, [isMoved, active]);

  React.useEffect(() => {
    const item = scene.items.find(each => keyOf(each) === props.selected);
    if (item) {
      reveal(frame.current, item, SCALES[step]);
    }
  }, [props.selected, seen.w, seen.h]);

  const walk = (event: React.KeyboardEvent) => {
    const to = walkTo(scene.items, reachable, event.key);
    if (to && isItem(event.target)) {
      event.preventDefault();
      reveal(frame.current, to, SCALES[step]);
      setActive(keyOf(to));
      setMoved(true);
    }
  };
  const shown = scene.items.filter(
    item => item === reachable || isWithin(item, window)
  );
  return (
    <div className="jp-KfpMt-graph">
      <div className="jp-KfpMt-graphFrame" ref={frame}>
        <div
          className="jp-KfpMt-graphSheet"
          style={sheetStyle(scene, SCALES[step])}
        >
          <div
            role="group"
            aria-label={trans.__(
              'Graph of tasks; the arrow keys walk through it'
            )}
            className="jp-KfpMt-graphItems"
            style={{ transform: `scale(${SCALES[step]})` }}
            onKeyDown={walk}
            onFocus={event => setActive(itemOf(event.target) || active)}
          >
            <Boxes items={shown} />
            <Lines scene={scene} />
            {shown.map(item => (
              <Item
                key={keyOf(item)}
                {...props}
                item={item}
                isReachable={item === reachable}
              />
            ))}
          </div>
        </div>
      </div>
      <Zoom step={step} setStep={setStep} trans={trans} />
    </div>
  );
}

/** The frames of open groups, below the lines. */
function Boxes(props: { items: IItem[] }): JSX.Element {
  const open = props.items.filter(item => item.isOpen);
  return (
    <>
      {open.map(item => (
        <div
          key={keyOf(item)}
          className="jp-KfpMt-graphGroup"
          data-depth={item.depth % 2}
          style={boxStyle(item)}
        />
      ))}
    </>
  );
}

const Lines = React.memo(function Lines(props: { scene: IScene }): JSX.Element {
  const { width, height, paths } = props.scene;
  return (
    <svg
      className="jp-KfpMt-graphLines"
      width={width + 2 * MARGIN}
      height={height + 2 * MARGIN}
      aria-hidden="true"
    >
      {paths.map(({ x, y, path }, index) => (
        <path
          key={index}
          d={path}
          transform={`translate(${x + MARGIN} ${y + MARGIN})`}
        />
      ))}
    </svg>
  );
});

interface IItemProps {
  item: IItem;
  states: States;
  view: IRunView;
  choices: Choices;
  selected: string;
  isReachable: boolean;
  actions: IGraphActions;
  trans: TranslationBundle;
}

function Item(props: IItemProps): JSX.Element {
  const { item, states, view } = props;
  if (item.node.kind !== 'task') {
    return <Group {...props} />;
  }
  const task = states.task(item.node, item.iterations);
  const values = task && view.data.values[task.task_id];
  return (
    <Task
      {...props}
      task={task}
      isReused={!!values?.reused_from}
      isSelected={keyOf(item) === props.selected}
    />
  );
}

function Task(
  props: IItemProps & {
    task: ITaskState | undefined;
    isReused: boolean;
    isSelected: boolean;
  }
): JSX.Element {
  const { item, task, isReused, isSelected, view, actions, trans } = props;
  const state = stateOf(task, view);
  const span = spanOf(task, view);
  return (
    <button
      type="button"
      className="jp-KfpMt-graphTask"
      data-state={state}
      data-item={keyOf(item)}
      style={boxStyle(item)}
      tabIndex={props.isReachable ? 0 : -1}
      aria-pressed={isSelected}
      title={item.node.name}
      onClick={() => actions.choose(item)}
    >
      <StateIcon state={state} />
      <span className="jp-KfpMt-graphName">{item.node.name}</span>
      <span className="jp-KfpMt-graphFacts">
        <span>{stateWord(state, trans)}</span>
        {isReused ? (
          <span className="jp-KfpMt-graphReused">{trans.__('reused')}</span>
        ) : (
          span && <Elapsed span={span} trans={trans} />
        )}
      </span>
    </button>
  );
}

function Group(props: IItemProps): JSX.Element {
  const { item, states, actions, trans } = props;
  const { node, iterations, isOpen } = item;
  const within = states.within(node.inside, iterations);
  const state = within.length
    ? states.state(node, iterations)
    : stateOf(undefined, props.view);
  const title = groupTitle(node, trans);
  return (
    <div
      className="jp-KfpMt-graphHead"
      data-open={isOpen}
      style={isOpen ? headStyle(item) : boxStyle(item)}
    >
      <button
        type="button"
        className="jp-KfpMt-graphToggle"
        data-item={keyOf(item)}
        data-state={state}
        tabIndex={props.isReachable ? 0 : -1}
        aria-expanded={isOpen}
        title={title}
        onClick={() => actions.choose(item)}
      >
        <Icon path={isOpen ? PATH.open : PATH.closed} />
        <StateIcon state={state} />
        <span className="jp-KfpMt-graphName">{title}</span>
        <span className="jp-KfpMt-graphFacts">
          <span>{stateWord(state, trans)}</span>
          {!isOpen && within.length > 0 && (
            <span>{progress(within, trans)}</span>
          )}
        </span>
      </button>
      {node.kind === 'loop' && isOpen && <Iterations {...props} />}
    </div>
  );
}

/** The buttons that step through the iterations of a loop. */
function Iterations(props: IItemProps): JSX.Element | null {
  const { item, states, choices, actions, trans } = props;
  const numbers = states.iterations(item.node, item.iterations);
  const place = placeOf(item.node, item.iterations);
  const index = numbers.indexOf(choices[place]);
  if (!numbers.length) {
    return null;
  }
  const turn = (by: number) => {
    const wanted = numbers[index + by];
    if (wanted !== undefined) {
      actions.turn(place, wanted);
    }
  };
  const tabIndex = props.isReachable ? 0 : -1;
  return (
    <span className="jp-KfpMt-graphIterations">
      <button
        type="button"
        className="jp-KfpMt-viewIcon"
        tabIndex={tabIndex}
        aria-label={trans.__('Previous iteration')}
        aria-disabled={index <= 0}
        onClick={() => turn(-1)}
      >
        <Icon path={PATH.before} />
      </button>
      <span role="status">
        {trans.__('%1 of %2', index + 1, numbers.length)}
      </span>
      <button
        type="button"
        className="jp-KfpMt-viewIcon"
        tabIndex={tabIndex}
        aria-label={trans.__('Next iteration')}
        aria-disabled={index >= numbers.length - 1}
        onClick={() => turn(1)}
      >
        <Icon path={PATH.closed} />
      </button>
    </span>
  );
}

function Zoom(props: {
  step: number;
  setStep: (step: number) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { step, setStep, trans } = props;
  return (
    <div className="jp-KfpMt-graphZoom">
      <button
        type="button"
        className="jp-KfpMt-viewIcon"
        aria-label={trans.__('Smaller')}
        title={trans.__('Smaller')}
        aria-disabled={step === 0}
        onClick={() => setStep(Math.max(0, step - 1))}
      >
        <Icon path={PATH.minus} />
      </button>
      <button
        type="button"
        className="jp-KfpMt-viewIcon"
        aria-label={trans.__('Larger')}
        title={trans.__('Larger')}
        aria-disabled={step === SCALES.length - 1}
        onClick={() => setStep(Math.min(SCALES.length - 1, step + 1))}
      >
        <Icon path={PATH.plus} />
      </button>
    </div>
  );
}

/** The title of a group, in words. */
export function groupTitle(node: INode, trans: TranslationBundle): string {
  const isNamed = node.name !== node.key;
  switch (node.kind) {
    case 'loop':
      return isNamed ? node.name : trans.__('For each of %1', itemsText(node));
    case 'exit':
      return isNamed ? node.name : trans.__('With an exit task');
    case 'condition': {
      const condition = conditionText(node);
      if (isNamed) {
        return node.name;
      }
      return condition
        ? trans.__('If %1', condition)
        : trans.__('Alternatives');
    }
    default:
      return node.name;
  }
}

/** The state of a task; one missing from a finished run was skipped. */
export function stateOf(task: ITaskState | undefined, view: IRunView): string {
  return task?.state ?? (isFinished(view.data.run) ? 'SKIPPED' : 'PENDING');
}

function progress(
  tasks: readonly ITaskState[],
  trans: TranslationBundle
): string {
  const done = tasks.filter(({ state }) => state === 'SUCCEEDED').length;
  return trans.__('%1 of %2', done, tasks.length);
}

export function keyOf(item: IItem): string {
  return placeOf(item.node, item.iterations);
}

function boxStyle(item: IItem): React.CSSProperties {
  const { x, y, width, height } = item;
  return { left: x + MARGIN, top: y + MARGIN, width, height };
}

function headStyle(item: IItem): React.CSSProperties {
  return { ...boxStyle(item), height: undefined };
}

function sheetStyle(scene: IScene, scale: number): React.CSSProperties {
  return {
    width: scale * (Math.max(scene.width, NODE.width) + 2 * MARGIN),
    height: scale * (scene.height + 2 * MARGIN)
  };
}

interface IWindow {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

interface ISeen {
  x: number;
  y: number;
  w: number;
  h: number;
}

/** The visible part of the drawing. */
function useSeen(frame: React.RefObject<HTMLDivElement>): ISeen {
  const [seen, setSeen] = React.useState({ x: 0, y: 0, w: 2000, h: 1000 });
  React.useLayoutEffect(() => {
    const node = frame.current;
    if (!node) {
      return;
    }
    const look = () =>
      setSeen(before => {
        const w = node.clientWidth || before.w;
        const h = node.clientHeight || before.h;
        const now = { x: node.scrollLeft, y: node.scrollTop, w, h };
        const isNear = Math.hypot(now.x - before.x, now.y - before.y) < 100;
        return isNear && w === before.w && h === before.h ? before : now;
      });
    look();
    node.addEventListener('scroll', look, { passive: true });
    const sizes =
      typeof ResizeObserver === 'undefined' ? null : new ResizeObserver(look);
    sizes?.observe(node);
    return () => {
      node.removeEventListener('scroll', look);
      sizes?.disconnect();
    };
  }, [frame]);
  return seen;
}

/** The part to render: the visible part and a margin. */
function windowOf(seen: ISeen, scale: number): IWindow {
  return {
    left: (seen.x - BEYOND) / scale,
    top: (seen.y - BEYOND) / scale,
    right: (seen.x + seen.w + BEYOND) / scale,
    bottom: (seen.y + seen.h + BEYOND) / scale
  };
}

/** The largest scale at which the graph fits the width of its frame and stays readable. */
function fitting(scene: IScene, width: number): number {
  const fits = SCALES.map(
    scale => scale * (scene.width + 2 * MARGIN) <= width
  ).lastIndexOf(true);
  return fits < READABLE ? SCALES.length - 1 : fits;
}

function isWithin(item: IItem, window: IWindow): boolean {
  return (
    item.x < window.right &&
    item.x + item.width > window.left &&
    item.y < window.bottom &&
    item.y + item.height > window.top
  );
}

function walkTo(
  items: readonly IItem[],
  from: IItem | undefined,
  key: string
): IItem | undefined {
  if (!from) {
    return undefined;
  }
  if (key === 'Home') {
    return items[0];
  }
  if (key === 'End') {
    return items[items.length - 1];
  }
  return key.startsWith('Arrow') ? neighbour(items, from, key) : undefined;
}

function isItem(target: EventTarget): boolean {
  return itemOf(target) !== '';
}

function itemOf(target: EventTarget): string {
  return (target as HTMLElement).dataset?.item ?? '';
}

/** Scroll until an item and a margin around it are visible, so that it is rendered. */
function reveal(frame: HTMLElement | null, item: IItem, scale: number): void {
  if (!frame) {
    return;
  }
  const height = item.isOpen ? NODE.height : item.height;
  frame.scrollTop = scrolled(
    [frame.scrollTop, frame.clientHeight],
    [item.y * scale, height * scale]
  );
  frame.scrollLeft = scrolled(
    [frame.scrollLeft, frame.clientWidth],
    [item.x * scale, NODE.width * scale]
  );
}

/** The scroll position nearest to the current one at which a span is visible. */
function scrolled(
  [from, length]: [number, number],
  [start, span]: [number, number]
): number {
  const before = start - AROUND;
  const after = start + span + AROUND + 2 * MARGIN;
  const room = Math.min(from, Math.max(0, before));
  return after > from + length ? Math.max(0, after - length) : room;
}

function focusOn(frame: HTMLElement | null, key: string): void {
  const items = frame?.querySelectorAll<HTMLElement>('[data-item]') ?? [];
  [...items]
    .find(item => item.dataset.item === key)
    ?.focus({
      preventScroll: true
    });
}
