/** Buttons that explain why they are disabled, and the placeholder of a list that is loading. */

import { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { Button as ViewButton } from '../views/button';
import { useTrans } from './context';

/** A button of the panel and of pages, which explains why it is disabled. */
export function Button(props: {
  label: string;
  reason?: string;
  isWarning?: boolean;
  press: () => void;
}): JSX.Element {
  const { isWarning, ...button } = props;
  const className = `jp-KfpMt-button${isWarning ? ' jp-mod-warn' : ''}`;
  return <ViewButton {...button} className={className} />;
}

export function IconButton(props: {
  icon: LabIcon;
  label: string;
  press: () => void;
  isPressed?: boolean;
  isMarked?: boolean;
  isBusy?: boolean;
  controls?: string;
  className?: string;
}): JSX.Element {
  const { icon, label, press, isPressed, isMarked, isBusy, controls } = props;
  return (
    <button
      type="button"
      className={`jp-KfpMt-iconButton ${props.className ?? ''}`}
      title={label}
      aria-label={label}
      aria-expanded={isPressed}
      aria-controls={controls}
      data-marked={isMarked}
      data-busy={isBusy}
      onClick={press}
    >
      <icon.react tag="span" />
    </button>
  );
}

export function Skeleton(): JSX.Element {
  const trans = useTrans();
  return (
    <div className="jp-KfpMt-skeleton" role="status">
      <span className="jp-KfpMt-hidden">{trans.__('Loading the list…')}</span>
      <div />
      <div />
      <div />
    </div>
  );
}
