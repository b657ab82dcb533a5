// Renders k8s/manifests from k8s/chart, so that there is one source. `--check` lints the chart,
// compares the manifests, and validates them against Kubernetes' own schemas.
//
// Helm is taken from the path, or built from its Go module; the schemas come in a Python package.
// Where neither Helm nor Go (or no Python) is there, that part is left out, and says so.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const HELM = 'helm.sh/helm/v3/cmd/helm@v3.22.0';
const VALIDATOR = 'kubernetes-validate==1.37.0';
const KUBERNETES = '1.31';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const cache = path.join(root, 'node_modules', '.cache', 'barnabas-k8s');
const check = process.argv.includes('--check');

const shapes = { 'cluster.yaml': 'cluster', 'development.yaml': 'development' };

function run(command, args, env = {}) {
  return spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26, env: { ...process.env, ...env } });
}

const works = (command, ...args) => run(command, args).status === 0;

function fail(message) {
  console.error(message);
  process.exit(1);
}

function helm() {
  if (works('helm', 'version')) return 'helm';
  const built = path.join(cache, 'helm');
  if (fs.existsSync(built)) return built;
  if (!works('go', 'version')) return undefined;
  const result = run('go', ['install', HELM], { GOBIN: cache });
  if (result.status !== 0) fail(`cannot build Helm: ${result.stderr}`);
  return built;
}

function validator() {
  if (!works('python3', '-m', 'venv', '--help')) return undefined;
  const environment = path.join(cache, 'venv');
  const program = path.join(environment, 'bin', 'kubernetes-validate');
  if (!fs.existsSync(program)) {
    const made = run('python3', ['-m', 'venv', environment]);
    const installed = made.status === 0 && run(path.join(environment, 'bin', 'pip'), ['install', '--quiet', VALIDATOR]);
    if (!installed || installed.status !== 0) return undefined;
  }
  return program;
}

const program = helm();
if (program === undefined) {
  console.log('left out: neither Helm nor Go is installed, so the chart cannot be rendered');
  process.exit(check ? 0 : 1);
}

const lint = run(program, ['lint', '--strict', 'k8s/chart']);
if (lint.status !== 0) fail(lint.stdout + lint.stderr);

const stale = [];
for (const [file, mode] of Object.entries(shapes)) {
  const rendered = run(program, [
    'template',
    'barnabas',
    'k8s/chart',
    '--namespace',
    'barnabas',
    '--kube-version',
    `${KUBERNETES}.0`,
    '--set',
    `mode=${mode}`,
  ]);
  if (rendered.status !== 0) fail(rendered.stderr);
  const text = `# Rendered from k8s/chart by npm run k8s (mode=${mode}, namespace barnabas); change it there.\n${rendered.stdout}`;
  const target = path.join(root, 'k8s', 'manifests', file);
  if (!check) fs.writeFileSync(target, text);
  else if (!fs.existsSync(target) || fs.readFileSync(target, 'utf8') !== text) stale.push(file);
}
if (stale.length > 0)
  fail(`k8s/manifests/${stale.join(', ')} not in step with the chart: run npm run k8s and commit the result`);

if (check) {
  const validate = validator();
  if (validate === undefined) {
    console.log('left out: no Python to validate the manifests against the schemas of Kubernetes with');
  } else {
    const files = Object.keys(shapes).map((file) => path.join('k8s', 'manifests', file));
    const result = run(validate, ['--strict', '-k', KUBERNETES, ...files]);
    if (result.status !== 0) fail(result.stdout + result.stderr);
  }
}
