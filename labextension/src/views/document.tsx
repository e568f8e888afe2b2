/** Documents written by tasks: HTML and Markdown, which can neither run nor fetch anything. */

import * as React from 'react';

import { IHost } from '../run/host';

const KINDS: Readonly<Record<string, 'html' | 'markdown'>> = {
  'system.HTML': 'html',
  'system.Markdown': 'markdown'
};
// In addition to the sandbox, which blocks scripts, forms, and navigation.
const POLICY =
  '<!doctype html><meta http-equiv="Content-Security-Policy" ' +
  "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">";

/** The task of an artifact, and its name. */
export interface IArtifactPlace {
  task_id: string;
  name: string;
}

/** A button that shows the document; nothing for other artifacts. */
export function ArtifactDocument(props: {
  host: IHost;
  place: IArtifactPlace;
  type: string;
}): JSX.Element | null {
  const { host, place, type } = props;
  const [text, setText] = React.useState<string | null>(null);
  const [problem, setProblem] = React.useState('');
  const { readArtifact, text: trans } = host;
  if (!readArtifact || !KINDS[type]) {
    return null;
  }
  const read = () => {
    setProblem('');
    readArtifact(place.task_id, place.name).then(setText, reason =>
      setProblem(reason instanceof Error ? reason.message : `${reason}`)
    );
  };
  return (
    <>
      <button
        type="button"
        className="jp-KfpMt-viewButton"
        aria-expanded={text !== null}
        onClick={() => (text === null ? read() : setText(null))}
      >
        {text === null ? trans.__('Show') : trans.__('Hide')}
      </button>
      {problem && <span role="alert">{problem}</span>}
      {text !== null && (
        <Document
          host={host}
          kind={KINDS[type]}
          name={place.name}
          text={text}
        />
      )}
    </>
  );
}

function Document(props: {
  host: IHost;
  kind: 'html' | 'markdown';
  name: string;
  text: string;
}): JSX.Element {
  const { host, kind, name, text } = props;
  if (kind === 'html') {
    return (
      <iframe
        className="jp-KfpMt-viewDocument"
        title={name}
        sandbox=""
        srcDoc={POLICY + text}
      />
    );
  }
  return host.drawMarkdown ? (
    <Markdown draw={host.drawMarkdown} text={text} />
  ) : (
    <pre tabIndex={0}>{text}</pre>
  );
}

function Markdown(props: {
  draw: NonNullable<IHost['drawMarkdown']>;
  text: string;
}): JSX.Element {
  const { draw, text } = props;
  const place = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => draw(text, place.current!), [draw, text]);
  return <div className="jp-KfpMt-viewDocument" ref={place} />;
}
