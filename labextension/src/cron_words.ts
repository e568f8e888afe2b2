/** Cron expressions as KFP reads them, seconds first, in words. */

import { TranslationBundle } from '@jupyterlab/translation';
import cronstrue from 'cronstrue';

const NAMED: Record<string, string> = {
  '@yearly': '0 0 0 1 1 *',
  '@annually': '0 0 0 1 1 *',
  '@monthly': '0 0 0 1 * *',
  '@weekly': '0 0 0 * * 0',
  '@daily': '0 0 0 * * *',
  '@midnight': '0 0 0 * * *',
  '@hourly': '0 0 * * * *'
};

/** What an expression says that KFP accepts; empty for one of which there are no words. */
export function cronWords(cron: string, trans: TranslationBundle): string {
  const text = cron.trim();
  if (text.startsWith('@every ')) {
    return trans.__('Every %1', text.slice('@every '.length));
  }
  const fields = (NAMED[text] ?? text).split(/\s+/);
  if (fields.length === 5) {
    fields.push('*'); // KFP reads the five as seconds to months
  }
  if (fields.length !== 6) {
    return '';
  }
  const [day, weekday] = [fields[3], fields[5]];
  if (isAny(day) || isAny(weekday)) {
    return described(fields);
  }
  // Where both are given, either will do.
  const ofMonth = described([...fields.slice(0, 5), '*']);
  const ofWeek = described([...fields.slice(0, 3), '*', fields[4], weekday]);
  return trans.__('%1; or: %2', ofMonth, ofWeek);
}

/** Tell whether it is what other crons take, which KFP reads otherwise. */
export function isFiveFields(cron: string): boolean {
  const text = cron.trim();
  return !text.startsWith('@') && text.split(/\s+/).length === 5;
}

function isAny(field: string): boolean {
  return field === '*' || field === '?';
}

function described(fields: readonly string[]): string {
  try {
    return cronstrue.toString(fields.join(' '), {
      use24HourTimeFormat: true,
      verbose: true
    });
  } catch {
    return '';
  }
}
