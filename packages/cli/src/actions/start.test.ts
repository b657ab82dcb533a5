import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { openInput, run } from '../test-kit/captured-terminal.js';
import type { RunOptions } from '../test-kit/captured-terminal.js';
import { freePorts } from '../node/free-ports.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'barnabas-start-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

interface Ready {
  readonly ready: boolean;
  readonly bootstrap: string;
  readonly roles: Readonly<Record<string, string>>;
  readonly clusterId: string;
}

/** Starts a node on free ports and resolves when it has said that it serves. */
async function start(argv: readonly string[], options: RunOptions = {}) {
  const stdout = new PassThrough();
  const free = ['port', 'http-port', 'broker-port', 'controller-port'].flatMap((name) => [`--${name}`, '0']);
  const ended = run(['start', '--data-dir', root, '--log-level', 'silent', ...free, ...argv], { stdout, ...options });
  const said = once(stdout, 'data').then(([chunk]) => String(chunk));
  return { ended, said: await Promise.race([said, ended.then(({ err }) => Promise.reject(new Error(err)))]) };
}

test('says where it serves, stops in good order when interrupted, and gives its directory free', async () => {
  const interruption = new AbortController();
  const { ended, said } = await start(['--json'], { interrupted: interruption.signal });
  const ready = JSON.parse(said) as Ready;
  expect(ready).toMatchObject({ ready: true, nodeId: 1, pid: process.pid });
  expect(Object.keys(ready.roles)).toEqual(['controller', 'broker', 'gateway']);
  const list = await run(['topics', 'list', '--json', '--bootstrap', ready.bootstrap]);
  expect([list.code, list.out]).toEqual([0, '[]\n']);
  interruption.abort();
  expect(await ended).toMatchObject({ code: 0, err: '' });
  expect(readdirSync(root)).not.toContain('.lock');
  expect((await run(['topics', 'list', '--bootstrap', ready.bootstrap])).code).toBe(1);
});

test('says the same to people, with nothing to try where nobody watches', async () => {
  const interruption = new AbortController();
  const { ended, said } = await start([], { interrupted: interruption.signal });
  expect(said).toMatch(/^Barnabas is running; data in .*\n {2}controller +127\.0\.0\.1:\d+\n {2}broker +127/);
  expect(said).not.toContain('Try');
  interruption.abort();
  await ended;
});

test('a child of up stops when its standard input ends', async () => {
  const stdin = openInput();
  const { ended } = await start(['--json', '--stop-with-stdin'], { stdin });
  stdin.end();
  expect((await ended).code).toBe(0);
});

test('stops also while it is starting and waits for controllers that do not come', async () => {
  const interruption = new AbortController();
  const [nowhere = 0] = await freePorts('127.0.0.1', 1);
  const argv = ['start', '--role', 'gateway', '--data-dir', root, '--log-level', 'silent', '--json'];
  const addresses = ['--port', '0', '--http-port', '0', '--set', `controller.quorum.voters=1@127.0.0.1:${nowhere}`];
  const ended = run([...argv, ...addresses], { interrupted: interruption.signal });
  interruption.abort();
  expect(await ended).toMatchObject({ code: 0, out: '' });
});

test('--set wins over flags, flags over the environment; a role is started alone', async () => {
  const interruption = new AbortController();
  const { ended, said } = await start(
    ['--json', '--role', 'controller', '--cluster-id', 'flagged', '--set', 'cluster.id=set'],
    { interrupted: interruption.signal, environment: { BARNABAS_CLUSTER_ID: 'environment', BARNABAS_NODE_ID: '3' } },
  );
  expect(JSON.parse(said)).toMatchObject({
    clusterId: 'set',
    nodeId: 3,
    roles: { controller: expect.any(String) as string },
  });
  interruption.abort();
  await ended;
});

test('a directory in use is one line that says what to do', async () => {
  const interruption = new AbortController();
  const { ended } = await start(['--json'], { interrupted: interruption.signal });
  const second = await run(['start', '--data-dir', root, '--log-level', 'silent']);
  expect(second.err).toBe(
    `barnabas: data directory ${root} is in use by process ${process.pid}: stop it, or choose another directory with --data-dir\n`,
  );
  expect(second.code).toBe(1);
  interruption.abort();
  await ended;
});
