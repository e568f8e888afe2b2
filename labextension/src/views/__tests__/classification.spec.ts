/** ROC curves and confusion matrices, as the kfp SDK writes them into metadata. */

import { confusionOf, rocOf } from '../classification';

it('a curve is read in the order in which it is drawn', () => {
  const confidenceMetrics = [
    { confidenceThreshold: 0.1, recall: 1, falsePositiveRate: 1 },
    { confidenceThreshold: 0.9, recall: 0.5, falsePositiveRate: 0 },
    { confidenceThreshold: 0.5, recall: 0.8, falsePositiveRate: 0.2 }
  ];
  const points = rocOf({ confidenceMetrics });
  expect(points.map(({ threshold }) => threshold)).toEqual([0.9, 0.5, 0.1]);
  expect(rocOf({ confidenceMetrics: { list: confidenceMetrics } })).toEqual(
    points
  );
});

it('a matrix has a row and a column for each category', () => {
  const confusionMatrix = {
    annotationSpecs: [{ displayName: 'cat' }, { displayName: 'dog' }],
    rows: [{ row: [9, 1] }, { row: [2, 8] }]
  };
  const read = {
    categories: ['cat', 'dog'],
    rows: [
      [9, 1],
      [2, 8]
    ]
  };
  expect(confusionOf({ confusionMatrix })).toEqual(read);
  expect(confusionOf({ confusionMatrix: { struct: confusionMatrix } })).toEqual(
    read
  );
});

it.each([undefined, 'text', 7, [], {}, { rows: [[1]] }])(
  'what is none is not drawn: %j',
  told => {
    expect(rocOf({ confidenceMetrics: told })).toEqual([]);
    expect(confusionOf({ confusionMatrix: told })).toBeNull();
  }
);
