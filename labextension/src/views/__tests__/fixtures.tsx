/** Runs for tests of the views, and a host that shows them. */

import { nullTranslator } from '@jupyterlab/translation';
import * as React from 'react';
import { createRoot } from 'react-dom/client';

import { Action, IHost, IRunView } from '../../run/host';
import {
  IRunData,
  ISpecification,
  ITaskState,
  readData
} from '../../run/run_data';

// React's own, or that of preact in its place.
const act: typeof React.act =
  React.act ?? jest.requireActual('preact/test-utils').act;
Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

export const trans = nullTranslator.load('jupyter_kfp_mt');

export const SPEC: ISpecification = {
  root: {
    dag: {
      tasks: {
        load: { componentRef: { name: 'comp-load' } },
        'for-loop-1': {
          componentRef: { name: 'comp-for-loop-1' },
          dependentTasks: ['load'],
          parameterIterator: {
            items: { inputParameter: 'pipelinechannel--rates' }
          }
        },
        'condition-2': {
          componentRef: { name: 'comp-condition-2' },
          dependentTasks: ['load'],
          triggerPolicy: {
            condition:
              "inputs.parameter_values['pipelinechannel--load-Output'] == 'x'"
          }
        },
        inner: {
          componentRef: { name: 'comp-inner' },
          taskInfo: { name: 'nested' },
          dependentTasks: ['load']
        }
      }
    }
  },
  components: {
    'comp-load': {
      outputDefinitions: { parameters: { Output: { parameterType: 'STRING' } } }
    },
    'comp-for-loop-1': {
      dag: {
        tasks: {
          train: {
            componentRef: { name: 'comp-train' },
            inputs: {
              parameters: {
                rate: { runtimeValue: { constant: 0.5 } },
                text: { taskOutputParameter: { producerTask: 'load' } }
              }
            }
          },
          check: {
            componentRef: { name: 'comp-load' },
            dependentTasks: ['train']
          }
        }
      }
    },
    'comp-condition-2': {
      dag: { tasks: { tell: { componentRef: { name: 'comp-load' } } } }
    },
    'comp-inner': {
      dag: { tasks: { train: { componentRef: { name: 'comp-train' } } } }
    },
    'comp-train': {}
  }
};

const START = '2026-11-29T05:00:00Z';

export function task(
  display_name: string,
  state = 'SUCCEEDED',
  more: Partial<ITaskState> = {}
): ITaskState {
  const end_time = ['SUCCEEDED', 'FAILED'].includes(state)
    ? '2026-11-29T05:00:02.500Z'
    : '';
  return {
    task_id: `id of ${display_name}`,
    display_name,
    state,
    start_time: state === 'PENDING' ? '' : START,
    end_time,
    error: '',
    ...more
  };
}

export function data(
  tasks: ITaskState[],
  state = 'SUCCEEDED',
  more: Partial<IRunData> = {}
): IRunData {
  const whole = readData({
    namespace: 'alice',
    seen_at: '2026-11-29T05:01:00Z',
    run: {
      run_id: 'r1',
      display_name: 'training',
      state,
      created_at: START,
      finished_at: state === 'RUNNING' ? '' : '2026-11-29T05:00:10Z',
      parameters: { rates: [0.1, 0.2] }
    },
    spec: SPEC
  })!;
  return { ...whole, tasks, ...more };
}

/** A host whose view is set by the test. */
export class Host implements IHost {
  constructor(run: IRunData, more: Partial<IRunView> = {}) {
    this._view = {
      data: run,
      isLive: true,
      problem: '',
      refusals: {},
      logs: {},
      ...more
    };
  }

  readonly text = trans;
  readonly acted: Action[] = [];
  answer: () => Promise<string> = async () => '';

  get(): IRunView {
    return this._view;
  }

  subscribe(changed: () => void): () => void {
    this._changed.add(changed);
    return () => this._changed.delete(changed);
  }

  async act(action: Action): Promise<string> {
    this.acted.push(action);
    return this.answer();
  }

  show(news: Partial<IRunView>): void {
    this._view = { ...this._view, ...news };
    this._changed.forEach(changed => changed());
  }

  private _changed = new Set<() => void>();
  private _view: IRunView;
}

/** A component on the page, and how to take it off again. */
export function drawn(element: JSX.Element): {
  node: HTMLElement;
  remove: () => void;
} {
  const node = document.createElement('div');
  document.body.append(node);
  const root = createRoot(node);
  act(() => root.render(<React.StrictMode>{element}</React.StrictMode>));
  return {
    node,
    remove: () => {
      act(() => root.unmount());
      node.remove();
    }
  };
}

/** Do something, and draw what comes of it. */
export async function doing(something: () => unknown): Promise<void> {
  await act(async () => {
    await something();
  });
}
