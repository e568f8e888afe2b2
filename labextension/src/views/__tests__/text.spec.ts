/** Logs and tracebacks, and a run as text and HTML. */

import { parts, plain } from '../ansi';
import { linesWith } from '../log_view';
import { htmlOf, textOf } from '../plain';
import { readData, timeOf } from '../../run/run_data';
import { ownLines, tracebackIn } from '../../run/traceback';
import { data, task } from './fixtures';

const ESC = '\u001b';

it('colours become styles, and every other sequence is left out', () => {
  expect(
    parts(`${ESC}[1;31mbad${ESC}[0m ok${ESC}[2K${ESC}]0;title\u0007`)
  ).toEqual([
    { text: 'bad', style: 'red bold' },
    { text: ' ok', style: '' }
  ]);
  expect(parts(`${ESC}[38;5;196mx${ESC}[39my`)).toEqual([
    { text: 'x', style: '' },
    { text: 'y', style: '' }
  ]);
  expect(plain(`a${ESC}[32mb${ESC}[mc`)).toBe('abc');
});

it('a search finds words through colours, in capitals or not', () => {
  const lines = ['one', `t${ESC}[31mWo${ESC}[0m`, 'three'];
  expect(linesWith(lines, 'two')).toEqual([1]);
  expect(linesWith(lines, '')).toEqual([]);
});

const LOG = `before
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "/x/site-packages/kfp/dsl/executor_main.py", line 109, in executor_main
    output_file = executor.execute()
                  ^^^^^^^^^^^^^^^^^^
  File "/tmp/tmp1/ephemeral_component.py", line 5, in fail
    raise ValueError("no more")
ValueError: no more
than this
[after]`;

it('a traceback is that of the task, with the frames of the executor apart', () => {
  const found = tracebackIn(LOG)!;
  expect(found.own.split('\n')).toEqual([
    'Traceback (most recent call last):',
    '  File "/tmp/tmp1/ephemeral_component.py", line 5, in fail',
    '    raise ValueError("no more")',
    'ValueError: no more',
    'than this'
  ]);
  expect(found.hidden).toBe(4);
  expect(found.whole).not.toContain('[after]');
  expect(tracebackIn('no error here')).toBeNull();
});

interface ISample {
  name: string;
  log: string[];
  own: string[];
}

// `%kfp logs` is held to the same (tests/client/test_tracebacks.py).
const SAMPLES = jest.requireActual<ISample[]>(
  '../../../../tests/recorded/executor_logs.json'
);

it.each(SAMPLES)('a log without the executor: $name', ({ log, own }) => {
  expect(ownLines(log)).toEqual(own);
});

it('what hostile names hold is text in HTML', () => {
  const hostile = data([task('<img src=x onerror=alert(1)>')], 'FAILED', {
    spec: {}
  });
  hostile.run.display_name = '"><script>alert(1)</script>';
  hostile.run.error = '</pre><b>x</b>';
  const node = document.createElement('div');
  node.innerHTML = htmlOf(hostile);
  expect(node.querySelector('script, img, b')).toBeNull();
  expect(node.textContent).toContain('"><script>alert(1)</script>');
});

it('a run as text is a tree with states and times', () => {
  const run = data([
    task('load'),
    task('train[0]'),
    task('nested/train', 'RUNNING')
  ]);
  expect(textOf(run).split('\n')).toEqual([
    'training  ✓ Succeeded',
    '  ✓ load  2.5 s',
    '  For each of rates [0]',
    '    ✓ train  2.5 s',
    '    check',
    "  If load == 'x'",
    '    tell',
    '  nested',
    '    ▶ train'
  ]);
});

it('data that are none of ours are not read, and what is missing is empty', () => {
  expect(readData(null)).toBeNull();
  expect(readData('x')).toBeNull();
  expect(readData({})).toBeNull();
  expect(readData({ run: {} })?.run.state).toBe('PENDING');
});

it.each(['', '1970-01-01T00:00:00Z', '0001-01-01T00:00:00Z'])(
  'the time %s never was',
  time => {
    expect(timeOf(time)).toBeNull();
  }
);
