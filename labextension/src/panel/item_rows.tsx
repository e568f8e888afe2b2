/** The rows of each list: a state as icon and word, a name, and a few facts. */

import { TranslationBundle } from '@jupyterlab/translation';
import { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { useKfp } from '../components/context';
import {
  age,
  ahead,
  dateAndTime,
  duration,
  elapsed,
  period,
  stateWord
} from '../words/format';
import {
  disabledIcon,
  experimentIcon,
  pipelinesIcon,
  scheduleIcon,
  stateIcon
} from '../components/icons';
import { shownState } from '../run/shown';
import { Item, KindId } from '../wire/kinds';
import { IExperiment, IPipeline, IRecurringRun, IRun } from '../wire/answers';

export function drawItem(
  kind: KindId,
  item: Item,
  seenAt: number
): JSX.Element {
  switch (kind) {
    case 'runs':
      return <RunRow run={item as IRun} seenAt={seenAt} />;
    case 'recurring':
      return <RecurringRow recurring={item as IRecurringRun} />;
    case 'experiments':
      return <ExperimentRow experiment={item as IExperiment} />;
    default:
      return <PipelineRow pipeline={item as IPipeline} />;
  }
}

function RunRow(props: { run: IRun; seenAt: number }): JSX.Element {
  const { run, seenAt } = props;
  const { model, trans } = useKfp();
  const experiment = model.names.of('experiment', run.experiment_id);
  const state = shownState(run);
  const pipeline =
    run.pipeline_name || model.names.of('pipeline', run.pipeline_id);
  return (
    <Row
      icon={stateIcon(state)}
      name={run.display_name}
      badge={model.isAll ? run.namespace : ''}
      facts={[
        <span key="state" className="jp-KfpMt-runState">
          {stateWord(state, trans)}
        </span>,
        run.archived && trans.__('archived'),
        run.state !== 'PENDING' && (
          <span key="duration" className="jp-KfpMt-runDuration">
            {duration(elapsed(run, seenAt), trans)}
          </span>
        ),
        pipeline && (
          <Of
            name={pipeline}
            words={
              experiment
                ? trans.__('Pipeline: %1, experiment: %2', pipeline, experiment)
                : trans.__('Pipeline: %1', pipeline)
            }
          />
        ),
        experiment && experiment !== 'Default' && (
          <Of
            name={experiment}
            words={trans.__('Experiment: %1', experiment)}
            isMinor={!!pipeline}
          />
        )
      ]}
      created_at={run.created_at}
    />
  );
}

function RecurringRow(props: { recurring: IRecurringRun }): JSX.Element {
  const { recurring } = props;
  const { model, trans } = useKfp();
  const isOn = recurring.status === 'ENABLED';
  const pipeline = model.names.of('pipeline', recurring.pipeline_id);
  return (
    <Row
      icon={isOn ? scheduleIcon : disabledIcon}
      name={recurring.display_name}
      badge={model.isAll ? recurring.namespace : ''}
      facts={[
        <span key="status">{statusWord(recurring.status, trans)}</span>,
        <When key="when" recurring={recurring} />,
        pipeline && (
          <Of name={pipeline} words={trans.__('Pipeline: %1', pipeline)} />
        )
      ]}
      created_at={recurring.created_at}
      isAgeMinor
      next={model.due.of(recurring, Date.now())}
    />
  );
}

/** When it fires: its cron expression, or how often. */
function When(props: { recurring: IRecurringRun }): JSX.Element {
  const { cron, interval } = props.recurring;
  const { trans } = useKfp();
  if (cron) {
    return <code title={trans.__('Cron expression: %1', cron)}>{cron}</code>;
  }
  return (
    <span>
      {interval
        ? trans.__('every %1', period(1000 * interval, trans))
        : trans.__('once')}
    </span>
  );
}

function ExperimentRow(props: { experiment: IExperiment }): JSX.Element {
  const { experiment } = props;
  const { model, trans } = useKfp();
  const last = Date.parse(experiment.last_run_created_at);
  return (
    <Row
      icon={experimentIcon}
      name={experiment.display_name}
      badge={model.isAll ? experiment.namespace : ''}
      facts={[
        experiment.archived && trans.__('archived'),
        last > 0
          ? trans.__('last run %1', age(last, Date.now(), trans))
          : trans.__('no runs'),
        experiment.description
      ]}
      created_at={experiment.created_at}
      isAgeMinor
    />
  );
}

function PipelineRow(props: { pipeline: IPipeline }): JSX.Element {
  const { pipeline } = props;
  const { model, trans } = useKfp();
  const isShared = !pipeline.namespace && !!model.status?.multi_user;
  return (
    <Row
      icon={pipelinesIcon}
      name={pipeline.display_name}
      badge={
        isShared ? trans.__('shared') : model.isAll ? pipeline.namespace : ''
      }
      facts={[pipeline.description || trans.__('no description')]}
      created_at={pipeline.created_at}
    />
  );
}

/** The pipeline or experiment of a run, truncated if there is no room.
 *
 * `isMinor`: left out in a narrow panel.
 */
function Of(props: {
  name: string;
  words: string;
  isMinor?: boolean;
}): JSX.Element {
  const { name, words, isMinor = false } = props;
  return (
    <span className="jp-KfpMt-of" title={words} data-minor={isMinor}>
      {name}
    </span>
  );
}

function Row(props: {
  icon: LabIcon;
  name: string;
  badge: string;
  facts: readonly React.ReactNode[];
  created_at: string;
  /** Other facts are worth more in a narrow panel. */
  isAgeMinor?: boolean;
  /** When it is due next, which is shown instead of its age. */
  next?: number | null;
}): JSX.Element {
  const { icon, name, badge, facts } = props;
  return (
    <>
      <icon.react tag="span" className="jp-KfpMt-stateIcon" />
      <span className="jp-KfpMt-rowTitle">
        <MiddleCut text={name} />
        {badge && <span className="jp-KfpMt-badge">{badge}</span>}
      </span>
      <span className="jp-KfpMt-runFacts">
        {facts.filter(Boolean).map((fact, index) => (
          <React.Fragment key={index}>
            {typeof fact === 'string' ? (
              <span className="jp-KfpMt-of" title={fact}>
                {fact}
              </span>
            ) : (
              fact
            )}
          </React.Fragment>
        ))}
        <Age {...props} />
      </span>
    </>
  );
}

/** When something is due next, else how long ago it was created. */
function Age(props: {
  created_at: string;
  isAgeMinor?: boolean;
  next?: number | null;
}): JSX.Element {
  const { created_at, isAgeMinor = false, next } = props;
  const { trans } = useKfp();
  const created = Date.parse(created_at);
  return next ? (
    <span
      className="jp-KfpMt-runAge"
      title={trans.__('Next run on %1', dateAndTime(next))}
    >
      {ahead(next, Date.now(), trans)}
    </span>
  ) : (
    <span
      className="jp-KfpMt-runAge"
      title={trans.__('Created on %1', dateAndTime(created))}
      data-minor={isAgeMinor}
    >
      {age(created, Date.now(), trans)}
    </span>
  );
}

const END = 10;

/** A name whose end stays visible, as names often differ there. */
export function MiddleCut({ text }: { text: string }): JSX.Element {
  // Keep surrogate pairs together.
  const letters = [...text];
  const cut = letters.length > 2 * END ? letters.length - END : letters.length;
  return (
    <span className="jp-KfpMt-runName" title={text}>
      <span>{letters.slice(0, cut).join('')}</span>
      {cut < letters.length && <span>{letters.slice(cut).join('')}</span>}
    </span>
  );
}

function statusWord(status: string, trans: TranslationBundle): string {
  switch (status) {
    case 'ENABLED':
      return trans.__('Enabled');
    case 'DISABLED':
      return trans.__('Disabled');
    default:
      return trans.__('Unknown');
  }
}
