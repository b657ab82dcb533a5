import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openDataDirectory } from './data-directory.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'barnabas-data-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const identity = { clusterId: 'c1', nodeId: 3 };

test('a new directory has no identity; once claimed it keeps it', () => {
  const directory = openDataDirectory(path.join(root, 'deep', 'data'));
  expect(directory.identity).toBeUndefined();
  directory.claim(identity);
  directory.release();

  const again = openDataDirectory(directory.path);
  expect(again.identity).toEqual(identity);
  again.claim(identity);
  again.release();
  expect(readFileSync(path.join(directory.path, 'meta', 'meta.properties'), 'utf8')).toBe(
    'version=1\ncluster.id=c1\nnode.id=3\n',
  );
});

test("another cluster's or node's data is refused, with what to do", () => {
  const directory = openDataDirectory(root);
  directory.claim(identity);
  expect(() => directory.claim({ ...identity, clusterId: 'c2' })).toThrow(/belongs to cluster c1, not c2: choose/);
  expect(() => directory.claim({ ...identity, nodeId: 4 })).toThrow(/belongs to node 3, not 4: .*--node-id 3/);
  expect(directory.identity).toEqual(identity);
  directory.release();
});

test('a node that was not told its cluster keeps its directory when it is told', () => {
  const directory = openDataDirectory(root);
  directory.claim({ clusterId: undefined, nodeId: 3 });
  directory.claim({ clusterId: undefined, nodeId: 3 });
  directory.release();
  const again = openDataDirectory(root);
  expect(again.identity).toEqual({ clusterId: undefined, nodeId: 3 });
  again.claim(identity);
  again.claim({ clusterId: undefined, nodeId: 3 });
  expect(again.identity).toEqual(identity);
  expect(() => again.claim({ ...identity, clusterId: 'c2' })).toThrow('belongs to cluster c1');
  again.release();
});

test('a directory that a process has open is refused, and free again once released', () => {
  const directory = openDataDirectory(root);
  expect(() => openDataDirectory(root)).toThrow(
    `data directory ${root} is in use by process ${process.pid}: stop it, or choose another directory with --data-dir`,
  );
  directory.release();
  openDataDirectory(root).release();
  expect(existsSync(path.join(root, '.lock'))).toBe(false);
});

test('the lock of a process that is gone is taken over, also if its id is in use again', () => {
  const gone = spawnSync(process.execPath, ['-e', '0']);
  for (const owner of [
    { pid: gone.pid, startTime: null },
    { pid: process.pid, startTime: '1' },
  ]) {
    writeFileSync(path.join(root, '.lock'), JSON.stringify(owner));
    openDataDirectory(root).release();
  }
  writeFileSync(path.join(root, '.lock'), 'garbage');
  openDataDirectory(root).release();
});

const onLinux = existsSync('/proc/self/stat') ? test : test.skip;

onLinux('the lock of a process that was killed and not yet reaped is taken over', async () => {
  // The shell's child ends at once and stays a zombie: the program that took the shell's place never asks for it.
  const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    const stat = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ');
    while (stat()[2] !== 'Z') await new Promise((resolve) => setImmediate(resolve));
    writeFileSync(path.join(root, '.lock'), JSON.stringify({ pid, startTime: stat()[21] }));
    openDataDirectory(root).release();
  } finally {
    parent.kill();
    await once(parent, 'exit');
  }
});

test('releasing does not remove the lock of another', () => {
  const directory = openDataDirectory(root);
  const other = JSON.stringify({ pid: 1, startTime: null });
  writeFileSync(path.join(root, '.lock'), other);
  directory.release();
  expect(readFileSync(path.join(root, '.lock'), 'utf8')).toBe(other);
});

test.each([
  '',
  'version=1\ncluster.id=\nnode.id=1\n',
  'version=2\ncluster.id=a\nnode.id=1\n',
  'version=1\ncluster.id=a\nnode.id=x\n',
])('a damaged identity is refused and left alone: %j', (text) => {
  openDataDirectory(root).release();
  const file = path.join(root, 'meta', 'meta.properties');
  writeFileSync(file, text);
  expect(() => openDataDirectory(root)).toThrow(`${file} is damaged`);
  expect(readFileSync(file, 'utf8')).toBe(text);
  expect(existsSync(path.join(root, '.lock'))).toBe(false);
});

test('a place that cannot be a directory is an error that says what to do', () => {
  const file = path.join(root, 'file');
  writeFileSync(file, '');
  expect(() => openDataDirectory(file)).toThrow(/cannot make .*choose another directory with --data-dir/);
});
