/**
 * The plugin that draws what ipywidgets control: live while a kernel has them, else as it was last.
 * The other half is `jupyter_kfp_mt/notebook/controls.py`.
 */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ISessionContext } from '@jupyterlab/apputils';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { KernelMessage } from '@jupyterlab/services';
import { JSONExt, JSONObject } from '@lumino/coreutils';
import {
  ITranslator,
  nullTranslator,
  TranslationBundle
} from '@jupyterlab/translation';
import { Message, MessageLoop } from '@lumino/messaging';
import { ISignal, Signal } from '@lumino/signaling';
import { Panel, Widget } from '@lumino/widgets';

export const CONTROLS_TYPE = 'application/vnd.kfp-mt.controls+json';
export const WIDGET_TYPE = 'application/vnd.jupyter.widget-view+json';
const KEPT = '.jp-KfpMt-kept .widget-html-content';
// What is typed is kept once it has been quiet for so long.
const QUIET = 400;
const LOAD = '%load_ext jupyter_kfp_mt';

type Renderer = IRenderMime.IRenderer;

/** An output with widgets. */
export class ControlsRenderer extends Panel implements Renderer {
  constructor(private readonly _options: ControlsRenderer.IOptions) {
    super();
    this.addClass('jp-KfpMt-controls');
    this._changes = new MutationObserver(() => this._keepSoon());
    _options.lost.connect(this._lose, this);
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this._model = model;
    if (!this._last) {
      this._last = this._options.registry.createRenderer('text/html');
      this.addWidget(this._last);
    }
    await this._last.renderModel(model);
    const id = (model.data[WIDGET_TYPE] as JSONObject | undefined)?.model_id;
    if (model.trusted && typeof id === 'string' && id !== this._id) {
      this._id = id;
      await this._show(model);
    }
  }

  dispose(): void {
    this._options.lost.disconnect(this._lose, this);
    window.clearTimeout(this._soon);
    this._changes.disconnect();
    super.dispose();
  }

  /** Show the widgets as soon as there are any, and what was kept until then. */
  private async _show(model: IRenderMime.IMimeModel): Promise<void> {
    const { ready, registry } = this._options;
    await ready;
    this._live?.dispose();
    if (this.isDisposed || !registry.getFactory(WIDGET_TYPE)) {
      return;
    }
    const live = registry.createRenderer(WIDGET_TYPE);
    this._live = live;
    live.hide();
    const hear = (_: unknown, message: Message) => {
      if (message.type === 'child-added') {
        live.show();
        this._last?.hide();
        this._note?.dispose();
      }
      return true;
    };
    MessageLoop.installMessageHook(live, hear);
    this._changes.disconnect();
    this._changes.observe(live.node, {
      childList: true,
      characterData: true,
      subtree: true
    });
    this.addWidget(live);
    await live.renderModel(model);
  }

  /** Show what was kept in place of widgets whose kernel has ended, and what can be done. */
  private _lose(): void {
    const live = this._live;
    if (!live || live.isHidden) {
      return;
    }
    live.dispose();
    this._live = null;
    this._last?.show();
    this._note = this._noteOfLoss();
    this.insertWidget(0, this._note);
  }

  private _noteOfLoss(): Widget {
    const { runCell, trans } = this._options;
    const node = document.createElement('div');
    const [told, again] = ['span', 'button'].map(tag =>
      node.appendChild(document.createElement(tag))
    );
    told.setAttribute('role', 'status');
    told.textContent = trans.__(
      'This has lost its kernel, and can only be read.'
    );
    again.className = 'jp-KfpMt-button';
    again.textContent = trans.__('Run its cell again');
    again.onclick = () => runCell(this.node);
    const note = new Widget({ node });
    note.addClass('jp-KfpMt-controlsLost');
    return note;
  }

  private _keepSoon(): void {
    window.clearTimeout(this._soon);
    this._soon = window.setTimeout(() => this._keep(), QUIET);
  }

  /** Put what the kernel tells to keep into the notebook. */
  private _keep(): void {
    const kept = this._live?.node.querySelector(KEPT);
    const html = kept?.querySelector('div')?.innerHTML;
    const text = kept?.querySelector('pre')?.textContent ?? '';
    const model = this._model;
    if (model && html && text !== `${model.data['text/plain']}`) {
      const news = { 'text/html': html, 'text/plain': text };
      model.setData({ data: { ...model.data, ...news } });
    }
  }

  private readonly _changes: MutationObserver;
  private _id = '';
  private _last: Renderer | null = null;
  private _live: Renderer | null = null;
  private _model: IRenderMime.IMimeModel | null = null;
  private _note: Widget | null = null;
  private _soon = 0;
}

export namespace ControlsRenderer {
  export interface IOptions {
    /** Of the notebook; it knows the widgets' kernel once `ready`. */
    registry: IRenderMimeRegistry;
    ready: Promise<void>;
    /** Emitted when the kernel that had the widgets is gone. */
    lost: ISignal<object, void>;
    /** Run the cell in whose output a node is. */
    runCell: (node: HTMLElement) => void;
    trans: TranslationBundle;
  }
}

/** What is used of a notebook's panel and of its outputs. */
interface IPanel extends Widget {
  content: {
    activeCellIndex: number;
    rendermime: IRenderMimeRegistry;
    widgets: readonly ICell[];
  };
}

interface ICell {
  node: HTMLElement;
  model: { outputs?: IOutputs };
}

interface IOutputs {
  readonly length: number;
  get: (index: number) => { data: JSONObject; metadata: JSONObject };
  set: (index: number, output: object) => void;
}

/**
 * Update outputs that are older than the page with what a kernel shows in their place: JupyterLab
 * itself only updates outputs that were displayed since the page was loaded.
 */
export function place(
  message: KernelMessage.IMessage,
  cells: Iterable<Pick<ICell, 'model'>>
): void {
  if (!KernelMessage.isUpdateDisplayDataMsg(message)) {
    return;
  }
  const { data, metadata } = message.content;
  const wanted = placeOf(metadata as JSONObject);
  for (const { model } of wanted ? cells : []) {
    const { outputs } = model;
    for (let index = 0; index < (outputs?.length ?? 0); index++) {
      const output = outputs!.get(index);
      const isMeant = placeOf(output.metadata) === wanted;
      if (isMeant && !JSONExt.deepEqual(output.data, data as JSONObject)) {
        outputs!.set(index, { output_type: 'display_data', data, metadata });
      }
    }
  }
}

function placeOf(metadata: JSONObject | undefined): unknown {
  return (metadata?.['kfp-mt'] as JSONObject | undefined)?.place;
}

/** Wait until ipywidgets know the notebook's kernel, which is right after it has started. */
async function withKernel(
  app: JupyterFrontEnd,
  kernel: Promise<void>
): Promise<void> {
  await Promise.all([app.started, kernel]);
  await new Promise(done => window.setTimeout(done));
}

/** A signal that is emitted when a notebook's kernel is no more the one that it was. */
function loss(session: ISessionContext): ISignal<object, void> {
  const lost = new Signal<object, void>(session);
  session.kernelChanged.connect((_, { oldValue }) => {
    if (oldValue) {
      lost.emit();
    }
  });
  session.statusChanged.connect((_, status) => {
    if (['restarting', 'autorestarting', 'starting', 'dead'].includes(status)) {
      lost.emit();
    }
  });
  return lost;
}

/** Run the cell of a notebook that contains a node; its kernel may not know `%kfp` yet. */
function runCell(
  app: JupyterFrontEnd,
  panel: IPanel,
  session: ISessionContext,
  node: HTMLElement
): void {
  const { content } = panel;
  const index = content.widgets.findIndex(cell => cell.node.contains(node));
  if (index >= 0) {
    session.session?.kernel?.requestExecute({ code: LOAD, silent: true });
    app.shell.activateById(panel.id);
    content.activeCellIndex = index;
    void app.commands.execute('notebook:run-cell');
  }
}

export const controlsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-kfp-mt:controls',
  description: 'Keeps forms and lists of runs readable in notebooks.',
  autoStart: true,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load('jupyter_kfp_mt');
    app.docRegistry.addWidgetExtension('Notebook', {
      createNew: (widget, context) => {
        const panel = widget as unknown as IPanel;
        const { content } = panel;
        const options = {
          registry: content.rendermime,
          ready: withKernel(app, context.sessionContext.ready),
          lost: loss(context.sessionContext),
          runCell: (node: HTMLElement) =>
            runCell(app, panel, context.sessionContext, node),
          trans
        };
        content.rendermime.addFactory(
          {
            safe: true, // the HTML is sanitized, and only trusted outputs have widgets
            mimeTypes: [CONTROLS_TYPE],
            createRenderer: () => new ControlsRenderer(options)
          },
          // Ahead of the widgets themselves, which need a kernel.
          -20
        );
        context.sessionContext.iopubMessage.connect((_, message) =>
          place(message, content.widgets)
        );
      }
    });
  }
};
