/** A button that stays focusable when disabled, so that the reason can be read. */

import * as React from 'react';

export function Button(props: {
  label: string;
  className: string;
  reason?: string;
  press: () => void;
}): JSX.Element {
  const { label, className, reason, press } = props;
  const id = React.useId();
  return (
    <>
      <button
        type="button"
        className={className}
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
