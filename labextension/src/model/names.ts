/** Names of experiments and pipelines by their ids: asked for once, and kept. */

import { KfpApi } from '../wire/api';

type Noun = 'experiment' | 'pipeline';

// So many unknown names are asked for at once.
const AT_ONCE = 4;

export class Names {
  constructor(
    private readonly _api: KfpApi,
    private readonly _changed: () => void
  ) {}

  /** The name of one; empty as long as it is not known. It is asked for then. */
  of(noun: Noun, id: string): string {
    const key = `${noun} ${id}`;
    const known = this._names.get(key);
    if (known === undefined && id) {
      this._names.set(key, '');
      this._wanted.push([noun, id]);
      void this._work();
    }
    return known ?? '';
  }

  learn(noun: Noun, id: string, name: string): void {
    this._names.set(`${noun} ${id}`, name);
  }

  /** Another place has other names. */
  forgetAll(): void {
    this._names.clear();
    this._wanted = [];
  }

  private async _work(): Promise<void> {
    // Whatever lists come in the meantime may tell the name.
    await new Promise(resolve => window.setTimeout(resolve, 300));
    while (this._wanted.length && this._asking < AT_ONCE) {
      const [noun, id] = this._wanted.shift()!;
      if (this._names.get(`${noun} ${id}`) === '') {
        this._asking++;
        await this._ask(noun, id).finally(() => this._asking--);
      }
    }
  }

  private async _ask(noun: Noun, id: string): Promise<void> {
    try {
      const found =
        noun === 'experiment'
          ? await this._api.experiment(id)
          : await this._api.pipeline(id);
      this.learn(noun, id, found.display_name);
      this._changed();
    } catch {
      // It was deleted, or may not be read: there is no name to show.
    }
  }

  private _asking = 0;
  private readonly _names = new Map<string, string>();
  private _wanted: [Noun, string][] = [];
}
