/** The unary calls of GroupService at one broker, over memory disks and the local network. */
import { silentLogger } from '@barnabas/common';
import type { Logger } from '@barnabas/common';
import { BarnabasError, CONSUMER_OFFSETS_TOPIC, coordinatorPartition, v1 } from '@barnabas/protocol';
import { batchEntry, batchOf, errorCodeOf, eventually, produceRequest } from '../test-kit/requests.js';
import { TestBroker } from '../test-kit/test-broker.js';
import type { TestBrokerOptions } from '../test-kit/test-broker.js';
import { WireMember, committed, settle } from './test-kit/wire-member.js';

const FEW = { 'offsets.topic.num.partitions': 3 };

let broker: TestBroker;
afterEach(() => broker.stop());

async function start(options: TestBrokerOptions = {}, partitions = 4): Promise<void> {
  broker = await TestBroker.start({ ...options, config: { ...FEW, ...options.config } });
  await broker.topic('orders', partitions);
}

/** Until the coordinator of the group has loaded. */
async function ready(groupId: string): Promise<void> {
  let response: v1.FetchOffsetsResponse;
  do response = await broker.groups.fetchOffsets(v1.FetchOffsetsRequest.create({ groupId }));
  while (errorCodeOf(response.error) === 'COORDINATOR_LOAD_IN_PROGRESS');
  expect(response.error).toBeUndefined();
}

const orders = (partition: number): v1.GroupPartition => ({ topic: 'orders', topicId: '', partition });

function member(groupId: string, id: string, options: Partial<v1.ConsumerGroupHeartbeatRequest> = {}): WireMember {
  return new WireMember(() => broker.groups, groupId, id, options);
}

test('a group begins with the first heartbeat: the topic is made, partitions are shared, offsets kept', async () => {
  await start();
  const one = member('g', 'one');
  expect(errorCodeOf((await one.beat()).error)).toBe('COORDINATOR_LOAD_IN_PROGRESS');
  expect(broker.controller.internalTopicRequests).toMatchObject([
    {
      name: CONSUMER_OFFSETS_TOPIC,
      partitions: 3,
      replicationFactor: 3,
      configs: { 'cleanup.policy': 'compact', 'segment.bytes': '104857600' },
    },
  ]);
  await ready('g');
  expect(await one.beat()).toMatchObject({ memberEpoch: 1, sessionTimeoutMs: 45_000, heartbeatIntervalMs: 5_000 });
  expect(one.partitions).toEqual([0, 1, 2, 3]);
  const two = member('g', 'two');
  await settle(one, two);
  expect([one.partitions.length, two.partitions.length]).toEqual([2, 2]);

  expect(await one.commit(5)).toEqual([undefined, undefined]);
  expect(
    await one.commit(6, { offsets: two.owned.map((partition) => v1.OffsetToCommit.create({ partition })) }),
  ).toEqual(['STALE_MEMBER_EPOCH', 'STALE_MEMBER_EPOCH']);
  const [a = -1, b = -1] = one.partitions;
  expect(await committed(broker.groups, 'g')).toEqual({ [a]: 5, [b]: 5 });
  expect(broker.controller.internalTopicRequests).toHaveLength(1);
});

test('a broker that starts again has everything that was committed, and who is a member', async () => {
  await start();
  await ready('g');
  const one = member('g', 'one');
  await one.beat();
  await one.commit(7);
  const { disks, controller } = broker;
  const records = [...controller.records];
  await broker.stop();
  broker = new TestBroker({ disks, config: FEW });
  broker.controller.append(...records.slice(1).flatMap(({ record }) => (record === undefined ? [] : [record])));
  await broker.role.start({ host: '127.0.0.1', port: 2 });
  await ready('g');
  expect(await committed(broker.groups, 'g')).toEqual({ 0: 7, 1: 7, 2: 7, 3: 7 });
  expect(await one.beat()).toMatchObject({ memberEpoch: 1, error: undefined });
});

test('nobody else writes to __consumer_offsets', async () => {
  await start();
  await ready('g');
  const request = produceRequest([batchEntry(CONSUMER_OFFSETS_TOPIC, batchOf(['x']))]);
  const { results } = await broker.log.produce(request);
  expect(errorCodeOf(results[0]?.error)).toBe('INVALID_TOPIC_EXCEPTION');
  const entries = [{ topic: CONSUMER_OFFSETS_TOPIC, partition: 0, beforeOffset: -1 }];
  const deleted = await broker.log.deleteRecords({ entries });
  expect(errorCodeOf(deleted.results[0]?.error)).toBe('INVALID_TOPIC_EXCEPTION');
});

describe('the topic', () => {
  test('is asked for once, however many need it, and again when that failed', async () => {
    await start();
    broker.controller.internalTopicErrors.push(new BarnabasError('INVALID_REPLICATION_FACTOR', 'no broker serves'));
    const find = () => broker.groups.findCoordinator({ groupIds: ['g'] });
    const names = (await Promise.all([find(), find(), find()])).map(({ coordinators }) =>
      errorCodeOf(coordinators[0]?.error),
    );
    expect(names).toEqual(['COORDINATOR_NOT_AVAILABLE', 'COORDINATOR_NOT_AVAILABLE', 'COORDINATOR_NOT_AVAILABLE']);
    expect(broker.controller.internalTopicRequests).toHaveLength(1);
    const found = await Promise.all([find(), find(), find()]);
    expect(found.map(({ coordinators }) => coordinators[0]?.brokerId)).toEqual([1, 1, 1]);
    expect(broker.controller.internalTopicRequests).toHaveLength(2);
  });

  test('is not made for a list of groups', async () => {
    await start();
    expect(await broker.groups.listGroups({ states: [] })).toEqual({ groups: [], errors: [] });
    expect(broker.controller.internalTopicRequests).toEqual([]);
  });

  test('with fewer replicas than it should have is spoken of in the log', async () => {
    const lines: string[] = [];
    const logger: Logger = {
      ...silentLogger,
      child: () => logger,
      warn: (message: string) => void lines.push(message),
    };
    await start({ logger });
    await ready('g');
    expect(lines).toEqual(['__consumer_offsets has fewer replicas than it should, as few brokers serve']);
  });
});

describe('offsets', () => {
  const offset = (partition: Partial<v1.GroupPartition>, at: number, metadata = '') =>
    v1.OffsetToCommit.create({
      partition: { topic: '', topicId: '', partition: 0, ...partition },
      offset: at,
      metadata,
    });

  async function commit(...offsets: v1.OffsetToCommit[]): Promise<(string | undefined)[]> {
    const { results, error } = await broker.groups.commitOffsets(
      v1.CommitOffsetsRequest.create({ groupId: 'g', offsets }),
    );
    return error === undefined ? results.map((result) => errorCodeOf(result.error)) : [errorCodeOf(error)];
  }

  test('are committed and fetched by name or by id, each partition for itself', async () => {
    await start({ config: { 'offset.metadata.max.bytes': 4 } });
    const other = await broker.topic('other', 1);
    await ready('g');
    expect(
      await commit(
        offset({ topic: 'orders', partition: 1 }, 5, 'mine'),
        offset({ topicId: other }, 6),
        offset({ topic: 'nothing' }, 1),
        offset({ topicId: 'A'.repeat(22) }, 1),
        offset({ topic: 'orders', topicId: 'A'.repeat(22) }, 1),
        offset({ topic: 'orders', partition: 9 }, 1),
        offset({ topic: 'orders', partition: -1 }, 1),
        offset({}, 1),
        offset({ topic: 'orders' }, -1),
        offset({ topic: 'orders' }, 1, 'metadata'),
      ),
    ).toEqual([
      undefined,
      undefined,
      'UNKNOWN_TOPIC_OR_PARTITION',
      'UNKNOWN_TOPIC_ID',
      'UNKNOWN_TOPIC_ID',
      'UNKNOWN_TOPIC_OR_PARTITION',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
      'OFFSET_METADATA_TOO_LARGE',
    ]);
    const all = await broker.groups.fetchOffsets(v1.FetchOffsetsRequest.create({ groupId: 'g' }));
    expect(all.offsets).toMatchObject([
      { partition: { topic: 'orders', partition: 1 }, offset: 5, metadata: 'mine', error: undefined },
      { partition: { topic: 'other', topicId: other, partition: 0 }, offset: 6, leaderEpoch: -1 },
    ]);
    const partitions = [
      { topic: '', topicId: other, partition: 0 },
      { topic: 'orders', topicId: '', partition: 0 },
      { topic: 'nothing', topicId: '', partition: 0 },
    ];
    const some = await broker.groups.fetchOffsets(v1.FetchOffsetsRequest.create({ groupId: 'g', partitions }));
    expect(some.offsets).toMatchObject([
      { partition: { topic: 'other', topicId: other }, offset: 6, error: undefined },
      { partition: { topic: 'orders' }, offset: -1, error: undefined },
      { partition: { topic: 'nothing' }, offset: -1, error: { code: v1.ErrorCode.UNKNOWN_TOPIC_OR_PARTITION } },
    ]);
    expect(some.offsets[1]?.partition?.topicId).not.toBe('');
  });

  test('are deleted where nobody subscribes to them', async () => {
    await start();
    await ready('g');
    await commit(offset({ topic: 'orders' }, 5));
    const partitions = [
      { topic: 'orders', topicId: '', partition: 0 },
      { topic: 'nothing', topicId: '', partition: 0 },
    ];
    const remove = () => broker.groups.deleteOffsets({ groupId: 'g', partitions });
    const one = member('g', 'one');
    await one.beat();
    const refused = (await remove()).results.map(({ error }) => errorCodeOf(error));
    expect(refused).toEqual(['GROUP_SUBSCRIBED_TO_TOPIC', 'UNKNOWN_TOPIC_OR_PARTITION']);
    await one.beat({ memberEpoch: -1 });
    expect((await remove()).results.map(({ error }) => errorCodeOf(error))).toEqual([
      undefined,
      'UNKNOWN_TOPIC_OR_PARTITION',
    ]);
    expect(await committed(broker.groups, 'g')).toEqual({});
    const unknown = await broker.groups.deleteOffsets({ groupId: 'other', partitions });
    expect(errorCodeOf(unknown.error)).toBe('GROUP_ID_NOT_FOUND');
  });
});

test('groups are listed, described and deleted', async () => {
  await start();
  await ready('g');
  await member('g', 'one', { clientId: 'tests', clientHost: 'here', instanceId: 'place' }).beat();
  await member('h', 'two').beat();
  const commit = { groupId: 'i', offsets: [v1.OffsetToCommit.create({ partition: orders(0), offset: 1 })] };
  await broker.groups.commitOffsets(v1.CommitOffsetsRequest.create(commit));
  const list = async (...states: v1.GroupState[]) =>
    (await broker.groups.listGroups({ states })).groups.map(({ groupId, members }) => [groupId, members]);
  expect(await list()).toEqual([
    ['g', 1],
    ['h', 1],
    ['i', 0],
  ]);
  expect(await list(v1.GroupState.EMPTY)).toEqual([['i', 0]]);
  await expect(list(77 as v1.GroupState)).rejects.toMatchObject({ errorName: 'INVALID_REQUEST' });

  const { groups } = await broker.groups.describeGroups({ groupIds: ['g', 'nothing', ''] });
  expect(groups).toMatchObject([
    {
      groupId: 'g',
      state: v1.GroupState.STABLE,
      epoch: 1,
      targetEpoch: 1,
      coordinatorId: 1,
      assignor: 'uniform',
      members: [
        {
          ...{ memberId: 'one', instanceId: 'place', clientId: 'tests', clientHost: 'here', epoch: 1 },
          subscription: { topics: ['orders'], pattern: '' },
          assignment: [0, 1, 2, 3].map((partition) => ({ topic: 'orders', partition })),
          target: { length: 4 },
        },
      ],
    },
    { groupId: 'nothing', error: { code: v1.ErrorCode.GROUP_ID_NOT_FOUND } },
    { groupId: '', error: { code: v1.ErrorCode.INVALID_GROUP_ID } },
  ]);
  const deleted = await broker.groups.deleteGroups({ groupIds: ['g', 'i', 'nothing'] });
  expect(deleted.results.map(({ error }) => errorCodeOf(error))).toEqual([
    'NON_EMPTY_GROUP',
    undefined,
    'GROUP_ID_NOT_FOUND',
  ]);
  expect(await list()).toHaveLength(2);
});

test('what cannot be understood is refused at the door, by name', async () => {
  await start();
  const { groups } = broker;
  const beat = async (change: Partial<v1.ConsumerGroupHeartbeatRequest>) =>
    errorCodeOf((await groups.consumerGroupHeartbeat(member('g', 'one').request(change))).error);
  expect(await beat({ groupId: '' })).toBe('INVALID_GROUP_ID');
  expect(await beat({ maxWaitMs: -1 })).toBe('INVALID_REQUEST');
  expect(broker.controller.internalTopicRequests).toEqual([]);
  await ready('g');
  expect(await beat({ memberId: '' })).toBe('INVALID_REQUEST');
  expect(await beat({ assignor: 'best' })).toBe('UNSUPPORTED_ASSIGNOR');
  expect(await beat({ subscription: { topics: ['a/b'], pattern: '' } })).toBe('INVALID_TOPIC_EXCEPTION');
  expect(await beat({ subscription: { topics: [], pattern: '(' } })).toBe('INVALID_REGULAR_EXPRESSION');
  expect(await beat({ memberEpoch: 4 })).toBe('UNKNOWN_MEMBER_ID');

  const commit = v1.CommitOffsetsRequest.create({ groupId: 'g' });
  expect(errorCodeOf((await groups.commitOffsets(commit)).error)).toBe('INVALID_REQUEST');
  const many = Array.from({ length: 10_001 }, (_, index) => `g${index}`);
  for (const groupIds of [[], many]) {
    const refused = { errorName: 'INVALID_REQUEST' };
    await expect(groups.describeGroups({ groupIds })).rejects.toMatchObject(refused);
    await expect(groups.deleteGroups({ groupIds })).rejects.toMatchObject(refused);
    await expect(groups.findCoordinator({ groupIds })).rejects.toMatchObject(refused);
  }
});

test('a member that says nothing of its clients is as it was', async () => {
  await start();
  await ready('g');
  const one = member('g', 'one', { clientId: 'tests' });
  await one.beat();
  await one.beat();
  const { groups } = await broker.groups.describeGroups({ groupIds: ['g'] });
  expect(groups[0]?.members).toMatchObject([{ clientId: 'tests', clientHost: 'local' }]);
});

test('FindCoordinator names the leader of the group’s partition, and makes the topic', async () => {
  await start();
  const groupIds = ['g', '', 'other'];
  const { coordinators } = await broker.groups.findCoordinator({ groupIds });
  expect(coordinators.map(({ brokerId, partition, error }) => [brokerId, partition, errorCodeOf(error)])).toEqual([
    [1, coordinatorPartition('g', 3), undefined],
    [-1, -1, 'INVALID_GROUP_ID'],
    [1, coordinatorPartition('other', 3), undefined],
  ]);
  expect(coordinators[0]?.address).toBe('127.0.0.1:2');
});

test('a heartbeat that has nothing to learn waits, and is answered when there is', async () => {
  await start({ config: { 'group.consumer.heartbeat.interval.ms': 40_000 } });
  await ready('g');
  const [one, two] = [member('g', 'one'), member('g', 'two')];
  await one.beat();
  const waiting = one.beat({ maxWaitMs: 30_000 });
  await eventually(() => broker.metrics.sample('barnabas_group_heartbeats_held') === 1, 'a heartbeat waits');
  await two.beat();
  await waiting;
  expect([one.partitions.length, two.partitions]).toEqual([2, []]);
  // Two waits for what one is about to confirm.
  const free = two.beat({ maxWaitMs: 30_000 });
  await one.beat();
  await free;
  expect(two.partitions).toHaveLength(2);
});
