/** Names of experiments and pipelines by id: fetched together, each only once, and cached. */

import { KfpApi, MOST_NAMES } from '../wire/api';

type Noun = 'experiment' | 'pipeline';

// Lists and events that arrive in the meantime may have a name, and other rows need more names.
const PAUSE = 200;
// The delay before failed requests for names are repeated.
const AGAIN = 30_000;

export class Names {
  constructor(
    private readonly _api: KfpApi,
    private readonly _changed: () => void,
    private readonly _namespaces: () => readonly string[] = () => []
  ) {}

  /** The name of one; if unknown, it is empty and will be fetched. */
  of(noun: Noun, id: string): string {
    const key = `${noun} ${id}`;
    const known = this._names.get(key);
    if (known === undefined && id) {
      this._names.set(key, '');
      this._askSoon(PAUSE);
    }
    return known ?? '';
  }

  learn(noun: Noun, id: string, name: string): void {
    this._names.set(`${noun} ${id}`, name);
  }

  /** Forget all names after a change of connection. */
  forgetAll(): void {
    this._names.clear();
    this._asked.clear();
  }

  private _askSoon(pause: number): void {
    this._timer ||= window.setTimeout(() => {
      this._timer = 0;
      void this._ask();
    }, pause);
  }

  private async _ask(): Promise<void> {
    const wanted = [...this._names.keys()]
      .filter(key => !this._names.get(key) && !this._asked.has(key))
      .slice(0, MOST_NAMES);
    if (!wanted.length) {
      return;
    }
    wanted.forEach(key => this._asked.add(key));
    try {
      const found = await this._api.names({
        experiment: idsOf('experiment', wanted),
        pipeline: idsOf('pipeline', wanted),
        namespace: this._namespaces()
      });
      this._learnAll('experiment', found.experiments);
      this._learnAll('pipeline', found.pipelines);
      this._changed();
      this._askSoon(0);
    } catch {
      wanted.forEach(key => this._asked.delete(key));
      this._askSoon(AGAIN);
    }
  }

  /** Fetch only names that are still needed: the connection may have changed. */
  private _learnAll(noun: Noun, names: Record<string, string>): void {
    for (const [id, name] of Object.entries(names)) {
      if (this._asked.has(`${noun} ${id}`)) {
        this.learn(noun, id, name);
      }
    }
  }

  private readonly _asked = new Set<string>();
  private readonly _names = new Map<string, string>();
  private _timer = 0;
}

function idsOf(noun: Noun, keys: readonly string[]): string[] {
  return keys
    .filter(key => key.startsWith(`${noun} `))
    .map(key => key.slice(noun.length + 1));
}
