/** The metrics of a classifier: its ROC curve and its confusion matrix, each also as numbers. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IArtifact, IValue } from '../run/run_data';

/** A point of a ROC curve. */
export interface IRocPoint {
  threshold: number;
  falsePositives: number;
  truePositives: number;
}

export interface IConfusion {
  categories: string[];
  /** For each true category, the count of each predicted one. */
  rows: number[][];
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any
type IJson = any;

/** The points of a ROC curve in the metadata of an artifact, along the curve. */
export function rocOf(metadata: Record<string, IValue>): IRocPoint[] {
  const listed = listIn(metadata.confidenceMetrics);
  return listed
    .map((each: IJson) => ({
      threshold: Number(each?.confidenceThreshold ?? NaN),
      falsePositives: Number(each?.falsePositiveRate ?? 0),
      truePositives: Number(each?.recall ?? 0)
    }))
    .filter(
      ({ falsePositives, truePositives }) =>
        Number.isFinite(falsePositives) && Number.isFinite(truePositives)
    )
    .sort(
      (a, b) =>
        a.falsePositives - b.falsePositives || a.truePositives - b.truePositives
    );
}

/** The confusion matrix in the metadata of an artifact; null if there is none. */
export function confusionOf(
  metadata: Record<string, IValue>
): IConfusion | null {
  const told = structIn(metadata.confusionMatrix);
  const categories = listIn(told?.annotationSpecs).map(
    (each: IJson) => `${each?.displayName ?? ''}`
  );
  const rows = listIn(told?.rows).map((each: IJson) =>
    listIn(each?.row ?? each).map(Number)
  );
  const isWhole = rows.every(row => row.length === categories.length);
  return categories.length && rows.length === categories.length && isWhole
    ? { categories, rows }
    : null;
}

/** A struct, which may be by itself or in a field of that name. */
function structIn(value: IValue): IJson {
  const found = value as IJson;
  return found?.struct ?? found;
}

function listIn(value: IValue): IJson[] {
  const found = value as IJson;
  const list = found?.list ?? found;
  return Array.isArray(list) ? list : [];
}

const SIZE = 180;

export function Classification(props: {
  artifact: IArtifact;
  trans: TranslationBundle;
}): JSX.Element {
  const { artifact, trans } = props;
  const roc = rocOf(artifact.metadata);
  const confusion = confusionOf(artifact.metadata);
  return (
    <>
      {roc.length > 1 && <Roc points={roc} trans={trans} />}
      {confusion && <Confusion confusion={confusion} trans={trans} />}
    </>
  );
}

function Roc(props: {
  points: readonly IRocPoint[];
  trans: TranslationBundle;
}): JSX.Element {
  const { points, trans } = props;
  const place = ({ falsePositives, truePositives }: IRocPoint) =>
    `${falsePositives * SIZE} ${(1 - truePositives) * SIZE}`;
  return (
    <figure className="jp-KfpMt-roc">
      <figcaption>{trans.__('ROC curve')}</figcaption>
      <svg
        viewBox={`-4 -4 ${SIZE + 8} ${SIZE + 8}`}
        width={SIZE}
        height={SIZE}
        aria-hidden={true}
      >
        <path d={`M0 0V${SIZE}H${SIZE}`} data-part="axes" />
        <path d={`M0 ${SIZE}L${SIZE} 0`} data-part="chance" />
        <path d={`M${points.map(place).join('L')}`} data-part="curve" />
      </svg>
      <details>
        <summary>{trans.__('As numbers')}</summary>
        <table>
          <thead>
            <tr>
              <th scope="col">{trans.__('Threshold')}</th>
              <th scope="col">{trans.__('False positives')}</th>
              <th scope="col">{trans.__('True positives')}</th>
            </tr>
          </thead>
          <tbody>
            {points.map((point, index) => (
              <tr key={index}>
                <td>{short(point.threshold)}</td>
                <td>{short(point.falsePositives)}</td>
                <td>{short(point.truePositives)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}

function Confusion(props: {
  confusion: IConfusion;
  trans: TranslationBundle;
}): JSX.Element {
  const { categories, rows } = props.confusion;
  const most = Math.max(1, ...rows.flat());
  return (
    <table className="jp-KfpMt-confusion">
      <caption>
        {props.trans.__('Confusion matrix: true in rows, predicted in columns')}
      </caption>
      <thead>
        <tr>
          <td />
          {categories.map(each => (
            <th key={each} scope="col">
              {each}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, index) => (
          <tr key={index}>
            <th scope="row">{categories[index]}</th>
            {row.map((number, column) => (
              <td key={column} style={{ boxShadow: underline(number / most) }}>
                {number}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A bar below a number, with a length relative to the largest. */
function underline(part: number): string {
  return `inset 0 ${-6 * part}px 0 var(--kfp-brand)`;
}

function short(number: number): string {
  return Number.isFinite(number) ? `${Number(number.toPrecision(4))}` : '∞';
}
