/** An error with its cause and its cure, with commands ready to copy. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IProblem } from '../wire/api';
import { Command } from './copy_button';
import { failedIcon } from './icons';

export function ProblemBanner(props: {
  problem: IProblem;
  copy: (text: string) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { problem, copy, trans } = props;
  return (
    <div className="jp-KfpMt-problem" role="alert">
      <failedIcon.react tag="span" className="jp-KfpMt-problemIcon" />
      <div className="jp-KfpMt-problemText">
        <p className="jp-KfpMt-problemMessage">{problem.message}</p>
        {problem.cause && <p>{problem.cause}</p>}
        {problem.cure && <Cure text={problem.cure} copy={copy} trans={trans} />}
        {problem.server_text && (
          <details>
            <summary>{trans.__('Response of the server')}</summary>
            <pre>{problem.server_text}</pre>
          </details>
        )}
      </div>
    </div>
  );
}

/** A sentence, and below it lines to paste: a command, or part of a file. */
export function Cure(props: {
  text: string;
  copy: (text: string) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { text, copy, trans } = props;
  const [sentence, ...lines] = text.split('\n');
  return (
    <div className="jp-KfpMt-cure">
      <p>{sentence}</p>
      {lines.length > 0 && (
        <Command text={lines.join('\n')} copy={copy} trans={trans} />
      )}
    </div>
  );
}
