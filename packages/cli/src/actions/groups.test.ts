import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onMethod, times } from '@barnabas/client/testing';
import { v1 } from '@barnabas/protocol';
import { FakeClusterCli } from '../test-kit/fake-cluster-cli.js';

let cli: FakeClusterCli;
let directory: string;
beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'barnabas-groups-'));
  cli = new FakeClusterCli({ brokers: 2, topics: { clicks: 2, orders: 1 } });
  await produce('clicks', 0, 4, 5_000);
  await produce('clicks', 1, 2, 3_600_000);
});
afterEach(() => {
  cli.close();
  rmSync(directory, { recursive: true, force: true });
});

const groups = (...argv: string[]) => cli.run(['groups', ...argv]);
const json = (...argv: string[]) => cli.json(['groups', ...argv]);
const committed = (topic: string, partition: number, groupId = 'g') =>
  cli.cluster.groups.committed(groupId, topic, partition);

/** Records of which the first is so old, each a second younger than the one before. */
async function produce(topic: string, partition: number, count: number, ageMs: number): Promise<void> {
  const client = cli.client();
  const producer = client.producer({ lingerMs: 0 });
  const first = Date.now() - ageMs;
  for (let index = 0; index < count; index++) {
    await producer.send({ topic, partition, value: String(index), timestamp: first + index * 1_000 });
  }
  await client.close();
}

async function commit(offsets: Readonly<Record<string, number>>, groupId = 'g'): Promise<void> {
  const client = cli.client();
  const list = Object.entries(offsets).map(([name, offset]) => {
    const [topic = '', partition] = name.split('/');
    return { topic, partition: Number(partition), offset };
  });
  await client.admin().alterGroupOffsets(groupId, list);
  await client.close();
}

/** A member that owns all of clicks. */
function join(groupId = 'g'): void {
  const heartbeat = v1.ConsumerGroupHeartbeatRequest.create({
    ...{ groupId, memberId: 'member-1', memberEpoch: 0, incarnation: 1, rebalanceTimeoutMs: 1_000 },
    ...{ clientId: 'app', clientHost: '10.0.0.7', subscription: { topics: ['clicks'], pattern: '' } },
  });
  cli.cluster.groups.group(groupId).heartbeat(heartbeat);
}

describe('list', () => {
  test('groups by id, and of some states', async () => {
    expect(await groups('list')).toMatchObject({ code: 0, out: '', err: 'there are no groups\n' });
    expect((await groups('list', '--state', 'Stable,Empty')).err).toBe('no group is Stable or Empty\n');
    await commit({ 'clicks/0': 1 });
    await commit({ 'clicks/0': 1 }, 'a');
    join('a');
    const { out } = await groups('list');
    expect(out).toMatch(/^GROUP +STATE +#MEMBERS +COORDINATOR\na +Stable +1 +[12]\ng +Empty +0 +[12]\n$/);
    expect(await json('list', '--state', 'stable,assigning')).toMatchObject([
      { groupId: 'a', state: 'Stable', members: 1 },
    ]);
    expect((await groups('list', '--state', 'busy')).code).toBe(2);
  });
});

describe('describe', () => {
  test('offsets, lag in records and in time, and who owns what', async () => {
    await commit({ 'clicks/0': 1, 'orders/0': 0 });
    join();
    const { code, out } = await groups('describe', 'g');
    expect(code).toBe(0);
    const [head, ...lines] = out
      .trim()
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    expect(head?.join(' ')).toBe(
      'GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG LAG-TIME CONSUMER-ID HOST CLIENT-ID',
    );
    const cells = out
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/ +/));
    expect(cells.map((row) => [...row.slice(0, 6), ...row.slice(7)])).toEqual([
      ['g', 'clicks', '0', '1', '4', '3', 'member-1', '10.0.0.7', 'app'],
      ['g', 'clicks', '1', '-', '2', '-', 'member-1', '10.0.0.7', 'app'],
      ['g', 'orders', '0', '0', '0', '0', '-', '-', '-'],
    ]);
    expect(lines).toHaveLength(3);
    expect(cells[0]?.[6]).toMatch(/^[4-9]\.\ds$/);
    expect([cells[1]?.[6], cells[2]?.[6]]).toEqual(['-', '0']);
    expect(await json('describe', 'g')).toMatchObject([
      {
        ...{ groupId: 'g', state: 'Stable', lag: 3, unknown: 1 },
        partitions: [
          { topic: 'clicks', partition: 0, committedOffset: 1, logEndOffset: 4, lag: 3, memberId: 'member-1' },
          { partition: 1, committedOffset: null, lag: null, lagMs: null },
          { topic: 'orders', lag: 0, lagMs: 0, memberId: null },
        ],
      },
    ]);
  });

  test('members and what they own', async () => {
    await commit({ 'clicks/0': 1 }, 'empty');
    join();
    const { out } = await groups('describe', 'g', '--members');
    expect(out).toMatch(/^GROUP +CONSUMER-ID +INSTANCE-ID +HOST +CLIENT-ID +RACK +EPOCH +#PARTITIONS +ASSIGNMENT\n/);
    expect(out).toMatch(/\ng +member-1 +- +10\.0\.0\.7 +app +- +\d+ +2 +clicks\(0,1\)\n$/);
    expect(await groups('describe', 'empty', '--members')).toMatchObject({
      out: '',
      err: 'group empty has no members now\n',
    });
  });

  test('state, of all groups', async () => {
    join();
    await commit({ 'clicks/0': 1 }, 'a');
    const { out, err } = await groups('describe', '--all-groups', '--state');
    expect(out).toMatch(/^GROUP +COORDINATOR +ASSIGNMENT-STRATEGY +STATE +GROUP-EPOCH +TARGET-EPOCH +#MEMBERS\n/);
    expect(out).toMatch(/\na +[12] +uniform +Empty .* 0\ng +[12] +uniform +Stable .* 1\n$/);
    expect(err).toBe('group a has no members now\n');
  });

  test('a group that is not there, and flags that make no sense', async () => {
    await commit({ 'clicks/0': 1 });
    const { code, err } = await groups('describe', 'none');
    expect([code, err]).toEqual([
      1,
      'barnabas: there is no group none: see "barnabas groups list" [GROUP_ID_NOT_FOUND]\n',
    ]);
    expect((await groups('describe')).code).toBe(2);
    expect((await groups('describe', 'g', '--all-groups')).code).toBe(2);
    expect((await groups('describe', 'g', '--members', '--state')).code).toBe(2);
  });
});

describe('delete', () => {
  test('groups without members; the others stay, and are named', async () => {
    await commit({ 'clicks/0': 1 });
    join('busy');
    const { code, out, err } = await groups('delete', 'g', 'busy');
    expect([code, out]).toEqual([1, 'deleted g\n']);
    expect(err).toContain('busy stays');
    expect(err).toContain('[NON_EMPTY_GROUP]');
    const alone = await groups('delete', 'busy');
    expect([alone.code, alone.out]).toEqual([1, '']);
    expect(alone.err).toContain('[NON_EMPTY_GROUP]');
    expect(await json('list')).toMatchObject([{ groupId: 'busy' }]);
  });

  test('offsets of topics and partitions', async () => {
    await commit({ 'clicks/0': 1, 'clicks/1': 1, 'orders/0': 0 });
    expect(await groups('delete-offsets', 'g', '-t', 'clicks:1', '-t', 'orders')).toMatchObject({
      ...{ code: 0, out: 'deleted 2 offsets of group g\n' },
    });
    expect([committed('clicks', 0), committed('clicks', 1), committed('orders', 0)]).toEqual([1, undefined, undefined]);
    expect((await groups('delete-offsets', 'g', '-t', 'orders')).err).toContain('has committed nothing of these');
    join();
    expect((await groups('delete-offsets', 'g', '-t', 'clicks')).err).toContain('[GROUP_SUBSCRIBED_TO_TOPIC]');
    expect((await groups('delete-offsets', 'none', '-t', 'clicks')).err).toContain('[GROUP_ID_NOT_FOUND]');
    expect((await groups('delete-offsets', 'g', '-t', 'clicks:7')).err).toContain('choose from 0 to 1');
    for (const topic of ['clicks:x', ':1', 'a:1:2', 'clicks:']) {
      expect((await groups('delete-offsets', 'g', '-t', topic)).code).toBe(2);
    }
  });
});

describe('reset-offsets', () => {
  const reset = (...argv: string[]) => groups('reset-offsets', 'g', ...argv);

  test('shows what it would do, and does it with --execute', async () => {
    await commit({ 'clicks/0': 3, 'clicks/1': 2 });
    const dry = await reset('--all-topics', '--to-earliest');
    expect(dry.code).toBe(0);
    expect(dry.out).toMatch(
      /^GROUP +TOPIC +PARTITION +CURRENT-OFFSET +NEW-OFFSET\ng +clicks +0 +3 +0\ng +clicks +1 +2 +0\n$/,
    );
    expect(dry.err).toBe('nothing was changed: this is what --execute would do\n');
    expect([committed('clicks', 0), committed('clicks', 1)]).toEqual([3, 2]);
    const done = await reset('--all-topics', '--to-earliest', '--execute');
    expect([done.code, done.out, done.err]).toEqual([0, dry.out, 'reset 1 group\n']);
    expect([committed('clicks', 0), committed('clicks', 1)]).toEqual([0, 0]);
  });

  test.each<[string[], (number | undefined)[], string]>([
    [['-t', 'clicks', '--to-latest'], [4, 2], ''],
    [['-t', 'clicks:0', '--to-latest'], [4, 1], ''],
    [['-t', 'clicks', '--to-offset', '1'], [1, 1], ''],
    [['-t', 'clicks', '--to-offset', '3'], [3, 2], 'warning: 3 is above the end of clicks-1: it goes to 2\n'],
    [['-t', 'clicks', '--shift-by', '-1'], [1, 0], ''],
    [['-t', 'clicks', '--shift-by', '-2'], [0, 0], 'warning: -1 is below the start of clicks-1: it goes to 0\n'],
    [
      ['-t', 'clicks', '--by-duration', 'PT30M'],
      [0, 2],
      'warning: no record of clicks-1 is that young: it goes to the end, 2\n',
    ],
    [['-t', 'clicks', '--by-duration', 'P1D'], [0, 0], ''],
    [['-t', 'clicks', '--to-datetime', '2020-01-01T00:00:00.000'], [0, 0], ''],
    [['-t', 'clicks', '--to-current'], [2, 1], ''],
  ])('%j', async (argv, expected, warning) => {
    await commit({ 'clicks/0': 2, 'clicks/1': 1 });
    const { code, err } = await reset(...argv, '--execute');
    expect([code, err]).toEqual([0, `${warning}reset 1 group\n`]);
    expect([committed('clicks', 0), committed('clicks', 1)]).toEqual(expected);
  });

  test('an export is read again, by group where there are several', async () => {
    await commit({ 'clicks/0': 3, 'orders/0': 0 });
    const backup = await reset('--all-topics', '--to-current', '--export');
    expect(backup.out).toBe('clicks,0,3\norders,0,0\n');
    const file = path.join(directory, 'offsets.csv');
    writeFileSync(file, backup.out);
    await reset('--all-topics', '--to-latest', '--execute');
    expect(committed('clicks', 0)).toBe(4);
    expect((await reset('--from-file', file, '--execute')).code).toBe(0);
    expect(committed('clicks', 0)).toBe(3);

    await commit({ 'clicks/1': 1 }, 'other');
    const both = ['reset-offsets', 'g', 'other'];
    const all = await groups(...both, '--all-topics', '--to-current', '--export');
    expect(all.out).toBe('g,clicks,0,3\ng,orders,0,0\nother,clicks,1,1\n');
    const input = { stdin: [Buffer.from(all.out.replace('clicks,1,1', 'clicks,1,9'))] };
    const read = await cli.run(['groups', ...both, '--from-file', '-', '--execute'], input);
    expect([read.code, read.err]).toEqual([
      0,
      'warning: 9 is above the end of clicks-1: it goes to 2\nreset 2 groups\n',
    ]);
    expect(committed('clicks', 1, 'other')).toBe(2);
    const strange = await cli.run(['groups', 'reset-offsets', 'g', '--from-file', '-'], {
      stdin: [Buffer.from(all.out)],
    });
    expect([strange.code, strange.err]).toEqual([
      1,
      expect.stringContaining('offsets of group other, which is not named'),
    ]);
    expect((await groups(...both, '--from-file', file)).err).toContain('a line names no group');
    expect((await reset('--from-file', path.join(directory, 'none'))).err).toContain('(ENOENT)');
  });

  test.each([
    ['none,0,1', 'topic none does not exist'],
    ['clicks,7,1', 'topic clicks has no partition 7: choose from 0 to 1'],
    ['clicks,0,-1', 'standard input has no offsets that can be read: line 1 is "clicks,0,-1"'],
    ['', 'standard input has no offsets that can be read: it is empty'],
  ])('a file with %j is refused before anything is asked of leaders', async (line, message) => {
    cli.cluster.intercept(({ method }) => {
      if (method === 'ListOffsets') throw new Error('asked');
      return undefined;
    });
    const argv = ['groups', 'reset-offsets', 'g', '--from-file', '-', '--execute'];
    const { code, out, err } = await cli.run(argv, { stdin: [Buffer.from(line)] });
    expect([code, out, err]).toEqual([1, '', expect.stringContaining(message)]);
  });

  test('makes a group that is not there, and shifts nothing that is not committed', async () => {
    expect((await reset('-t', 'clicks', '--to-earliest', '--execute')).code).toBe(0);
    expect([committed('clicks', 0), committed('clicks', 1)]).toEqual([0, 0]);
    const shift = await reset('-t', 'orders', '--shift-by', '1', '--execute');
    expect([shift.code, shift.err]).toEqual([1, expect.stringContaining('nothing is committed for orders-0')]);
    const nothing = await groups('reset-offsets', 'fresh', '--all-topics', '--to-latest');
    expect([nothing.code, nothing.err]).toEqual([1, expect.stringContaining('name its topics with --topic')]);
  });

  test('is refused while the group has members, also if they come at the last moment', async () => {
    await commit({ 'clicks/0': 3 });
    cli.cluster.intercept(
      times(1, ({ method }) => {
        if (method !== 'CommitOffsets') return undefined;
        join();
        return { kind: 'hold', until: Promise.resolve() };
      }),
    );
    const late = await reset('-t', 'clicks', '--to-earliest', '--execute');
    expect([late.code, late.err]).toEqual([1, expect.stringContaining('[NON_EMPTY_GROUP]')]);
    expect(committed('clicks', 0)).toBe(3);
    for (const flags of [['--execute'], []]) {
      const { code, out, err } = await reset('-t', 'clicks', '--to-earliest', ...flags);
      expect([code, out]).toEqual([1, '']);
      expect(err).toContain('group g has 1 member: stop them all');
      expect(err).toContain('[NON_EMPTY_GROUP]');
    }
    expect(committed('clicks', 0)).toBe(3);
  });

  test.each([
    [['-t', 'clicks'], 'reset to where?'],
    [['-t', 'clicks', '--to-earliest', '--to-latest'], 'reset to where?'],
    [['--to-earliest'], 'reset which partitions?'],
    [['--to-earliest', '-t', 'clicks', '--all-topics'], 'reset which partitions?'],
    [['--from-file', 'f', '--all-topics'], 'reset which partitions?'],
    [['--to-earliest', '-t', 'clicks', '--dry-run', '--execute'], '--dry-run or --execute'],
    [['-t', 'clicks', '--to-offset', '-1'], 'at least 0'],
    [['-t', 'clicks', '--by-duration', '1h'], 'Must be a duration'],
    [['-t', 'clicks', '--to-datetime', 'noon'], 'Must be a time'],
  ])('%j is refused', async (argv, message) => {
    const { code, err } = await reset(...argv);
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  });
});

describe('watch', () => {
  const line = /^\d{4}-\d\d-\d\dT[\d:.]+Z g Empty, 0 members, lag 3 records, [4-9]\.\ds$/;

  test('a line for each group and look, until it is interrupted', async () => {
    await commit({ 'clicks/0': 1 });
    const interruption = new AbortController();
    let looks = 0;
    cli.cluster.intercept(({ method }) => {
      if (method === 'DescribeGroups' && ++looks === 3) interruption.abort();
      return undefined;
    });
    const argv = ['groups', 'watch', 'g', '--interval-ms', '1'];
    const { code, out } = await cli.run(argv, { interrupted: interruption.signal });
    expect(code).toBe(0);
    const lines = out.trim().split('\n');
    expect(lines).toHaveLength(2);
    for (const one of lines) expect(one).toMatch(line);
  });

  test('holds on to nothing, however often it looks', async () => {
    await commit({ 'clicks/0': 1 });
    const any = jest.spyOn(AbortSignal, 'any');
    expect((await groups('watch', 'g', '--interval-ms', '1', '--looks', '12')).code).toBe(0);
    const signals = any.mock.results.map(({ value }) => value as AbortSignal);
    any.mockRestore();
    expect(Math.max(...signals.map((signal) => getEventListeners(signal, 'abort').length))).toBe(0);
  });

  test('JSON, a line for each', async () => {
    await commit({ 'clicks/0': 1 });
    const { out } = await groups('watch', '--all-groups', '--looks', '2', '--interval-ms', '1', '--json');
    const looks = out
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text) as object);
    expect(looks).toMatchObject([
      { groupId: 'g', lag: 3 },
      { groupId: 'g', lag: 3, partitions: [{ lag: 3 }] },
    ]);
  });

  test('a person sees one table, drawn over', async () => {
    await commit({ 'clicks/0': 1 });
    const argv = ['groups', 'watch', 'g', '--looks', '2', '--interval-ms', '1'];
    const { out } = await cli.run(argv, { stdoutIsTerminal: true });
    const [, first = '', second = ''] = out.split('\u001B[J');
    expect(first).toMatch(/GROUP +TOPIC .*\n.*clicks/);
    expect(first).toContain('\u001B[5A');
    expect(second).toMatch(/g Empty, 0 members, lag 3 records/);
  });

  test('of all groups goes on when one of them goes', async () => {
    await commit({ 'clicks/0': 1 });
    let looks = 0;
    cli.cluster.intercept(({ method }) =>
      method === 'DescribeGroups' && ++looks === 2 ? { kind: 'error', error: 'GROUP_ID_NOT_FOUND' } : undefined,
    );
    const argv = ['watch', '--looks', '3', '--interval-ms', '1'];
    const { code, out, err } = await groups(...argv, '--all-groups');
    expect([code, out.trim().split('\n').length]).toEqual([0, 2]);
    expect(err).toContain('cannot look now');
    looks = 0;
    expect((await groups(...argv, 'g')).code).toBe(1);
  });

  test('goes on over what passes, and ends with what does not', async () => {
    await commit({ 'clicks/0': 1 });
    let looks = 0;
    cli.cluster.intercept((request) => {
      if (request.method !== 'DescribeGroups') return undefined;
      looks += 1;
      return looks === 2 ? { kind: 'error', error: 'CLUSTER_AUTHORIZATION_FAILED' } : undefined;
    });
    const ended = await groups('watch', 'g', '--looks', '3', '--interval-ms', '1');
    expect([ended.code, ended.out.split('\n').length]).toEqual([1, 2]);
    expect(ended.err).toContain('[CLUSTER_AUTHORIZATION_FAILED]');
    expect((await groups('watch', 'none', '--looks', '3')).err).toContain('[GROUP_ID_NOT_FOUND]');
    cli.cluster.intercept(
      times(1, onMethod('DescribeGroups', { kind: 'error', error: 'COORDINATOR_LOAD_IN_PROGRESS' })),
    );
    expect((await groups('watch', 'g', '--looks', '1')).code).toBe(0);
  });
});
