/** The objects that the plugins share: the model, the API, and the user's settings. */

import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';
import { Token } from '@lumino/coreutils';
import { ISignal, Signal } from '@lumino/signaling';

import { KfpApi } from '../wire/api';
import { KfpModel } from './model';
import { RunEvents } from '../wire/run_events';
import { RunRequests } from '../wire/run_requests';

/** The user's settings; see `schema/plugin.json`. */
export interface IOptions {
  linkTemplate: string;
  notify: boolean;
  statusBar: boolean;
  insertAs: 'magic' | 'python';
}

export interface IKfpSession {
  readonly api: KfpApi;
  readonly model: KfpModel;
  readonly runs: IRunServices;
  readonly trans: TranslationBundle;
  readonly options: IOptions;
  readonly optionsChanged: ISignal<IKfpSession, IOptions>;
}

export const IKfpSession = new Token<IKfpSession>(
  'jupyter-kfp-mt:IKfpSession',
  'The connection to Kubeflow Pipelines: its model, its API, and the user settings.'
);

export const DEFAULTS: IOptions = {
  linkTemplate: '',
  notify: true,
  statusBar: true,
  insertAs: 'magic'
};

export class KfpSession implements IKfpSession {
  constructor(
    readonly api: KfpApi,
    readonly model: KfpModel,
    readonly runs: IRunServices,
    readonly trans: TranslationBundle
  ) {}

  get options(): IOptions {
    return this._options;
  }

  set options(options: IOptions) {
    this._options = options;
    this._changed.emit(options);
  }

  get optionsChanged(): ISignal<this, IOptions> {
    return this._changed;
  }

  private readonly _changed = new Signal<this, IOptions>(this);
  private _options = DEFAULTS;
}

/** The requests of all views of runs on a page, which share one stream of events. */
export interface IRunServices {
  requests: RunRequests;
  events: RunEvents;
  /** The permissions for runs in a namespace. */
  permissions: (namespace: string) => Promise<Record<string, boolean>>;
  /** Drop cached data: the identity, and with it the permissions, have changed. */
  forget: () => void;
}

const SERVICES = new WeakMap<ServerConnection.ISettings, IRunServices>();

export function runServices(
  serverSettings: ServerConnection.ISettings,
  trans: TranslationBundle
): IRunServices {
  const known = SERVICES.get(serverSettings);
  if (known) {
    return known;
  }
  const requests = new RunRequests(serverSettings, trans);
  const asked = new Map<string, Promise<Record<string, boolean>>>();
  const services = {
    requests,
    events: new RunEvents({ serverSettings, trans }),
    permissions: once(asked, namespace => requests.permissions(namespace)),
    forget: () => asked.clear()
  };
  SERVICES.set(serverSettings, services);
  return services;
}

/** Call a function once for each name, and again after a failure. */
function once<T>(
  asked: Map<string, Promise<T>>,
  ask: (name: string) => Promise<T>
): (name: string) => Promise<T> {
  return name => {
    const answer = asked.get(name) ?? ask(name);
    asked.set(name, answer);
    answer.catch(() => asked.delete(name));
    return answer;
  };
}
