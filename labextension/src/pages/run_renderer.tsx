/** Renders runs in the outputs of notebooks with React, and keeps them up to date. */

import { ServerConnection } from '@jupyterlab/services';
import { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import { RunHost } from '../model/run_host';
import { runServices } from '../model/session';
import { htmlOf, textOf } from '../views/plain';
import { IRunData, MIME_TYPE, readData } from '../run/run_data';
import { RunView } from '../views/run_view';

type Options = Omit<RunHost.IOptions, 'data' | 'save'>;

/** One output with a run in it. */
export class RunRenderer extends ReactWidget implements IRenderMime.IRenderer {
  constructor(private readonly _options: Options) {
    super();
    this.addClass('jp-KfpMt-runOutput');
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const data = readData(model.data[MIME_TYPE]);
    this._model = model;
    if (data && this._host) {
      this._host.adopt(data);
    } else if (data) {
      const save = (news: IRunData) => this._save(news);
      this._host = new RunHost({ ...this._options, data, save });
    }
    this.update();
  }

  render(): JSX.Element | null {
    return this._host && <RunView host={this._host} />;
  }

  dispose(): void {
    this._host?.dispose();
    super.dispose();
  }

  /** Save the current data in the notebook if it has older ones. */
  private _save(data: IRunData): void {
    const model = this._model;
    const saved = readData(model?.data[MIME_TYPE]);
    if (!model || !saved || told(saved) === told(data)) {
      return;
    }
    model.setData({
      data: {
        ...model.data,
        [MIME_TYPE]: data as unknown as IRenderMime.IMimeModel['data'][string],
        'text/html': htmlOf(data),
        'text/plain': textOf(data)
      }
    });
  }

  private _host: RunHost | null = null;
  private _model: IRenderMime.IMimeModel | null = null;
}

/** The parts of a run that are saved. */
function told(data: IRunData): string {
  const { run, tasks, values, logs } = data;
  return JSON.stringify([
    run.state,
    tasks.map(({ task_id, state }) => [task_id, state]).sort(),
    Object.keys(values).length,
    Object.keys(logs).length
  ]);
}

/** Makes the renderers of one page, which share a stream of events. */
export function renderers(
  serverSettings: ServerConnection.ISettings,
  trans: TranslationBundle,
  own: Pick<RunHost.IOptions, 'clone' | 'openOrigin' | 'drawMarkdown'>
): () => RunRenderer {
  const services = runServices(serverSettings, trans);
  return () => new RunRenderer({ ...services, trans, ...own });
}
