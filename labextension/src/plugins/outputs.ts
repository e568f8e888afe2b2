/** The plugin that draws runs in the outputs of notebooks, with and without a kernel. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Panel, Widget } from '@lumino/widgets';

import { CommandIDs } from './commands';
import { markdownDrawer } from './markdown';
import { openOrigin } from './open_notebook';
import { MIME_TYPE } from '../run/run_data';

type Renderer = Widget & IRenderMime.IRenderer;

/** An output whose renderer is loaded when the first run is shown. */
class Output extends Panel implements IRenderMime.IRenderer {
  constructor(private readonly _load: () => Promise<() => Renderer>) {
    super();
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const create = await this._load();
    if (this.isDisposed) {
      return;
    }
    if (!this._renderer) {
      this._renderer = create();
      this.addWidget(this._renderer);
    }
    await this._renderer.renderModel(model);
  }

  private _renderer: Renderer | null = null;
}

export const runOutput: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-kfp-mt:run-output',
  description: 'Draws runs of Kubeflow Pipelines in the outputs of notebooks.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    registry: IRenderMimeRegistry,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('jupyter_kfp_mt');
    const { serverSettings } = app.serviceManager;
    let loaded: Promise<() => Renderer> | undefined;
    const load = () =>
      (loaded ??= import('../pages/run_renderer').then(({ renderers }) =>
        renderers(serverSettings, trans, {
          clone: app.commands.hasCommand(CommandIDs.clone)
            ? (id, namespace) =>
                app.commands.execute(CommandIDs.clone, { id, namespace })
            : undefined,
          openOrigin: origin => void openOrigin(app, origin, trans),
          drawMarkdown: markdownDrawer(registry)
        })
      ));
    registry.addFactory(
      {
        safe: true, // all content is rendered as text
        mimeTypes: [MIME_TYPE],
        createRenderer: () => new Output(load)
      },
      // Preferred to a widget in the same bundle, which needs a kernel.
      -20
    );
  }
};
