import { BarnabasError } from '@barnabas/protocol';
import { fakeController, Harness, onMethod, times } from '../testing/index.js';
import type { HarnessOptions } from '../testing/index.js';
import type { Admin } from './admin.js';
import { PartialFailureError } from './partial-failure.js';

let harness: Harness;

afterEach(() => harness.close());

function start(options: HarnessOptions = {}): Admin {
  harness = new Harness({ brokers: 2, ...options });
  return harness.client.admin();
}

function failureOf(promise: Promise<unknown>): Promise<BarnabasError> {
  const caught = promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: BarnabasError) => error,
  );
  return harness.run(caught);
}

test('topics are created, listed, described, widened and deleted', async () => {
  const admin = start();
  const created = await harness.run(
    admin.createTopics([{ name: 'b', partitions: 3, configs: { 'retention.ms': '5' } }, { name: 'a' }]),
  );
  expect(created).toMatchObject([
    { name: 'b', partitions: 3 },
    { name: 'a', partitions: 1 },
  ]);
  expect((await harness.run(admin.listTopics())).map(({ name }) => name)).toEqual(['a', 'b']);
  const [described] = await harness.run(admin.describeTopics(['b']));
  expect(described?.partitions.map(({ leader }) => leader)).toEqual([1, 2, 1]);
  await harness.run(admin.createPartitions([{ name: 'b', totalCount: 5 }]));
  expect(harness.cluster.partitionCount('b')).toBe(5);
  expect(await harness.run(admin.deleteTopics(['b']))).toMatchObject([{ name: 'b' }]);
  expect((await failureOf(admin.describeTopics(['b']))).errorName).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  expect(await harness.run(admin.describeTopics([]))).toEqual([]);
});

test('validateOnly changes nothing', async () => {
  const admin = start();
  await harness.run(admin.createTopics([{ name: 't' }], { validateOnly: true }));
  expect(await harness.run(admin.listTopics())).toEqual([]);
  expect((await failureOf(admin.createTopics([{ name: 'no/slash' }], { validateOnly: true }))).errorName).toBe(
    'INVALID_TOPIC_EXCEPTION',
  );
});

test('one failure is thrown as it is; among several it stands for all and tells of each', async () => {
  const admin = start({ topics: { t: 1 } });
  const alone = await failureOf(admin.createTopics([{ name: 't' }]));
  expect(alone.errorName).toBe('TOPIC_ALREADY_EXISTS');
  expect(alone).not.toBeInstanceOf(PartialFailureError);
  const failure = await failureOf(admin.createTopics([{ name: 'fresh' }, { name: 't' }]));
  expect(failure).toBeInstanceOf(PartialFailureError);
  expect(failure.errorName).toBe('TOPIC_ALREADY_EXISTS');
  expect(failure.message).toContain('1 of 2 failed');
  expect((failure as PartialFailureError<unknown>).results[0]).toMatchObject({ name: 'fresh' });
});

test('what failed for one reason is said once', () => {
  const failure = (text: string) => new BarnabasError('PREFERRED_LEADER_NOT_AVAILABLE', text);
  const first = failure('wait');
  const many = new PartialFailureError(first, [first, 'fine', failure('wait'), failure('other')]);
  const of = 'PREFERRED_LEADER_NOT_AVAILABLE: ';
  expect(many.message).toBe(`3 of 4 failed. ${of}wait (2 times); ${of}other`);
  const different = Array.from({ length: 8 }, (_, index) => failure(`reason ${index}`));
  expect(new PartialFailureError(first, different).message).toMatch(/reason 4; and 3 more$/);
});

test('configurations are described and altered', async () => {
  const admin = start({ topics: { t: 1 } });
  const resource = { type: 'topic', name: 't' } as const;
  const alter = (ops: Parameters<Admin['incrementalAlterConfigs']>[0][0]['ops']): Promise<void> =>
    harness.run(admin.incrementalAlterConfigs([{ resource, ops }]));
  await alter([
    { key: 'retention.ms', value: '5' },
    { key: 'cleanup.policy', op: 'append', value: 'delete' },
  ]);
  await alter([
    { key: 'retention.ms', op: 'delete' },
    { key: 'cleanup.policy', op: 'append', value: 'compact' },
  ]);
  const [described] = await harness.run(admin.describeConfigs([resource]));
  expect(described).toMatchObject({
    resource,
    entries: [{ key: 'cleanup.policy', value: 'delete,compact', source: 'DYNAMIC_TOPIC_CONFIG' }],
  });
  const [none] = await harness.run(admin.describeConfigs([resource], { keys: ['retention.ms'] }));
  expect(none?.entries).toEqual([]);
  const missing = { type: 'topic', name: 'none' } as const;
  expect((await failureOf(admin.describeConfigs([missing]))).errorName).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  await harness.run(
    admin.incrementalAlterConfigs([{ resource: { type: 'broker', name: '1' }, ops: [{ key: 'k', value: 'v' }] }]),
  );
});

test('the cluster is described', async () => {
  const description = await harness.run(start().describeCluster());
  expect(description).toMatchObject({ clusterId: 'fake-cluster', controllerId: 1 });
  expect(description.brokers.map(({ address }) => address)).toEqual(['broker-1.fake:7700', 'broker-2.fake:7700']);
  expect(description.controllers).toEqual([{ id: 1, address: 'controller-1.fake:7800' }]);
});

test('offsets are found at both ends and by time, and records deleted', async () => {
  const admin = start({ topics: { t: 2 } });
  const producer = harness.client.producer({ lingerMs: 0 });
  const sent = [30, 10, 20].map((timestamp) => producer.send({ topic: 't', partition: 0, value: 'v', timestamp }));
  await harness.run(Promise.all(sent));
  const byTime = [{ timestamp: 15 }, { timestamp: 99 }] as const;
  const specs = ['earliest', 'latest', 'max-timestamp', ...byTime, { atOffset: 1 }, { atOffset: 3 }] as const;
  const questions = specs.map((spec) => ({ topic: 't', partition: 0, spec }));
  const found = await harness.run(admin.listOffsets(questions));
  expect(found.map(({ offset, timestamp }) => [offset, timestamp])).toEqual([
    ...[
      [0, -1],
      [3, -1],
      [0, 30],
      [0, 30],
      [-1, -1],
      [1, 10],
      [-1, -1],
    ],
  ]);
  expect(await harness.run(admin.deleteRecords([{ topic: 't', partition: 0, beforeOffset: 2 }]))).toEqual([
    { topic: 't', partition: 0, logStartOffset: 2 },
  ]);
  const tooFar = admin.deleteRecords([{ topic: 't', partition: 0, beforeOffset: 9 }]);
  expect((await failureOf(tooFar)).errorName).toBe('OFFSET_OUT_OF_RANGE');
});

test('calls survive nodes that are gone and pass on what does not pass', async () => {
  const admin = start();
  harness.cluster.stopBroker(1);
  await harness.run(admin.createTopics([{ name: 't' }]));
  harness.cluster.intercept(times(2, onMethod('CreateTopics', { kind: 'error', error: 'NOT_CONTROLLER' })));
  await harness.run(admin.createTopics([{ name: 'u' }]));
  harness.cluster.intercept(onMethod('CreateTopics', { kind: 'error', error: 'CLUSTER_AUTHORIZATION_FAILED' }));
  expect((await failureOf(admin.createTopics([{ name: 'v' }]))).errorName).toBe('CLUSTER_AUTHORIZATION_FAILED');
});

test('with nobody there a call fails at its time', async () => {
  const admin = start();
  harness.cluster.stopBroker(1);
  harness.cluster.stopBroker(2);
  const began = harness.environment.time.monotonic();
  expect((await failureOf(admin.listTopics({ timeoutMs: 2_000 }))).errorName).toBe('NETWORK_EXCEPTION');
  expect(harness.environment.time.monotonic() - began).toBeLessThan(2_200);
});

test('a closed client refuses', async () => {
  const admin = start();
  await harness.run(harness.client.close());
  expect((await failureOf(admin.listTopics())).errorName).toBe('INVALID_REQUEST');
  expect(() => harness.client.producer()).toThrow('closed');
});

describe('replicas', () => {
  const spread = async (admin: Admin) => {
    await harness.run(admin.createTopics([{ name: 't', partitions: 2, replicationFactor: 2 }]));
  };

  test('a reassignment is begun, listed, cancelled, and seen in metadata', async () => {
    const admin = start({ brokers: 3 });
    await spread(admin);
    const move = (replicas: readonly number[] | null) =>
      harness.run(admin.alterPartitionReassignments([{ topic: 't', partition: 0, replicas }]));
    await move([3, 2]);
    const ongoing = { topic: 't', partition: 0, replicas: [3, 2, 1], addingReplicas: [3], removingReplicas: [1] };
    expect(await harness.run(admin.listPartitionReassignments())).toEqual([ongoing]);
    expect(await harness.run(admin.listPartitionReassignments({ topics: [{ topic: 't', partitions: [1] }] }))).toEqual(
      [],
    );
    const [described] = await harness.run(admin.describeTopics(['t']));
    expect(described?.partitions[0]).toMatchObject({ replicas: [3, 2, 1], addingReplicas: [3], removingReplicas: [1] });
    await move(null);
    expect(await harness.run(admin.listPartitionReassignments())).toEqual([]);
    expect((await failureOf(move(null))).errorName).toBe('NO_REASSIGNMENT_IN_PROGRESS');
    // On the wire, no brokers at all would mean a cancellation.
    expect((await failureOf(move([]))).errorName).toBe('INVALID_REPLICA_ASSIGNMENT');
  });

  test('leaders are elected; that it is not needed is no failure, that it is impossible is one', async () => {
    const admin = start({ brokers: 3 });
    await spread(admin);
    harness.cluster.moveLeader('t', 0, 2);
    expect(await harness.run(admin.electLeaders('preferred', { topics: [{ topic: 't' }] }))).toEqual([
      { topic: 't', partition: 0, leader: 1, elected: true },
      { topic: 't', partition: 1, leader: 2, elected: false },
    ]);
    expect(await harness.run(admin.electLeaders('preferred'))).toEqual([]);
    harness.cluster.moveLeader('t', 1, 3);
    harness.cluster.stopBroker(2);
    const elect = admin.electLeaders('preferred', { topics: [{ topic: 't', partitions: [1] }] });
    expect((await failureOf(elect)).errorName).toBe('PREFERRED_LEADER_NOT_AVAILABLE');
    harness.cluster.moveLeader('t', 1, 2);
    expect(await harness.run(admin.electLeaders('unclean', { topics: [{ topic: 't', partitions: [1] }] }))).toEqual([
      { topic: 't', partition: 1, leader: 3, elected: true },
    ]);
  });

  test('how far replicas are is told where leaders can be asked, and why not elsewhere', async () => {
    const admin = start({ brokers: 3 });
    await spread(admin);
    const { replicas } = harness.cluster;
    replicas.of(harness.cluster.partition('t', 0)).lag.set(2, 0);
    harness.cluster.moveLeader('t', 1, -1);
    const told = await harness.run(admin.describeReplicas());
    expect(told).toMatchObject([
      {
        partition: 0,
        leader: 1,
        highWatermark: 0,
        error: undefined,
        replicas: [{ brokerId: 1 }, { brokerId: 2, lag: 0 }],
      },
      { partition: 1, leader: -1, logEndOffset: -1, error: { errorName: 'LEADER_NOT_AVAILABLE' } },
    ]);
    expect(await harness.run(admin.describeReplicas({ topics: [{ topic: 't', partitions: [1] }] }))).toHaveLength(1);
  });
});

test('a broker is emptied, then stopped, then forgotten', async () => {
  const admin = start({ topics: { t: 4 } });
  expect(await harness.run(admin.decommissionBroker(2))).toEqual({ remainingPartitions: 2, stuck: [] });
  expect((await harness.run(admin.describeCluster())).brokers).toMatchObject([
    { id: 1, decommissioning: false },
    { id: 2, decommissioning: true },
  ]);
  expect((await failureOf(admin.unregisterBroker(2))).errorName).toBe('INVALID_REQUEST');
  for (const partition of [1, 3]) harness.cluster.replicas.set(harness.cluster.partition('t', partition), [1]);
  expect((await harness.run(admin.decommissionBroker(2))).remainingPartitions).toBe(0);
  harness.cluster.stopBroker(2);
  await harness.run(admin.unregisterBroker(2));
  expect((await harness.run(admin.describeCluster())).brokers.map(({ id }) => id)).toEqual([1]);
  expect((await failureOf(admin.decommissionBroker(2))).errorName).toBe('BROKER_ID_NOT_REGISTERED');
  await harness.run(admin.decommissionBroker(1));
  await harness.run(admin.decommissionBroker(1, { cancel: true }));
  expect((await harness.run(admin.describeCluster())).brokers).toMatchObject([{ decommissioning: false }]);
});

test('the quorum is described, grows, hands over, shrinks', async () => {
  const admin = start();
  const { quorum } = harness.cluster;
  quorum.observers = [fakeController(2, { lag: 3 }), fakeController(3, { directoryId: 'new' })];
  expect(await harness.run(admin.describeQuorum())).toMatchObject({
    ...{ clusterId: 'fake-cluster', leaderId: 1, leaderEpoch: 1 },
    voters: [{ id: 1, directoryId: 'directory-1', address: 'controller-1.fake:7800' }],
    observers: [{ id: 2, lag: 3 }, { id: 3 }],
  });
  await harness.run(admin.addVoter({ id: 2 }));
  await harness.run(admin.addVoter({ id: 3, directoryId: 'new', address: '[::1]:7801' }));
  expect(quorum.voters).toMatchObject([{ id: 1 }, { id: 2 }, { id: 3, host: '::1', port: 7801 }]);
  expect((await harness.run(admin.describeCluster())).controllers).toHaveLength(3);
  expect((await failureOf(admin.addVoter({ id: 3 }))).errorName).toBe('DUPLICATE_VOTER');
  for (const address of ['nothing', ':1', 'host:0', 'host:x']) {
    expect((await failureOf(admin.addVoter({ id: 4, address }))).message).toContain('give host:port');
  }
  expect(await harness.run(admin.transferQuorumLeadership(3))).toEqual({ leaderId: 3 });
  expect((await harness.run(admin.transferQuorumLeadership(undefined))).leaderId).not.toBe(3);
  expect((await failureOf(admin.removeVoter({ id: 3, directoryId: 'other' }))).errorName).toBe('VOTER_NOT_FOUND');
  await harness.run(admin.removeVoter({ id: 3, directoryId: 'new' }));
  expect(quorum.voters.map(({ id }) => id)).toEqual([1, 2]);
});

test('features are described and change, all or none', async () => {
  const admin = start();
  const { features } = harness.cluster.quorum;
  features.set('metadata.version', { level: 1, minSupported: 1, maxSupported: 3 });
  features.set('other', { level: 2, minSupported: 0, maxSupported: 2 });
  await harness.run(admin.updateFeatures([{ name: 'metadata.version', level: 2 }], { validateOnly: true }));
  expect(await harness.run(admin.describeFeatures())).toEqual([
    { name: 'metadata.version', level: 1, minSupported: 1, maxSupported: 3 },
    { name: 'other', level: 2, minSupported: 0, maxSupported: 2 },
  ]);
  const updates = [
    { name: 'metadata.version', level: 2 },
    { name: 'other', level: 0 },
  ];
  expect((await failureOf(admin.updateFeatures(updates))).errorName).toBe('FEATURE_UPDATE_FAILED');
  await harness.run(admin.updateFeatures(updates.map((update) => ({ ...update, allowDowngrade: true }))));
  expect([features.get('metadata.version')?.level, features.get('other')?.level]).toEqual([2, 0]);
});
