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

const ARCHIVING = [`${PREFIX}runs-archive`, `${PREFIX}runs-unarchive`];

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
      this._addTools(page, content, args.id);
    }
    return page;
  }

  private _addTools(page: Page, content: RunPage, id: string): void {
    const { commands } = this._app;
    const button = (name: string) =>
      new CommandToolbarButton({ commands, id: PREFIX + name, args: { id } });
    for (const name of ['runs-clone', 'runs-insert', 'runs-delete']) {
      page.toolbar.addItem(name, button(name));
    }
    let [shown, known]: [Widget | null, string] = [null, ''];
    const fit = () => {
      const name = content.isArchived ? 'runs-unarchive' : 'runs-archive';
      if (name !== known) {
        shown?.dispose();
        [shown, known] = [button(name), name];
        page.toolbar.insertAfter('runs-insert', name, shown);
      }
      ARCHIVING.forEach(each => commands.notifyCommandChanged(each));
    };
    fit();
    content.changed.connect(fit);
    this._lookAfterArchiving(page, content, id);
  }

  /** Poll, as events do not report that a run was archived or restored. */
  private _lookAfterArchiving(page: Page, content: RunPage, id: string): void {
    const { commands } = this._app;
    const look = (
      _: CommandRegistry,
      done: CommandRegistry.ICommandExecutedArgs
    ) => {
      if (done.args.id === id && ARCHIVING.includes(done.id)) {
        void done.result.then(
          () => content.look(),
          () => undefined
        );
      }
    };
    commands.commandExecuted.connect(look);
    page.disposed.connect(() => commands.commandExecuted.disconnect(look));
  }
}
