/**
 * A list of any length as a grid that renders only visible rows. Arrow keys move the focus, Space
 * and Shift select, Enter opens; focus, selection and position stay while rows come and go.
 */

import * as React from 'react';

import { IDragged, useKfp } from '../components/context';
import { shownState } from '../run/shown';
import { Item } from '../wire/kinds';
import { ListModel } from '../model/list_model';

/** The height of every row. */
export const ROW = 44;
// How many rows beyond the visible ones are rendered.
const BEYOND = 8;

interface IProps<T extends Item> {
  list: ListModel<T>;
  label: string;
  /** The content of a row. */
  draw: (item: T) => React.ReactNode;
  open: (item: T) => void;
}

export function RowList<T extends Item>(props: IProps<T>): JSX.Element {
  const { list, label } = props;
  const frame = React.useRef<HTMLDivElement>(null);
  const { top, height, onScroll } = useScroll(frame);
  const { key, id: kind } = list.kind;
  const count = list.count;
  const [active, setActive] = React.useState('');
  const first = Math.max(0, Math.floor(top / ROW) - BEYOND);
  const last = Math.min(count, Math.ceil((top + height) / ROW) + BEYOND) - 1;
  const activeIndex = useIndex(list, active);
  React.useEffect(() => list.need(first, last));
  useAnchor(list, frame, top);

  const walk = useWalk(props, frame, setActive);
  const shown = indices(first, last, activeIndex);
  const reachable = activeIndex >= 0 ? activeIndex : 0;
  return (
    <div
      ref={frame}
      className="jp-KfpMt-rows"
      role="grid"
      aria-label={label}
      aria-rowcount={count}
      aria-multiselectable={true}
      data-kind={kind}
      data-turning={list.isTurning}
      onScroll={onScroll}
      onKeyDown={walk}
    >
      <div role="presentation" style={{ height: count * ROW }}>
        {shown.map(index => {
          const item = list.at(index);
          return (
            <Row
              key={item ? key(item) : index}
              {...props}
              item={item}
              index={index}
              isReachable={index === reachable}
              isSelected={!!item && list.selected.has(key(item))}
              activate={setActive}
            />
          );
        })}
      </div>
    </div>
  );
}

/** One row, which is not rendered again by scrolling. */
const Row = React.memo(RowOf) as typeof RowOf;

function RowOf<T extends Item>(
  props: IProps<T> & {
    item: T | undefined;
    index: number;
    isReachable: boolean;
    isSelected: boolean;
    activate: (id: string) => void;
  }
): JSX.Element {
  const { list, item, index, isReachable, isSelected, draw, open } = props;
  const { key, id: kind } = list.kind;
  const drag = useDrag(kind, item ? key(item) : '');
  const style = { transform: `translateY(${index * ROW}px)`, height: ROW };
  if (!item) {
    return (
      <div
        className="jp-KfpMt-row jp-mod-missing"
        role="row"
        aria-rowindex={index + 1}
        style={style}
      >
        <div role="gridcell" aria-busy={true} />
      </div>
    );
  }
  const id = key(item);
  return (
    <div
      className="jp-KfpMt-row"
      role="row"
      aria-rowindex={index + 1}
      aria-selected={isSelected}
      tabIndex={isReachable ? 0 : -1}
      data-id={id}
      data-kind={kind}
      data-state={'state' in item ? shownState(item) : undefined}
      style={style}
      onFocus={event =>
        event.target === event.currentTarget && props.activate(id)
      }
      onPointerDown={drag}
      onClick={event => {
        if (event.shiftKey || event.ctrlKey || event.metaKey) {
          select(list, id, event.shiftKey ? 'range' : 'toggle');
        } else {
          list.select([id]);
          open(item);
        }
      }}
      onContextMenu={() => {
        if (!list.selected.has(id)) {
          list.select([id]);
        }
      }}
    >
      <div role="gridcell">{draw(item)}</div>
    </div>
  );
}

/** Toggle one, or select all between the first selected one and this one. */
function select<T extends Item>(
  list: ListModel<T>,
  id: string,
  how: 'toggle' | 'range'
): void {
  const { key } = list.kind;
  if (how === 'toggle') {
    const selected = new Set(list.selected);
    if (!selected.delete(id)) {
      selected.add(id);
    }
    list.select(selected);
    return;
  }
  const ids = list.loaded.map(key);
  selectRange(list, ids.find(each => list.selected.has(each)) ?? id, id);
}

/** Select the rows from one to another, in either direction, and no others. */
function selectRange<T extends Item>(
  list: ListModel<T>,
  from: string,
  to: string
): void {
  const ids = list.loaded.map(list.kind.key);
  const [first, last] = [ids.indexOf(from), ids.indexOf(to)].sort(
    (a, b) => a - b
  );
  list.select(ids.slice(Math.max(0, first), last + 1));
}

/** Handle keys, which move the focus, select and open. */
function useWalk<T extends Item>(
  props: IProps<T>,
  frame: React.RefObject<HTMLDivElement>,
  setActive: (id: string) => void
): (event: React.KeyboardEvent) => void {
  const { list, open } = props;
  const { execute } = useKfp();
  const { key, id: kind } = list.kind;
  const wanted = React.useRef(-1);
  const anchor = React.useRef('');
  React.useLayoutEffect(() => {
    const item = wanted.current >= 0 ? list.at(wanted.current) : undefined;
    if (item) {
      wanted.current = -1;
      setActive(key(item));
      focusRow(frame.current, key(item));
    }
  });
  const go = (index: number) => {
    const node = frame.current;
    if (node && list.count) {
      wanted.current = Math.max(0, Math.min(index, list.count - 1));
      reveal(node, wanted.current);
      const item = list.at(wanted.current);
      if (item) {
        setActive(key(item));
      } else {
        list.need(wanted.current, wanted.current);
      }
    }
  };
  return event => {
    const row = event.target as HTMLElement;
    if (!row.dataset.id) {
      return; // not a key for rows
    }
    const item = list.find(row.dataset.id);
    const page = Math.max(
      1,
      Math.floor((frame.current?.clientHeight ?? 0) / ROW)
    );
    const place = Number(row.getAttribute('aria-rowindex')) - 1;
    const places: Record<string, number> = {
      ArrowDown: place + 1,
      ArrowUp: place - 1,
      PageDown: place + page,
      PageUp: place - page,
      Home: 0,
      End: list.count - 1
    };
    if (event.key in places) {
      go(places[event.key]);
      const next = list.at(Math.max(0, places[event.key]));
      if (!event.shiftKey) {
        anchor.current = '';
      } else if (next) {
        anchor.current ||= row.dataset.id;
        selectRange(list, anchor.current, key(next));
      }
    } else if (event.key === 'Enter' && item) {
      open(item);
    } else if (event.key === ' ') {
      select(list, row.dataset.id, 'toggle');
    } else if (event.key === 'Escape' && list.selected.size) {
      list.select([]);
    } else if (event.key === 'a' && (event.ctrlKey || event.metaKey)) {
      list.select(list.loaded.map(key));
    } else if (event.key === 'Delete') {
      if (!list.selected.has(row.dataset.id)) {
        list.select([row.dataset.id]);
      }
      execute(`${kind}-delete`);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
}

/** The index of an item; -1 if it is not loaded. */
function useIndex<T extends Item>(list: ListModel<T>, id: string): number {
  const { rows, kind } = list;
  return React.useMemo(() => {
    if (!rows || !id) {
      return -1;
    }
    const inHead = rows.head.findIndex(item => kind.key(item) === id);
    if (inHead >= 0) {
      return inHead;
    }
    const inTail = rows.tail.findIndex(item => kind.key(item) === id);
    return inTail < 0 ? -1 : list.count - rows.tail.length + inTail;
  }, [rows, id]);
}

function useScroll(frame: React.RefObject<HTMLDivElement>): {
  top: number;
  height: number;
  onScroll: () => void;
} {
  // Render again only with every fourth row.
  const STEP = 4 * ROW;
  const [top, setTop] = React.useState(0);
  const [height, setHeight] = React.useState(800);
  React.useLayoutEffect(() => {
    const node = frame.current;
    if (!node || typeof ResizeObserver === 'undefined') {
      return;
    }
    const sizes = new ResizeObserver(() => setHeight(node.clientHeight || 800));
    sizes.observe(node);
    return () => sizes.disconnect();
  }, [frame]);
  const onScroll = () => {
    const now = frame.current?.scrollTop ?? 0;
    setTop(now - (now % STEP));
  };
  return { top, height: height + STEP, onScroll };
}

/** Keep the visible rows in place when rows appear or disappear above them. */
function useAnchor<T extends Item>(
  list: ListModel<T>,
  frame: React.RefObject<HTMLDivElement>,
  top: number
): void {
  const anchor = React.useRef<{ id: string; index: number } | null>(null);
  const { key } = list.kind;
  React.useLayoutEffect(() => {
    const node = frame.current;
    const before = anchor.current;
    if (node && before && node.scrollTop >= ROW) {
      const now = list.rows?.head.findIndex(item => key(item) === before.id);
      if (now !== undefined && now >= 0 && now !== before.index) {
        node.scrollTop += (now - before.index) * ROW;
      }
    }
  }, [list.rows]);
  React.useLayoutEffect(() => {
    const index = Math.floor((frame.current?.scrollTop ?? 0) / ROW);
    const item = list.at(index);
    anchor.current = item ? { id: key(item), index } : null;
  }, [list.rows, top]);
}

/** Start dragging a row once it is moved far enough. */
function useDrag(
  kind: string,
  id: string
): (event: React.PointerEvent) => void {
  const { drag } = useKfp();
  return event => {
    if (!drag || event.button !== 0) {
      return;
    }
    const { clientX, clientY } = event;
    const item: IDragged = { kind, id };
    const move = (moved: PointerEvent) => {
      if (Math.hypot(moved.clientX - clientX, moved.clientY - clientY) > 5) {
        stop();
        drag(item, moved);
      }
    };
    const stop = () => {
      document.removeEventListener('pointermove', move);
      document.removeEventListener('pointerup', stop);
    };
    document.addEventListener('pointermove', move);
    document.addEventListener('pointerup', stop);
  };
}

function indices(first: number, last: number, active: number): number[] {
  const shown: number[] = [];
  for (let index = first; index <= last; index++) {
    shown.push(index);
  }
  // The focused row is always rendered.
  if (active >= 0 && (active < first || active > last)) {
    shown.push(active);
  }
  return shown;
}

function reveal(frame: HTMLElement, index: number): void {
  const { scrollTop, clientHeight } = frame;
  const start = index * ROW;
  if (start < scrollTop) {
    frame.scrollTop = start;
  } else if (start + ROW > scrollTop + clientHeight) {
    frame.scrollTop = start + ROW - clientHeight;
  }
}

function focusRow(frame: HTMLElement | null, id: string): void {
  const rows = frame?.querySelectorAll<HTMLElement>('[role=row]') ?? [];
  [...rows].find(row => row.dataset.id === id)?.focus({ preventScroll: true });
}
