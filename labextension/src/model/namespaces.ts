/** The namespaces to choose from, and the one chosen for the panel. */

import { IStateDB } from '@jupyterlab/statedb';

import { INamespaces, IProblem, KfpApi, problemOf } from '../wire/api';

/** The choice of all usable namespaces; not a valid name of one. */
export const ALL = '*';

/** The storage of choices beyond the life of the page. */
export type IMemory = Pick<IStateDB, 'fetch' | 'save' | 'remove'>;

/** A chosen namespace that cannot be used. */
export interface ILost {
  name: string;
  problem: IProblem;
}

export class Namespaces {
  constructor(options: Namespaces.IOptions) {
    this._api = options.api;
    this._memory = options.memory;
    this._changed = options.changed;
  }

  /** ALL, or the one being chosen; empty for that of the Jupyter server. */
  get chosen(): string {
    return this._chosen;
  }

  /** All known namespaces; null before the first response. */
  get found(): INamespaces | null {
    return this._found;
  }

  get isLooking(): boolean {
    return this._looking;
  }

  get lost(): ILost | null {
    return this._lost;
  }

  /** The error of the last lookup. */
  get problem(): IProblem | null {
    return this._problem;
  }

  /** Forget another connection's namespaces; show all if all were shown with this one before. */
  async enter(place: string): Promise<void> {
    this._place = place;
    this._found = this._problem = this._lost = null;
    this._chosen = '';
    this._listed = false;
    const before = await this._memory.fetch(ID + place).catch(() => '');
    if (place === this._place && before === ALL) {
      this._chosen ||= ALL;
    }
  }

  /** Show all, or use one in this server; a refused one becomes `lost`. */
  async choose(name: string, isUsual: boolean): Promise<void> {
    this._chosen = name;
    this._listed = true; // the user has to see why it is refused
    this._lost = null;
    this._remember();
    const choice = ++this._choices;
    if (name === ALL) {
      return;
    }
    this._pending++;
    try {
      await this._api.chooseNamespace(isUsual ? '' : name);
    } catch (reason) {
      if (choice === this._choices) {
        this._chosen = '';
        this._lost = { name, problem: problemOf(reason) };
      }
    } finally {
      this._pending--;
    }
  }

  /** Whether the server has not confirmed a choice yet. */
  get isChoosing(): boolean {
    return this._pending > 0;
  }

  /** Adopt the server's namespace, which includes choices made here. */
  settle(): void {
    if (!this.isChoosing && this._chosen !== ALL) {
      this._chosen = '';
    }
  }

  /** Note that runs of the chosen one were listed. */
  accept(): void {
    this._listed = true;
  }

  /** Handle a refusal; return whether the choice was from an earlier session and is dropped. */
  giveUp(name: string, usual: string, problem: IProblem): boolean {
    if (this._listed) {
      return false;
    }
    void this.choose(usual, true);
    this._lost = { name, problem };
    return true;
  }

  /** Dismiss the notice about the lost one. */
  dismiss(): void {
    this._lost = null;
    this._changed();
  }

  /** Look them up, unless that was tried. */
  lookOnce(): void {
    if (!this._found && !this._problem) {
      void this.look();
    }
  }

  /** Look them up now; the result is in the state. */
  async look(): Promise<void> {
    if (this._looking) {
      return;
    }
    const place = this._place;
    this._looking = true;
    this._changed();
    const [found, problem] = await this._api.namespaces().then(
      found => [found, null] as const,
      reason => [this._found, problemOf(reason)] as const
    );
    this._looking = false;
    if (place === this._place) {
      this._found = found;
      this._problem = problem;
    }
    this._changed();
  }

  private _remember(): void {
    const id = ID + this._place;
    const kept =
      this._chosen === ALL
        ? this._memory.save(id, ALL)
        : this._memory.remove(id);
    kept.catch(reason => console.error('The choice is not kept.', reason));
  }

  private readonly _api: KfpApi;
  private readonly _changed: () => void;
  private _choices = 0;
  private _chosen = '';
  private _found: INamespaces | null = null;
  private _listed = false;
  private _looking = false;
  private _lost: ILost | null = null;
  private readonly _memory: IMemory;
  private _pending = 0;
  private _place = '';
  private _problem: IProblem | null = null;
}

export namespace Namespaces {
  export interface IOptions {
    api: KfpApi;
    memory: IMemory;
    changed: () => void;
  }
}

const ID = 'jupyter-kfp-mt:namespace:';
