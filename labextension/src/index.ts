/** The plugins, each of which can be disabled. */

import { controlsPlugin } from './plugins/controls';
import { filesPlugin } from './plugins/files';
import { modelPlugin } from './plugins/model';
import { notebookPlugin } from './plugins/notebook';
import { notificationsPlugin } from './plugins/notifications';
import { pagesPlugin } from './plugins/pages';
import { panelPlugin } from './plugins/panel';
import { statusPlugin } from './plugins/status';
import { runOutput } from './plugins/outputs';

export { IKfpSession } from './model/session';

export default [
  modelPlugin,
  panelPlugin,
  pagesPlugin,
  notebookPlugin,
  filesPlugin,
  statusPlugin,
  notificationsPlugin,
  runOutput,
  controlsPlugin
];
