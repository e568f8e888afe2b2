// The kernel's bundle: the views with preact in React's place, in one file that a widget brings along.
import { rspack } from '@rspack/core';
import { copyFile, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const here = path => fileURLToPath(new URL(path, import.meta.url));
const output = here('../jupyter_kfp_mt/static');
// preact's licence goes with every copy of it, those in saved widgets among them.
const licence = await readFile(here('node_modules/preact/LICENSE'), 'utf8');
const config = {
  mode: 'production',
  devtool: false,
  target: ['web', 'es2020'],
  context: here('.'),
  entry: { view: './src/widget/index.tsx' },
  output: {
    path: output,
    filename: '[name].js',
    module: true,
    chunkFormat: 'module',
    library: { type: 'modern-module' },
    clean: true
  },
  // What is longer is too long to go with each widget.
  performance: { hints: 'error', maxAssetSize: 120_000 },
  resolve: {
    extensions: ['.tsx', '.ts', '.js'],
    alias: {
      'react-dom/client': 'preact/compat/client',
      'react-dom': 'preact/compat',
      react: 'preact/compat'
    }
  },
  plugins: [
    new rspack.BannerPlugin({
      banner: `/*! With preact:\n${licence.trim()}\n*/`,
      raw: true,
      stage: rspack.Compilation.PROCESS_ASSETS_STAGE_REPORT
    })
  ],
  module: {
    rules: [
      {
        test: /\.tsx?$/,
        loader: 'builtin:swc-loader',
        options: {
          jsc: {
            parser: { syntax: 'typescript', tsx: true },
            target: 'es2020'
          }
        },
        type: 'javascript/auto'
      }
    ]
  }
};

rspack(config, async (error, stats) => {
  if (error || stats.hasErrors()) {
    console.error(error ?? stats.toString({ colors: false }));
    process.exit(1);
  }
  await copyFile(here('style/views.css'), `${output}/view.css`);
});
