// Typed lint. What is formatting belongs to biome, what is structure to .dependency-cruiser.cjs.
import tseslint from 'typescript-eslint';

const pureCores = [
  'packages/raft/src/core/**',
  'packages/client/src/group/core/**',
  'packages/subscribe/src/core/**',
  'services/*/src/core/**',
];

export default tseslint.config(
  {
    ignores: [
      '**/dist/**',
      'packages/protocol/src/gen/**',
      '**/*.js',
      '**/*.cjs',
      '**/*.mjs',
      'examples/**',
      'data/**',
    ],
  },
  {
    files: ['**/*.ts'],
    ignores: ['**/*.test.ts', 'packages/sim/src/test-kit/**', 'test/**'],
    languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true } },
  },
  {
    files: ['**/*.test.ts', 'packages/sim/src/test-kit/**', 'test/**/*.ts'],
    languageOptions: { parser: tseslint.parser, parserOptions: { project: './tsconfig.test.json' } },
  },
  {
    files: ['**/*.ts'],
    plugins: { '@typescript-eslint': tseslint.plugin },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/ban-ts-comment': 'error',
      eqeqeq: 'error',
      'no-constant-condition': ['error', { checkLoops: false }],
      'no-fallthrough': 'error',
      'no-shadow': 'off',
      'prefer-const': 'error',
      'no-console': 'error',
    },
  },
  {
    // Standard output is the command line's own product.
    files: ['packages/cli/src/**', 'packages/sim/src/**', 'test/**', '**/*.test.ts'],
    rules: { 'no-console': 'off' },
  },
  {
    // Pure cores take time, randomness, disk and network from outside and return effects.
    files: pureCores,
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        'Date',
        'setTimeout',
        'setInterval',
        'setImmediate',
        'queueMicrotask',
        'process',
        'performance',
        'crypto',
        'Promise',
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: 'take a Random from outside' },
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector:
            'FunctionDeclaration[async=true], FunctionExpression[async=true], ArrowFunctionExpression[async=true], MethodDefinition > FunctionExpression[async=true]',
          message: 'a core is synchronous: return an effect',
        },
        { selector: 'ImportDeclaration[source.value=/^node:/]', message: 'a core does no I/O' },
      ],
    },
  },
);
