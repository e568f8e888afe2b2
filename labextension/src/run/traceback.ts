/** A log and its traceback, with the executor's lines separated from the task's own. */

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
// What kfp's executor, a cluster's launcher, and the program of `%%kfp task` say themselves; as in
// client/tracebacks.py.
const MESSAGE = new RegExp(
  '^(?:\\[KFP Executor [\\d-]+ [\\d:,]+ INFO\\]: (?:' +
    '(?:--component_module_path is not specified\\. )?Looking for component `' +
    '|Loading KFP component "|Got executor_input:$' +
    '|Did not write output file\\.$|Wrote executor output file to )' +
    '|I\\d{4} [\\d:.]+ +\\d+ (?:(?:importer_launcher|launcher_v2|object_store)\\.go:\\d+\\] ' +
    '|main\\.go:\\d+\\] Setting log level to: |env\\.go:\\d+\\] cannot find launcher configmap: )' +
    '|kfp-mt-output \\[")'
);
const ANY = /^(?:\[|[IWEF]\d{4} [\d:.]+ )/;
const INPUT_FOLLOWS = 'Got executor_input:';
const OUTPUT_BEGINS = 'ExecutorOutput: {';

/** The lines of a log without the executor's messages, its input, and its frames. */
export function ownLines(log: readonly string[]): readonly string[] {
  const own = ownFrames(withoutMessages(log));
  return own.length < log.length ? own : log;
}

/** The lines of a log without the executor's messages and its input. */
export function withoutMessages(log: readonly string[]): string[] {
  let isAnnounced = false;
  let isJson = false;
  return log.filter(line => {
    isJson = isJson || (isAnnounced && line === '{');
    const isMessage = !isJson && /^[[Ik]/.test(line) && MESSAGE.test(line);
    const isOwn = !isMessage && !isJson;
    isAnnounced = isMessage && line.endsWith(INPUT_FOLLOWS);
    isJson =
      (isJson && line !== '}') || (isMessage && line.endsWith(OUTPUT_BEGINS));
    return isOwn;
  });
}

/** The last traceback in a log; null if there is none. */
export function tracebackIn(log: string): ITraceback | null {
  const lines = log.replace(/\r\n?/g, '\n').split('\n');
  const begin = lines.lastIndexOf(BEGIN);
  if (begin < 0) {
    return null;
  }
  const end = endOf(lines, begin);
  const whole = lines.slice(begin, end);
  const own = ownFrames(whole);
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
  while (end < lines.length && lines[end].trim() && !ANY.test(lines[end])) {
    end++;
  }
  return end;
}

function ownFrames(lines: readonly string[]): string[] {
  let inTraceback = false;
  let isExecutors = false;
  return lines.filter((line, index) => {
    if (inTraceback && FRAME.test(line)) {
      const code = lines[index + 1]?.trim();
      isExecutors = EXECUTORS.test(line) || code === OF_CELL;
    } else if (!/^\s/.test(line)) {
      inTraceback = line === BEGIN;
      isExecutors = false;
    }
    return !isExecutors;
  });
}
