// Babel for Jest, as JupyterLab configures it.
module.exports = require('@jupyterlab/testing/lib/babel-config').default;
