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

/** A line of text in a form. */
export function TextField(props: {
  label: string;
  value: string;
  placeholder?: string;
  set: (value: string) => void;
}): JSX.Element {
  const { label, value, placeholder, set } = props;
  return (
    <Labelled label={label}>
      {id => (
        <input
          id={id}
          className="jp-mod-styled"
          value={value}
          placeholder={placeholder}
          onChange={event => set(event.target.value)}
        />
      )}
    </Labelled>
  );
}

/** A number in a form. */
export function NumberField(props: {
  label: string;
  value: number;
  min?: number;
  max?: number;
  set: (value: number) => void;
}): JSX.Element {
  const { label, value, min, max, set } = props;
  return (
    <Labelled label={label}>
      {id => (
        <input
          id={id}
          className="jp-mod-styled"
          type="number"
          min={min}
          max={max}
          value={value}
          onChange={event => set(Number(event.target.value))}
        />
      )}
    </Labelled>
  );
}

interface ISelect {
  value: string;
  options: readonly (readonly [string, string])[]; // values and their texts
  choose: (value: string) => void;
}

/** One of several options in a form; `empty` takes the place of options if there are none. */
export function Choice(
  props: ISelect & { label: string; empty?: string }
): JSX.Element {
  const { label, empty, ...select } = props;
  return (
    <Labelled label={label}>
      {id =>
        select.options.length || !empty ? (
          <Select {...select} id={id} />
        ) : (
          <output id={id}>{empty}</output>
        )
      }
    </Labelled>
  );
}

/** A select element, whose label is elsewhere. */
export function Select(props: ISelect & { id: string }): JSX.Element {
  const { id, value, options, choose } = props;
  return (
    <select
      id={id}
      className="jp-mod-styled"
      value={value}
      onChange={event => choose(event.target.value)}
    >
      {options.map(([each, words]) => (
        <option key={each} value={each}>
          {words}
        </option>
      ))}
    </select>
  );
}

/** A label and a select as two cells of a grid. */
export function LabelledSelect(
  props: ISelect & { label: string }
): JSX.Element {
  const { label, ...select } = props;
  const id = React.useId();
  return (
    <>
      <label htmlFor={id}>{label}</label>
      <Select {...select} id={id} />
    </>
  );
}
