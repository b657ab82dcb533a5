// Sources are mapped straight to TypeScript, so tests never run a stale build.
// Only test/cluster, test/crash and test/interop start built programs.
const fs = require('node:fs');
const path = require('node:path');

const moduleNameMapper = {};
for (const parent of ['packages', 'services']) {
  for (const name of fs.readdirSync(path.join(__dirname, parent))) {
    const manifest = path.join(__dirname, parent, name, 'package.json');
    if (!fs.existsSync(manifest)) continue;
    for (const [subpath, target] of Object.entries(JSON.parse(fs.readFileSync(manifest, 'utf8')).exports)) {
      const source = target.replace('./dist/', 'src/').replace(/\.js$/, '.ts');
      moduleNameMapper[`^@barnabas/${name}${subpath.slice(1)}$`] = path.join(__dirname, parent, name, source);
    }
  }
}
// Sources import siblings as './name.js', as Node wants them; the transform finds the .ts beside.
moduleNameMapper['^(\\.{1,2}/.*)\\.js$'] = '$1';

module.exports = {
  testMatch: ['<rootDir>/{packages,services}/*/src/**/*.test.ts', '<rootDir>/test/**/*.test.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'commonjs' } },
    ],
  },
  moduleNameMapper,
  modulePathIgnorePatterns: ['<rootDir>/.*/dist/'],
  testTimeout: 30_000,
  reporters: ['default', '<rootDir>/scripts/jest-summary.cjs'],
  workerIdleMemoryLimit: '1GB',
};
