/** Buttons that explain why they are disabled, and the placeholder of a list that is loading. */

import { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { useTrans } from './context';

/** A button that stays focusable when disabled, so that the reason can be read. */
export function Button(props: {
  label: string;
  reason?: string;
  isWarning?: boolean;
  press: () => void;
}): JSX.Element {
  const { label, reason, press } = props;
  const id = React.useId();
  return (
    <>
      <button
        type="button"
        className={`jp-KfpMt-button${props.isWarning ? ' jp-mod-warn' : ''}`}
        aria-disabled={!!reason}
        aria-describedby={reason ? id : undefined}
        title={reason || undefined}
        onClick={() => !reason && press()}
      >
        {label}
      </button>
      {reason && (
        <span id={id} className="jp-KfpMt-hidden">
          {reason}
        </span>
      )}
    </>
  );
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
