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

// What only a whole run of Jest takes, and no project in it.
const { coverageReporters, reporters, testTimeout, ...base } =
  jestJupyterLab(__dirname);

// The views are drawn by React in JupyterLab, and by preact in other front ends.
const PREACT = {
  '^react$': 'preact/compat',
  '^react-dom$': 'preact/compat',
  '^react-dom/client$': 'preact/compat/client',
  '^preact$': 'preact',
  '^preact/compat$': 'preact/compat',
  '^preact/hooks$': 'preact/hooks',
  '^preact/test-utils$': 'preact/test-utils'
};
const preact = Object.fromEntries(
  // As Node.js resolves them: Jest would take the ES modules for browsers.
  Object.entries(PREACT).map(([name, file]) => [name, require.resolve(file)])
);

const common = {
  ...base,
  transformIgnorePatterns: [`/node_modules/(?!(${esModules})/)`]
};

module.exports = {
  coverageReporters: ['text'],
  reporters: ['default'],
  testTimeout,
  projects: [
    { ...common, testRegex: 'src/.*/.*.spec.ts[x]?$' },
    {
      ...common,
      displayName: 'preact',
      moduleNameMapper: { ...base.moduleNameMapper, ...preact },
      testRegex: 'src/views/.*.spec.tsx$'
    }
  ]
};
