/** The traceback in a log, with the executor's frames separated from the task's own. */

export interface ITraceback {
  /** The frames of the task's own code, and the exception. */
  own: string;
  /** The whole traceback; the same as `own` if no frame is the executor's. */
  whole: string;
  /** How many lines are the executor's. */
  hidden: number;
}

const BEGIN = 'Traceback (most recent call last):';
// Files of Python itself, and of the kfp package that calls the component.
const EXECUTORS =
  /^\s+File "(?:.*[\\/]kfp[\\/].*|<frozen runpy>|.*[\\/]runpy\.py)", line \d+/;
// The line with which the program of `%%kfp task` runs its cell.
const OF_CELL = 'exec(compile(source, path, "exec"), scope)';
const FRAME = /^\s+File ".*", line \d+/;

/** The last traceback in a log; null if there is none. */
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

/** The line after the exception, whose message may have several lines. */
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
