/** The fields of which every form of the panel consists. */

import * as React from 'react';

export function Labelled(props: {
  label: string;
  children: (id: string) => React.ReactNode;
}): JSX.Element {
  const id = React.useId();
  return (
    <div className="jp-KfpMt-labelled">
      <label htmlFor={id}>{props.label}</label>
      {props.children(id)}
    </div>
  );
}

export function Checkbox(props: {
  label: string;
  isOn: boolean;
  set: (isOn: boolean) => void;
}): JSX.Element {
  return (
    <label className="jp-KfpMt-checkbox">
      <input
        type="checkbox"
        checked={props.isOn}
        onChange={event => props.set(event.target.checked)}
      />
      {props.label}
    </label>
  );
}
