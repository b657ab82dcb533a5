// Everything that is checked without running the program. `npm run check` runs all of it;
// `npm run check -- NAME ...` runs some. Every check runs even when one fails.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const bin = (name) => path.join(root, 'node_modules', '.bin', name);

const checks = {
  types: ['the tests compile against the packages', bin('tsc'), '-p', 'tsconfig.test.json'],
  lint: ['typed lint, and cores that stay pure', bin('eslint'), '.', '--max-warnings=0'],
  imports: [
    'the import table of docs/architecture.md',
    bin('depcruise'),
    '--config',
    '.dependency-cruiser.cjs',
    'packages',
    'services',
  ],
  format: ['format', bin('biome'), 'format', '.'],
  proto: ['proto style, every message and field commented', bin('buf'), 'lint'],
  breaking: [
    'no breaking change of the API since the last release',
    bin('buf'),
    'breaking',
    '--against',
    'proto/baseline.binpb',
  ],
  gen: ['generated code is in step with proto/', process.execPath, 'scripts/gen.mjs', '--check'],
  docs: ['generated pages of docs/ are in step with the code', process.execPath, 'scripts/docs.mjs', '--check'],
  k8s: ['the chart renders, and k8s/manifests is what it renders', process.execPath, 'scripts/k8s.mjs', '--check'],
  lockfile: ['package-lock.json names no registry host', process.execPath, 'scripts/lockfile.mjs'],
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in checks));
if (unknown.length > 0) {
  console.error(`no such check: ${unknown.join(', ')}. There are: ${Object.keys(checks).join(', ')}`);
  process.exit(2);
}

const failed = [];
for (const name of wanted.length > 0 ? wanted : Object.keys(checks)) {
  const [what, command, ...args] = checks[name];
  const started = Date.now();
  const result = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    shell: process.platform === 'win32',
  });
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  const good = result.status === 0;
  console.log(`${good ? 'ok    ' : 'FAILED'} ${name.padEnd(9)} ${what} (${seconds} s)`);
  if (!good) {
    failed.push(name);
    console.log(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`);
  }
}
if (failed.length > 0) {
  console.log(`\nfailed: ${failed.join(', ')}. Run one alone with: npm run check -- ${failed[0]}`);
  process.exit(1);
}
