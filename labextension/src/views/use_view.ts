/** A hook that returns the host's view, and renders again after each change. */

import * as React from 'react';

import { IHost, IRunView } from '../run/host';
import { shownRun } from '../run/shown';

export function useView(host: IHost): IRunView {
  const view = React.useSyncExternalStore(
    React.useCallback(changed => host.subscribe(changed), [host]),
    () => host.get()
  );
  return React.useMemo(() => ({ ...view, data: shownRun(view.data) }), [view]);
}
