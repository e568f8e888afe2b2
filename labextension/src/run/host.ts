/** The host of a view: a notebook's output, a page, or a widget. */

import { TranslationBundle } from '@jupyterlab/translation';

import { IProvenance } from './provenance';
import { IRunData } from './run_data';

export type RunAction = 'terminate' | 'retry' | 'clone';

export const ACTIONS: readonly RunAction[] = ['terminate', 'retry', 'clone'];

export type Action =
  | { name: RunAction }
  /** Read the log of a task, and follow it until `unlog`. */
  | { name: 'log' | 'unlog'; task_id: string };

/** A log as read so far. Lines are appended, never changed. */
export interface ILog {
  lines: readonly string[];
  isOpen: boolean;
  problem: string;
}

export interface IRunView {
  data: IRunData;
  /** Whether changes are reported; otherwise everything is as of `data.seen_at`. */
  isLive: boolean;
  /** Why changes are not reported, or empty. */
  problem: string;
  /** Why an action is impossible; without a reason it is possible. */
  refusals: Partial<Record<RunAction, string>>;
  logs: Readonly<Record<string, ILog>>;
}

export interface IHost {
  /** The actions available here; by default all. */
  readonly actions?: readonly RunAction[];
  /** Whether cloning opens a form, and so needs no confirmation. */
  readonly hasCloneForm?: boolean;
  /** Show the cell that started the run; undefined without notebooks. */
  readonly openOrigin?: (origin: IProvenance) => void;
  /** Read the text of an artifact; undefined if artifacts cannot be read here. */
  readonly readArtifact?: (task_id: string, name: string) => Promise<string>;
  /** Render Markdown into an element, safely; returns a function that removes it. */
  readonly drawMarkdown?: (text: string, node: HTMLElement) => () => void;
  /** The current view; the same object until something changes. */
  get(): IRunView;
  /** Call back after each change; returns a function that ends that. */
  subscribe(changed: () => void): () => void;
  /** Perform an action. Resolves to a message; rejects with the reason. */
  act(action: Action): Promise<string>;
  text: TranslationBundle;
}
