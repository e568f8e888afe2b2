// Jest as JupyterLab configures it, with the ES modules it ships compiled too.
const jestJupyterLab = require('@jupyterlab/testing/lib/jest-config');

const esModules = [
  '@jupyter',
  '@jupyterlab',
  '@microsoft',
  'exenv-es6',
  'lib0',
  'nanoid',
  'y-protocols',
  'yjs'
].join('|');

module.exports = {
  ...jestJupyterLab(__dirname),
  coverageReporters: ['text'],
  reporters: ['default'],
  testRegex: 'src/.*/.*.spec.ts[x]?$',
  transformIgnorePatterns: [`/node_modules/(?!(${esModules})/)`]
};
