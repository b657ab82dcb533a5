// Generates packages/protocol/src/gen from proto/. `--check` compares instead and fails where
// the committed code is not what proto/ gives. `--release` moves proto/baseline.binpb, against
// which `npm run check -- breaking` compares: part of a release, never of a feature (docs/adr/0004).
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const target = path.join(root, 'packages/protocol/src/gen');
const check = process.argv.includes('--check');

function generate(into) {
  const template = fs
    .readFileSync(path.join(root, 'buf.gen.yaml'), 'utf8')
    .replace(/out: .*/, `out: ${JSON.stringify(into)}`);
  buf('generate', '--template', template, root);
}

function buf(...args) {
  const result = spawnSync(path.join(root, 'node_modules/.bin/buf'), args, { cwd: root, stdio: 'inherit' });
  if (result.status !== 0) process.exit(1);
}

function files(directory, prefix = '') {
  return fs.readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(prefix, entry.name);
    return entry.isDirectory() ? files(path.join(directory, entry.name), name) : [name];
  });
}

if (process.argv.includes('--release')) buf('build', '-o', 'proto/baseline.binpb');
else if (!check) {
  fs.rmSync(target, { recursive: true, force: true });
  generate(target);
} else {
  const fresh = fs.mkdtempSync(path.join(os.tmpdir(), 'barnabas-gen-'));
  try {
    generate(fresh);
    const stale = [...new Set([...files(fresh), ...files(target)])].filter((name) => {
      const [a, b] = [path.join(fresh, name), path.join(target, name)];
      return !fs.existsSync(a) || !fs.existsSync(b) || fs.readFileSync(a, 'utf8') !== fs.readFileSync(b, 'utf8');
    });
    if (stale.length > 0) {
      console.error(
        `Generated code is not in step with proto/: ${stale.join(', ')}. Run npm run gen and commit the result.`,
      );
      process.exit(1);
    }
  } finally {
    fs.rmSync(fresh, { recursive: true, force: true });
  }
}
