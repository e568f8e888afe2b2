// ESLint: TypeScript's and Jupyter's recommended rules; Prettier has the last word on form.
import eslint from '@eslint/js';
import jupyter from '@jupyter/eslint-plugin';
import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

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
  // The panel has to be there from the start, and the model with it.
  { files: ['src/plugins/*'], rules: { 'jupyter/prefer-lazy-imports': 'off' } },
  prettier
);
