/** A button that copies a text and confirms that, alone or beside a command. */

import { TranslationBundle } from '@jupyterlab/translation';
import { checkIcon, copyIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

const CONFIRMED_FOR = 2_000;

export function CopyButton(props: {
  text: string;
  label: string;
  copy: (text: string) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { text, label, copy, trans } = props;
  const [copied, setCopied] = React.useState(false);
  React.useEffect(() => {
    if (copied) {
      const timer = window.setTimeout(() => setCopied(false), CONFIRMED_FOR);
      return () => window.clearTimeout(timer);
    }
  }, [copied]);
  const icon = copied ? checkIcon : copyIcon;
  return (
    <>
      <button
        type="button"
        className="jp-KfpMt-iconButton jp-KfpMt-copy"
        title={label}
        aria-label={label}
        onClick={() => {
          copy(text);
          setCopied(true);
        }}
      >
        <icon.react tag="span" />
      </button>
      <span className="jp-KfpMt-hidden" role="status">
        {copied ? trans.__('Copied') : ''}
      </span>
    </>
  );
}

export function Command(props: {
  text: string;
  copy: (text: string) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { text, copy, trans } = props;
  return (
    <div className="jp-KfpMt-command">
      <code>{text}</code>
      <CopyButton
        text={text}
        label={trans.__('Copy')}
        copy={copy}
        trans={trans}
      />
    </div>
  );
}
