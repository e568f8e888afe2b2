/** The traceback in a log, as whoever wrote the task reads it: the executor's frames apart. */

export interface ITraceback {
  /** The frames of the task's own code, and the exception. */
  own: string;
  /** All of it; the same as `own` where no frame is the executor's. */
  whole: string;
  /** How many lines are the executor's. */
  hidden: number;
}

const BEGIN = 'Traceback (most recent call last):';
// Of Python itself and of the kfp package that calls the component.
const EXECUTORS =
  /^\s+File "(?:.*[\\/]kfp[\\/].*|<frozen runpy>|.*[\\/]runpy\.py)", line \d+/;
// How the program of `%%kfp task` runs its cell.
const OF_CELL = 'exec(compile(source, path, "exec"), scope)';
const FRAME = /^\s+File ".*", line \d+/;

/** The last traceback in a log; null where there is none. */
export function tracebackIn(log: string): ITraceback | null {
  const lines = log.replace(/\r\n?/g, '\n').split('\n');
  const begin = lines.lastIndexOf(BEGIN);
  if (begin < 0) {
    return null;
  }
  const end = endOf(lines, begin);
  const whole = lines.slice(begin, end);
  const own = [BEGIN, ...ownLines(whole.slice(1))];
  return {
    own: own.join('\n'),
    whole: whole.join('\n'),
    hidden: whole.length - own.length
  };
}

/** The line after the exception, which may have several lines itself. */
function endOf(lines: readonly string[], begin: number): number {
  let end = begin + 1;
  while (end < lines.length && /^\s/.test(lines[end])) {
    end++;
  }
  while (end < lines.length && lines[end].trim() && !/^\[/.test(lines[end])) {
    end++;
  }
  return end;
}

function ownLines(lines: readonly string[]): string[] {
  let isExecutors = false;
  return lines.filter((line, index) => {
    if (FRAME.test(line)) {
      const code = lines[index + 1]?.trim();
      isExecutors = EXECUTORS.test(line) || code === OF_CELL;
    } else if (!/^\s/.test(line)) {
      isExecutors = false;
    }
    return !isExecutors;
  });
}
