/** What brokers and administrators ask about replicas, over the network in memory and real Raft. */
import { VirtualTime } from '@barnabas/common';
import { announcedFeatures } from '@barnabas/metadata';
import { v1 } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import { startController } from './test-kit/cluster.js';
import type { TestController } from './test-kit/cluster.js';

const UUIDS = ['A', 'B', 'C', 'D'].map((letter) => `${letter.repeat(8)}QAAAgAAAAAAAAA`);
const { ErrorCode, ElectionType } = v1;

let controller: TestController;
const epochs = new Map<number, number>();

async function start(config: Readonly<Record<string, unknown>> = {}, clock = new VirtualTime()): Promise<void> {
  controller = await startController({ config, clock });
  for (const id of [1, 2, 3]) await join(id);
}

afterEach(() => controller.stop());

function registration(brokerId: number, change: Partial<internal.RegisterBrokerRequest> = {}) {
  const endpoints = [{ name: 'CLIENT', host: 'broker', port: 7700 + brokerId }];
  const says = {
    endpoints,
    rack: '',
    previousBrokerEpoch: -1,
    features: announcedFeatures(),
    flushIntervalMessages: 1,
  };
  return { brokerId, clusterId: '', incarnationId: UUIDS[brokerId] ?? '', ...says, ...change };
}

async function join(brokerId: number): Promise<void> {
  const { brokerEpoch } = await controller.client.registerBroker(registration(brokerId));
  epochs.set(brokerId, brokerEpoch);
  await heartbeat(brokerId);
}

function heartbeat(brokerId: number, change: Partial<internal.BrokerHeartbeatRequest> = {}) {
  const alive = { metadataOffset: Number.MAX_SAFE_INTEGER, wantFence: false, wantShutDown: false };
  return controller.client.brokerHeartbeat({ brokerId, brokerEpoch: epochs.get(brokerId) ?? -1, ...alive, ...change });
}

/** A topic of one partition; returns its id. */
async function createTopic(replicas: number[], configs: Record<string, string> = {}): Promise<string> {
  const topics = [v1.NewTopic.create({ name: 'a', assignments: [{ replicas }], configs })];
  const { results } = await controller.client.createTopics(v1.CreateTopicsRequest.create({ topics }));
  expect(results[0]?.error).toBeUndefined();
  return results[0]?.topicId ?? '';
}

function alter(topicId: string, leader: number, epochsOf: [number, number], isr: readonly number[]) {
  const [leaderEpoch, partitionEpoch] = epochsOf;
  const members = isr.map((brokerId) => ({ brokerId, brokerEpoch: epochs.get(brokerId) ?? -1 }));
  const partitions = [{ topicId, partition: 0, leaderEpoch, partitionEpoch, isr: members }];
  return controller.client.alterPartition({ brokerId: leader, brokerEpoch: epochs.get(leader) ?? -1, partitions });
}

test('a leader changes its ISR, a holder reports its replica, and followers of the log see it', async () => {
  await start();
  const topicId = await createTopic([1, 2, 3], { 'min.insync.replicas': '2' });
  const { results } = await alter(topicId, 1, [0, 0], [1]);
  expect(results).toEqual([
    {
      ...{ topicId, partition: 0, error: undefined, leader: 1, leaderEpoch: 0, isr: [1], partitionEpoch: 1 },
      eligibleLeaderReplicas: [2, 3],
    },
  ]);
  const again = await alter(topicId, 1, [0, 0], [1]);
  expect(again.results[0]?.error?.code).toBe(ErrorCode.INVALID_UPDATE_VERSION);
  const stale = controller.client.alterPartition({ brokerId: 1, brokerEpoch: 0, partitions: [] });
  await expect(stale).rejects.toMatchObject({ errorName: 'STALE_BROKER_EPOCH' });

  const { metadataOffset } = await controller.client.reportOfflineReplicas({
    ...{ brokerId: 1, brokerEpoch: epochs.get(1) ?? -1, replicas: [{ topicId, partition: 0, leaderEpoch: 0 }] },
  });
  const follower = controller.follower();
  follower.start();
  expect(await follower.waitFor((image) => image.offset >= metadataOffset, 5000)).toBe(true);
  expect(follower.image.topics.partition(topicId, 0)).toMatchObject({
    ...{ leader: 2, leaderEpoch: 1, isr: [2], eligibleLeaderReplicas: [3], offlineReplicas: [1], partitionEpoch: 2 },
  });
});

test('reassignments begin, are listed and end', async () => {
  await start();
  const topicId = await createTopic([1, 2]);
  const request = v1.AlterPartitionReassignmentsRequest.create({
    partitions: [{ topic: 'a', partition: 0, replicas: [3, 2] }],
  });
  expect((await controller.client.alterPartitionReassignments(request)).results[0]?.error).toBeUndefined();
  const list = () => controller.client.listPartitionReassignments({ topics: [] });
  expect(await list()).toEqual({
    reassignments: [{ topic: 'a', partition: 0, replicas: [3, 2, 1], addingReplicas: [3], removingReplicas: [1] }],
  });
  const { results } = await alter(topicId, 1, [0, 1], [1, 2, 3]);
  expect(results[0]).toMatchObject({ error: { code: ErrorCode.NEW_LEADER_ELECTED }, leader: 3, isr: [2, 3] });
  expect(await list()).toEqual({ reassignments: [] });
});

test('leaders are elected on request', async () => {
  await start();
  const topicId = await createTopic([1, 2]);
  const elect = (type: v1.ElectionType) => controller.client.electLeaders({ type, topics: [], timeoutMs: 0 });
  await heartbeat(1, { wantFence: true });
  await heartbeat(1);
  expect((await elect(ElectionType.PREFERRED)).results).toMatchObject([
    { topic: 'a', partition: 0, leader: 2, error: { code: ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE } },
  ]);
  await alter(topicId, 2, [1, 1], [2, 1]);
  expect((await elect(ElectionType.PREFERRED)).results).toEqual([
    { topic: 'a', partition: 0, leader: 1, error: undefined },
  ]);
});

test('a broker is emptied, then forgotten', async () => {
  const clock = new VirtualTime();
  await start({}, clock);
  await createTopic([1, 2]);
  const decommission = (cancel: boolean) => controller.client.decommissionBroker({ brokerId: 1, cancel, timeoutMs: 0 });
  expect(await decommission(false)).toMatchObject({ remainingPartitions: 1, stuck: [] });
  const { reassignments } = await controller.client.listPartitionReassignments({ topics: [] });
  expect(reassignments).toMatchObject([{ addingReplicas: [3], removingReplicas: [1] }]);
  const unregister = () => controller.client.unregisterBroker({ brokerId: 1, timeoutMs: 0 });
  await expect(unregister()).rejects.toMatchObject({ errorName: 'INVALID_REQUEST' });
  expect(await decommission(true)).toMatchObject({ remainingPartitions: 1, stuck: [] });
  expect(await controller.client.listPartitionReassignments({ topics: [] })).toEqual({ reassignments: [] });
});

test('features are told and changed', async () => {
  await start();
  expect(await controller.client.describeFeatures({})).toEqual({
    features: [{ name: 'metadata.version', level: 2, minSupported: 1, maxSupported: 2 }],
  });
  const update = (level: number, allowDowngrade: boolean) => {
    const updates = [{ name: 'metadata.version', level, allowDowngrade }];
    return controller.client.updateFeatures({ updates, validateOnly: false, timeoutMs: 0 });
  };
  await expect(update(3, false)).rejects.toMatchObject({ errorName: 'FEATURE_UPDATE_FAILED' });
  await update(1, true);
  expect((await controller.client.describeFeatures({})).features[0]?.level).toBe(1);
  await update(2, false);
  expect((await controller.client.describeFeatures({})).features[0]?.level).toBe(2);
});
