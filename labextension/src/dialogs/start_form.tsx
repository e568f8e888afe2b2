/** The form that starts or schedules a run. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import {
  Checkbox,
  Choice,
  Labelled,
  NumberField,
  TextField
} from '../components/fields';
import { dateAndTime } from '../words/format';
import { IField, isFiveFields, words } from '../model/form';
import { KfpApi } from '../wire/api';
import { ProblemBanner } from '../components/problem_banner';
import { Purpose, StartModel, TriggerKind } from '../model/start_model';
import { problemOf } from '../wire/answers';

interface IProps {
  start: StartModel;
  api: KfpApi;
  purpose: Purpose;
  isMultiUser: boolean;
  isLocal: boolean;
  copy: (text: string) => void;
  trans: TranslationBundle;
}

export function StartForm(props: IProps): JSX.Element {
  const { start, purpose, copy, trans } = props;
  const [, again] = React.useReducer((n: number) => n + 1, 0);
  React.useEffect(() => {
    start.changed.connect(again);
    void start.load();
    return () => {
      start.changed.disconnect(again);
    };
  }, [start]);
  const form = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    // The dialog found no field to focus while there was none.
    form.current?.querySelector<HTMLElement>('select, input')?.focus();
  }, [start.isLoading]);
  return (
    <div className="jp-KfpMt-form" data-busy={start.isBusy} ref={form}>
      {start.problem && (
        <ProblemBanner problem={start.problem} copy={copy} trans={trans} />
      )}
      {start.isLoading ? (
        <p role="status">{trans.__('Looking for pipelines…')}</p>
      ) : (
        <>
          <What {...props} />
          {purpose === 'recurring' && <When {...props} />}
          <Parameters {...props} />
        </>
      )}
    </div>
  );
}

/** The pipeline, its version, the name of the run, and its experiment. */
function What({ start, isMultiUser, trans }: IProps): JSX.Element {
  const isFromFile = start.isClone && !start.pipeline_id;
  return (
    <>
      {!isFromFile && (
        <>
          <Choice
            label={trans.__('Pipeline')}
            value={start.pipeline_id}
            options={start.pipelines.map(each => [
              each.pipeline_id,
              each.namespace || !isMultiUser
                ? each.display_name
                : trans.__('%1 (shared)', each.display_name)
            ])}
            empty={trans.__('There are no pipelines yet: upload one first.')}
            choose={id => void start.choosePipeline(id)}
          />
          {start.versions.length > 1 && (
            <Choice
              label={trans.__('Version')}
              value={start.version_id}
              options={start.versions.map(each => [
                each.pipeline_version_id,
                each.display_name
              ])}
              choose={id => start.chooseVersion(id)}
            />
          )}
        </>
      )}
      <TextField
        label={trans.__('Name')}
        value={start.name}
        placeholder={trans.__('Named after the pipeline and the time')}
        set={name => start.set({ name })}
      />
      <Choice
        label={trans.__('Experiment')}
        value={start.experiment_id}
        options={[
          ...(start.experiments.some(each => each.display_name === 'Default')
            ? []
            : [['', 'Default'] as [string, string]]),
          ...start.experiments.map((each): [string, string] => [
            each.experiment_id,
            each.display_name
          ])
        ]}
        choose={experiment_id => start.set({ experiment_id })}
      />
    </>
  );
}

function Parameters({ start, trans }: IProps): JSX.Element {
  if (!start.isChosen) {
    return <></>;
  }
  if (!start.fields.length) {
    return (
      <p className="jp-KfpMt-quiet">
        {trans.__('This pipeline takes no parameters.')}
      </p>
    );
  }
  return (
    <fieldset>
      <legend>{trans.__('Parameters')}</legend>
      {start.fields.map(field => (
        <Parameter
          key={field.name}
          field={field}
          text={start.texts[field.name] ?? null}
          error={start.errors[field.name] ?? ''}
          set={text => start.setText(field.name, text)}
          trans={trans}
        />
      ))}
    </fieldset>
  );
}

function Parameter(props: {
  field: IField;
  text: string | null;
  error: string;
  set: (text: string | null) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { field, text, error, set, trans } = props;
  const id = React.useId();
  const help = [words(field.type, trans), field.description]
    .filter(Boolean)
    .join(' · ');
  const control = {
    id,
    disabled: text === null,
    'aria-invalid': !!error,
    'aria-describedby': `${id}-help`,
    className: 'jp-mod-styled'
  };
  return (
    <div className="jp-KfpMt-parameter" data-wrong={!!error}>
      <label htmlFor={id}>{field.name}</label>
      <Control field={field} text={text ?? ''} set={set} control={control} />
      {field.isOptional && field.default === undefined && (
        <Checkbox
          label={trans.__('Not set')}
          isOn={text === null}
          set={isOn => set(isOn ? null : '')}
        />
      )}
      <span id={`${id}-help`} className="jp-KfpMt-quiet">
        {error ? <strong role="alert">{error}</strong> : help}
      </span>
    </div>
  );
}

/** One control for each type. */
function Control(props: {
  field: IField;
  text: string;
  set: (text: string) => void;
  control: React.HTMLAttributes<HTMLElement> & {
    id: string;
    disabled: boolean;
  };
}): JSX.Element {
  const { field, text, set, control } = props;
  const change = (
    event: React.ChangeEvent<
      HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement
    >
  ) => set(event.target.value);
  const options = field.literals.length
    ? field.literals.map(each =>
        typeof each === 'string' ? each : JSON.stringify(each)
      )
    : field.type === 'BOOLEAN'
      ? ['true', 'false']
      : [];
  if (options.length) {
    return (
      <select {...control} value={text} onChange={change}>
        {!options.includes(text) && <option value={text}>{text || '–'}</option>}
        {options.map(each => (
          <option key={each} value={each}>
            {each}
          </option>
        ))}
      </select>
    );
  }
  const isLong = ['LIST', 'STRUCT'].includes(field.type) || text.includes('\n');
  if (isLong) {
    const rows = Math.min(8, Math.max(2, text.split('\n').length));
    return (
      <textarea
        {...control}
        rows={rows}
        spellCheck={false}
        value={text}
        onChange={change}
      />
    );
  }
  const isNumber = field.type.startsWith('NUMBER');
  return (
    <input
      {...control}
      inputMode={isNumber ? 'decimal' : undefined}
      spellCheck={false}
      value={text}
      onChange={change}
    />
  );
}

function presets(trans: TranslationBundle): [string, string][] {
  return [
    ['0 0 * * * *', trans.__('Every hour')],
    ['0 0 6 * * *', trans.__('At 06:00 each day')],
    ['0 0 6 * * 1', trans.__('At 06:00 each Monday')],
    ['0 0 6 1 * *', trans.__('At 06:00 on the first of each month')]
  ];
}

/** The schedule: a cron expression with its description and next times, or an interval. */
function When({ start, api, isLocal, trans }: IProps): JSX.Element {
  return (
    <fieldset>
      <legend>{trans.__('When')}</legend>
      <Choice
        label={trans.__('Fires')}
        value={start.trigger}
        options={[
          ['cron', trans.__('at certain times')],
          ['interval', trans.__('at a fixed interval')]
        ]}
        choose={trigger => start.set({ trigger: trigger as TriggerKind })}
      />
      {start.trigger === 'cron' ? (
        <Cron start={start} api={api} trans={trans} />
      ) : (
        <Interval start={start} trans={trans} />
      )}
      <NumberField
        label={trans.__('Concurrent runs at most')}
        value={start.concurrency}
        min={1}
        max={10}
        set={concurrency => start.set({ concurrency })}
      />
      <Checkbox
        label={trans.__('Catch up on missed times')}
        isOn={start.catchUp}
        set={catchUp => start.set({ catchUp })}
      />
      {isLocal && (
        <p className="jp-KfpMt-quiet">
          {trans.__(
            'The local KFP starts runs only while it is running, usually as long as Jupyter. Tasks whose inputs have not changed reuse cached outputs.'
          )}
        </p>
      )}
    </fieldset>
  );
}

function Cron(props: {
  start: StartModel;
  api: KfpApi;
  trans: TranslationBundle;
}): JSX.Element {
  const { start, api, trans } = props;
  const { cron } = start;
  const { words, times, problem } = useDue(cron, api);
  const often = presets(trans);
  return (
    <>
      <Choice
        label={trans.__('Common choices')}
        value={often.some(([each]) => each === cron) ? cron : ''}
        options={[['', trans.__('custom expression')], ...often]}
        choose={each => each && start.set({ cron: each })}
      />
      <Labelled label={trans.__('Cron expression')}>
        {id => (
          <input
            id={id}
            className="jp-mod-styled"
            spellCheck={false}
            value={cron}
            aria-invalid={!!problem}
            aria-describedby={`${id}-times`}
            onChange={event => start.set({ cron: event.target.value })}
          />
        )}
      </Labelled>
      {isFiveFields(cron) && (
        <p className="jp-KfpMt-quiet">
          {trans.__('The first field is seconds in KFP. ')}
          <button
            type="button"
            className="jp-KfpMt-button"
            onClick={() => start.set({ cron: `0 ${cron.trim()}` })}
          >
            {trans.__('Insert 0 seconds')}
          </button>
        </p>
      )}
      <div className="jp-KfpMt-times" role="status">
        {problem && <strong>{problem}</strong>}
        {times && (
          <>
            <p>{words}</p>
            <p>
              {trans.__('Next times, assuming that KFP uses UTC, as is usual:')}
            </p>
            <ul>
              {times.map(time => (
                <li key={time}>{dateAndTime(time)}</li>
              ))}
            </ul>
          </>
        )}
      </div>
    </>
  );
}

/** The next times of an expression, computed by the server once typing pauses. */
interface IDue {
  words: string;
  times: number[] | null;
  problem: string;
}

function useDue(cron: string, api: KfpApi): IDue {
  const [told, setTold] = React.useState<IDue>({
    words: '',
    times: null,
    problem: ''
  });
  React.useEffect(() => {
    let isWanted = true;
    const timer = window.setTimeout(() => {
      api.due(cron.trim()).then(
        due => isWanted && setTold({ ...due, problem: '' }),
        reason => {
          const problem = problemOf(reason).message;
          return isWanted && setTold({ words: '', times: null, problem });
        }
      );
    }, 200);
    return () => {
      isWanted = false;
      window.clearTimeout(timer);
    };
  }, [cron]);
  return told;
}

const UNITS: readonly number[] = [60, 3600, 86_400];

function Interval(props: {
  start: StartModel;
  trans: TranslationBundle;
}): JSX.Element {
  const { start, trans } = props;
  const whole = UNITS.filter(each => start.interval % each === 0);
  const [unit, setUnit] = React.useState(whole[whole.length - 1] ?? 60);
  return (
    <div className="jp-KfpMt-pair">
      <NumberField
        label={trans.__('Every')}
        value={start.interval / unit}
        min={1}
        set={count => start.set({ interval: unit * count })}
      />
      <Choice
        label={trans.__('Unit')}
        value={`${unit}`}
        options={[
          ['60', trans.__('minutes')],
          ['3600', trans.__('hours')],
          ['86400', trans.__('days')]
        ]}
        choose={each => {
          const next = Number(each);
          start.set({ interval: (start.interval / unit) * next });
          setUnit(next);
        }}
      />
    </div>
  );
}
