/** The namespace as a button that opens a list of all: to walk through, or to search. */

import { TranslationBundle } from '@jupyterlab/translation';
import { caretDownIcon, checkIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { INamespace } from '../wire/api';
import { count } from '../words/format';
import { KfpModel } from '../model/model';
import { ALL } from '../model/namespaces';
import { Cure } from '../components/problem_banner';

interface IProps {
  model: KfpModel;
  isOpen: boolean;
  setOpen: (isOpen: boolean) => void;
  copy: (text: string) => void;
  trans: TranslationBundle;
}

/** Plain text if there is no choice. */
export function NamespaceChooser(props: IProps): JSX.Element {
  const { model, isOpen, setOpen, trans } = props;
  const button = React.useRef<HTMLButtonElement>(null);
  const { namespace } = model;
  const role = roleIn(model, namespace, trans);
  const name = model.isAll ? trans.__('All my namespaces') : namespace;
  if (!isOpen && !model.hasChoice) {
    return (
      <>
        {name || '–'} <Role role={role} />
      </>
    );
  }
  const close = () => {
    button.current?.focus();
    setOpen(false);
  };
  return (
    <div
      className="jp-KfpMt-chooser"
      onBlur={event => hasLeft(event) && setOpen(false)}
    >
      <button
        ref={button}
        type="button"
        aria-haspopup="dialog"
        aria-expanded={isOpen}
        title={trans.__('Choose another namespace')}
        onMouseDown={keepFocus}
        onClick={() => (isOpen ? close() : setOpen(true))}
        onKeyDown={event => event.key === 'ArrowDown' && setOpen(true)}
      >
        <span className="jp-KfpMt-chosen">{name || trans.__('Choose…')}</span>
        {!model.isAll && <Role role={role} />}
        <caretDownIcon.react tag="span" />
      </button>
      {isOpen && <Choice {...props} close={close} />}
    </div>
  );
}

function Choice(props: IProps & { close: () => void }): JSX.Element {
  const { model, close, copy, trans } = props;
  const { found } = model.namespaces;
  const [filter, setFilter] = React.useState('');
  const current = model.isAll ? ALL : model.namespace;
  const [marked, setMarked] = React.useState(current);
  const listId = React.useId();
  React.useEffect(() => void model.namespaces.look(), [model]);

  const shown = matching(found?.namespaces ?? [], filter, trans);
  const isKnown = (each: INamespace) => !!found?.namespaces.includes(each);
  const active =
    shown.find(({ name }) => name === marked) ??
    shown.find(({ usable }) => usable !== false) ??
    shown[0];
  const choose = (namespace: INamespace) => {
    setMarked(namespace.name);
    if (namespace.usable !== false) {
      model.choose(namespace.name);
      close();
    }
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    const step = STEPS[event.key];
    if (step) {
      const index = shown.indexOf(active) + step;
      setMarked(shown[clamp(index, shown.length)]?.name ?? '');
    } else if (event.key === 'Enter' && active) {
      choose(active);
    }
    if (step || event.key === 'Enter') {
      event.preventDefault();
    }
  };
  return (
    <div
      className="jp-KfpMt-choice"
      role="dialog"
      aria-label={trans.__('Choose a namespace')}
      tabIndex={-1}
      onKeyDown={event => event.key === 'Escape' && close()}
    >
      <input
        className="jp-mod-styled"
        role="combobox"
        aria-label={trans.__('Namespace')}
        aria-expanded={true}
        aria-autocomplete="list"
        aria-controls={listId}
        aria-activedescendant={active && optionId(listId, active)}
        placeholder={trans.__('Type to search')}
        spellCheck={false}
        autoFocus
        value={filter}
        onChange={event => setFilter(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <List
        id={listId}
        shown={shown}
        unknown={found?.unknown ?? ''}
        active={active}
        current={current}
        model={model}
        choose={choose}
        trans={trans}
      />
      <p className="jp-KfpMt-quiet" role="status">
        {summary(model, shown.filter(isKnown).length, filter, trans)}
      </p>
      {active?.usable === false && (
        <div className="jp-KfpMt-refusal">
          <p>{active.reason}</p>
          {active.cure && <Cure text={active.cure} copy={copy} trans={trans} />}
        </div>
      )}
      <Trouble {...props} />
    </div>
  );
}

function List(props: {
  id: string;
  shown: INamespace[];
  unknown: string;
  active: INamespace | undefined;
  current: string;
  model: KfpModel;
  choose: (namespace: INamespace) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { id, shown, unknown, active, trans } = props;
  React.useEffect(() => {
    const option = active && document.getElementById(optionId(id, active));
    option?.scrollIntoView({ block: 'nearest' });
  }, [id, active]);
  const groups: [INamespace['usable'], string, string][] = [
    [true, '', ''],
    [null, trans.__('Not known yet whether allowed'), unknown],
    [false, trans.__('Not allowed'), '']
  ];
  return (
    <div
      id={id}
      className="jp-KfpMt-namespaces"
      role="listbox"
      aria-label={trans.__('Namespaces')}
      onMouseDown={keepFocus}
    >
      {groups.map(([usable, heading, why]) => (
        <Group
          key={`${usable}`}
          {...props}
          heading={heading}
          why={why}
          shown={shown.filter(namespace => namespace.usable === usable)}
        />
      ))}
    </div>
  );
}

function Group(props: {
  id: string;
  heading: string;
  why: string;
  shown: INamespace[];
  active: INamespace | undefined;
  current: string;
  model: KfpModel;
  choose: (namespace: INamespace) => void;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { id, heading, why, shown, active, current, choose } = props;
  const { model, trans } = props;
  if (!shown.length) {
    return null;
  }
  return (
    <div role="group" aria-label={heading || undefined}>
      {heading && (
        <div className="jp-KfpMt-quiet" title={why} aria-hidden={true}>
          {heading}
        </div>
      )}
      {shown.map(namespace => (
        <div
          key={namespace.name}
          id={optionId(id, namespace)}
          className="jp-KfpMt-option"
          role="option"
          aria-selected={namespace.name === current}
          aria-disabled={namespace.usable === false}
          data-active={namespace === active}
          title={namespace.reason || namespace.name}
          onClick={() => choose(namespace)}
        >
          <span className="jp-KfpMt-check">
            {namespace.name === current && <checkIcon.react tag="span" />}
          </span>
          <span className="jp-KfpMt-optionName">
            {labelOf(namespace, trans)}
          </span>
          <Role role={roleIn(model, namespace.name, trans)} />
          {namespace.reason && (
            <span className="jp-KfpMt-hidden">{namespace.reason}</span>
          )}
        </div>
      ))}
    </div>
  );
}

/** Why the list may be incomplete, below it, as the known ones can still be chosen. */
function Trouble({ model, copy, trans }: IProps): JSX.Element {
  const { found, isLooking, problem } = model.namespaces;
  const silent = found?.silent ?? [];
  return (
    <>
      {problem && !isLooking && (
        <div className="jp-KfpMt-quiet" role="status">
          <p>{problem.message}</p>
          {problem.cure && (
            <Cure text={problem.cure} copy={copy} trans={trans} />
          )}
        </div>
      )}
      {silent.length > 0 && (
        <details className="jp-KfpMt-quiet">
          <summary>{trans.__('There may be others')}</summary>
          {silent.map(({ source, problem }) => (
            <p key={source} title={problem.cause}>
              {trans.__('%1: %2', source, problem.message)}
            </p>
          ))}
        </details>
      )}
    </>
  );
}

const PAGE = 10;
const STEPS: Record<string, number> = {
  ArrowDown: 1,
  ArrowUp: -1,
  PageDown: PAGE,
  PageUp: -PAGE
};

function summary(
  { namespaces }: KfpModel,
  shown: number,
  filter: string,
  trans: TranslationBundle
): string {
  if (namespaces.isLooking) {
    return trans.__('Looking…');
  }
  if (!namespaces.found) {
    return '';
  }
  const all = namespaces.found.namespaces.length;
  if (all && !shown) {
    return trans.__('None of %1 has “%2” in its name', count(all), filter);
  }
  return shown < all
    ? trans.__('%1 of %2 namespaces', count(shown), count(all))
    : trans._n('%2 namespace', '%2 namespaces', all, count(all));
}

/** The namespaces whose names contain the text: usable ones first, and by name. */
function matching(
  namespaces: INamespace[],
  filter: string,
  trans: TranslationBundle
): INamespace[] {
  const letters = filter.trim().toLowerCase();
  const found = namespaces
    .filter(({ name }) => name.includes(letters))
    .sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  const isMany = namespaces.filter(({ usable }) => usable !== false).length > 1;
  const all = isMany && !letters ? [unknown(ALL, true, trans)] : [];
  const isOther =
    NAME.test(letters) && !namespaces.some(({ name }) => name === letters);
  return [
    ...all,
    ...found,
    ...(isOther ? [unknown(letters, null, trans)] : [])
  ];
}

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** An entry that no source has named: ALL, or a typed name. */
function unknown(
  name: string,
  usable: boolean | null,
  trans: TranslationBundle
): INamespace {
  const reason =
    name === ALL ? '' : trans.__('No source knows of a namespace %1.', name);
  return { name, owner: '', usable, reason, cure: '', permissions: {} };
}

function labelOf({ name }: INamespace, trans: TranslationBundle): string {
  return name === ALL ? trans.__('All my namespaces') : name;
}

/** The role in a namespace, in a word or two; empty if unknown. */
export function roleIn(
  model: KfpModel,
  name: string,
  trans: TranslationBundle
): string {
  const known = model.known(name);
  if (!known) {
    return '';
  }
  if (known.owner && known.owner === model.status?.identity.subject) {
    return trans.__('owner');
  }
  if (model.may('runs', 'create', name)) {
    return trans.__('can edit');
  }
  return model.may('runs', 'list', name) ? trans.__('can view') : '';
}

function Role({ role }: { role: string }): JSX.Element | null {
  return role ? <span className="jp-KfpMt-role">{role}</span> : null;
}

function rank({ usable }: INamespace): number {
  return [true, null, false].indexOf(usable);
}

function clamp(index: number, length: number): number {
  return Math.max(0, Math.min(index, length - 1));
}

function optionId(listId: string, { name }: INamespace): string {
  return `${listId}-${name}`;
}

function keepFocus(event: React.MouseEvent): void {
  event.preventDefault();
}

/** Whether the focus moved elsewhere on the page; switching windows keeps the list open. */
function hasLeft(event: React.FocusEvent<HTMLElement>): boolean {
  const { currentTarget, relatedTarget } = event;
  return relatedTarget
    ? !currentTarget.contains(relatedTarget)
    : document.hasFocus();
}
