/** Opens the notebook, and the cell, from which a run was started. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { PageConfig, URLExt } from '@jupyterlab/coreutils';
import { Contents } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { IProvenance } from '../run/provenance';
import { INotebook, isNotebook } from './notebooks';

/** Open the notebook at the cell, or report that it no longer exists. Never rejects. */
export async function openOrigin(
  app: JupyterFrontEnd,
  origin: IProvenance,
  trans: TranslationBundle
): Promise<void> {
  const { contents, serverSettings } = app.serviceManager;
  const path = await pathOf(contents, origin.notebook);
  if (!path) {
    Notification.warning(
      trans.__(
        'There is no notebook %1 here: it was moved or deleted, or is on another server.',
        origin.notebook
      ),
      { autoClose: 8_000 }
    );
    return;
  }
  const opened: unknown = await app.commands.execute('docmanager:open', {
    path
  });
  const widget = opened instanceof Widget ? opened : null;
  if (isNotebook(widget)) {
    await showCell(widget, origin, trans);
  } else if (!opened) {
    // Notebook shows one document in a tab of the browser.
    const url = URLExt.join(serverSettings.baseUrl, 'notebooks');
    window.open(URLExt.join(url, URLExt.encodeParts(path)), '_blank');
  }
}

/**
 * The path below the server's root; empty if there is no such notebook. A kernel reports the path
 * from the file system's root or from the home folder.
 */
async function pathOf(
  contents: Contents.IManager,
  named: string
): Promise<string> {
  for (const path of candidates(named, PageConfig.getOption('serverRoot'))) {
    try {
      await contents.get(path, { content: false });
      return path;
    } catch {
      // Not this path.
    }
  }
  return '';
}

/** The possible paths below the server's root, the most likely first. */
export function candidates(named: string, root: string): string[] {
  const folder = root.replace(/^~\/?/, '').replace(/\/$/, '');
  const inside = named.startsWith(`${folder}/`)
    ? named.slice(folder.length + 1)
    : named;
  return [...new Set([inside, named])]
    .map(path => path.replace(/^\//, ''))
    .filter(Boolean);
}

async function showCell(
  panel: INotebook,
  { cell, cell_id }: IProvenance,
  trans: TranslationBundle
): Promise<void> {
  await panel.context.ready;
  const { content } = panel;
  const cells = [...(content.model?.sharedModel.cells ?? [])];
  const index = cells.findIndex(each => each.getId() === cell_id);
  if (!cell_id || index < 0) {
    if (cell) {
      Notification.info(
        trans.__('Cell %1, which started the run, is no longer in it.', cell),
        { autoClose: 5_000 }
      );
    }
    return;
  }
  content.activeCellIndex = index;
  await content.scrollToItem?.(index, 'center');
}
