/** Names of runs that are started without one; as in client/run_names.py. */

/** The longest name, in characters, as the API server stores it. */
const LONGEST = 255;
const CLONE = /^Clone(?: \((\d+)\))? of ([\s\S]+)$/;

/** The name of a run that starts now, in local time: `churn-20260131-093000`. */
export function nameOfStart(pipeline: string, now = new Date()): string {
  const local = new Date(now.getTime() - 60_000 * now.getTimezoneOffset());
  const digits = local.toISOString().slice(0, 19).replace(/[-:]/g, '');
  return `${pipeline}-${digits.replace('T', '-')}`;
}

/** The name of a clone, as KFP's own UI has it: `Clone of x`, then `Clone (2) of x`. */
export function nameOfClone(name: string): string {
  const again = CLONE.exec(name);
  const told = again
    ? `Clone (${Number(again[1] ?? 1) + 1}) of ${again[2]}`
    : `Clone of ${name}`;
  return told.slice(0, LONGEST);
}
