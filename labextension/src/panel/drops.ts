/** Compiled pipelines dropped on the panel, from the desktop or from the file browser. */

import { Drag } from '@lumino/dragdrop';

// The MIME type of files dragged from JupyterLab's file browser: their paths.
const CONTENTS = 'application/x-jupyter-icontents';
const PIPELINE = /\.(ya?ml|json|tar\.gz|tgz|zip)$/i;

export interface IDropped {
  /** A file on the user's own machine. */
  upload: (file: File) => void;
  /** A file on the Jupyter server. */
  uploadPath: (path: string) => void;
}

/** Accept files dropped on an element, which has the class `jp-mod-dropTarget` meanwhile. */
export function takeDrops(node: HTMLElement, take: IDropped): void {
  const mark = (isOver: boolean) =>
    node.classList.toggle('jp-mod-dropTarget', isOver);
  node.addEventListener('dragover', event => {
    if (event.dataTransfer?.types.includes('Files')) {
      event.preventDefault();
      mark(true);
    }
  });
  node.addEventListener('dragleave', event => {
    if (!node.contains(event.relatedTarget as Node | null)) {
      mark(false);
    }
  });
  node.addEventListener('drop', event => {
    mark(false);
    const [file] = event.dataTransfer?.files ?? [];
    if (file) {
      event.preventDefault();
      take.upload(file);
    }
  });
  takeFromFileBrowser(node, take, mark);
}

function takeFromFileBrowser(
  node: HTMLElement,
  take: IDropped,
  mark: (isOver: boolean) => void
): void {
  const pathOf = (event: Drag.Event): string => {
    const paths = event.mimeData.getData(CONTENTS) as string[] | undefined;
    return paths?.find(path => PIPELINE.test(path)) ?? '';
  };
  const on = (name: string, act: (event: Drag.Event) => void) =>
    node.addEventListener(name, event => {
      const drag = event as Drag.Event;
      if (pathOf(drag)) {
        event.preventDefault();
        event.stopPropagation();
        act(drag);
      }
    });
  on('lm-dragenter', () => mark(true));
  on('lm-dragover', event => {
    event.dropAction = 'copy';
  });
  on('lm-dragleave', () => mark(false));
  on('lm-drop', event => {
    mark(false);
    event.dropAction = 'copy';
    take.uploadPath(pathOf(event));
  });
}
