/** A run as its host knows it, drawn again after each change. */

import * as React from 'react';

import { IHost, IRunView } from '../run/host';

export function useView(host: IHost): IRunView {
  return React.useSyncExternalStore(
    React.useCallback(changed => host.subscribe(changed), [host]),
    () => host.get()
  );
}
