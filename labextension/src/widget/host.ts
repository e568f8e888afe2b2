/** A run whose data come from a kernel, which also performs the actions. */

import { TranslationBundle } from '@jupyterlab/translation';

import { Action, IHost, ILog, IRunView } from '../run/host';
import { readData } from '../run/run_data';
import { isFinished } from '../run/states';

/** The parts of an anywidget model that are used. */
export interface IModel {
  get(name: string): unknown;
  on(event: string, call: (message: IAnswer) => void): void;
  off(event: string, call: (message: IAnswer) => void): void;
  send(message: unknown): void;
}

/** A response of the kernel. */
interface IAnswer {
  id?: number;
  said?: string;
  problem?: string;
  lines?: string[];
}

// A busy kernel responds late.
const LOOK = 3_000;
const PATIENCE = 60_000;

export class WidgetHost implements IHost {
  constructor(private readonly _model: IModel) {
    this._view = {
      data: readData(_model.get('data')) ?? readData({ run: {} })!,
      isLive: false,
      problem: '',
      refusals: _model.get('refusals') as IRunView['refusals'],
      logs: {}
    };
    _model.on('change:data', this._adopt);
    _model.on('change:refusals', this._adopt);
    _model.on('msg:custom', this._hear);
    this._timer = window.setInterval(() => this._look(), LOOK);
  }

  readonly text = TEXT;

  get(): IRunView {
    return this._view;
  }

  subscribe(changed: () => void): () => void {
    this._changed.add(changed);
    return () => this._changed.delete(changed);
  }

  async act(action: Action): Promise<string> {
    if (action.name === 'unlog') {
      this._read.delete(action.task_id);
      return '';
    }
    if (action.name === 'log') {
      this._read.add(action.task_id);
      await this._readLog(action.task_id);
      return '';
    }
    return (await this._ask(action)).said ?? '';
  }

  dispose(): void {
    window.clearInterval(this._timer);
    this._model.off('change:data', this._adopt);
    this._model.off('change:refusals', this._adopt);
    this._model.off('msg:custom', this._hear);
    this._changed.clear();
  }

  private _look(): void {
    if (!isFinished(this._view.data.run) && !this._answers.size) {
      this._ask({ name: 'look' }).catch(() => this._set({ isLive: false }));
      this._read.forEach(task_id => void this._readLog(task_id));
    }
  }

  private async _readLog(task_id: string): Promise<void> {
    const log: ILog = { lines: [], isOpen: false, problem: '' };
    try {
      const { lines = [] } = await this._ask({ name: 'log', task_id });
      log.lines = lines;
    } catch (reason) {
      log.problem = reason instanceof Error ? reason.message : '';
    }
    log.isOpen = !isFinished(this._view.data.run);
    this._set({ logs: { ...this._view.logs, [task_id]: log } });
  }

  private _ask(asked: object): Promise<IAnswer> {
    const id = ++this._asked;
    return new Promise((resolve, reject) => {
      const timer = window.setTimeout(() => {
        this._answers.delete(id);
        reject(new Error(TEXT.__('The kernel does not respond.')));
      }, PATIENCE);
      this._answers.set(id, answer => {
        window.clearTimeout(timer);
        this._answers.delete(id);
        if (answer.problem) {
          reject(new Error(answer.problem));
        } else {
          resolve(answer);
        }
      });
      this._model.send({ ...asked, id });
    });
  }

  private _hear = (answer: IAnswer): void => {
    this._answers.get(answer?.id ?? 0)?.(answer);
  };

  private _adopt = (): void => {
    const data = readData(this._model.get('data')) ?? this._view.data;
    const refusals = this._model.get('refusals') as IRunView['refusals'];
    this._set({ data, refusals, isLive: true });
  };

  private _set(news: Partial<IRunView>): void {
    this._view = { ...this._view, ...news };
    this._changed.forEach(changed => changed());
  }

  private readonly _answers = new Map<number, (answer: IAnswer) => void>();
  private _asked = 0;
  private readonly _changed = new Set<() => void>();
  private readonly _read = new Set<string>();
  private readonly _timer: number;
  private _view: IRunView;
}

function filled(text: string, values: unknown[]): string {
  return text.replace(/%(\d)/g, (_, n) => `${values[Number(n) - 1] ?? ''}`);
}

// Without JupyterLab there are no translations.
const TEXT = {
  __: (text: string, ...values: unknown[]) => filled(text, values),
  _n: (one: string, many: string, n: number, ...values: unknown[]) =>
    filled(n === 1 ? one : many, values)
} as unknown as TranslationBundle;
