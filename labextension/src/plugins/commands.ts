/** The commands of the extension, for the palette, menus and shortcuts, and for other extensions. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { Clipboard, Notification } from '@jupyterlab/apputils';
import { CommandRegistry } from '@lumino/commands';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { refreshIcon } from '@jupyterlab/ui-components';

import {
  ACTIONS,
  forbidden,
  IAction,
  IOutcome,
  perform,
  possible,
  refusal
} from '../model/actions';
import { pipelinesIcon } from '../components/icons';
import { Item, KindId } from '../wire/kinds';
import { ListModel } from '../model/list_model';
import { IKfpSession } from '../model/session';
import { ISeed, Purpose } from '../model/start_model';
import {
  IPipeline,
  IProblem,
  problemOf,
  toExperiment,
  toPipeline,
  toRecurringRun,
  toRun
} from '../wire/answers';

export const PREFIX = 'kfp-mt:';

export namespace CommandIDs {
  export const open = `${PREFIX}open`;
  export const refresh = `${PREFIX}refresh`;
  export const start = `${PREFIX}start`;
  export const schedule = `${PREFIX}schedule`;
  export const upload = `${PREFIX}upload`;
  export const createExperiment = `${PREFIX}create-experiment`;
  export const clone = `${PREFIX}runs-clone`;
  export const origin = `${PREFIX}runs-origin`;
  export const watch = `${PREFIX}runs-watch`;
  export const runsOfExperiment = `${PREFIX}experiments-runs`;
  export const startPipeline = `${PREFIX}pipelines-start`;
  export const schedulePipeline = `${PREFIX}pipelines-schedule`;
  export const runsOfPipeline = `${PREFIX}pipelines-runs`;
  export const newVersion = `${PREFIX}pipelines-version`;
  export const openRun = `${PREFIX}runs-open`;
  export const openPipeline = `${PREFIX}pipelines-open`;
  export const openExperiment = `${PREFIX}experiments-open`;
  export const openRecurring = `${PREFIX}recurring-open`;
  export const compare = `${PREFIX}runs-compare`;
  export const insertRun = `${PREFIX}runs-insert`;
  export const insertPipeline = `${PREFIX}pipelines-insert`;
}

export type Args = ReadonlyPartialJSONObject;

/** The schema of a command's arguments. */
export function describedBy(
  properties: Record<string, string>
): CommandRegistry.ICommandOptions['describedBy'] {
  const described = Object.entries(properties).map(([name, description]) => [
    name,
    { type: 'string', description }
  ]);
  return {
    args: { type: 'object', properties: Object.fromEntries(described) }
  };
}

const OF_ONE = {
  id: 'The id of the thing; without it what is selected in the panel is meant.'
};

/** The commands that need no page: the actions on listed items. */
export function addCommands(app: JupyterFrontEnd, session: IKfpSession): void {
  ACTIONS.forEach(action => addAction(app, session, action));
  addStarting(app.commands, session);
  addMaking(app.commands, session);
  addLooking(app.commands, session);
}

function addAction(
  app: JupyterFrontEnd,
  session: IKfpSession,
  action: IAction
): void {
  const { model, trans } = session;
  const { kind, right, verb } = action;
  const why = (args: Args) => {
    const known = knownItems(session, kind, args);
    return known
      ? refusal(model, action, known, trans)
      : forbidden(model, kind, right ?? verb, `${args.namespace ?? ''}`, trans);
  };
  app.commands.addCommand(`${PREFIX}${kind}-${verb}`, {
    label: args => {
      const label = action.label(trans);
      const reason = why(args);
      return reason ? trans.__('%1 (%2)', label, reason) : label;
    },
    caption: args => why(args) || action.label(trans),
    isEnabled: args => !why(args),
    describedBy: describedBy({
      ...OF_ONE,
      namespace: 'Where it is, if it is not listed in the panel.'
    }),
    execute: async args => {
      const items = await itemsOf(session, kind, args);
      await act(session, action, possible(model, action, items, trans));
    }
  });
}

/** Perform an action on several items, after a confirmation if needed, and report the result. */
async function act(
  session: IKfpSession,
  action: IAction,
  items: readonly Item[]
): Promise<void> {
  const { api, model, trans } = session;
  if (!items.length) {
    return;
  }
  if (action.question) {
    const { confirm } = await import('../dialogs/dialogs');
    const question = action.question(items, trans);
    const names = items.map(item => item.display_name);
    if (!(await confirm(question, action.label(trans), names, trans))) {
      return;
    }
  }
  report(session, action, await perform(model, api, action, items));
}

function report(
  { trans }: IKfpSession,
  action: IAction,
  { done, failed }: IOutcome
): void {
  if (done.length) {
    Notification.success(action.done(done.length, trans), {
      autoClose: 4_000
    });
  }
  if (failed.length) {
    const [{ item, problem }] = failed;
    const more = failed.length - 1;
    tellProblem(
      trans.__('%1: %2', item.display_name, problem.message) +
        (more
          ? ` ${trans._n('(and one more)', '(and %1 more)', more, more)}`
          : ''),
      problem
    );
  }
}

function tellProblem(message: string, problem: IProblem): void {
  const text = [
    message || problem.message,
    problem.cause,
    problem.cure.split('\n')[0]
  ]
    .filter(Boolean)
    .join(' ');
  Notification.error(text, { autoClose: false });
}

function addStarting(commands: CommandRegistry, session: IKfpSession): void {
  const { model, trans } = session;
  const reason = (kind: KindId) => forbidden(model, kind, 'create', '', trans);
  const begin = async (purpose: Purpose, seed: ISeed) => {
    const { start } = await import('../dialogs/dialogs');
    const form = await start(session, purpose, seed, copy);
    if (form?.started && 'run_id' in form.started) {
      const { run_id } = form.started;
      model.show('runs');
      model.lists.runs.select([run_id]);
    } else if (form) {
      model.show('recurring');
    }
    return form?.started ?? null;
  };
  const options = (
    label: string,
    kind: 'runs' | 'recurring',
    seed: (args: Args) => Promise<ISeed>,
    isReady: (args: Args) => boolean = () => true
  ): CommandRegistry.ICommandOptions => ({
    label: () =>
      reason(kind) ? trans.__('%1 (%2)', label, reason(kind)) : label,
    caption: () => reason(kind) || label,
    isEnabled: args => !reason(kind) && isReady(args),
    describedBy: describedBy({
      ...OF_ONE,
      namespace: 'The namespace of a run that the panel does not list.'
    }),
    execute: async args => {
      try {
        const purpose = kind === 'runs' ? 'run' : 'recurring';
        return await begin(purpose, await seed(args));
      } catch (reason) {
        tellProblem('', problemOf(reason));
        return null;
      }
    }
  });
  const pipeline = async (args: Args) => ({
    pipeline_id: idOf(session, 'pipelines', args)
  });
  const hasOne = (kind: KindId) => (args: Args) => !!idOf(session, kind, args);
  const none = async () => ({});
  commands.addCommand(
    CommandIDs.start,
    options(trans.__('Start a run…'), 'runs', none)
  );
  commands.addCommand(
    CommandIDs.schedule,
    options(trans.__('Schedule a recurring run…'), 'recurring', none)
  );
  commands.addCommand(
    CommandIDs.startPipeline,
    options(trans.__('Start…'), 'runs', pipeline, hasOne('pipelines'))
  );
  commands.addCommand(
    CommandIDs.schedulePipeline,
    options(trans.__('Schedule…'), 'recurring', pipeline, hasOne('pipelines'))
  );
  commands.addCommand(
    CommandIDs.clone,
    options(
      trans.__('Clone…'),
      'runs',
      async args => {
        const id = idOf(session, 'runs', args);
        const named = typeof args.namespace === 'string' && args.namespace;
        const { namespace } = model.lists.runs.find(id) ?? {};
        return {
          run: await session.api.run(id),
          namespace: named || namespace
        };
      },
      hasOne('runs')
    )
  );
}

function addMaking(commands: CommandRegistry, session: IKfpSession): void {
  const { model, trans } = session;
  const reason = (kind: KindId) => forbidden(model, kind, 'create', '', trans);
  commands.addCommand(CommandIDs.upload, {
    label: trans.__('Upload a pipeline…'),
    caption: () =>
      reason('pipelines') || trans.__('Upload a compiled pipeline'),
    isEnabled: () => !reason('pipelines'),
    describedBy: describedBy({}),
    execute: async () => {
      const { upload } = await import('../dialogs/dialogs');
      await upload(session, {}, copy);
    }
  });
  commands.addCommand(CommandIDs.newVersion, {
    label: trans.__('New version…'),
    isEnabled: args => !!idOf(session, 'pipelines', args),
    describedBy: describedBy(OF_ONE),
    execute: async args => {
      const { upload } = await import('../dialogs/dialogs');
      const [item] = await itemsOf(session, 'pipelines', args);
      await upload(session, { pipeline: item as IPipeline }, copy);
    }
  });
  commands.addCommand(CommandIDs.createExperiment, {
    label: trans.__('New experiment…'),
    caption: () => reason('experiments') || trans.__('Create an experiment'),
    isEnabled: () => !reason('experiments'),
    describedBy: describedBy({}),
    execute: async () => {
      const { createExperiment } = await import('../dialogs/dialogs');
      await createExperiment(session, copy);
    }
  });
}

function addLooking(commands: CommandRegistry, session: IKfpSession): void {
  const { model, trans } = session;
  commands.addCommand(CommandIDs.refresh, {
    label: trans.__('Refresh Kubeflow Pipelines'),
    caption: trans.__('Ask Kubeflow Pipelines again'),
    icon: refreshIcon,
    describedBy: describedBy({}),
    execute: () => model.refresh()
  });
  for (const [command, kind, key] of [
    [CommandIDs.runsOfExperiment, 'experiments', 'experiment_id'],
    [CommandIDs.runsOfPipeline, 'pipelines', 'pipeline_id']
  ] as const) {
    commands.addCommand(command, {
      label: trans.__('Show its runs'),
      isEnabled: args => !!idOf(session, kind, args),
      describedBy: describedBy(OF_ONE),
      execute: args => {
        const id = idOf(session, kind, args);
        model.show('runs');
        return model.lists.runs.ask({ [key]: id });
      }
    });
  }
  commands.addCommand(CommandIDs.openExperiment, {
    label: trans.__('Show its runs'),
    describedBy: describedBy(OF_ONE),
    execute: args => commands.execute(CommandIDs.runsOfExperiment, args)
  });
  commands.addCommand(CommandIDs.watch, {
    label: trans.__('Notify when it ends'),
    caption: trans.__('Show a notification once the run has ended'),
    isToggleable: true,
    isToggled: args => model.isWatched(idOf(session, 'runs', args)),
    describedBy: describedBy(OF_ONE),
    execute: async args => {
      const [item] = await itemsOf(session, 'runs', args);
      const run = item as ReturnType<typeof toRun>;
      model.watchRun(run, !model.isWatched(run.run_id));
    }
  });
}

/** The item named by the arguments, or the only one selected. */
export function idOf(session: IKfpSession, kind: KindId, args: Args): string {
  if (typeof args.id === 'string' && args.id) {
    return args.id;
  }
  const { selected } = session.model.lists[kind];
  return selected.size === 1 ? [...selected][0] : '';
}

/** The items named or selected; null if a named one is not listed here. */
function knownItems(
  session: IKfpSession,
  kind: KindId,
  args: Args
): readonly Item[] | null {
  const list = session.model.lists[kind] as unknown as ListModel<Item>;
  if (typeof args.id !== 'string' || !args.id) {
    return list.selection;
  }
  const item = list.find(args.id);
  return item ? [item] : null;
}

/** The items named or selected; one that is not listed here is fetched. */
async function itemsOf(
  session: IKfpSession,
  kind: KindId,
  args: Args
): Promise<readonly Item[]> {
  const known = knownItems(session, kind, args);
  if (known) {
    return known;
  }
  const { api } = session;
  const id = `${args.id}`;
  switch (kind) {
    case 'runs':
      return [toRun(await api.run(id))];
    case 'recurring':
      return [toRecurringRun(await api.recurringRun(id))];
    case 'experiments':
      return [toExperiment(await api.experiment(id))];
    default:
      return [toPipeline(await api.pipeline(id))];
  }
}

/** Run a command, and show its error, if any. */
export function executeSafely(
  commands: CommandRegistry,
  command: string,
  args: Args = {}
): void {
  commands.execute(command, args).catch(reason => {
    const problem = problemOf(reason);
    tellProblem(problem.message, problem);
  });
}

export function copy(text: string): void {
  Clipboard.copyToSystem(text);
}

/** The icon of the extension, for lists of commands. */
export const icon = pipelinesIcon;
