/** The paths of notebooks, as kernels tell them and as the Jupyter server knows them. */

import { candidates } from '../open_notebook';

it.each([
  ['work/train.ipynb', '~/work', ['train.ipynb', 'work/train.ipynb']],
  ['/srv/nb/a.ipynb', '/srv/nb', ['a.ipynb', 'srv/nb/a.ipynb']],
  ['train.ipynb', '~/work', ['train.ipynb']],
  ['train.ipynb', '~', ['train.ipynb']],
  ['train.ipynb', '', ['train.ipynb']],
  ['work2/train.ipynb', '~/work', ['work2/train.ipynb']]
])('%s is looked for below %s', (named, root, found) => {
  expect(candidates(named, root)).toEqual(found);
});
