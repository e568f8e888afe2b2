/** The inputs and outputs of a task. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Classification } from './classification';
import { ArtifactDocument, IArtifactPlace } from './document';
import { INode } from './graph';
import { IHost } from '../run/host';
import {
  IArtifact,
  IDefinitions,
  IInput,
  IRunData,
  ITaskState,
  ITaskValues,
  IValue
} from '../run/run_data';
import { isFinished } from '../run/states';

const LONG = 160;
const SHORT = 32;
const METRICS = ['system.Metrics'];
const CLASSIFICATION = /ClassificationMetrics$/;
const DRAWN = ['confidenceMetrics', 'confusionMatrix'];
// Metadata that the local KFP and the SDK add for themselves.
const OWN_METADATA = new Set(['display_name', 'store_session_info']);

export function Inputs(props: {
  node: INode;
  data: IRunData;
  values: ITaskValues | undefined;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { node, values, trans } = props;
  const given = values?.inputs;
  const names = Object.keys(node.task.inputs?.parameters ?? {});
  const parameters: [string, React.ReactNode][] = unique([
    ...names,
    ...Object.keys(given?.parameters ?? {})
  ]).map(name => [
    name,
    given && name in given.parameters ? (
      <Value value={given.parameters[name]} />
    ) : (
      <Source input={node.task.inputs?.parameters?.[name]} {...props} />
    )
  ]);
  const artifacts: [string, React.ReactNode][] = unique([
    ...Object.keys(node.task.inputs?.artifacts ?? {}),
    ...Object.keys(given?.artifacts ?? {})
  ]).map(name => [
    name,
    given?.artifacts[name]?.length ? (
      <Artifacts artifacts={given.artifacts[name]} trans={trans} />
    ) : (
      <Source input={node.task.inputs?.artifacts?.[name]} {...props} />
    )
  ]);
  return (
    <Facts title={trans.__('Inputs')} facts={[...parameters, ...artifacts]} />
  );
}

export function Outputs(props: {
  node: INode;
  values: ITaskValues | undefined;
  task: ITaskState | undefined;
  host: IHost;
}): JSX.Element {
  const { node, values, host } = props;
  const task_id = props.task?.task_id ?? '';
  const trans = host.text;
  const declared = node.component.outputDefinitions;
  const made = values?.outputs;
  const parameters: [string, React.ReactNode][] = unique([
    ...Object.keys(declared?.parameters ?? {}),
    ...Object.keys(made?.parameters ?? {})
  ]).map(name => [
    name,
    made && name in made.parameters ? (
      <Value value={made.parameters[name]} />
    ) : (
      <Missing type={typeOf(declared, name)} {...props} />
    )
  ]);
  const found = Object.entries(made?.artifacts ?? {});
  const isMetrics = (listed: readonly IArtifact[]) =>
    listed.some(({ type }) => METRICS.includes(type));
  const metrics = found.filter(([, listed]) => isMetrics(listed));
  const artifacts: [string, React.ReactNode][] = unique([
    ...Object.keys(declared?.artifacts ?? {}),
    ...Object.keys(made?.artifacts ?? {})
  ])
    .filter(name => !isMetrics(made?.artifacts[name] ?? []))
    .map(name => [
      name,
      made?.artifacts[name]?.length ? (
        <Artifacts
          artifacts={made.artifacts[name]}
          made={{ host, place: { task_id, name } }}
          trans={trans}
        />
      ) : (
        <Missing type={typeOf(declared, name)} {...props} />
      )
    ]);
  return (
    <>
      <Facts title={trans.__('Metrics')} facts={metrics.flatMap(metricFacts)} />
      <Facts
        title={trans.__('Outputs')}
        facts={[...parameters, ...artifacts]}
      />
    </>
  );
}

/** The metrics of a task; of several artifacts with their names. */
function metricFacts(
  [name, listed]: [string, IArtifact[]],
  _: number,
  all: [string, IArtifact[]][]
): [string, React.ReactNode][] {
  return listed.flatMap(artifact =>
    Object.entries(artifact.metadata)
      .filter(([key]) => !OWN_METADATA.has(key))
      .map(([key, value]): [string, React.ReactNode] => [
        all.length > 1 ? `${name}: ${key}` : key,
        <Value value={value} />
      ])
  );
}

/** Names and values under a title; nothing if there are none. */
export function Facts(props: {
  title: string;
  facts: [string, React.ReactNode][];
}): JSX.Element | null {
  if (!props.facts.length) {
    return null;
  }
  return (
    <section>
      <h5>{props.title}</h5>
      <dl className="jp-KfpMt-viewFacts">
        {props.facts.map(([name, value]) => (
          <React.Fragment key={name}>
            <dt title={name}>{name}</dt>
            <dd>{value}</dd>
          </React.Fragment>
        ))}
      </dl>
    </section>
  );
}

/** A value as JSON, but texts unchanged; a long one is collapsed. */
export function Value(props: { value: IValue }): JSX.Element {
  const { value } = props;
  const text =
    typeof value === 'string' ? value : JSON.stringify(value, null, 1);
  const flat = typeof value === 'string' ? value : JSON.stringify(value);
  if ((flat ?? '').length <= LONG && !(flat ?? '').includes('\n')) {
    return <code>{flat === '' ? '""' : flat}</code>;
  }
  return (
    <details>
      <summary>
        <code>{`${flat.slice(0, LONG / 2).replace(/\s+/g, ' ')}…`}</code>
      </summary>
      <pre tabIndex={0}>{text}</pre>
    </details>
  );
}

/** How an artifact is read, and its place. */
interface IMade {
  host: IHost;
  place: IArtifactPlace;
}

function Artifacts(props: {
  artifacts: readonly IArtifact[];
  made?: IMade;
  trans: TranslationBundle;
}): JSX.Element {
  return (
    <>
      {props.artifacts.map((artifact, index) => (
        <Artifact
          key={index}
          artifact={artifact}
          made={props.made}
          trans={props.trans}
        />
      ))}
    </>
  );
}

function Artifact(props: {
  artifact: IArtifact;
  made?: IMade;
  trans: TranslationBundle;
}): JSX.Element {
  const { artifact, made } = props;
  const isDrawn = CLASSIFICATION.test(artifact.type);
  const metadata = Object.entries(artifact.metadata).filter(
    ([key]) => !OWN_METADATA.has(key) && !(isDrawn && DRAWN.includes(key))
  );
  return (
    <div className="jp-KfpMt-viewArtifact">
      <span>{artifact.type.replace(/^system\./, '')}</span>{' '}
      <Place uri={artifact.uri} />
      {made && <ArtifactDocument {...made} type={artifact.type} />}
      {isDrawn && <Classification artifact={artifact} trans={props.trans} />}
      {metadata.map(([key, value]) => (
        <div key={key}>
          {key}: <Value value={value} />
        </div>
      ))}
    </div>
  );
}

/** The end of a URI, and all of it after a click. */
function Place(props: { uri: string }): JSX.Element {
  const { uri } = props;
  return uri.length <= SHORT ? (
    <code>{uri}</code>
  ) : (
    <details>
      <summary title={uri}>
        <code>{`…${uri.slice(-SHORT)}`}</code>
      </summary>
      <code>{uri}</code>
    </details>
  );
}

/** The source of a value that is not known. */
function Source(props: {
  input: IInput | undefined;
  data: IRunData;
  trans: TranslationBundle;
}): JSX.Element {
  const { input, data, trans } = props;
  const parameter = input?.componentInputParameter ?? '';
  const given = data.run.parameters;
  const name = parameter.replace(/^pipelinechannel--/, '');
  const made = input?.taskOutputParameter ?? input?.taskOutputArtifact;
  if (input?.runtimeValue && 'constant' in input.runtimeValue) {
    return <Value value={input.runtimeValue.constant} />;
  }
  if (name && name in given) {
    return <Value value={given[name]} />;
  }
  if (made?.producerTask) {
    return <em>{trans.__('from %1', made.producerTask)}</em>;
  }
  const from = name || (input?.componentInputArtifact ?? '');
  return (
    <em>
      {from && trans.__('from %1', from.replace(/^pipelinechannel--/, ''))}
    </em>
  );
}

/** In place of an output's value: why there is none, or its type where values are not known. */
function Missing(props: {
  type: string;
  task: ITaskState | undefined;
  values: ITaskValues | undefined;
  host: IHost;
}): JSX.Element {
  const { type, task, values, host } = props;
  const isOpen = !!task && !isFinished(task);
  const isUnknown = !task || (task.state === 'SUCCEEDED' && !values);
  if (isUnknown) {
    return <em>{type}</em>;
  }
  return (
    <em title={type}>
      {isOpen ? host.text.__('not written yet') : host.text.__('not written')}
    </em>
  );
}

function typeOf(declared: IDefinitions | undefined, name: string): string {
  const parameter = declared?.parameters?.[name]?.parameterType ?? '';
  const artifact = declared?.artifacts?.[name]?.artifactType?.schemaTitle ?? '';
  return (parameter || artifact.replace(/^system\./, '')).toLowerCase();
}

function unique(names: string[]): string[] {
  return [...new Set(names)];
}
