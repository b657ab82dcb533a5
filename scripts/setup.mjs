// Makes a fresh clone ready, once, and shows that it is doing so: installs the locked
// dependencies when package-lock.json has changed since the last install, compiles when a
// source is newer than the last build. When nothing changed it costs a few milliseconds.
// Needs nothing but Node and npm. `--build` forces the compile.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const installStamp = path.join(root, 'node_modules', '.barnabas-install');
const buildStamp = path.join(root, 'node_modules', '.barnabas-build');
const lock = path.join(root, '.setup-lock');

function say(text) {
  process.stderr.write(`[set-up] ${text}\n`);
}

function run(title, command, args) {
  say(title);
  const started = Date.now();
  const shell = process.platform === 'win32';
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', process.stderr, process.stderr], shell });
  if (result.status !== 0) {
    say(`${title} failed: ${command} ${args.join(' ')} ended with ${result.status ?? result.error?.message}`);
    fs.rmSync(lock, { recursive: true, force: true });
    process.exit(1);
  }
  say(`done in ${Math.round((Date.now() - started) / 1000)} s`);
}

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

const lockHash = () =>
  createHash('sha256')
    .update(fs.readFileSync(path.join(root, 'package-lock.json')))
    .digest('hex');

/** One line per source with its size and time: cheap to make, and it also notices deletions. */
function sourceFingerprint() {
  const hash = createHash('sha256');
  const visit = (directory) => {
    for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
      if (entry.name === 'node_modules' || entry.name === 'dist') continue;
      const file = path.join(directory, entry.name);
      if (entry.isDirectory()) visit(file);
      else if (/\.(ts|json|proto)$/.test(entry.name)) {
        const stat = fs.statSync(file);
        hash.update(`${file} ${stat.size} ${stat.mtimeMs}\n`);
      }
    }
  };
  for (const top of ['packages', 'services', 'proto', 'test']) visit(path.join(root, top));
  hash.update(read(path.join(root, 'tsconfig.base.json')));
  return hash.digest('hex');
}

/** Two set-ups at once (npm start beside npm test) would trip over each other's node_modules. */
async function withLock(work) {
  for (let told = false; ; ) {
    try {
      fs.mkdirSync(lock);
      fs.writeFileSync(path.join(lock, 'pid'), String(process.pid));
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const pid = Number(read(path.join(lock, 'pid')));
      let alive = true;
      try {
        if (pid > 0) process.kill(pid, 0);
      } catch {
        alive = false;
      }
      if (!alive) fs.rmSync(lock, { recursive: true, force: true });
      else {
        if (!told) say(`waiting for another set-up (pid ${pid || '?'}) to finish`);
        told = true;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }
  try {
    await work();
  } finally {
    fs.rmSync(lock, { recursive: true, force: true });
  }
}

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 12)) {
  say(`Barnabas needs Node 20.12 or newer; this is ${process.versions.node}. Install a newer Node and try again.`);
  process.exit(1);
}

const force = process.argv.includes('--build');
const ready = () => read(installStamp) === lockHash() && read(buildStamp) === sourceFingerprint();

if (force || !ready()) {
  await withLock(() => {
    if (read(installStamp) !== lockHash()) {
      run('installing dependencies (npm ci), once', 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
      fs.writeFileSync(installStamp, lockHash());
    }
    const fingerprint = sourceFingerprint();
    if (force || read(buildStamp) !== fingerprint) {
      run('compiling', process.execPath, [path.join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-b']);
      fs.writeFileSync(buildStamp, fingerprint);
    }
  });
}
