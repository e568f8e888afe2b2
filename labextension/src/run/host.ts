/** What a view knows of where it is shown: a notebook's output, a page of the sidebar, a widget. */

import { TranslationBundle } from '@jupyterlab/translation';

import { IProvenance } from './provenance';
import { IRunData } from './run_data';

export type RunAction = 'terminate' | 'retry' | 'clone';

export const ACTIONS: readonly RunAction[] = ['terminate', 'retry', 'clone'];

export type Action =
  | { name: RunAction }
  /** Read the log of a task, and go on while it grows, until `unlog`. */
  | { name: 'log' | 'unlog'; task_id: string };

/** A log as far as it has come. The lines are added to, never changed. */
export interface ILog {
  lines: readonly string[];
  isOpen: boolean;
  problem: string;
}

export interface IRunView {
  data: IRunData;
  /** Whether changes are told: else everything is as it was at `data.seen_at`. */
  isLive: boolean;
  /** Why changes are not told, or an empty text. */
  problem: string;
  /** Why an action cannot be taken; without a reason it can. */
  refusals: Partial<Record<RunAction, string>>;
  logs: Readonly<Record<string, ILog>>;
}

export interface IHost {
  /** What a person can do here with the run; all of it unless it says otherwise. */
  readonly actions?: readonly RunAction[];
  /** Show the cell that started the run; missing where there are no notebooks. */
  readonly openOrigin?: (origin: IProvenance) => void;
  /** The text of an artifact; missing where it cannot be read. */
  readonly readArtifact?: (task_id: string, name: string) => Promise<string>;
  /** Draw Markdown into an element, safely; the answer takes it off again. */
  readonly drawMarkdown?: (text: string, node: HTMLElement) => () => void;
  /** The same object until something has changed. */
  get(): IRunView;
  /** Call back after each change; the answer ends that. */
  subscribe(changed: () => void): () => void;
  /** Do something. Resolves to what there is to say of it; rejects with the reason. */
  act(action: Action): Promise<string>;
  text: TranslationBundle;
}
