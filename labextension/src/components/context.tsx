/** The context of all parts of panel and pages: translations, the model, and commands. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { KfpApi } from '../wire/api';
import { KfpModel } from '../model/model';

export interface IKfp {
  api: KfpApi;
  model: KfpModel;
  trans: TranslationBundle;
  copy: (text: string) => void;
  /** Run a command of the extension, such as `start`. */
  execute: (command: string, args?: Record<string, string>) => void;
  /** Why a command is disabled now; empty if it is enabled. */
  refusal: (command: string) => string;
  /** The path of the current notebook, or empty. */
  notebook?: () => string;
  /** The name of a kernel's notebook or console; empty if unknown. */
  nameOfKernel?: (kernel: string) => string;
  /** Upload a file as a pipeline. */
  upload?: (file: File) => void;
  /** Start dragging an item to a notebook. */
  drag?: (item: IDragged, event: PointerEvent) => void;
}

/** An item that can be dragged from a list. */
export interface IDragged {
  kind: string;
  id: string;
}

const Context = React.createContext<IKfp | null>(null);

export const KfpProvider = Context.Provider;

export function useKfp(): IKfp {
  const kfp = React.useContext(Context);
  if (!kfp) {
    throw new Error('It is drawn outside of a KfpProvider.');
  }
  return kfp;
}

export function useTrans(): TranslationBundle {
  return useKfp().trans;
}

/** Render again whenever the model changes. */
export function useModel(): KfpModel {
  const { model } = useKfp();
  const [, again] = React.useReducer((n: number) => n + 1, 0);
  React.useEffect(() => {
    model.stateChanged.connect(again);
    return () => {
      model.stateChanged.disconnect(again);
    };
  }, [model]);
  return model;
}

/** Render again at an interval in milliseconds; 0 is never. */
export function useTick(interval: number): void {
  const [, setTime] = React.useState(0);
  React.useEffect(() => {
    if (interval) {
      const timer = window.setInterval(() => setTime(Date.now()), interval);
      return () => window.clearInterval(timer);
    }
  }, [interval]);
}
