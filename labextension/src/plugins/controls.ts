/**
 * The plugin that draws what ipywidgets control: live while a kernel has them, else as it was last.
 * The other half is `jupyter_kfp_mt/notebook/controls.py`.
 */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { KernelMessage } from '@jupyterlab/services';
import { JSONExt, JSONObject } from '@lumino/coreutils';
import { Message, MessageLoop } from '@lumino/messaging';
import { Panel, Widget } from '@lumino/widgets';

export const CONTROLS_TYPE = 'application/vnd.kfp-mt.controls+json';
export const WIDGET_TYPE = 'application/vnd.jupyter.widget-view+json';
const KEPT = '.jp-KfpMt-kept .widget-html-content';
// What is typed is kept once it has been quiet for so long.
const QUIET = 400;

type Renderer = IRenderMime.IRenderer;

/** An output with widgets; `registry` is that of its notebook, which knows their kernel once ready. */
export class ControlsRenderer extends Panel implements Renderer {
  constructor(
    private readonly _registry: IRenderMimeRegistry,
    private readonly _ready: Promise<void>
  ) {
    super();
    this.addClass('jp-KfpMt-controls');
    this._changes = new MutationObserver(() => this._keepSoon());
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this._model = model;
    if (!this._last) {
      this._last = this._registry.createRenderer('text/html');
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
    window.clearTimeout(this._soon);
    this._changes.disconnect();
    super.dispose();
  }

  /** Show the widgets as soon as there are any, and what was kept until then. */
  private async _show(model: IRenderMime.IMimeModel): Promise<void> {
    await this._ready;
    this._live?.dispose();
    if (this.isDisposed || !this._registry.getFactory(WIDGET_TYPE)) {
      return;
    }
    const live = this._registry.createRenderer(WIDGET_TYPE);
    this._live = live;
    live.hide();
    const hear = (_: unknown, message: Message) => {
      if (message.type === 'child-added') {
        live.show();
        this._last?.hide();
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
  private _soon = 0;
}

/** What is used of a notebook's panel and of its outputs. */
interface IPanel extends Widget {
  content: { rendermime: IRenderMimeRegistry; widgets: Iterable<ICell> };
}

interface ICell {
  model: { outputs?: IOutputs };
}

interface IOutputs {
  readonly length: number;
  get: (index: number) => { data: JSONObject; metadata: JSONObject };
  set: (index: number, output: object) => void;
}

/**
 * Bring what a kernel shows anew to outputs that were there before the page was loaded: JupyterLab
 * itself knows only the places of outputs that have come since.
 */
export function place(
  message: KernelMessage.IMessage,
  cells: Iterable<ICell>
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

/** ipywidgets are told of a notebook's kernel once that is there, in what follows at once. */
async function withKernel(
  app: JupyterFrontEnd,
  kernel: Promise<void>
): Promise<void> {
  await Promise.all([app.started, kernel]);
  await new Promise(done => window.setTimeout(done));
}

export const controlsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-kfp-mt:controls',
  description: 'Keeps forms and lists of runs readable in notebooks.',
  autoStart: true,
  activate: (app: JupyterFrontEnd): void => {
    app.docRegistry.addWidgetExtension('Notebook', {
      createNew: (widget, context) => {
        const { content } = widget as unknown as IPanel;
        const ready = withKernel(app, context.sessionContext.ready);
        content.rendermime.addFactory(
          {
            safe: true, // the HTML is sanitized, and only trusted outputs have widgets
            mimeTypes: [CONTROLS_TYPE],
            createRenderer: () =>
              new ControlsRenderer(content.rendermime, ready)
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
