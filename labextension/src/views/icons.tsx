/** Icons of the states, equivalent to the words beside them. */

import * as React from 'react';

const CIRCLE = 'M8 1.75a6.25 6.25 0 1 1 0 12.5a6.25 6.25 0 0 1 0-12.5z';
const ARC = 'M8 1.75a6.25 6.25 0 1 1-6.25 6.25';

const PATHS: Readonly<Record<string, string>> = {
  PENDING: `${CIRCLE}M8 4.5V8l2.25 1.5`,
  RUNNING: ARC,
  SUCCEEDED: `${CIRCLE}M5 8.25l2.1 2.1L11 6.25`,
  FAILED: `${CIRCLE}M5.5 5.5l5 5M10.5 5.5l-5 5`,
  SKIPPED: `${CIRCLE}M5 8h6`,
  CANCELING: `${ARC}M6 6h4v4H6z`,
  CANCELED: `${CIRCLE}M6 6h4v4H6z`,
  TERMINATED: `${CIRCLE}M6 6h4v4H6z`,
  PAUSED: `${CIRCLE}M6.4 5.5v5M9.6 5.5v5`
};

export function StateIcon(props: { state: string }): JSX.Element {
  return (
    <Icon
      path={PATHS[props.state] ?? PATHS.PENDING}
      state={props.state}
      className="jp-KfpMt-viewState"
    />
  );
}

export function Icon(props: {
  path: string;
  state?: string;
  className?: string;
}): JSX.Element {
  return (
    <svg
      className={props.className}
      data-state={props.state}
      viewBox="0 0 16 16"
      width="16"
      height="16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={props.path} />
    </svg>
  );
}

export const PATH = {
  closed: 'M6 3.5L10.5 8L6 12.5',
  open: 'M3.5 6L8 10.5L12.5 6',
  before: 'M10 3.5L5.5 8L10 12.5',
  close: 'M4 4l8 8M12 4l-8 8',
  plus: 'M8 3v10M3 8h10',
  minus: 'M3 8h10'
} as const;
