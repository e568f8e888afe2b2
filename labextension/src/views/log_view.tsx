/** A log of visible lines alone, followed and searched; the executor's lines can be shown. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { count } from '../words/format';
import { parts, plain } from './ansi';
import { ILog } from '../run/host';
import { ownLines } from '../run/traceback';
import { Icon, PATH } from './icons';

const ROW = 18;
const BEYOND = 8;

export function LogView(props: {
  log: ILog;
  label: string;
  trans: TranslationBundle;
}): JSX.Element {
  const { log, label, trans } = props;
  const frame = React.useRef<HTMLDivElement>(null);
  const [isFollowing, setFollowing] = React.useState(true);
  const [top, setTop] = React.useState(0);
  const [isWhole, setWhole] = React.useState(false);
  const own = React.useMemo(() => ownLines(log.lines), [log]);
  const shown = isWhole ? log.lines : own;
  const search = useSearch(shown);
  const lines = shown.length;

  React.useLayoutEffect(() => {
    const node = frame.current;
    if (node && isFollowing) {
      node.scrollTop = node.scrollHeight;
      setTop(node.scrollTop);
    }
  }, [lines, isFollowing]);
  React.useLayoutEffect(() => {
    const node = frame.current;
    if (node && search.line >= 0) {
      setFollowing(false);
      node.scrollTop = Math.max(0, search.line * ROW - node.clientHeight / 2);
      setTop(node.scrollTop);
    }
  }, [search.line]);

  const scrolled = (event: React.UIEvent<HTMLDivElement>) => {
    const node = event.currentTarget;
    setTop(node.scrollTop);
    const isAtEnd =
      node.scrollTop + node.clientHeight >= node.scrollHeight - ROW;
    setFollowing(isAtEnd);
  };
  const height = frame.current?.clientHeight || 320;
  const first = Math.max(0, Math.floor(top / ROW) - BEYOND);
  const end = Math.min(lines, Math.ceil((top + height) / ROW) + BEYOND);
  return (
    <div className="jp-KfpMt-log">
      {lines > 0 && (
        <>
          <LogBar
            isOpen={log.isOpen}
            lines={lines}
            search={search}
            isFollowing={isFollowing}
            setFollowing={setFollowing}
            trans={trans}
          />
          <div
            className="jp-KfpMt-logFrame"
            ref={frame}
            role="log"
            aria-label={label}
            aria-live="off"
            tabIndex={0}
            onScroll={scrolled}
            style={{ height: Math.min(320, Math.max(2, lines) * ROW + 18) }}
          >
            <div style={{ height: lines * ROW, position: 'relative' }}>
              <div style={{ transform: `translateY(${first * ROW}px)` }}>
                {shown.slice(first, end).map((line, index) => (
                  <Line
                    key={first + index}
                    line={line}
                    isFound={search.line === first + index}
                  />
                ))}
              </div>
            </div>
          </div>
        </>
      )}
      <ExecutorLines
        count={log.lines.length - own.length}
        isEmpty={!own.length}
        isWhole={isWhole}
        setWhole={setWhole}
        trans={trans}
      />
      {log.problem && <p className="jp-KfpMt-viewQuiet">{log.problem}</p>}
    </div>
  );
}

/** How many lines are the executor's, with a button that shows or hides them. */
function ExecutorLines(props: {
  count: number;
  /** Whether these are all lines. */
  isEmpty: boolean;
  isWhole: boolean;
  setWhole: (isWhole: boolean) => void;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { isWhole, setWhole, trans } = props;
  return props.count ? (
    <p className="jp-KfpMt-viewQuiet">
      {props.isEmpty && trans.__('The task itself has written nothing. ')}
      {trans._n(
        '%1 line of the executor',
        '%1 lines of the executor',
        props.count,
        count(props.count)
      )}{' '}
      <button
        type="button"
        className="jp-KfpMt-viewButton"
        aria-label={
          isWhole
            ? trans.__("Hide the executor's lines")
            : trans.__("Show the executor's lines")
        }
        onClick={() => setWhole(!isWhole)}
      >
        {isWhole ? trans.__('Hide') : trans.__('Show')}
      </button>
    </p>
  ) : null;
}

const Line = React.memo(function Line(props: {
  line: string;
  isFound: boolean;
}): JSX.Element {
  return (
    <div className="jp-KfpMt-logLine" data-found={props.isFound}>
      {parts(props.line).map((part, index) => (
        <span key={index} data-style={part.style || undefined}>
          {part.text}
        </span>
      ))}
    </div>
  );
});

interface ISearch {
  text: string;
  setText: (text: string) => void;
  found: readonly number[];
  /** The line of the current match, or -1. */
  line: number;
  index: number;
  go: (by: number) => void;
}

function useSearch(lines: readonly string[]): ISearch {
  const [text, setText] = React.useState('');
  const [index, setIndex] = React.useState(0);
  const found = React.useMemo(
    () => linesWith(lines, text),
    [lines, lines.length, text]
  );
  const at = found.length ? Math.min(index, found.length - 1) : -1;
  return {
    text,
    setText: wanted => {
      setText(wanted);
      setIndex(0);
    },
    found,
    index: at,
    line: at < 0 ? -1 : found[at],
    go: by =>
      setIndex(found.length ? (at + by + found.length) % found.length : 0)
  };
}

/** The numbers of the lines that contain a text, ignoring case. */
export function linesWith(lines: readonly string[], text: string): number[] {
  const wanted = text.toLowerCase();
  const found: number[] = [];
  for (let i = 0; wanted && i < lines.length; i++) {
    if (plain(lines[i]).toLowerCase().includes(wanted)) {
      found.push(i);
    }
  }
  return found;
}

function LogBar(props: {
  isOpen: boolean;
  lines: number;
  search: ISearch;
  isFollowing: boolean;
  setFollowing: (isFollowing: boolean) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { lines, search, trans } = props;
  return (
    <div className="jp-KfpMt-logBar">
      <input
        type="search"
        aria-label={trans.__('Search the log')}
        placeholder={trans.__('Search')}
        value={search.text}
        onChange={event => search.setText(event.currentTarget.value)}
        onKeyDown={event => {
          if (event.key === 'Enter') {
            search.go(event.shiftKey ? -1 : 1);
          } else if (event.key === 'Escape' && search.text) {
            event.stopPropagation(); // which would close the task
            search.setText('');
          }
        }}
      />
      {search.text && (
        <>
          <span role="status">
            {trans.__('%1 of %2', search.index + 1, count(search.found.length))}
          </span>
          <Step label={trans.__('Previous match')} by={-1} search={search} />
          <Step label={trans.__('Next match')} by={1} search={search} />
        </>
      )}
      <span className="jp-KfpMt-viewQuiet">
        {trans._n('%1 line', '%1 lines', lines, count(lines))}
      </span>
      {props.isOpen && (
        <button
          type="button"
          className="jp-KfpMt-viewButton"
          aria-pressed={props.isFollowing}
          onClick={() => props.setFollowing(!props.isFollowing)}
        >
          {trans.__('Follow')}
        </button>
      )}
    </div>
  );
}

function Step(props: {
  label: string;
  by: number;
  search: ISearch;
}): JSX.Element {
  return (
    <button
      type="button"
      className="jp-KfpMt-viewIcon"
      aria-label={props.label}
      title={props.label}
      onClick={() => props.search.go(props.by)}
    >
      <Icon path={props.by < 0 ? PATH.before : PATH.closed} />
    </button>
  );
}
