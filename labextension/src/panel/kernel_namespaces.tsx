/** The notebooks that use another namespace than the panel, with buttons to adopt either. */

import * as React from 'react';

import { Button } from '../components/buttons';
import { useKfp } from '../components/context';

export function KernelNamespaces(): JSX.Element | null {
  const { model, nameOfKernel } = useKfp();
  const chosen = Object.entries(model.status?.kernel_namespaces ?? {});
  const others = chosen.filter(([, name]) => name !== model.namespace);
  if (!model.status?.multi_user || !others.length) {
    return null;
  }
  return (
    <div className="jp-KfpMt-kernels" role="status">
      {others.map(([kernel, namespace]) => (
        <Other
          key={kernel}
          kernel={kernel}
          namespace={namespace}
          name={nameOfKernel?.(kernel) ?? ''}
        />
      ))}
    </div>
  );
}

function Other(props: {
  kernel: string;
  namespace: string;
  name: string;
}): JSX.Element {
  const { model, trans } = useKfp();
  const { kernel, namespace, name } = props;
  const here = model.namespace;
  return (
    <div>
      <p>
        {name
          ? trans.__('%1 uses %2', name, namespace)
          : trans.__('A kernel uses %1', namespace)}
      </p>
      <Button
        label={trans.__('Use %1 here', namespace)}
        press={() => model.choose(namespace)}
      />
      {here && (
        <Button
          label={trans.__('Use %1 there', here)}
          press={() => void model.forgetNamespaceOf(kernel)}
        />
      )}
    </div>
  );
}
