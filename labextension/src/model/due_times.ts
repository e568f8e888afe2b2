/** When recurring runs are due next; cron expressions are reckoned by the server, many at once. */

import { KfpApi } from '../wire/api';
import { IRecurringRun } from '../wire/answers';
import { timeOf } from '../run/run_data';

// Other rows need more times in the meantime.
const PAUSE = 200;
// The delay before failed requests are repeated, and before times that are over are asked again.
const AGAIN = 30_000;
const MOST = 50; // as the server has it

export class DueTimes {
  constructor(
    private readonly _api: KfpApi,
    private readonly _changed: () => void
  ) {}

  /** The next time in milliseconds; null if there is none, or it is not known yet. */
  of(recurring: IRecurringRun, now: number): number | null {
    const { status, cron, interval, starts_at, ends_at } = recurring;
    if (status !== 'ENABLED' || (timeOf(starts_at) ?? 0) > now) {
      return null;
    }
    const next = cron
      ? this._ofCron(cron, now)
      : interval
        ? ofInterval(recurring, now)
        : null;
    const end = timeOf(ends_at);
    return next === null || (end !== null && next > end) ? null : next;
  }

  private _ofCron(cron: string, now: number): number | null {
    const known = this._times.get(cron);
    const next = known?.find(time => time > now);
    // Without times it is never due.
    if (next === undefined && known?.length !== 0) {
      this._wanted.add(cron);
      this._askSoon(PAUSE);
    }
    return next ?? null;
  }

  private _askSoon(pause: number): void {
    this._timer ||= window.setTimeout(() => void this._ask(), pause);
  }

  private async _ask(): Promise<void> {
    const asked = [...this._wanted].slice(0, MOST);
    try {
      const found = await this._api.dueTimes(asked);
      asked.forEach(cron => {
        this._times.set(cron, found[cron] ?? []);
        this._wanted.delete(cron);
      });
      this._timer = 0;
      this._changed();
    } catch {
      this._timer = 0;
      this._askSoon(AGAIN);
      return;
    }
    if (this._wanted.size) {
      this._askSoon(0);
    }
  }

  private readonly _times = new Map<string, readonly number[]>();
  private readonly _wanted = new Set<string>();
  private _timer = 0;
}

/** As KFP reckons it: so many intervals after the start. */
function ofInterval(recurring: IRecurringRun, now: number): number | null {
  const { interval, starts_at, created_at } = recurring;
  const origin = timeOf(starts_at) ?? timeOf(created_at);
  const length = 1000 * interval;
  return origin === null
    ? null
    : origin + length * (Math.floor((now - origin) / length) + 1);
}
