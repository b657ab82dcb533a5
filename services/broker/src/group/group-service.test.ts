/** The unary calls of GroupService at one broker, over memory disks and the local network. */
import { CONSUMER_OFFSETS_TOPIC, coordinatorPartition, v1 } from '@barnabas/protocol';
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
