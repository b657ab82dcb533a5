/**
 * Groups as an administrator has them: real brokers, coordinators over __consumer_offsets, members, and the
 * command line, at a gateway and at brokers. The section of docs/operations.md is run as it stands.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { Membership } from '@barnabas/client';
import type { BarnabasClient, GroupTopicPartition } from '@barnabas/client';
import type { RunningNode } from '@barnabas/cli/node';
import { command } from '../support/command';
import { addressOf, Nodes, until } from '../support/nodes';

const page = readFileSync(path.join(__dirname, '../../docs/operations.md'), 'utf8');
const HOUR_MS = 3_600_000;

let nodes: Nodes;
let brokers: readonly RunningNode[];
let gateway: RunningNode;
let client: BarnabasClient;

beforeEach(async () => {
  nodes = new Nodes();
  const controller = await nodes.start({
    name: 'controller',
    roles: ['controller'],
    config: { 'broker.session.timeout.ms': 1_000 },
  });
  const quorum = { 'controller.quorum.voters': `1@${addressOf(controller, 'controller')}` };
  const config = { ...quorum, 'broker.heartbeat.interval.ms': 100, 'offsets.topic.num.partitions': 6 };
  brokers = await Promise.all(
    [1, 2, 3].map((id) =>
      nodes.start({ name: `broker-${id}`, roles: ['broker'], config: { ...config, 'node.id': id } }),
    ),
  );
  gateway = await nodes.start({ name: 'gateway', roles: ['gateway'], config: { ...quorum, 'node.id': 9 } });
  client = nodes.client(gateway);
  await client.admin().createTopics([{ name: 'clicks', partitions: 2, replicationFactor: 3 }]);
});
afterEach(() => nodes?.close());

/** Ten records in each partition, an hour between one and the next, the last one of now. */
async function produce(): Promise<void> {
  const producer = client.producer();
  const now = Date.now();
  const records = Array.from({ length: 20 }, (_, n) => ({
    ...{ topic: 'clicks', partition: n % 2, value: `${n}` },
    timestamp: now - (9 - Math.floor(n / 2)) * HOUR_MS,
  }));
  await Promise.all(records.map((record) => producer.send(record)));
  await producer.close();
}

/** A member that owns all of clicks. */
async function join(groupId: string): Promise<Membership> {
  const owned: GroupTopicPartition[] = [];
  const membership: Membership = new Membership(
    client.router,
    {
      ...{ groupId, topics: ['clicks'], pattern: '', instanceId: '', rackId: '', clientId: 'app', assignor: '' },
      rebalanceTimeoutMs: 60_000,
    },
    {
      onJoined: () => {},
      onAssigned: (partitions) => owned.push(...partitions),
      onRevoked: (partitions) => membership.released(partitions),
      onLost: () => {},
      onFatal: () => {},
    },
  );
  membership.start();
  await until(async () => owned.length === 2);
  return membership;
}

const atGateway = () => addressOf(gateway, 'gateway');
const atBroker = () => addressOf(brokers[1] as RunningNode, 'broker');

interface Described {
  readonly state: string;
  readonly coordinatorId: number;
  readonly lag: number;
  readonly members: readonly { readonly clientId: string; readonly clientHost: string }[];
  readonly partitions: readonly { readonly committedOffset: number | null; readonly lagMs: number | null }[];
}

describe.each([
  ['a gateway', atGateway],
  ['a broker', atBroker],
])('through %s', (_, where) => {
  const groups = (...argv: string[]) => command(['groups', ...argv], { bootstrap: where() });
  const described = async () => {
    const [group] = JSON.parse((await groups('describe', 'billing', '--json')).out) as Described[];
    if (group === undefined) throw new Error('there is no group');
    return group;
  };
  const offsets = async () => (await described()).partitions.map(({ committedOffset }) => committedOffset);

  test('a group is watched, reset once nobody reads, and forgotten', async () => {
    await produce();
    expect(await groups('list')).toMatchObject({ code: 0, out: '' });
    const member = await join('billing');
    await member.commit([0, 1].map((partition) => ({ topic: 'clicks', partition, offset: 9 - partition })));

    const busy = await described();
    expect(busy).toMatchObject({
      ...{ state: 'Stable', lag: 3, members: [{ clientId: 'app' }] },
      partitions: [{ committedOffset: 9, logEndOffset: 10 }, { committedOffset: 8 }],
    });
    expect(busy.members[0]?.clientHost).toContain('127.0.0.1');
    // The last record is of now, the one before it is an hour old.
    expect(busy.partitions[0]?.lagMs).toBeLessThan(HOUR_MS / 2);
    expect(busy.partitions[1]?.lagMs).toBeGreaterThan(HOUR_MS * 0.99);
    expect((await groups('list', '--state', 'Stable')).out).toMatch(/billing +Stable +1/);

    const reset = ['reset-offsets', 'billing', '--all-topics', '--to-earliest'];
    for (const argv of [reset, [...reset, '--execute']]) {
      expect(await groups(...argv)).toMatchObject({ code: 1, err: expect.stringContaining('[NON_EMPTY_GROUP]') });
    }
    expect(await groups('delete', 'billing')).toMatchObject({ code: 1 });
    expect((await groups('delete-offsets', 'billing', '-t', 'clicks')).err).toContain('[GROUP_SUBSCRIBED_TO_TOPIC]');
    await member.leave(10_000);
    await until(async () => (await described()).state === 'Empty');

    expect((await groups(...reset)).code).toBe(0);
    expect(await offsets()).toEqual([9, 8]);
    expect((await groups(...reset, '--execute')).code).toBe(0);
    expect(await offsets()).toEqual([0, 0]);
    expect(
      (await groups('reset-offsets', 'billing', '-t', 'clicks:1', '--by-duration', 'PT90M', '--execute')).code,
    ).toBe(0);
    expect(await offsets()).toEqual([0, 8]);

    expect((await groups('delete-offsets', 'billing', '-t', 'clicks:0')).code).toBe(0);
    expect(await offsets()).toEqual([8]);
    expect(await groups('delete', 'billing')).toMatchObject({ code: 0, out: 'deleted billing\n' });
    expect((await groups('list')).out).toBe('');
    expect((await groups('describe', 'billing')).err).toContain('[GROUP_ID_NOT_FOUND]');
  }, 60_000);
});

test('the consume command is a member like others: it goes on where the group is, and commits what it prints', async () => {
  await produce();
  const consume = (n: number) =>
    command(['consume', 'clicks', '--group', 'printed', '--from-beginning', '--max-messages', `${n}`], {
      bootstrap: atGateway(),
    });
  const parts = [await consume(7), await consume(13)];
  expect(parts).toMatchObject([0, 1].map(() => ({ code: 0, err: expect.stringMatching(/^assigned clicks-/) })));
  const printed = parts.map(({ out }) => out.trim().split('\n'));
  expect(printed.map(({ length }) => length)).toEqual([7, 13]);
  expect(printed.flat().sort()).toEqual(Array.from({ length: 20 }, (_, n) => `${n}`).sort());
  const [group] = await client.admin().groupLag(['printed']);
  expect(group).toMatchObject({
    state: 'Empty',
    partitions: [
      { lag: 0, lagMs: 0 },
      { lag: 0, lagMs: 0 },
    ],
  });
}, 60_000);

test('offsets that were set are there when the coordinator is gone', async () => {
  await produce();
  const admin = client.admin();
  const groupIds = Array.from({ length: 8 }, (_, index) => `group-${index}`);
  for (const groupId of groupIds)
    await admin.alterGroupOffsets(groupId, [{ topic: 'clicks', partition: 0, offset: 4 }]);
  const [{ coordinatorId = 0 } = {}] = await admin.describeGroups(['group-0']);
  await nodes.stop(`broker-${coordinatorId}`);
  const lags = await admin.groupLag(groupIds);
  expect(lags.map(({ partitions }) => partitions[0])).toMatchObject(
    groupIds.map(() => ({ committedOffset: 4, lag: 6 })),
  );
  expect(lags.map((group) => group.coordinatorId)).not.toContain(coordinatorId);
  expect((await admin.listGroups()).map(({ groupId }) => groupId)).toEqual(groupIds);
}, 60_000);

test('the commands of the page work as they stand', async () => {
  await produce();
  const member = await join('billing');
  await member.commit([0, 1].map((partition) => ({ topic: 'clicks', partition, offset: 9 })));
  const section = page.slice(page.indexOf('## Consumer groups\n'));
  const lines = [...section.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => block.trim().split('\n'));
  expect(lines.length).toBeGreaterThan(10);
  const file = path.join(nodes.root, 'before.csv');
  const outputs = new Map<string, string>();
  for (const line of lines) {
    if (line === '# stop billing') {
      await member.leave(10_000);
      continue;
    }
    const [words = '', into] = line.replace(/^barnabas /, '').split(' > ');
    const argv = words.replace('before.csv', file).split(' ');
    const { code, out, err } = await command(argv, { bootstrap: atGateway(), stdin: Readable.from([]) });
    expect({ line, code, err }).toMatchObject({ line, code: 0 });
    if (into === 'before.csv') writeFileSync(file, out);
    outputs.set(line, out);
  }
  expect(readFileSync(file, 'utf8')).toBe('clicks,0,9\nclicks,1,9\n');
  expect(outputs.get('barnabas groups describe billing')).toMatch(/billing +clicks +0 +0 +10 +10 +9\.0h/);
  expect(outputs.get('barnabas groups reset-offsets billing --from-file before.csv --execute')).toMatch(
    /billing +clicks +0 +0 +9\n/,
  );
  expect(outputs.get('barnabas groups list')).toBe('');
}, 60_000);
