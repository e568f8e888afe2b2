/** The page of a pipeline: its versions, the graph and parameters of one, and buttons. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { confirm } from '../dialogs/dialogs';
import { dateAndTime } from '../words/format';
import { fieldsOf, textOf, words } from '../model/form';
import { pipelinesIcon } from '../components/icons';
import { ProblemBanner } from '../components/problem_banner';
import { Button } from '../components/buttons';
import { IKfpSession } from '../model/session';
import { IRunView } from '../run/host';
import { KfpPage } from './page';
import { readData } from '../run/run_data';
import { PipelineGraph } from '../views/run_view';
import { IPipeline, IProblem, IVersion, problemOf } from '../wire/answers';

interface IPageOptions {
  id: string;
  session: IKfpSession;
  copy: (text: string) => void;
  execute: (command: string, args: Record<string, string>) => void;
}

export class PipelinePage extends KfpPage {
  constructor(private readonly _options: IPageOptions) {
    super(
      _options.session,
      _options.session.trans.__('Pipeline'),
      pipelinesIcon
    );
  }

  get id_(): string {
    return this._options.id;
  }

  render(): JSX.Element {
    const { round } = this;
    return (
      <Page
        key={round}
        {...this._options}
        name={label => round === this.round && this.name(label)}
      />
    );
  }
}

function Page(
  props: IPageOptions & { name: (label: string) => void }
): JSX.Element {
  const { id, session, copy, execute, name } = props;
  const { api, model, trans } = session;
  const [pipeline, setPipeline] = React.useState<IPipeline | null>(null);
  const [versions, setVersions] = React.useState<IVersion[] | null>(null);
  const [chosen, setChosen] = React.useState('');
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const load = React.useCallback(async () => {
    try {
      const [found, all] = await Promise.all([
        api.pipeline(id),
        api.versions(id)
      ]);
      setPipeline(found);
      setVersions(all);
      name(found.display_name);
      setProblem(null);
    } catch (reason) {
      setProblem(problemOf(reason));
    }
  }, [id]);
  React.useEffect(() => void load(), [load]);
  // A version may have been uploaded.
  React.useEffect(() => {
    const list = model.lists.pipelines;
    let seen = list.updatedAt;
    const look = () => {
      if (list.updatedAt !== seen) {
        seen = list.updatedAt;
        void load();
      }
    };
    model.stateChanged.connect(look);
    return () => {
      model.stateChanged.disconnect(look);
    };
  }, [load]);
  const version =
    versions?.find(each => each.pipeline_version_id === chosen) ??
    versions?.[0];
  if (!pipeline || !versions) {
    return problem ? (
      <ProblemBanner problem={problem} copy={copy} trans={trans} />
    ) : (
      <p role="status" className="jp-KfpMt-notice">
        {trans.__('Loading the pipeline…')}
      </p>
    );
  }
  const remove = async (each: IVersion) => {
    const question = trans.__(
      'Delete version %1? This cannot be undone.',
      each.display_name
    );
    if (await confirm(question, trans.__('Delete'), [], trans)) {
      await api
        .deleteVersion(id, each.pipeline_version_id)
        .catch(reason => setProblem(problemOf(reason)));
      await load();
    }
  };
  return (
    <div className="jp-KfpMt-pipeline">
      {problem && <ProblemBanner problem={problem} copy={copy} trans={trans} />}
      <div className="jp-KfpMt-pageHead">
        <h2>{pipeline.display_name}</h2>
        {!pipeline.namespace && model.status?.multi_user && (
          <span className="jp-KfpMt-badge">{trans.__('shared')}</span>
        )}
        <Button
          label={trans.__('Start…')}
          press={() => execute('pipelines-start', { id })}
        />
        <Button
          label={trans.__('Schedule…')}
          press={() => execute('pipelines-schedule', { id })}
        />
        <Button
          label={trans.__('New version…')}
          press={() => execute('pipelines-version', { id })}
        />
      </div>
      {pipeline.description && <p>{pipeline.description}</p>}
      <div className="jp-KfpMt-pipelineBody">
        <Versions
          versions={versions}
          shown={version}
          choose={setChosen}
          remove={each => void remove(each)}
          trans={trans}
        />
        {version && (
          <Version
            key={version.pipeline_version_id}
            version={version}
            trans={trans}
          />
        )}
      </div>
    </div>
  );
}

function Versions(props: {
  versions: readonly IVersion[];
  shown: IVersion | undefined;
  choose: (id: string) => void;
  remove: (version: IVersion) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { versions, shown, choose, remove, trans } = props;
  return (
    <section>
      <h3>
        {trans._n(
          '%1 version',
          '%1 versions',
          versions.length,
          versions.length
        )}
      </h3>
      <ul className="jp-KfpMt-versions">
        {versions.map(each => (
          <li key={each.pipeline_version_id} data-shown={each === shown}>
            <button
              type="button"
              aria-current={each === shown}
              onClick={() => choose(each.pipeline_version_id)}
            >
              <span>{each.display_name}</span>
              <span className="jp-KfpMt-quiet">
                {dateAndTime(Date.parse(each.created_at))}
              </span>
            </button>
            <Button label={trans.__('Delete')} press={() => remove(each)} />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The graph of a version, without any run, and its parameters. */
function Version(props: {
  version: IVersion;
  trans: TranslationBundle;
}): JSX.Element {
  const { version, trans } = props;
  const view = React.useMemo(() => viewOf(version), [version]);
  const fields = fieldsOf(version.pipeline_spec);
  return (
    <section className="jp-KfpMt-version">
      {version.description && <p>{version.description}</p>}
      {fields.length > 0 && (
        <>
          <h3>{trans.__('Parameters')}</h3>
          <table>
            <tbody>
              {fields.map(field => (
                <tr key={field.name}>
                  <th scope="row">{field.name}</th>
                  <td>{words(field.type, trans)}</td>
                  <td>
                    {field.default === undefined ? (
                      trans.__('no default')
                    ) : (
                      <code>{textOf(field.default)}</code>
                    )}
                  </td>
                  <td>{field.description}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
      <h3>{trans.__('Graph')}</h3>
      <div className="jp-KfpMt-runView">
        <PipelineGraph view={view} trans={trans} />
      </div>
    </section>
  );
}

/** An empty run, to draw the graph. */
function viewOf(version: IVersion): IRunView {
  const data = readData({ run: {}, spec: version.pipeline_spec })!;
  return { data, isLive: false, problem: '', refusals: {}, logs: {} };
}
