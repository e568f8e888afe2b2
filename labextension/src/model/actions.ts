/** The actions on items of a list: their permissions, conditions and confirmations. */

import { TranslationBundle } from '@jupyterlab/translation';

import { isFinished, KfpApi } from '../wire/api';
import { count } from '../words/format';
import { Item, KindId } from '../wire/kinds';
import { KfpModel } from './model';
import {
  IExperiment,
  IProblem,
  IRecurringRun,
  IRun,
  problemOf
} from '../wire/answers';

/** An action that KFP performs on one item at a time. */
export interface IAction {
  kind: KindId;
  /** The verb in the URLs of the API, or `delete`. */
  verb: string;
  /** The verb in the rules of Kubernetes, if it differs. */
  right?: string;
  label: (trans: TranslationBundle) => string;
  /** Why the action is impossible for an item; empty if it is possible. */
  refusal?: (item: Item, trans: TranslationBundle) => string;
  /** The confirmation to ask for, if the action cannot be undone. */
  question?: (items: readonly Item[], trans: TranslationBundle) => string;
  /** The message after success, for a number of items. */
  done: (number: number, trans: TranslationBundle) => string;
}

function isOver(item: Item, trans: TranslationBundle): string {
  const run = item as IRun;
  if (isFinished(run)) {
    return trans.__('it has finished already');
  }
  return run.state === 'CANCELING'
    ? trans.__('it is being terminated already')
    : '';
}

function hasNotFailed(item: Item, trans: TranslationBundle): string {
  return ['FAILED', 'CANCELED'].includes((item as IRun).state)
    ? ''
    : trans.__('only a run that has failed can be retried');
}

function isArchived(item: Item, trans: TranslationBundle): string {
  return (item as IRun | IExperiment).archived
    ? trans.__('it is archived already')
    : '';
}

function isNotArchived(item: Item, trans: TranslationBundle): string {
  return (item as IRun | IExperiment).archived
    ? ''
    : trans.__('it is not archived');
}

function isEnabled(item: Item, trans: TranslationBundle): string {
  return (item as IRecurringRun).status === 'ENABLED'
    ? trans.__('it is enabled already')
    : '';
}

function isDisabled(item: Item, trans: TranslationBundle): string {
  return (item as IRecurringRun).status === 'DISABLED'
    ? trans.__('it is disabled already')
    : '';
}

export const ACTIONS: readonly IAction[] = [
  {
    kind: 'runs',
    verb: 'terminate',
    label: trans => trans.__('Terminate'),
    refusal: isOver,
    question: (items, trans) =>
      items.length === 1
        ? trans.__('Terminate %1? It cannot be resumed.', nameOf(items))
        : trans.__(
            'Terminate %1 runs? They cannot be resumed.',
            count(items.length)
          ),
    done: (number, trans) =>
      trans._n('Terminated a run', 'Terminated %1 runs', number, count(number))
  },
  {
    kind: 'runs',
    verb: 'retry',
    label: trans => trans.__('Retry'),
    refusal: hasNotFailed,
    done: (number, trans) =>
      trans._n('Retried a run', 'Retried %1 runs', number, count(number))
  },
  {
    kind: 'runs',
    verb: 'archive',
    label: trans => trans.__('Archive'),
    refusal: isArchived,
    done: (number, trans) =>
      trans._n('Archived a run', 'Archived %1 runs', number, count(number))
  },
  {
    kind: 'runs',
    verb: 'unarchive',
    label: trans => trans.__('Restore'),
    refusal: isNotArchived,
    done: (number, trans) =>
      trans._n('Restored a run', 'Restored %1 runs', number, count(number))
  },
  {
    kind: 'runs',
    verb: 'delete',
    label: trans => trans.__('Delete'),
    question: (items, trans) =>
      items.length === 1
        ? trans.__('Delete %1? This cannot be undone.', nameOf(items))
        : trans.__(
            'Delete %1 runs? This cannot be undone.',
            count(items.length)
          ),
    done: (number, trans) =>
      trans._n('Deleted a run', 'Deleted %1 runs', number, count(number))
  },
  {
    kind: 'recurring',
    verb: 'enable',
    label: trans => trans.__('Enable'),
    refusal: isEnabled,
    done: (number, trans) =>
      trans._n(
        'Enabled a recurring run',
        'Enabled %1 recurring runs',
        number,
        count(number)
      )
  },
  {
    kind: 'recurring',
    verb: 'disable',
    label: trans => trans.__('Disable'),
    refusal: isDisabled,
    done: (number, trans) =>
      trans._n(
        'Disabled a recurring run',
        'Disabled %1 recurring runs',
        number,
        count(number)
      )
  },
  {
    kind: 'recurring',
    verb: 'delete',
    label: trans => trans.__('Delete'),
    question: (items, trans) =>
      items.length === 1
        ? trans.__(
            'Delete %1? Its runs are kept; no more are started.',
            nameOf(items)
          )
        : trans.__(
            'Delete %1 recurring runs? Their runs are kept; no more are started.',
            count(items.length)
          ),
    done: (number, trans) =>
      trans._n(
        'Deleted a recurring run',
        'Deleted %1 recurring runs',
        number,
        count(number)
      )
  },
  {
    kind: 'experiments',
    verb: 'archive',
    label: trans => trans.__('Archive'),
    refusal: isArchived,
    question: (items, trans) =>
      items.length === 1
        ? trans.__(
            'Archive %1 with all of its runs? Its recurring runs are disabled.',
            nameOf(items)
          )
        : trans.__(
            'Archive %1 experiments with all of their runs? Their recurring runs are disabled.',
            count(items.length)
          ),
    done: (number, trans) =>
      trans._n(
        'Archived an experiment',
        'Archived %1 experiments',
        number,
        count(number)
      )
  },
  {
    kind: 'experiments',
    verb: 'unarchive',
    label: trans => trans.__('Restore'),
    refusal: isNotArchived,
    done: (number, trans) =>
      trans._n(
        'Restored an experiment',
        'Restored %1 experiments',
        number,
        count(number)
      )
  },
  {
    kind: 'experiments',
    verb: 'delete',
    label: trans => trans.__('Delete'),
    question: (items, trans) =>
      items.length === 1
        ? trans.__(
            'Delete %1? Its runs are kept. This cannot be undone.',
            nameOf(items)
          )
        : trans.__(
            'Delete %1 experiments? Their runs are kept. This cannot be undone.',
            count(items.length)
          ),
    done: (number, trans) =>
      trans._n(
        'Deleted an experiment',
        'Deleted %1 experiments',
        number,
        count(number)
      )
  },
  {
    kind: 'pipelines',
    verb: 'delete',
    label: trans => trans.__('Delete'),
    question: (items, trans) =>
      items.length === 1
        ? trans.__(
            'Delete %1 with all of its versions? This cannot be undone.',
            nameOf(items)
          )
        : trans.__(
            'Delete %1 pipelines with all of their versions? This cannot be undone.',
            count(items.length)
          ),
    done: (number, trans) =>
      trans._n(
        'Deleted a pipeline',
        'Deleted %1 pipelines',
        number,
        count(number)
      )
  }
];

function nameOf(items: readonly Item[]): string {
  return items[0].display_name;
}

/** Why an action is forbidden in a namespace; empty if it is allowed or not known. */
export function forbidden(
  model: KfpModel,
  kind: KindId,
  right: string,
  namespace: string,
  trans: TranslationBundle
): string {
  if (model.status?.read_only) {
    return trans.__('this Jupyter server is read-only');
  }
  const { resource } = model.lists[kind].kind;
  const where = namespace || model.namespace;
  return model.may(resource, right, where) === false
    ? trans.__(
        'your role in %1 does not allow it: it lacks %2 on %3',
        where,
        right,
        resource
      )
    : '';
}

/** Why an action is possible for none of the items; `possible` returns those for which it is. */
export function refusal(
  model: KfpModel,
  action: IAction,
  items: readonly Item[],
  trans: TranslationBundle
): string {
  if (!items.length) {
    return trans.__('nothing is selected');
  }
  const reasons = items.map(item => reasonAgainst(model, action, item, trans));
  return reasons.every(Boolean) ? reasons[0] : '';
}

/** True if the action makes sense for any of these items, whatever the role. */
export function isFor(
  action: IAction,
  items: readonly Item[],
  trans: TranslationBundle
): boolean {
  return items.some(item => !action.refusal?.(item, trans));
}

/** The items for which the action is possible. */
export function possible(
  model: KfpModel,
  action: IAction,
  items: readonly Item[],
  trans: TranslationBundle
): Item[] {
  return items.filter(item => !reasonAgainst(model, action, item, trans));
}

function reasonAgainst(
  model: KfpModel,
  action: IAction,
  item: Item,
  trans: TranslationBundle
): string {
  const { kind, right, verb } = action;
  return (
    forbidden(model, kind, right ?? verb, item.namespace, trans) ||
    (action.refusal?.(item, trans) ?? '')
  );
}

/** The result of an action on several items. */
export interface IOutcome {
  done: Item[];
  failed: { item: Item; problem: IProblem }[];
}

const AT_ONCE = 4;

/** Perform the action on each item, and show the result. Never rejects. */
export async function perform(
  model: KfpModel,
  api: KfpApi,
  action: IAction,
  items: readonly Item[]
): Promise<IOutcome> {
  const { path, key } = model.lists[action.kind].kind as {
    path: string;
    key: (item: Item) => string;
  };
  const outcome: IOutcome = { done: [], failed: [] };
  const left = [...items];
  const work = async () => {
    for (let item = left.shift(); item; item = left.shift()) {
      try {
        await api.change(path, key(item), action.verb);
        outcome.done.push(item);
      } catch (reason) {
        outcome.failed.push({ item, problem: problemOf(reason) });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (action.verb === 'delete') {
    model.lists[action.kind].forget(outcome.done.map(key));
  }
  await model.lookAt(action.kind);
  return outcome;
}
