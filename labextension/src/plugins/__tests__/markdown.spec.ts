/** What is left of HTML that would make a browser fetch something. */

import { inert } from '../markdown';

it.each([
  ['<img src="https://example.com/seen.png" alt="plot">', '<img alt="plot">'],
  ['<img srcset="/a.png 2x">', '<img>'],
  ['<video poster="//example.com/a"></video>', '<video></video>'],
  [
    '<img src="data:image/png;base64,AA">',
    '<img src="data:image/png;base64,AA">'
  ],
  [
    '<p>a <a href="https://example.com">link</a></p>',
    '<p>a <a href="https://example.com">link</a></p>'
  ]
])('%s fetches nothing', (html, left) => {
  expect(inert(html)).toBe(left);
});
