/** The commands of the extension, for the palette, for shortcuts and for other extensions. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { refreshIcon } from '@jupyterlab/ui-components';

import { pipelinesIcon } from './icons';
import { KfpSidebar } from './sidebar';

export namespace CommandIDs {
  export const open = 'kfp-mt:open';
  export const refresh = 'kfp-mt:refresh';
}

const NO_ARGUMENTS = { args: { type: 'object', properties: {} } } as const;

export function addCommands(
  app: JupyterFrontEnd,
  sidebar: KfpSidebar,
  palette: ICommandPalette | null,
  trans: TranslationBundle
): void {
  app.commands.addCommand(CommandIDs.open, {
    label: trans.__('Show Kubeflow Pipelines'),
    caption: trans.__('Show the runs of your namespace in the sidebar'),
    icon: pipelinesIcon,
    describedBy: NO_ARGUMENTS,
    execute: () => app.shell.activateById(sidebar.id)
  });
  app.commands.addCommand(CommandIDs.refresh, {
    label: trans.__('Refresh Kubeflow Pipelines'),
    caption: trans.__('Ask Kubeflow Pipelines for the runs again'),
    icon: refreshIcon,
    describedBy: NO_ARGUMENTS,
    execute: () => sidebar.model.refresh()
  });
  const category = trans.__('Kubeflow Pipelines');
  for (const command of [CommandIDs.open, CommandIDs.refresh]) {
    palette?.addItem({ command, category });
  }
}
