// ESLint: TypeScript's and Jupyter's recommended rules; Prettier has the last word on form.
import eslint from '@eslint/js';
import jupyter from '@jupyter/eslint-plugin';
import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

// The rooms of src/ from the ground up, and which of the others each imports.
const GROUND = ['run', 'wire', 'words'];
const DRAWN = [...GROUND, 'model', 'views', 'components'];
const ROOMS = {
  run: [],
  wire: ['run'],
  words: ['run', 'wire'],
  model: GROUND,
  views: ['run', 'words'],
  components: [...GROUND, 'model', 'views'],
  panel: DRAWN,
  dialogs: DRAWN,
  pages: [...DRAWN, 'dialogs'],
  plugins: [...DRAWN, 'panel', 'dialogs', 'pages'],
  widget: ['run', 'words', 'views']
};
// These draw nothing.
const WITHOUT_DOM = ['run', 'wire', 'model'];
const DOM =
  '^(react.*|@lumino/(widgets|dragdrop)|@jupyterlab/(apputils|ui-components))$';

/** Hold the order of the rooms, in imports of types and in lazy imports, too. */
function orderOf(room, known) {
  const others = Object.keys(ROOMS).filter(
    name => name !== room && !known.includes(name)
  );
  const isPure = WITHOUT_DOM.includes(room);
  const regex = `^(\\.\\./)+(${others.join('|')})(/|$)`;
  const message = `${room}/ stands on ${known.join(', ') || 'nothing'}: see ROOMS in eslint.config.mjs.`;
  const pure = { regex: DOM, message: `${room}/ draws nothing.` };
  return {
    files: [`src/${room}/**`],
    ignores: ['**/__tests__/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [{ regex, message }, ...(isPure ? [pure] : [])] }
      ],
      'no-restricted-globals': ['error', ...(isPure ? ['document'] : [])],
      'no-restricted-syntax': [
        'error',
        {
          selector: `ImportExpression[source.value=/${regex.replace(/\//g, '\\/')}/]`,
          message
        }
      ]
    }
  };
}

export default tseslint.config(
  { ignores: ['node_modules', 'lib', '.yarn', '*.config.js'] },
  {
    files: ['src/**/*.ts', 'src/**/*.tsx'],
    extends: [eslint.configs.recommended, ...tseslint.configs.recommended],
    rules: {
      '@typescript-eslint/naming-convention': [
        'error',
        {
          selector: 'interface',
          format: ['PascalCase'],
          custom: { regex: '^I[A-Z]', match: true }
        }
      ],
      '@typescript-eslint/no-namespace': 'off',
      curly: ['error', 'all'],
      eqeqeq: 'error'
    }
  },
  ...jupyter.configs.recommended.map(config => ({
    plugins: { jupyter },
    ...config
  })),
  ...Object.entries(ROOMS).map(([room, known]) => orderOf(room, known)),
  // The panel has to be there from the start, and the model with it.
  { files: ['src/plugins/*'], rules: { 'jupyter/prefer-lazy-imports': 'off' } },
  prettier
);
