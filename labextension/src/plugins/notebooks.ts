/** Notebooks: finding the current one, and inserting code into it. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { MimeData } from '@lumino/coreutils';
import { Drag } from '@lumino/dragdrop';
import { Widget } from '@lumino/widgets';

import { IDragged } from '../components/context';
import { pipelinesIcon } from '../components/icons';
import { IKfpSession } from '../model/session';

interface ISource {
  getSource: () => string;
  setSource: (source: string) => void;
}

/** The parts of a notebook panel that are used, the same in JupyterLab and Notebook. */
export interface INotebook extends Widget {
  context: {
    path: string;
    ready: Promise<void>;
    sessionContext: {
      session: {
        kernel: {
          requestExecute: (content: { code: string; silent: boolean }) => {
            done: Promise<unknown>;
          };
        } | null;
      } | null;
    };
  };
  content: {
    activeCellIndex: number;
    scrollToItem?: (index: number, align: string) => Promise<void>;
    activeCell: { model: { type: string; sharedModel: ISource } } | null;
    model: {
      sharedModel: {
        cells: Iterable<{ getId: () => string }>;
        insertCell: (
          index: number,
          cell: { cell_type: string; source: string }
        ) => unknown;
      };
    } | null;
  };
}

/** The current notebook, else a visible one, else any open one. */
export function notebook(shell: JupyterFrontEnd.IShell): INotebook | null {
  const current = shell.currentWidget;
  if (isNotebook(current)) {
    return current;
  }
  const all = [...shell.widgets('main')].filter(isNotebook);
  return all.find(widget => widget.isVisible) ?? all[0] ?? null;
}

export function notebookPath(shell: JupyterFrontEnd.IShell): string {
  return notebook(shell)?.context.path ?? '';
}

export function isNotebook(widget: Widget | null): widget is INotebook {
  return !!widget?.hasClass('jp-NotebookPanel');
}

/** Insert code in a new cell below the active one; returns whether there was a notebook. */
export function insertCell(
  shell: JupyterFrontEnd.IShell,
  source: string
): boolean {
  const panel = notebook(shell);
  const model = panel?.content.model;
  if (!panel || !model) {
    return false;
  }
  const index = panel.content.activeCellIndex + 1;
  model.sharedModel.insertCell(index, { cell_type: 'code', source });
  panel.content.activeCellIndex = index;
  shell.activateById(panel.id);
  return true;
}

const TASK = '%%kfp task';

/** Turn the active cell into a task; returns whether there was a code cell. */
export async function makeTask(
  shell: JupyterFrontEnd.IShell
): Promise<boolean> {
  const panel = notebook(shell);
  const cell = panel?.content.activeCell?.model;
  if (!panel || cell?.type !== 'code') {
    return false;
  }
  const source = cell.sharedModel.getSource();
  if (!source.startsWith(TASK)) {
    cell.sharedModel.setSource(`${TASK}\n${source}`);
  }
  // The magic may not be loaded yet; loading it twice does no harm.
  const { session } = panel.context.sessionContext;
  const code = '%load_ext jupyter_kfp_mt';
  await session?.kernel?.requestExecute({ code, silent: true }).done;
  return true;
}

/** The code that shows or starts an item, as a magic or as Python. */
export function codeOf(session: IKfpSession, item: IDragged): string {
  const { model, options } = session;
  const isMagic = options.insertAs === 'magic';
  const load = isMagic ? '%load_ext jupyter_kfp_mt\n' : '';
  const connect = 'from jupyter_kfp_mt import connect\n\n';
  switch (item.kind) {
    case 'runs':
      return isMagic
        ? `${load}%kfp show ${item.id}`
        : `${connect}run = connect().run(${quoted(item.id)})\nrun`;
    case 'pipelines': {
      const name = model.lists.pipelines.find(item.id)?.display_name ?? item.id;
      return isMagic
        ? `${load}%kfp run ${word(name)}`
        : `${connect}run = connect().start_run(${quoted(name)})\nrun`;
    }
    case 'recurring':
      return isMagic
        ? `${load}%kfp recurring get ${item.id}`
        : `${connect}connect().recurring_run(${quoted(item.id)})`;
    default: {
      const list = model.lists.experiments;
      const name = list.find(item.id)?.display_name ?? item.id;
      return isMagic
        ? `${load}%kfp runs --experiment ${word(name)}`
        : `${connect}connect().runs(experiment=${quoted(name)})`;
    }
  }
}

/** A text as a Python literal; JSON's form is valid Python. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

/** A text quoted as one word for a magic. */
function word(text: string): string {
  return /^[\w.@/-]+$/.test(text) ? text : `'${text.replace(/'/g, `'"'"'`)}'`;
}

/** Drag code: a notebook accepts it as a cell, everything else as text. */
export function drag(source: string, event: PointerEvent): void {
  const mimeData = new MimeData();
  const cell = {
    cell_type: 'code',
    source,
    metadata: {},
    outputs: [],
    execution_count: null
  };
  mimeData.setData('application/vnd.jupyter.cells', [cell]);
  mimeData.setData('text/plain', source);
  const dragImage = document.createElement('div');
  dragImage.className = 'jp-KfpMt-dragImage';
  pipelinesIcon.element({ container: dragImage, tag: 'span' });
  dragImage.append(source.split('\n').pop() ?? '');
  const dragged = new Drag({
    mimeData,
    dragImage,
    proposedAction: 'copy',
    supportedActions: 'copy'
  });
  void dragged
    .start(event.clientX, event.clientY)
    .then(() => dragged.dispose());
}
