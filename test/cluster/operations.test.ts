/**
 * docs/operations.md, its section about controllers, run as it stands: one controller becomes five, one
 * that is dead is replaced, and the one that founded the cluster leaves. Every command line is read from
 * the page; hosts are ports of this machine, directories those of the test.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Captured, command } from '../support/command';
import { freePorts, until } from '../support/nodes';

const CONTROLLERS = ['c1', 'c2', 'c3', 'c4', 'c5'];
const page = readFileSync(path.join(__dirname, '../../docs/operations.md'), 'utf8');

interface Running {
  readonly ended: Promise<number>;
  readonly interruption: AbortController;
}

let root: string;
let ports: ReadonlyMap<string, number>;
let clusterId: string;
let running: Map<string, Running>;

beforeEach(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'barnabas-operations-'));
  const hosts = [...CONTROLLERS, 'b1'];
  const free = await freePorts(hosts.length);
  ports = new Map(hosts.map((host, index) => [host, free[index] ?? 0]));
  running = new Map();
  for (const host of hosts) {
    mkdirSync(path.join(root, host));
    writeFileSync(path.join(root, host, 'node.yaml'), configOf(host));
  }
});

afterEach(async () => {
  // The broker first: it says goodbye to the controllers.
  for (const host of ['b1', ...CONTROLLERS]) await stop(host);
  rmSync(root, { recursive: true, force: true });
});

const placeOf = (host: string) => `127.0.0.1:${ports.get(host) ?? 0}`;

/** The page's file, for each host. */
function configOf(host: string): string {
  const servers = `controller.quorum.bootstrap.servers: ${['c1', 'c2', 'c3'].map(placeOf).join(',')}`;
  if (host === 'b1') return ['node.id: 1', `listeners: CLIENT://${placeOf(host)}`, servers].join('\n');
  const timeout = 'controller.quorum.election.timeout.ms: 500';
  return [`node.id: ${host.slice(1)}`, `controller.listeners: CONTROLLER://${placeOf(host)}`, timeout, servers].join(
    '\n',
  );
}

/** The lines of the shell blocks between two headings, without their comments but for those that say where. */
function commands(from: string, to: string): readonly string[] {
  const section = page.slice(page.indexOf(`### ${from}\n`), page.indexOf(`### ${to}\n`));
  expect(section).not.toBe('');
  return [...section.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => block.trim().split('\n'));
}

async function follow(lines: readonly string[]): Promise<void> {
  let host = '';
  for (const line of lines) {
    const [, where] = /^# on (\w+)$/.exec(line) ?? [];
    const [, stopped] = /^# stop (\w+)$/.exec(line) ?? [];
    if (where !== undefined) host = where;
    else if (stopped !== undefined) await stop(stopped);
    else if (line.startsWith('barnabas start ')) await start(host, argumentsOf(line, host));
    else {
      const { code, err } = await run(argumentsOf(line, host));
      expect({ line, code, err }).toMatchObject({ line, code: 0 });
    }
  }
}

function argumentsOf(line: string, host: string): readonly string[] {
  const directory = path.join(root, host);
  return line
    .replace(/^barnabas /, '')
    .replace('$CLUSTER_ID', clusterId)
    .replace('node.yaml', path.join(directory, 'node.yaml'))
    .replace('/var/lib/barnabas', path.join(directory, 'data'))
    .split(' ');
}

const run = (argv: readonly string[]) => command(argv, { bootstrap: placeOf('b1') });

/** Until it is ready. */
async function start(host: string, argv: readonly string[]): Promise<void> {
  const interruption = new AbortController();
  const stdout = new Captured();
  const ran = command([...argv, '--json', '--log-level', 'silent', '--grace-ms', '2000'], {
    ...{ bootstrap: placeOf('b1'), stdout, interrupted: interruption.signal },
  });
  const ended = ran.then(({ code }) => code);
  running.set(host, { ended, interruption });
  const failed = ran.then(({ err }) => {
    throw new Error(`${host} ended: ${err}`);
  });
  await Promise.race([until(async () => stdout.text.includes('"ready":true')), failed]);
  failed.catch(() => {});
}

async function stop(host: string): Promise<void> {
  const node = running.get(host);
  running.delete(host);
  node?.interruption.abort();
  await node?.ended;
}

interface Quorum {
  readonly leaderId: number;
  readonly voters: readonly { readonly id: number; readonly directoryId: string }[];
}

const quorum = async () => JSON.parse((await run(['quorum', 'describe', '--json'])).out) as Quorum;
const votersOf = async () => (await quorum()).voters.map(({ id }) => id).sort();
const topics = async () =>
  (JSON.parse((await run(['topics', 'list', '--json'])).out) as { name: string }[]).map(({ name }) => name);

test('one controller becomes five, a dead one is replaced, the founder leaves: by the commands of the page', async () => {
  clusterId = (await run(['storage', 'random-uuid'])).out.trim();
  await follow(commands('Found a cluster with one controller', 'Grow from one to three, and to five').slice(1));
  expect(await votersOf()).toEqual([1]);

  await follow(commands('Grow from one to three, and to five', 'Replace a controller that is dead'));
  expect(await votersOf()).toEqual([1, 2, 3, 4, 5]);
  expect(await topics()).toEqual(['before']);

  const lost = (await quorum()).voters.find(({ id }) => id === 5)?.directoryId;
  await stop('c5');
  rmSync(path.join(root, 'c5', 'data'), { recursive: true });
  await follow(commands('Replace a controller that is dead', 'Take a controller out'));
  const { voters } = await quorum();
  expect(voters.map(({ id }) => id).sort()).toEqual([1, 2, 3, 4, 5]);
  expect(voters.find(({ id }) => id === 5)?.directoryId).not.toBe(lost);

  await follow(commands('Take a controller out', 'When a majority is lost'));
  expect(await votersOf()).toEqual([2, 3, 4, 5]);
  expect((await quorum()).leaderId).not.toBe(1);
  expect(await topics()).toEqual(['after', 'before']);
}, 120_000);
