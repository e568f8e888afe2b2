/** The icons of the panel, and of the states of runs. */

import { LabIcon } from '@jupyterlab/ui-components';

import canceled from '../../style/icons/canceled.svg';
import disabled from '../../style/icons/disabled.svg';
import experiment from '../../style/icons/experiment.svg';
import failed from '../../style/icons/failed.svg';
import paused from '../../style/icons/paused.svg';
import pending from '../../style/icons/pending.svg';
import pipelines from '../../style/icons/pipelines.svg';
import running from '../../style/icons/running.svg';
import schedule from '../../style/icons/schedule.svg';
import skipped from '../../style/icons/skipped.svg';
import succeeded from '../../style/icons/succeeded.svg';

function icon(name: string, svgstr: string): LabIcon {
  return new LabIcon({ name: `jupyter-kfp-mt:${name}`, svgstr });
}

export const pipelinesIcon = icon('icon', pipelines);

export const disabledIcon = icon('disabled', disabled);
export const experimentIcon = icon('experiment', experiment);
export const scheduleIcon = icon('schedule', schedule);
export const failedIcon = icon('failed', failed);
const pendingIcon = icon('pending', pending);
const runningIcon = icon('running', running);

const STATE_ICONS: Readonly<Record<string, LabIcon>> = {
  PENDING: pendingIcon,
  RUNNING: runningIcon,
  SUCCEEDED: icon('succeeded', succeeded),
  FAILED: failedIcon,
  SKIPPED: icon('skipped', skipped),
  CANCELING: runningIcon,
  CANCELED: icon('canceled', canceled),
  TERMINATED: icon('terminated', canceled),
  PAUSED: icon('paused', paused)
};

export function stateIcon(state: string): LabIcon {
  return STATE_ICONS[state] ?? pendingIcon;
}
