/** A run's view as a person uses it. */

import * as React from 'react';

import { RunView } from '../run_view';
import { data, doing, drawn, Host, task } from './fixtures';

let shown: { node: HTMLElement; remove: () => void };

afterEach(() => {
  shown.remove();
  jest.useRealTimers();
});

function show(host: Host): void {
  shown = drawn(<RunView host={host} />);
}

function text(): string {
  return shown.node.textContent ?? '';
}

function button(words: string): HTMLElement {
  const all = shown.node.querySelectorAll<HTMLElement>('button, a');
  const found = [...all].find(
    each =>
      each.textContent?.startsWith(words) ||
      each.getAttribute('aria-label') === words
  );
  if (!found) {
    throw new Error(`no button ${words} in ${shown.node.innerHTML}`);
  }
  return found;
}

const TASKS = [task('load'), task('train[0]'), task('train[1]', 'RUNNING')];

it('tasks are shown with their states in words, in the groups of the pipeline', () => {
  show(new Host(data(TASKS, 'RUNNING')));
  expect(text()).toContain('loadSucceeded2.5 s');
  expect(text()).toContain('For each of ratesRunning2 of 2');
  expect(text()).toContain("If load == 'x'");
  expect(text()).toContain('tellPending');
  expect(shown.node.querySelectorAll('[data-item][tabindex="0"]')).toHaveLength(
    1
  );
});

it('the time of what goes on is counted on each second, and not where nothing is told', async () => {
  jest.useFakeTimers({ now: Date.parse('2026-11-29T05:02:00Z') });
  const host = new Host(data(TASKS, 'RUNNING'));
  show(host);
  expect(text()).toContain('Running · 2 min 0 s');
  await doing(() => jest.advanceTimersByTime(3000));
  expect(text()).toContain('Running · 2 min 3 s');
  await doing(() => host.show({ isLive: false, problem: 'It is away.' }));
  await doing(() => jest.advanceTimersByTime(3000));
  expect(text()).toContain('Running · 1 min 0 s');
  expect(text()).toContain('As it was on');
  expect(text()).toContain('It is away.');
});

it('the iterations of a loop are turned through', async () => {
  show(
    new Host(data([task('train[0]', 'FAILED'), task('train[1]')], 'RUNNING'))
  );
  expect(text()).toContain('1 of 2');
  expect(text()).toContain('trainFailed');
  await doing(() => button('Next iteration').click());
  expect(text()).toContain('2 of 2');
  expect(text()).toContain('trainSucceeded');
});

it('a group is closed and opened by a click on its head', async () => {
  show(new Host(data(TASKS)));
  const head = button('nested');
  expect(head.getAttribute('aria-expanded')).toBe('true');
  await doing(() => head.click());
  expect(button('nested').getAttribute('aria-expanded')).toBe('false');
});

it('a task that was not executed anew is marked', () => {
  const none = { parameters: {}, artifacts: {} };
  const values = {
    'id of load': { inputs: none, outputs: none, reused_from: 'run 7' }
  };
  show(new Host(data(TASKS, 'SUCCEEDED', { values })));
  expect(button('load').textContent).toContain('reused');
});

it('a click on a task shows what went in, what came out, and its log', async () => {
  const values = {
    'id of train[1]': {
      inputs: { parameters: { rate: 0.25 }, artifacts: {} },
      outputs: {
        parameters: { Output: 'good' },
        artifacts: {
          metrics: [
            {
              name: '',
              type: 'system.Metrics',
              uri: '',
              metadata: { accuracy: 0.75 }
            }
          ],
          model: [{ name: '', type: 'system.Model', uri: '/m', metadata: {} }]
        }
      },
      reused_from: ''
    }
  };
  const host = new Host(data(TASKS, 'RUNNING', { values }));
  show(host);
  await doing(() => button('train').click());
  expect(host.acted).toContainEqual({ name: 'log', task_id: 'id of train[1]' });
  expect(text()).toContain('accuracy0.75');
  expect(text()).toContain('Outputgood');
  expect(text()).toContain('modelModel /m');
  expect(text()).toContain('rate0.25');
  const logs = {
    'id of train[1]': {
      lines: ['epoch 1', 'epoch 2'],
      isOpen: true,
      problem: ''
    }
  };
  await doing(() => host.show({ logs }));
  expect(text()).toContain('epoch 2');
  await doing(() => button('Close the task').click());
  expect(host.acted).toContainEqual({
    name: 'unlog',
    task_id: 'id of train[1]'
  });
});

it('a failed run shows the task that failed, the end of its log, and its own traceback', () => {
  const log = `Traceback (most recent call last):
  File "/x/kfp/dsl/executor.py", line 3, in execute
    go()
  File "/tmp/c.py", line 5, in fail
    raise ValueError("no more")
ValueError: no more`;
  const tasks = [task('load', 'FAILED', { error: 'ValueError: no more' })];
  const logs = { 'id of load': log };
  show(new Host(data(tasks, 'FAILED', { logs }), { isLive: false }));
  const alert = shown.node.querySelector('.jp-KfpMt-taskDetails [role=alert]')!;
  const [own] = alert.querySelectorAll('pre');
  expect(own.textContent).toContain('/tmp/c.py');
  expect(own.textContent).not.toContain('executor.py');
  expect(alert.querySelector('summary')?.textContent).toContain('2 lines');
});

const LOG = [
  '[KFP Executor 2026-11-29 12:27:51,179 INFO]: Got executor_input:',
  '{',
  '}',
  'epoch 1'
];

async function showLog(lines: string[]): Promise<Host> {
  const host = new Host(data(TASKS, 'RUNNING'));
  show(host);
  await doing(() => button('load').click());
  const log = { lines, isOpen: true, problem: '' };
  await doing(() => host.show({ logs: { 'id of load': log } }));
  return host;
}

function logLines(): (string | null)[] {
  const lines = shown.node.querySelectorAll('.jp-KfpMt-logLine');
  return [...lines].map(line => line.textContent);
}

it("a log is the task's own lines; the executor's are counted, and shown on request", async () => {
  const host = await showLog(LOG);
  expect(logLines()).toEqual(['epoch 1']);
  expect(text()).toContain('1 line');
  expect(text()).toContain('3 lines of the executor');
  await doing(() => button("Show the executor's lines").click());
  expect(logLines()).toEqual(LOG);
  await doing(() => button("Hide the executor's lines").click());
  const more = { lines: [...LOG, 'epoch 2'], isOpen: true, problem: '' };
  await doing(() => host.show({ logs: { 'id of load': more } }));
  expect(logLines()).toEqual(['epoch 1', 'epoch 2']);
});

it('a task that has written nothing itself has no empty log', async () => {
  await showLog(LOG.slice(0, 3));
  expect(shown.node.querySelector('[role=log]')).toBeNull();
  expect(text()).toContain('The task itself has written nothing.');
  await doing(() => button("Show the executor's lines").click());
  expect(logLines()).toEqual(LOG.slice(0, 3));
});

it('a button that is refused says why, and does nothing', async () => {
  const refusals = { terminate: 'The run has finished already.' };
  const host = new Host(data(TASKS), { refusals });
  show(host);
  const terminate = button('Terminate');
  expect(terminate.getAttribute('aria-disabled')).toBe('true');
  const reason = document.getElementById(
    terminate.getAttribute('aria-describedby')!
  );
  expect(reason?.textContent).toBe('The run has finished already.');
  await doing(() => terminate.click());
  expect(text()).not.toContain('Terminate this run?');
});

it('an action is asked for once more, and what comes of it is said', async () => {
  const host = new Host(data(TASKS));
  host.answer = async () => 'Started: Clone of training';
  show(host);
  await doing(() => button('Clone').click());
  await doing(() => button('No').click());
  await doing(() => button('Clone').click());
  await doing(() => button('Clone').click());
  expect(host.acted).toContainEqual({ name: 'clone' });
  expect(text()).toContain('Started: Clone of training');
  host.answer = () => Promise.reject(new Error('You may not.'));
  await doing(() => button('Clone').click());
  await doing(() => button('Clone').click());
  expect(text()).toContain('You may not.');
});

it('where cloning opens a form it is not asked for once more', async () => {
  const host = Object.assign(new Host(data(TASKS)), { hasCloneForm: true });
  host.answer = async () => 'Started: again (r2)';
  show(host);
  await doing(() => button('Clone…').click());
  expect(host.acted).toEqual([{ name: 'clone' }]);
  expect(text()).toContain('Started: again (r2)');
});

it.each(['https://kfp.example/#/runs/details/r1', '/_/pipeline/#/runs/r1'])(
  'the page of a run in KFP, %s, is a link',
  link => {
    show(new Host(data(TASKS, 'SUCCEEDED', { link })));
    expect(button('Open in KFP').getAttribute('href')).toBe(link);
  }
);

it.each(['javascript:alert(1)', '//elsewhere', '/\\elsewhere', ''])(
  'no way to KFP is offered where there is none: %s',
  link => {
    show(new Host(data(TASKS, 'SUCCEEDED', { link })));
    expect(text()).not.toContain('Open in KFP');
  }
);

async function outputsOf(state: string, more: object = {}): Promise<string> {
  show(new Host(data([task('load', state)], 'RUNNING', more)));
  await doing(() => button('load').click());
  return shown.node.querySelector('.jp-KfpMt-viewFacts')?.textContent ?? '';
}

const NONE = { parameters: {}, artifacts: {} };

it('a task that failed has written nothing, and one that goes on not yet', async () => {
  expect(await outputsOf('FAILED')).toBe('Outputnot written');
  shown.remove();
  expect(await outputsOf('RUNNING')).toBe('Outputnot written yet');
  shown.remove();
  const values = {
    'id of load': { inputs: NONE, outputs: NONE, reused_from: '' }
  };
  expect(await outputsOf('SUCCEEDED', { values })).toBe('Outputnot written');
});

it('where values are not told, an output has at least a type', async () => {
  expect(await outputsOf('SUCCEEDED')).toBe('Outputstring');
});

it('the axis of the time line has round times, in one unit', async () => {
  show(new Host(data([task('load')])));
  await doing(() => button('Time line').click());
  const ticks = shown.node.querySelectorAll('.jp-KfpMt-timelineAxis div span');
  expect([...ticks].map(tick => tick.textContent)).toEqual([
    '0 s',
    '2 s',
    '4 s',
    '6 s',
    '8 s',
    '10 s'
  ]);
});

it('the time line lists what has started, and chooses a task', async () => {
  show(new Host(data([...TASKS, task('nested/train', 'PENDING')], 'RUNNING')));
  await doing(() => button('Time line').click());
  const rows = shown.node.querySelectorAll('.jp-KfpMt-timeline li');
  expect([...rows].map(row => row.querySelector('span')?.textContent)).toEqual([
    'load',
    'train[0]',
    'train[1]'
  ]);
  await doing(() => rows[1].querySelector('button')!.click());
  await doing(() => button('Graph').click());
  expect(text()).toContain('1 of 2');
});

it('arrows walk through the graph', async () => {
  show(new Host(data(TASKS)));
  const first = shown.node.querySelector<HTMLElement>('[data-item="load"]')!;
  await doing(() => first.focus());
  const down = new KeyboardEvent('keydown', {
    key: 'ArrowDown',
    bubbles: true
  });
  await doing(() => first.dispatchEvent(down));
  const focused = document.activeElement as HTMLElement;
  expect(focused.dataset.item).toBeDefined();
  expect(focused.dataset.item).not.toBe('load');
});

const STOPPED = [
  { state: 'RUNNING', update_time: '2026-11-29T05:00:00Z', error: '' },
  { state: 'CANCELING', update_time: '2026-11-29T05:00:02Z', error: '' },
  { state: 'FAILED', update_time: '2026-11-29T05:00:03Z', error: '' }
];
const FROM_CELL =
  'A try.\n\nNotebook: work/train.ipynb\nCell: 3 (ab-c)\nStarted by: ann';

function toldOf(more: object) {
  const run = data([task('load', 'FAILED', { error: 'killed' })], 'FAILED');
  return { ...run, run: { ...run.run, ...more } };
}

it('what somebody stopped is terminated, and nothing of it failed', async () => {
  show(new Host(toldOf({ state_history: STOPPED, error: 'terminated' })));
  expect(text()).toContain('Terminated');
  expect(text()).not.toContain('Failed');
  expect(shown.node.querySelector('[role=alert]')).toBeNull();
  await doing(() => button('Run').click());
  const history = [...shown.node.querySelectorAll('.jp-KfpMt-viewHistory li')];
  expect(history.map(each => each.querySelector('span')?.textContent)).toEqual([
    'Running',
    'Canceling',
    'Failed'
  ]);
});

it('the time between the end of a run and its retry does not count, and is told', () => {
  const [running, , failed] = STOPPED;
  const again = { ...running, update_time: '2026-11-29T05:00:08Z' };
  const history = [running, failed, again];
  show(new Host(toldOf({ state_history: history })));
  const time = shown.node.querySelector('.jp-KfpMt-viewTime')!;
  expect(time.textContent).toBe('5.0 s');
  expect(time.getAttribute('title')).toContain('without 5 s between its end');
});

it('a click leads back to the cell that started it', async () => {
  const opened: unknown[] = [];
  const host = Object.assign(new Host(toldOf({ description: FROM_CELL })), {
    openOrigin: (origin: { notebook: string; cell_id: string }) =>
      opened.push([origin.notebook, origin.cell_id])
  });
  show(host);
  await doing(() => button('train.ipynb, cell 3').click());
  expect(opened).toEqual([['work/train.ipynb', 'ab-c']]);
});

it('where there are no notebooks the cell is told, without a way to it', async () => {
  show(new Host(toldOf({ description: FROM_CELL })));
  expect(text()).toContain('train.ipynb, cell 3');
  expect(() => button('train.ipynb')).toThrow('no button');
  await doing(() => button('Run').click());
  expect(text()).toContain('Started byann');
  expect(text()).toContain('DescriptionA try.');
});

const PAGE = '<h1>Report</h1><script>parent.hacked = 1</script>';

async function showReport(type: string, more: object = {}): Promise<void> {
  const whole = data([task('load')]);
  const artifacts = { report: [{ name: '', type, uri: 'x', metadata: {} }] };
  const values = {
    'id of load': {
      inputs: { parameters: {}, artifacts: {} },
      outputs: { parameters: {}, artifacts },
      reused_from: ''
    }
  };
  const readArtifact = async (task_id: string, name: string) =>
    task_id === 'id of load' && name === 'report' ? PAGE : '';
  show(Object.assign(new Host({ ...whole, values }), { readArtifact }, more));
  await doing(() => button('load').click());
}

it('HTML of a task is shown in a frame in which nothing runs and from which nothing is fetched', async () => {
  await showReport('system.HTML');
  await doing(() => button('Show').click());
  const frame = shown.node.querySelector('iframe')!;
  expect(frame.getAttribute('sandbox')).toBe('');
  const source = frame.getAttribute('srcdoc') ?? '';
  expect(source).toMatch(/^<!doctype html><meta http-equiv="Content-Security-/);
  expect(source).toContain("default-src 'none'");
  expect(source.endsWith(PAGE)).toBe(true);
  await doing(() => button('Hide').click());
  expect(shown.node.querySelector('iframe')).toBeNull();
});

it('Markdown of a task is left to who draws it safely, else it is text', async () => {
  const drawMarkdown = (text: string, node: HTMLElement) => {
    node.textContent = `drawn ${text.length}`;
    return () => undefined;
  };
  await showReport('system.Markdown', { drawMarkdown });
  await doing(() => button('Show').click());
  expect(text()).toContain(`drawn ${PAGE.length}`);
  shown.remove();
  await showReport('system.Markdown');
  await doing(() => button('Show').click());
  expect(text()).toContain(PAGE);
  expect(shown.node.querySelector('h1, script')).toBeNull();
});

it('why an artifact cannot be read is said', async () => {
  const readArtifact = () => Promise.reject(new Error('It is gone.'));
  await showReport('system.HTML', { readArtifact });
  await doing(() => button('Show').click());
  expect(text()).toContain('It is gone.');
});
