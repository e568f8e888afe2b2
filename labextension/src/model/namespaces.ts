/** Which namespaces there are to choose from, and which one is chosen for the panel. */

import { IStateDB } from '@jupyterlab/statedb';

import { INamespaces, IProblem, KfpApi, problemOf } from '../wire/api';

/** Chosen in place of a name: all namespaces that may be used. No namespace is called so. */
export const ALL = '*';

/** Where choices outlive the page. */
export type IMemory = Pick<IStateDB, 'fetch' | 'save' | 'remove'>;

/** A namespace chosen in an earlier session that may not be used now. */
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

  /** The one chosen for this panel; empty for that of the connection. */
  get chosen(): string {
    return this._chosen;
  }

  /** All that are known; null as long as nobody has told. */
  get found(): INamespaces | null {
    return this._found;
  }

  get isLooking(): boolean {
    return this._looking;
  }

  get lost(): ILost | null {
    return this._lost;
  }

  /** Why they could not be looked up last. */
  get problem(): IProblem | null {
    return this._problem;
  }

  /** Forget what is known of another place; what was chosen at this one before is chosen again. */
  async enter(place: string): Promise<void> {
    this._place = place;
    this._found = this._problem = this._lost = null;
    this._chosen = '';
    this._listed = false;
    const before = await this._memory.fetch(ID + place).catch(() => '');
    if (place === this._place && typeof before === 'string') {
      this._chosen ||= before;
    }
  }

  choose(name: string): void {
    this._chosen = name;
    this._listed = true; // whoever chooses it is to see why it is refused
    this._lost = null;
    this._remember();
  }

  /** The runs of the chosen one were listed. */
  accept(): void {
    this._listed = true;
  }

  /** The chosen one is refused: whether it is one of an earlier session, and so given up. */
  giveUp(problem: IProblem): boolean {
    if (!this._chosen || this._listed) {
      return false;
    }
    this._lost = { name: this._chosen, problem };
    this._chosen = '';
    this._remember();
    return true;
  }

  /** Say no more of the one that was lost. */
  dismiss(): void {
    this._lost = null;
    this._changed();
  }

  /** Look them up, if nobody has tried. */
  lookOnce(): void {
    if (!this._found && !this._problem) {
      void this.look();
    }
  }

  /** Look them up now; what comes of it is in the state. */
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
    const kept = this._chosen
      ? this._memory.save(id, this._chosen)
      : this._memory.remove(id);
    kept.catch(reason => console.error('The choice is not kept.', reason));
  }

  private readonly _api: KfpApi;
  private readonly _changed: () => void;
  private _chosen = '';
  private _found: INamespaces | null = null;
  private _listed = false;
  private _looking = false;
  private _lost: ILost | null = null;
  private readonly _memory: IMemory;
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
