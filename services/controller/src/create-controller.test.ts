import { VirtualTime } from '@barnabas/common';
import { announcedFeatures } from '@barnabas/metadata';
import { ControllerDirectory, MetadataFollower } from '@barnabas/metadata/follower';
import type { internal } from '@barnabas/protocol';
import { v1 } from '@barnabas/protocol';
import { MemoryStoreFactory } from '@barnabas/store';
import { startController } from './test-kit/cluster.js';
import type { TestController } from './test-kit/cluster.js';

const UUID = 'AAAAAAAAQAAAgAAAAAAAAA';
const OTHER_UUID = 'BBBBBBBBQAAAgAAAAAAAAA';

let controller: TestController;
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
  return { brokerId, clusterId: '', incarnationId: UUID, ...says, ...change };
}

/** Registers a broker and lets it serve. */
async function join(brokerId: number, change: Partial<internal.RegisterBrokerRequest> = {}): Promise<number> {
  const { brokerEpoch } = await controller.client.registerBroker(registration(brokerId, change));
  const { fenced } = await heartbeat(brokerId, brokerEpoch);
  expect(fenced).toBe(false);
  return brokerEpoch;
}

function heartbeat(brokerId: number, brokerEpoch: number, change: Partial<internal.BrokerHeartbeatRequest> = {}) {
  const metadataOffset = Number.MAX_SAFE_INTEGER;
  const request = { brokerId, brokerEpoch, metadataOffset, wantFence: false, wantShutDown: false, ...change };
  return controller.client.brokerHeartbeat(request);
}

function createTopic(name: string, partitions: number, configs: Record<string, string> = {}) {
  const topic = v1.NewTopic.create({ name, partitions, configs });
  return controller.client.createTopics(v1.CreateTopicsRequest.create({ topics: [topic] }));
}

async function following(): Promise<MetadataFollower> {
  const follower = controller.follower();
  follower.start();
  await follower.ready;
  return follower;
}

test('a new cluster gets an id, brokers, topics, and followers see them', async () => {
  controller = await startController();
  const follower = await following();
  expect(follower.image.clusterId).toMatch(/^[A-Za-z0-9_-]{22}$/);
  expect(follower.image.features.get('metadata.version')).toBe(2);
  expect(follower.controllerId).toBe(1);

  await join(3);
  const { results, metadataOffset } = await createTopic('clicks', 1000, { 'retention.ms': '1000' });
  expect(results).toMatchObject([{ name: 'clicks', partitions: 1000, replicationFactor: 1, error: undefined }]);
  expect(await follower.waitFor((image) => image.offset >= metadataOffset, 5000)).toBe(true);
  const topic = follower.image.topics.named('clicks');
  expect(topic?.partitions).toHaveLength(1000);
  expect(topic?.partitions[999]).toMatchObject({
    replicas: [3],
    isr: [3],
    leader: 3,
    leaderEpoch: 0,
    partitionEpoch: 0,
  });
  expect(follower.image.configs.of({ type: 'topic', name: 'clicks' }).get('retention.ms')).toBe('1000');
});

test('everything is there after a restart, with and without snapshots', async () => {
  const store = new MemoryStoreFactory();
  const config = { 'metadata.log.max.record.bytes.between.snapshots': 1024 };
  controller = await startController({ store, config });
  await join(3);
  for (let index = 0; index < 50; index++) await createTopic(`t${index}`, 5);
  const before = (await following()).image;
  await controller.stop();

  controller = await startController({ store, config });
  const follower = await following();
  expect(follower.image.clusterId).toBe(before.clusterId);
  expect(follower.image.topics.size).toBe(50);
  for (const topic of before.topics.values()) expect(follower.image.topics.withId(topic.id)).toEqual(topic);
  // Its session began anew with the controller's leadership: it may go on as if nothing had happened.
  expect(follower.image.brokers.get(3)).toEqual(before.brokers.get(3));
});

test('a silent broker is fenced with its partitions; a new incarnation takes them back with new epochs', async () => {
  const clock = new VirtualTime();
  controller = await startController({ clock, config: { 'broker.session.timeout.ms': 20 } });
  const follower = await following();
  await join(3);
  await createTopic('clicks', 2);
  clock.advance(21);
  expect(await follower.waitFor((image) => image.brokers.get(3)?.fenced === true, 5000)).toBe(true);
  expect(follower.image.topics.named('clicks')?.partitions[1]).toMatchObject({ leader: -1, isr: [3], leaderEpoch: 1 });

  await join(3, { incarnationId: OTHER_UUID });
  expect(await follower.waitFor((image) => image.brokers.get(3)?.fenced === false, 5000)).toBe(true);
  expect(follower.image.topics.named('clicks')?.partitions[1]).toMatchObject({ leader: 3, isr: [3], leaderEpoch: 2 });
});

test('requests that come together are committed together, each on the state the one before it left', async () => {
  controller = await startController();
  await join(3);
  const answers = await Promise.all(Array.from({ length: 300 }, (_, index) => createTopic(`t${index % 200}`, 1)));
  const codes = answers.map(({ results }) => results[0]?.error?.code ?? 0);
  expect(codes.filter((code) => code === 0)).toHaveLength(200);
  expect(codes.filter((code) => code === v1.ErrorCode.TOPIC_ALREADY_EXISTS)).toHaveLength(100);
});

test('producer ids come in blocks that never overlap, also over a restart', async () => {
  const store = new MemoryStoreFactory();
  controller = await startController({ store });
  const brokerEpoch = await join(3);
  const request = { brokerId: 3, brokerEpoch };
  expect(await controller.client.allocateProducerIds(request)).toEqual({ firstProducerId: 0, count: 1000 });
  await controller.stop();
  controller = await startController({ store });
  expect(await controller.client.allocateProducerIds(request)).toEqual({ firstProducerId: 1000, count: 1000 });
  await expect(controller.client.allocateProducerIds({ brokerId: 3, brokerEpoch: 0 })).rejects.toMatchObject({
    errorName: 'STALE_BROKER_EPOCH',
  });
  await expect(controller.client.allocateProducerIds({ brokerId: 4, brokerEpoch })).rejects.toMatchObject({
    errorName: 'BROKER_ID_NOT_REGISTERED',
  });
});

test("another cluster's follower is refused", async () => {
  controller = await startController();
  const voters = [{ id: 1, host: '127.0.0.1', port: 7800 }];
  const { connector } = controller;
  const parts = { ...(await import('./test-kit/cluster.js')).environmentFor() };
  const follower = new MetadataFollower({
    connector,
    controllers: new ControllerDirectory(voters),
    nodeId: 9,
    clusterId: OTHER_UUID,
    ...parts,
  });
  follower.start();
  await expect(follower.failed).rejects.toMatchObject({ errorName: 'INCONSISTENT_CLUSTER_ID' });
});

test('the quorum can be described, and stopping refuses what waits', async () => {
  controller = await startController();
  expect(await controller.client.describeQuorum()).toMatchObject({
    leaderId: 1,
    voters: [{ id: 1, host: '127.0.0.1', port: 7800 }],
  });
  await controller.role.stop(0);
  await expect(
    controller.client.createTopics(v1.CreateTopicsRequest.create({}), { timeoutMs: 1 }),
  ).rejects.toMatchObject({
    errorName: 'NOT_CONTROLLER',
  });
});
