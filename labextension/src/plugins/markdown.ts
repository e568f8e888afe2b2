/** Markdown written by tasks: rendered by JupyterLab as untrusted, without fetching anything. */

import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Widget } from '@lumino/widgets';

import { IHost } from '../run/host';

const MARKDOWN = 'text/markdown';
const FETCHED = ['src', 'srcset', 'poster', 'background'];

/** Renders Markdown into an element; returns a function that removes it. */
export function markdownDrawer(
  registry: IRenderMimeRegistry
): NonNullable<IHost['drawMarkdown']> {
  const sanitizer = withoutFetching(registry.sanitizer);
  const own = registry.clone({ sanitizer });
  return (text, node) => {
    const renderer = own.createRenderer(MARKDOWN);
    const data = { [MARKDOWN]: text };
    Widget.attach(renderer, node);
    void renderer.renderModel(own.createModel({ data, trusted: false }));
    return () => renderer.dispose();
  };
}

function withoutFetching(
  sanitizer: IRenderMime.ISanitizer
): IRenderMime.ISanitizer {
  return Object.assign(Object.create(sanitizer), {
    sanitize: (
      dirty: string,
      options?: IRenderMime.ISanitizerOptions
    ): string => inert(sanitizer.sanitize(dirty, options))
  });
}

/** HTML without anything that a browser would fetch; embedded pictures stay. */
export function inert(html: string): string {
  // A separate document fetches nothing.
  const found = new DOMParser().parseFromString(html, 'text/html');
  for (const name of FETCHED) {
    for (const each of found.querySelectorAll(`[${name}]`)) {
      if (!/^data:/i.test(each.getAttribute(name) ?? '')) {
        each.removeAttribute(name);
      }
    }
  }
  return found.body.innerHTML;
}
