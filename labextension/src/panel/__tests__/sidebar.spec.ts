/** The panel as a person uses it: by eye, by keyboard and by ear. */

import { StateDB } from '@jupyterlab/statedb';
import { Widget } from '@lumino/widgets';

import { KfpModel } from '../../model/model';
import { KfpSidebar } from '../sidebar';
import {
  json,
  namespace,
  run,
  RUNS,
  Server,
  STATUS,
  trans,
  until
} from '../../__tests__/server';

let server: Server;
let sidebar: KfpSidebar;
let memory: StateDB;
let copied: string[];
let executed: string[];
let refusals: Record<string, string>;

beforeEach(() => {
  server = new Server();
  copied = [];
  memory = new StateDB();
  const { api } = server;
  const intervals = { active: 5, idle: 5 };
  const model = new KfpModel({ api, memory, intervals, standby: 'never' });
  executed = [];
  refusals = {};
  sidebar = new KfpSidebar({
    api,
    model,
    trans,
    copy: text => copied.push(text),
    execute: (command, args = {}) =>
      executed.push([command, ...Object.values(args)].join(' ')),
    refusal: command => refusals[command] ?? '',
    upload: file => executed.push(`upload ${file.name}`),
    nameOfKernel: kernel => (kernel === 'k1' ? 'train.ipynb' : kernel)
  });
});

afterEach(() => {
  const { model } = sidebar;
  sidebar.dispose();
  model?.dispose();
});

/** Show the panel and wait until it says something. */
async function show(words: string): Promise<void> {
  if (!sidebar.isAttached) {
    Widget.attach(sidebar, document.body);
  }
  await until(() => text().includes(words));
}

function text(): string {
  return sidebar.node.textContent ?? '';
}

function one(selector: string): HTMLElement {
  const found = sidebar.node.querySelector<HTMLElement>(selector);
  if (!found) {
    throw new Error(`no ${selector} in ${sidebar.node.innerHTML}`);
  }
  return found;
}

function rows(): HTMLElement[] {
  return [...sidebar.node.querySelectorAll<HTMLElement>('[role=row]')];
}

function button(label: string): HTMLElement {
  const found = [...sidebar.node.querySelectorAll('button')].find(
    ({ textContent, title }) => textContent === label || title === label
  );
  if (!found) {
    throw new Error(`no button "${label}" in ${text()}`);
  }
  return found;
}

function press(key: string, more: KeyboardEventInit = {}): void {
  const pressed = { key, bubbles: true, cancelable: true, ...more };
  document.activeElement?.dispatchEvent(new KeyboardEvent('keydown', pressed));
}

it('it is a region with a name', () => {
  expect(sidebar.node.getAttribute('role')).toBe('region');
  expect(sidebar.node.getAttribute('aria-label')).toBe('Kubeflow Pipelines');
});

it('the header says where, who and in which namespace', async () => {
  await show('Local KFP');
  expect(one('.jp-KfpMt-identity').textContent).toBe('alice / default-editor');
  expect(one('.jp-KfpMt-namespace').textContent?.trim()).toBe('alice');
  expect(one('.jp-KfpMt-light').getAttribute('aria-label')).toBe('connected');
});

it('a run shows its name, its state in words and its duration', async () => {
  const finished_at = '2026-11-23T10:00:12Z';
  server.runs = [run('train', 'SUCCEEDED', { finished_at })];
  await show('train');
  expect(one('.jp-KfpMt-runState').textContent).toBe('Succeeded');
  expect(one('.jp-KfpMt-runDuration').textContent).toBe('12 s');
  expect(one('.jp-KfpMt-runAge').title).toContain('2026');
});

it('what a person typed is text, never markup', async () => {
  const display_name = '<img src=x onerror=alert(1)>';
  server.runs = [run('1', 'FAILED', { display_name })];
  await show(display_name);
  expect(sidebar.node.querySelector('img, b')).toBeNull();
});

it('an empty namespace says how to start a run', async () => {
  await show('No runs in alice yet');
  expect(one('.jp-KfpMt-command code').textContent).toBe(
    '%load_ext jupyter_kfp_mt\n%kfp run FILE'
  );
});

it('without a namespace it says how to choose one', async () => {
  server.status = { ...STATUS, namespace: '' };
  await show('No namespace is chosen');
  expect(one('.jp-KfpMt-command code').textContent).toBe(
    "c.Kfp.namespace = 'NAME'"
  );
});

describe('the chooser of namespaces', () => {
  beforeEach(() => {
    server.namespaces = [
      namespace('team-b', true),
      namespace('alice', true),
      namespace('maybe', null),
      namespace('bob', false)
    ];
    server.runsOf = { 'team-b': [run('tune', 'RUNNING')] };
    Element.prototype.scrollIntoView = () => undefined; // jsdom lays nothing out
  });

  function chooser(): HTMLElement {
    return one('.jp-KfpMt-namespace button');
  }

  function options(): HTMLElement[] {
    return [...sidebar.node.querySelectorAll<HTMLElement>('[role="option"]')];
  }

  function names(): (string | null)[] {
    return [...sidebar.node.querySelectorAll('.jp-KfpMt-optionName')].map(
      ({ textContent }) => textContent
    );
  }

  function active(): string {
    const id = one('input').getAttribute('aria-activedescendant') ?? '';
    return document.getElementById(id)?.textContent ?? '';
  }

  /** Wait for the chooser and open it, until it lists what there is. */
  async function open(words = '4 namespaces'): Promise<void> {
    await show('Local KFP');
    await until(() => sidebar.model.hasChoice);
    await until(() => !!sidebar.node.querySelector('.jp-KfpMt-chooser'));
    chooser().click();
    await show(words);
  }

  function isOpen(): boolean {
    return !!sidebar.node.querySelector('[role="dialog"]');
  }

  function type(text: string): void {
    const input = one('input') as HTMLInputElement;
    const { set } = Object.getOwnPropertyDescriptor(
      HTMLInputElement.prototype,
      'value'
    )!;
    set?.call(input, text);
    input.dispatchEvent(new Event('input', { bubbles: true }));
  }

  it('lists the usable ones first, and says why others are not', async () => {
    await open();
    expect(names()).toEqual([
      'All my namespaces',
      'alice',
      'team-b',
      'maybe',
      'bob'
    ]);
    const [, alice, , , bob] = options();
    expect(alice.getAttribute('aria-selected')).toBe('true');
    expect(bob.getAttribute('aria-disabled')).toBe('true');
    expect(bob.title).toBe('You may not list runs in bob.');
    expect(bob.textContent).toContain('You may not list runs in bob.');
  });

  it('shows the runs of the one that arrows and Enter choose', async () => {
    await open();
    expect(document.activeElement).toBe(one('input'));
    expect(active()).toBe('alice');
    press('ArrowDown');
    await until(() => active() === 'team-b');
    press('Enter');
    await show('tune');
    expect(document.activeElement).toBe(chooser());
    expect(chooser().textContent).toBe('team-b');
    expect(isOpen()).toBe(false);
  });

  it('finds one among 500 by what is typed', async () => {
    server.namespaces = Array.from({ length: 500 }, (_, i) =>
      namespace(`team-${i}`, null)
    );
    await open('500 namespaces');
    type('M-42');
    await show('11 of 500 namespaces');
    expect(names().slice(0, 2)).toEqual(['team-42', 'team-420']);
    type('x_');
    await show('None of 500 has “x_” in its name');
    press('Enter');
    expect(sidebar.model.namespace).toBe('alice');
  });

  it('keeps one that may not be used from being chosen, and tells the cure', async () => {
    await open();
    options()[4].click();
    await show('Its owner can allow it:');
    press('Enter');
    expect(sidebar.model.namespace).toBe('alice');
    button('Copy').click();
    expect(copied).toEqual(['kubectl bind']);
  });

  it('takes one that nobody knows of, if it is typed', async () => {
    await open();
    type('secret');
    await until(() => names().join() === 'secret');
    press('Enter');
    await until(() => sidebar.model.namespace === 'secret');
  });

  it('shows all of them in one list', async () => {
    await open();
    options()[0].click();
    await until(() => sidebar.model.isAll);
    await show('tune');
    expect(chooser().textContent).toBe('All my namespaces');
    expect(rows()[0].textContent).toContain('team-b');
  });

  it('closes on Escape, and when the focus goes elsewhere', async () => {
    await open();
    press('Escape');
    await until(() => !isOpen());
    expect(document.activeElement).toBe(chooser());
    chooser().click();
    await until(isOpen);
    button('Refresh').focus();
    await until(() => !isOpen());
  });

  it('says that it looks, and what a source did not tell is a line below', async () => {
    await open();
    press('Escape');
    await until(() => !isOpen());
    let answer: (response: Response) => void = () => undefined;
    server.answers['namespaces'] = () => new Promise(tell => (answer = tell));
    chooser().click();
    await show('Looking…');
    expect(names().length).toBe(5);
    const problem = { message: 'kfam does not answer.' };
    const sources = [{ name: 'kfam', problem }];
    answer(json({ namespaces: server.namespaces, sources }));
    await show('kfam: kfam does not answer.');
    expect(sidebar.node.querySelector('[role="alert"]')).toBeNull();
  });

  it('says why there is nothing to choose from', async () => {
    server.answers['namespaces'] = () =>
      json({ message: 'KFP is away.', cause: '', cure: 'Wait.' }, 502);
    await open('KFP is away.');
    expect(one('[role="dialog"]').textContent).toContain('Wait.');
    expect(sidebar.node.querySelector('[role="alert"]')).toBeNull();
  });

  it('is plain text where there is but one', async () => {
    server.namespaces = [namespace('alice', true)];
    await show('No runs in alice yet');
    await until(() => sidebar.model.namespaces.found !== null);
    await show('alice');
    expect(one('.jp-KfpMt-namespace').querySelector('button')).toBeNull();
  });

  it('is offered first where no namespace is chosen', async () => {
    server.status = { ...STATUS, namespace: '' };
    await show('No namespace is chosen');
    button('Choose a namespace').click();
    await show('4 namespaces');
    expect(document.activeElement).toBe(one('input'));
    options()[2].click();
    await show('tune');
    expect(document.activeElement).toBe(chooser());
  });

  it('a namespace of earlier that is refused is named, until that is dismissed', async () => {
    server.choose('gone');
    server.answers[RUNS] = url =>
      url.search.includes('gone')
        ? json({ message: 'not gone', cause: 'role' }, 403)
        : json({});
    await show(
      'gone, chosen here before, is refused. These are the runs of alice.'
    );
    expect(one('.jp-KfpMt-lost').textContent).toContain('not gone');
    button('Dismiss').click();
    await until(() => !text().includes('chosen here before'));
  });
});

it('a notebook with a namespace of its own is named, with one click for either', async () => {
  server.namespaces.push(namespace('bob', true));
  server.status = { ...STATUS, kernel_namespaces: { k1: 'bob', k2: 'alice' } };
  await show('train.ipynb uses bob');
  expect(text()).not.toContain('k2 uses');
  button('Use alice there').click();
  await until(() => server.asked.includes('PUT namespace?kernel=k1'));
  button('Use bob here').click();
  await until(() => server.asked.includes('PUT namespace?namespace=bob'));
  await until(() => !text().includes('train.ipynb uses bob'));
  await show('k2 uses alice');
});

it('where nobody is kept apart it says so, and offers no choice', async () => {
  server.namespaces.push(namespace('bob', true));
  server.status = { ...STATUS, multi_user: false };
  await show('This KFP serves a single user, and has no namespaces.');
  await show('No runs yet');
  expect(sidebar.node.querySelector('.jp-KfpMt-namespace')).toBeNull();
});

it('while the local KFP starts it says so', async () => {
  server.status = { ...STATUS, ready: false };
  await show('is starting on this machine');
});

it('until the runs are known it says that it loads them', async () => {
  server.answers[RUNS] = () => new Promise(() => undefined);
  await show('Loading the list');
});

it('a problem is an alert with its cause, its cure and a command to copy', async () => {
  const error = {
    message: 'The token has expired.',
    cause: 'Nobody renewed it.',
    cure: 'Start it again:\nkubectl delete pod x\nkubectl get pods',
    server_text: 'rpc error'
  };
  server.status = { ...STATUS, error };
  await show('The token has expired.');
  const alert = one('[role="alert"]');
  for (const words of [
    'Nobody renewed it.',
    'Start it again:',
    'kubectl delete pod x',
    'rpc error'
  ]) {
    expect(alert.textContent).toContain(words);
  }
  button('Copy').click();
  expect(copied).toEqual(['kubectl delete pod x\nkubectl get pods']);
});

it('runs that could not be read again are marked as old', async () => {
  server.runs = [run('train', 'RUNNING')];
  await show('train');
  server.answers[RUNS] = () => json({ message: 'no', cause: 'role' }, 403);
  await show('from a moment ago');
  expect(rows().length).toBe(1);
});

it('of a long list only what can be seen is drawn, and all of it is counted', async () => {
  server.runs = Array.from({ length: 1000 }, (_, i) => run(`r${i}`, 'FAILED'));
  await show('1,000 runs');
  expect(rows().length).toBeLessThan(60);
  expect(one('[role=grid]').getAttribute('aria-rowcount')).toBe('1000');
});

it('one row can be tabbed to, and arrows, Home and End walk from it', async () => {
  server.runs = ['c', 'b', 'a'].map(id => run(id, 'SUCCEEDED'));
  await show('3 runs');
  expect(rows().map(({ tabIndex }) => tabIndex)).toEqual([0, -1, -1]);
  rows()[0].focus();
  for (const [key, index] of [
    ['ArrowDown', 1],
    ['End', 2],
    ['ArrowDown', 2],
    ['ArrowUp', 1],
    ['Home', 0]
  ] as const) {
    press(key);
    await until(() => document.activeElement === rows()[index]);
  }
});

it('the focus stays on its run when newer runs come in', async () => {
  server.runs = [run('b', 'SUCCEEDED'), run('a', 'SUCCEEDED')];
  await show('2 runs');
  const row = rows()[1];
  row.focus();
  server.runs = [run('newest', 'PENDING'), ...server.runs];
  await show('newest');
  expect(document.activeElement).toBe(row);
  expect(rows()[2]).toBe(row);
});

it('a click and Enter open a run', async () => {
  server.runs = [run('7f3', 'FAILED')];
  await show('7f3');
  rows()[0].click();
  rows()[0].focus();
  press('Enter');
  expect(executed).toEqual(['runs-open 7f3', 'runs-open 7f3']);
});

it('Space, Shift and Ctrl select, Escape selects nothing', async () => {
  server.runs = ['c', 'b', 'a'].map(id => run(id, 'SUCCEEDED'));
  await show('3 runs');
  const selected = () =>
    rows()
      .filter(row => row.getAttribute('aria-selected') === 'true')
      .map(row => row.dataset.id);
  rows()[0].focus();
  press(' ');
  await until(() => selected().join() === 'c');
  press('ArrowDown', { shiftKey: true });
  await until(() => selected().join() === 'c,b');
  press('ArrowDown', { shiftKey: true });
  await until(() => selected().join() === 'c,b,a');
  press('ArrowUp', { shiftKey: true });
  await until(() => selected().join() === 'c,b');
  press('a', { ctrlKey: true });
  await until(() => selected().join() === 'c,b,a');
  await show('3 selected');
  press('Escape');
  await until(() => selected().length === 0);
  expect(text()).not.toContain('selected');
});

it('what is not listed any more is not selected either', async () => {
  server.runs = [run('b', 'SUCCEEDED'), run('a', 'SUCCEEDED')];
  await show('2 runs');
  rows()[0].focus();
  press('a', { ctrlKey: true });
  await show('2 selected');
  server.runs = [run('a', 'SUCCEEDED')];
  await show('1 selected');
  server.runs = [];
  await until(() => !text().includes('selected'));
});

it('only what makes sense for some of what is selected is offered', async () => {
  server.runs = [run('train', 'SUCCEEDED'), run('tune', 'RUNNING')];
  await show('tune');
  const offered = () =>
    [...one('[role=toolbar]').querySelectorAll('button')].map(
      ({ textContent }) => textContent
    );
  rows()[0].click();
  await show('1 selected');
  expect(offered()).toEqual([
    'Clone…',
    'Insert',
    'Notebook',
    'Archive',
    'Delete'
  ]);
  button('Archive').click();
  expect(executed).toEqual(['runs-open train', 'runs-archive']);
  rows()[0].focus();
  press('a', { ctrlKey: true });
  await show('2 selected');
  expect(offered()).toEqual(['Compare', 'Terminate', 'Archive', 'Delete']);
});

it('what the role does not allow says so', async () => {
  const permissions = { runs: { list: true, archive: false } };
  server.namespaces = [{ ...namespace('alice', true), permissions }];
  server.runs = [run('train', 'SUCCEEDED')];
  await show('can view');
  await show('train');
  rows()[0].click();
  await show('1 selected');
  expect(button('Archive').title).toBe(
    'your role in alice does not allow it: it lacks archive on runs'
  );
});

it('a search is asked of KFP, and an empty answer names it', async () => {
  server.runs = [run('train', 'SUCCEEDED')];
  await show('train');
  server.runs = [];
  const search = one('input[type=search]') as HTMLInputElement;
  Object.getOwnPropertyDescriptor(
    HTMLInputElement.prototype,
    'value'
  )!.set?.call(search, 'sweep');
  search.dispatchEvent(new Event('input', { bubbles: true }));
  await show('“sweep” in the name');
  expect(decodeURIComponent(decodeURIComponent(server.asked.join()))).toContain(
    '"operation":"IS_SUBSTRING","string_value":"sweep"'
  );
  server.runs = [run('train', 'SUCCEEDED')];
  button('Clear the filters').click();
  await show('train');
});

it('arrows on the tabs show another list', async () => {
  server.answers['api/apis/v2beta1/recurringruns'] = () =>
    json({
      recurringRuns: [
        {
          recurring_run_id: '1',
          display_name: 'nightly',
          status: 'DISABLED',
          trigger: { cron_schedule: { cron: '0 0 3 * * *' } }
        },
        {
          recurring_run_id: '2',
          display_name: 'daily',
          status: 'ENABLED',
          created_at: new Date(Date.now() - 90 * 60_000).toISOString(),
          trigger: { periodic_schedule: { interval_second: '86400' } }
        }
      ]
    });
  await show('No runs in alice yet');
  one('[role=tab][aria-selected=true]').focus();
  press('ArrowRight');
  await show('nightly');
  expect(rows()[0].textContent).toContain('Disabled');
  expect(rows()[0].textContent).toContain('0 0 3 * * *');
  expect(rows()[1].textContent).toContain('every day');
  expect(rows()[1].textContent).toMatch(/in 22 h$/);
});

it('the connection opens to what the doctor finds', async () => {
  server.answers['doctor'] = () =>
    json({
      findings: [
        {
          check: 'Token',
          result: 'failed',
          found: 'It has expired.',
          cause: 'Nobody renewed it.',
          cure: 'Start it again:\nkubectl delete pod x'
        },
        { check: 'clock', result: 'passed', found: 'as the server has it' },
        { check: 'healthz', result: 'passed', found: 'KFP answered' }
      ]
    });
  server.answers['contributors'] = () =>
    json({ contributors: [{ user: 'carol', role: 'edit' }] });
  await show('Local KFP');
  one('.jp-KfpMt-connection').click();
  await show('It has expired.');
  await show('carol: edit');
  expect(one('[role=dialog]').textContent).toContain(STATUS.identity.subject);
  expect(one('[role=dialog]').textContent).toContain('kubectl delete pod x');
  const passed = one('[role=dialog] details') as HTMLDetailsElement;
  expect(passed.open).toBe(false);
  expect(passed.textContent).toMatch(/^✓ 2 checks passed.*healthz/);
  press('Escape');
  await until(() => !sidebar.node.querySelector('[role=dialog]'));
});

it('of a local KFP another tenant is chosen in the connection', async () => {
  const identities = ['alice/default-editor', 'bob/default-editor'];
  server.status = { ...STATUS, identities };
  server.answers['doctor'] = () => json({ findings: [] });
  server.answers['contributors'] = () => json({ contributors: [] });
  server.answers['identity'] = () => {
    const subject = 'system:serviceaccount:bob:default-editor';
    const identity = { ...STATUS.identity, subject };
    server.status = { ...STATUS, namespace: 'bob', identity, identities };
    return json({});
  };
  await show('Local KFP');
  one('.jp-KfpMt-connection').click();
  await show('Work as');
  const choice = one('[role=dialog] select') as HTMLSelectElement;
  expect(choice.value).toBe('alice/default-editor');
  choice.value = 'bob/default-editor';
  choice.dispatchEvent(new Event('change', { bubbles: true }));
  await show('bob / default-editor');
  expect(choice.value).toBe('bob/default-editor');
  expect(server.asked).toContain('PUT identity?identity=bob%2Fdefault-editor');
});

it('changes of state are announced, but not what there was at first', async () => {
  server.runs = [run('train', 'RUNNING')];
  await show('train');
  expect(one('[aria-live="polite"]').textContent).toBe('');
  server.runs = [run('train', 'SUCCEEDED')];
  await until(() => one('[aria-live="polite"]').textContent !== '');
  expect(one('[aria-live="polite"]').textContent).toBe(
    'train finished: succeeded'
  );
});

it('hidden it asks nothing, shown it goes on', async () => {
  await show('No runs');
  sidebar.hide();
  expect(sidebar.model.isWatching).toBe(false);
  sidebar.show();
  expect(sidebar.model.isWatching).toBe(true);
});

it('a page of another release than the server says so, with what makes them one', async () => {
  server.answers['status'] = () => json({ ...STATUS, version: '9.0.0' });
  await show('the Jupyter server 9.0.0');
  expect(text()).toContain('Reload the page');
});

it('a page of the release of the server says nothing of it', async () => {
  await show('runs');
  expect(text()).not.toContain('Reload the page');
});

it('a file that is dropped on the panel is to be uploaded', async () => {
  await show('No runs');
  const event = new Event('drop', { bubbles: true, cancelable: true });
  const files = [new File(['root: {}'], 'adder.yaml')];
  Object.assign(event, { dataTransfer: { files, types: ['Files'] } });
  sidebar.node.dispatchEvent(event);
  expect(event.defaultPrevented).toBe(true);
  expect(executed).toEqual(['upload adder.yaml']);
});

it.each([
  [['notes.txt', 'work/adder.yaml'], ['upload-file work/adder.yaml']],
  [['notes.txt'], []]
])(
  'of %j from the file browser the pipeline is uploaded',
  async (paths, found) => {
    await show('No runs');
    const event = new Event('lm-drop', { bubbles: true, cancelable: true });
    const mimeData = { getData: () => paths };
    sidebar.node.dispatchEvent(Object.assign(event, { mimeData }));
    expect(executed).toEqual(found);
  }
);
