/**
 * The entry of the kernel's bundle: a run where there is no labextension of ours, such as in VS Code.
 * The other half is `jupyter_kfp_mt/notebook/run_widget.py`.
 */

import * as React from 'react';
import { createRoot } from 'react-dom/client';

import { RunView } from '../views/run_view';
import { IModel, WidgetHost } from './host';

function render(options: { model: IModel; el: HTMLElement }): () => void {
  const host = new WidgetHost(options.model);
  const root = createRoot(options.el);
  root.render(<RunView host={host} />);
  return () => {
    host.dispose();
    root.unmount();
  };
}

export default { render };
