/** The plugin of the file browser, which uploads compiled pipelines. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';

import { copy, describedBy, PREFIX } from './commands';
import { IKfpSession } from '../model/session';

export const filesPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-kfp-mt:files',
  description: 'Uploads compiled pipelines from the file browser.',
  autoStart: true,
  requires: [IKfpSession],
  optional: [IFileBrowserFactory],
  activate: (
    app: JupyterFrontEnd,
    session: IKfpSession,
    factory: IFileBrowserFactory | null
  ): void => {
    const { trans } = session;
    const selected = () =>
      [...(factory?.tracker.currentWidget?.selectedItems() ?? [])].map(
        item => item.path
      );
    const pathOf = (path: unknown) =>
      typeof path === 'string' && path ? path : (selected()[0] ?? '');
    app.commands.addCommand(`${PREFIX}upload-file`, {
      label: trans.__('Upload to Kubeflow Pipelines…'),
      caption: trans.__('Upload this compiled pipeline'),
      isEnabled: args => !!pathOf(args.path),
      describedBy: describedBy({
        path: 'The path of the file; without it the one selected in the file browser is meant.'
      }),
      execute: async args => {
        const path = pathOf(args.path);
        const found = await app.serviceManager.contents.get(path, {
          type: 'file',
          format: 'text'
        });
        const file = new File([`${found.content}`], found.name);
        const { upload } = await import('../dialogs/dialogs');
        await upload(session, { file }, copy);
      }
    });
  }
};
