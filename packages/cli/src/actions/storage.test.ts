import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { run } from '../test-kit/captured-terminal.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'barnabas-storage-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const CLUSTER_ID = 'CCCCCCCCQAAAgAAAAAAAAA';
const OTHER_CLUSTER_ID = 'DDDDDDDDQAAAgAAAAAAAAA';
const at = (name: string) => path.join(root, name);
const storage = (...argv: string[]) => run(['storage', ...argv]);
const format = (directory: string, ...argv: string[]) =>
  storage('format', '--cluster-id', CLUSTER_ID, '-d', at(directory), ...argv);
const infoOf = async (directory: string) =>
  JSON.parse((await storage('info', '-d', at(directory), '--json')).out) as Record<string, unknown>;
/** Ids of directories, made by the command. */
const uuids = async (count: number) => {
  const made: string[] = [];
  for (let n = 0; n < count; n++) made.push((await storage('random-uuid')).out.trim());
  return made;
};

test('ids are different, 22 characters, and never taken for an option', async () => {
  const made = await uuids(50);
  expect(new Set(made).size).toBe(50);
  for (const id of made) expect(id).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/);
});

test('a controller alone: formatted once, and described', async () => {
  const { code, out } = await format('one', '--standalone');
  expect(code).toBe(0);
  const [, directoryId] =
    /^formatted .* for node 1 of cluster CCCCCCCCQAAAgAAAAAAAAA\ndirectory id (\S{22})\n$/.exec(out) ?? [];
  expect(await infoOf('one')).toEqual({ directory: at('one'), clusterId: CLUSTER_ID, nodeId: 1, directoryId });
  expect((await storage('info', '-d', at('one'))).out).toMatch(/^cluster +CCCCCCCCQAAAgAAAAAAAAA$/m);
  const again = await format('one', '--standalone');
  expect([again.code, again.err]).toEqual([
    1,
    expect.stringContaining('is formatted already: nothing was changed') as string,
  ]);
  expect((await format('one', '--standalone', '--ignore-formatted')).code).toBe(0);
  expect((await infoOf('one'))['directoryId']).toBe(directoryId);
});

test('the first controllers have the directory ids of the list', async () => {
  const ids = await uuids(3);
  const list = ids.map((id, index) => `${index + 1}@127.0.0.1:${7801 + index}:${id}`).join(',');
  for (const index of [0, 1, 2]) {
    const node = String(index + 1);
    expect((await format(node, '--node-id', node, '--initial-controllers', list)).code).toBe(0);
    expect(await infoOf(node)).toMatchObject({ nodeId: index + 1, directoryId: ids[index] });
  }
  const { code, err } = await format('4', '--node-id', '4', '--initial-controllers', list);
  expect([code, err]).toEqual([
    2,
    expect.stringContaining('controller 4 is not among the first controllers') as string,
  ]);
  expect(existsSync(path.join(at('4'), 'meta', 'meta.properties'))).toBe(false);
});

test('one that joins gets an id of its own; its configuration may come from a file', async () => {
  const file = at('node.yaml');
  writeFileSync(file, 'node.id: 5\ncontroller.quorum.bootstrap.servers: 127.0.0.1:7800\n');
  expect((await format('five', '--config', file, '--no-initial-controllers')).code).toBe(0);
  expect(await infoOf('five')).toMatchObject({ nodeId: 5, directoryId: expect.stringMatching(/^\S{22}$/) as string });
});

test('a broker’s directory learns its cluster only', async () => {
  expect((await format('broker', '--role', 'broker', '--node-id', '3')).out).not.toContain('directory id');
  expect(await infoOf('broker')).toMatchObject({ nodeId: 3, directoryId: null });
  expect((await format('broker', '--role', 'broker', '--node-id', '3')).err).toContain('is formatted already');
});

test('a directory of another cluster or node is refused, and stays as it was', async () => {
  await format('one', '--standalone');
  const before = await infoOf('one');
  const other = await storage(
    'format',
    '--cluster-id',
    OTHER_CLUSTER_ID,
    '-d',
    at('one'),
    '--standalone',
    '--ignore-formatted',
  );
  expect([other.code, other.err]).toEqual([
    1,
    expect.stringMatching(
      /belongs to cluster CCCCCCCCQAAAgAAAAAAAAA, not DDDDDDDDQAAAgAAAAAAAAA: .*\[INCONSISTENT_CLUSTER_ID\]\n$/,
    ) as string,
  ]);
  const node = await format('one', '--standalone', '--ignore-formatted', '--node-id', '2');
  expect([node.code, node.err]).toEqual([1, expect.stringContaining('belongs to node 1, not 2') as string]);
  expect(await infoOf('one')).toEqual(before);
});

test.each([
  [[], 'who votes first? Give --standalone, --initial-controllers'],
  [
    ['--no-initial-controllers'],
    'a controller that joins must find the others: set controller.quorum.bootstrap.servers',
  ],
  [['--standalone', '--no-initial-controllers'], 'exclude each other'],
  [
    ['--standalone', '--host', '0.0.0.0', '--set', 'controller.quorum.bootstrap.servers=a:1'],
    'where is this controller reached?',
  ],
  [['--initial-controllers', '1@host:7800'], 'Must be different id@host:port:directoryId'],
  [['--initial-controllers', `1@a:1:${CLUSTER_ID},1@b:1:${OTHER_CLUSTER_ID}`], 'Must be different'],
  [['--role', 'king'], '--role king is no role'],
])('format %j is refused', async (argv, message) => {
  const { code, out, err } = await format('refused', ...argv);
  expect(err).toContain(message);
  expect([code, out]).toEqual([2, '']);
  expect(existsSync(path.join(at('refused'), 'meta', 'meta.properties'))).toBe(false);
});

test('a directory that nothing was written to says so', async () => {
  const { code, err } = await storage('info', '-d', at('nothing'));
  expect([code, err]).toEqual([1, expect.stringContaining('is not formatted') as string]);
});
