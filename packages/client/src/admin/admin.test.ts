import type { BarnabasError } from '@barnabas/protocol';
import { Harness, onMethod, times } from '../testing/index.js';
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
  const specs = ['earliest', 'latest', 'max-timestamp', { timestamp: 15 }, { timestamp: 99 }] as const;
  const questions = specs.map((spec) => ({ topic: 't', partition: 0, spec }));
  const found = await harness.run(admin.listOffsets(questions));
  expect(found.map(({ offset }) => offset)).toEqual([0, 3, 0, 0, -1]);
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
