/** The plugin of the pages in the main area: a run, a pipeline, and a comparison of runs. */

import {
  ILabShell,
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import {
  CommandToolbarButton,
  MainAreaWidget,
  WidgetTracker
} from '@jupyterlab/apputils';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';

import {
  CommandIDs,
  copy,
  describedBy,
  executeSafely,
  idOf,
  PREFIX
} from './commands';
import type { RunPage } from '../pages/run_page';
import { IHost } from '../run/host';
import { IRunFacts } from '../run/run_data';
import { isFinished } from '../run/states';
import { markdownDrawer } from './markdown';
import { openOrigin } from './open_notebook';
import { IKfpSession } from '../model/session';

/** The subject of a page: ids, and their namespace. */
interface IPlace {
  command: string;
  args: Record<string, string>;
}

const PLACES = new WeakMap<Widget, IPlace>();

export const pagesPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-kfp-mt:pages',
  description: 'Shows runs and pipelines as pages, and compares runs.',
  autoStart: true,
  requires: [IKfpSession],
  optional: [ILabShell, ILayoutRestorer, IRenderMimeRegistry],
  activate: (
    app: JupyterFrontEnd,
    session: IKfpSession,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    registry: IRenderMimeRegistry | null
  ): void => {
    const pages = new Pages(
      app,
      session,
      labShell !== null,
      registry ? markdownDrawer(registry) : undefined
    );
    for (const [command, tracker] of Object.entries(pages.trackers)) {
      void restorer?.restore(tracker, {
        command,
        args: page => PLACES.get(page)?.args ?? {},
        name: page => Object.values(PLACES.get(page)?.args ?? {}).join(' ')
      });
    }
    pages.addCommands();
  }
};

type Page = MainAreaWidget<Widget>;

const CHANGES = ['terminate', 'retry', 'archive', 'unarchive'];

// In the order of the toolbar.
const TOOLS = [
  'runs-terminate',
  'runs-retry',
  'runs-clone',
  'runs-insert',
  'runs-archive',
  'runs-unarchive',
  'runs-delete'
];

class Pages {
  constructor(
    private readonly _app: JupyterFrontEnd,
    private readonly _session: IKfpSession,
    // In other applications the main area has room for only one widget, which is taken.
    private readonly _isLab: boolean,
    private readonly _drawMarkdown: IHost['drawMarkdown']
  ) {}

  readonly trackers: Record<string, WidgetTracker<Page>> = {
    [CommandIDs.openRun]: new WidgetTracker<Page>({ namespace: 'kfp-mt-runs' }),
    [CommandIDs.openPipeline]: new WidgetTracker<Page>({
      namespace: 'kfp-mt-pipelines'
    }),
    [CommandIDs.compare]: new WidgetTracker<Page>({
      namespace: 'kfp-mt-comparisons'
    })
  };

  addCommands(): void {
    const { commands } = this._app;
    const { model, trans } = this._session;
    const ofOne = describedBy({
      id: 'The id of what is shown; without it what is selected in the panel is meant.'
    });
    commands.addCommand(CommandIDs.openRun, {
      label: trans.__('Open'),
      describedBy: ofOne,
      isEnabled: args => !!idOf(this._session, 'runs', args),
      execute: args => {
        const id = idOf(this._session, 'runs', args);
        const known = model.lists.runs.find(id)?.namespace;
        const namespace = `${args.namespace ?? (known || model.namespace)}`;
        return this._open(CommandIDs.openRun, { id, namespace });
      }
    });
    commands.addCommand(CommandIDs.openPipeline, {
      label: trans.__('Open'),
      describedBy: ofOne,
      isEnabled: args => !!idOf(this._session, 'pipelines', args),
      execute: args => {
        const id = idOf(this._session, 'pipelines', args);
        return this._open(CommandIDs.openPipeline, { id });
      }
    });
    commands.addCommand(CommandIDs.compare, {
      label: trans.__('Compare'),
      caption: trans.__('select at least two runs'),
      describedBy: describedBy({
        ids: 'The ids of the runs, with commas between; without them those selected are meant.'
      }),
      isEnabled: args => this._compared(args.ids).length > 1,
      execute: args =>
        this._open(CommandIDs.compare, {
          ids: this._compared(args.ids).join(',')
        })
    });
  }

  private _compared(ids: unknown): string[] {
    return typeof ids === 'string' && ids
      ? ids.split(',')
      : [...this._session.model.lists.runs.selected];
  }

  /** Show the page of a subject; an open one, if there is one.  */
  private async _open(
    command: string,
    args: Record<string, string>
  ): Promise<void> {
    const { shell } = this._app;
    const tracker = this.trackers[command];
    const isSame = (page: Page) =>
      JSON.stringify(PLACES.get(page)?.args) === JSON.stringify(args);
    const known = tracker.find(isSame);
    if (known) {
      shell.activateById(known.id);
      return;
    }
    const page = await this._make(command, args);
    PLACES.set(page, { command, args });
    shell.add(page, this._isLab ? 'main' : 'right', { rank: 600 });
    shell.activateById(page.id);
    void tracker.add(page);
  }

  private async _make(
    command: string,
    args: Record<string, string>
  ): Promise<Page> {
    const session = this._session;
    const { commands } = this._app;
    const { ComparePage, PipelinePage, RunPage } =
      await import('../pages/index');
    const execute = (name: string, args: Record<string, string>) =>
      executeSafely(commands, PREFIX + name, args);
    let content: Widget;
    if (command === CommandIDs.openRun) {
      const { id, namespace } = args;
      content = new RunPage({
        id,
        namespace,
        session,
        copy,
        drawMarkdown: this._drawMarkdown,
        openOrigin: origin => void openOrigin(this._app, origin, session.trans)
      });
    } else if (command === CommandIDs.openPipeline) {
      content = new PipelinePage({ id: args.id, session, copy, execute });
    } else {
      const open = (id: string) => execute('runs-open', { id });
      const ids = args.ids.split(',');
      content = new ComparePage({ ids, session, copy, open });
    }
    const page = new MainAreaWidget({ content });
    // All content shares one name there.
    content.node.setAttribute('aria-label', content.title.label);
    page.id = `kfp-mt-page-${Object.values(args).join('-')}`;
    if (content instanceof RunPage) {
      this._addTools(page, content, args);
    }
    return page;
  }

  private _addTools(page: Page, content: RunPage, args: IPlace['args']): void {
    const { commands } = this._app;
    const tools = new Map(
      TOOLS.map(name => {
        const id = PREFIX + name;
        return [name, new CommandToolbarButton({ commands, id, args })];
      })
    );
    tools.forEach((tool, name) => page.toolbar.addItem(name, tool));
    const fit = () => {
      const shown = toolsFor(content.run);
      tools.forEach((tool, name) => tool.setHidden(!shown.includes(name)));
      shown.forEach(name => commands.notifyCommandChanged(PREFIX + name));
      keepFocus(page.toolbar);
    };
    fit();
    content.changed.connect(fit);
    this._lookAfterChanges(page, content, args);
  }

  /** Look at the run once it was changed, as events tell of that late, or not at all. */
  private _lookAfterChanges(
    page: Page,
    content: RunPage,
    args: IPlace['args']
  ): void {
    const { commands } = this._app;
    const look = (
      _: CommandRegistry,
      done: CommandRegistry.ICommandExecutedArgs
    ) => {
      const verb = CHANGES.find(each => done.id === `${PREFIX}runs-${each}`);
      if (verb && done.args.id === args.id) {
        void done.result.then(
          () => content.lookAfter(verb),
          () => undefined
        );
      }
    };
    commands.commandExecuted.connect(look);
    page.disposed.connect(() => commands.commandExecuted.disconnect(look));
  }
}

/** The tools that make sense for a run in its state. */
function toolsFor(run: IRunFacts | null): string[] {
  const absent = !run
    ? ['terminate', 'retry', 'unarchive']
    : [
        isFinished(run) ? 'terminate' : 'retry',
        ...(['FAILED', 'CANCELED'].includes(run.state) ? [] : ['retry']),
        run.archived ? 'archive' : 'unarchive'
      ];
  return TOOLS.filter(name => !absent.includes(name.replace('runs-', '')));
}

/** Keep the focus in a toolbar whose focused button was hidden. */
function keepFocus(toolbar: Widget): void {
  const { activeElement } = document;
  if (
    activeElement?.closest('.lm-mod-hidden') &&
    toolbar.node.contains(activeElement)
  ) {
    toolbar.node
      .querySelector<HTMLElement>(
        '.jp-Toolbar-item:not(.lm-mod-hidden) :is(jp-button, button)'
      )
      ?.focus();
  }
}
