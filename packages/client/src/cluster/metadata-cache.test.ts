import { BarnabasError, v1 } from '@barnabas/protocol';
import { CONNECTION_OPTIONS } from '../options/connection-options.js';
import type { ConnectionOptions } from '../options/connection-options.js';
import { resolveOptions } from '../options/option-table.js';
import { FakeCluster, onMethod, runUntil, settle, testEnvironment, times } from '../testing/index.js';
import type { FakeClusterOptions } from '../testing/index.js';
import { ClusterRouter } from './cluster-router.js';
import { MetadataCache } from './metadata-cache.js';
import { NodePool } from './node-pool.js';

let cluster: FakeCluster;
let cache: MetadataCache;
let pool: NodePool;
const environment = testEnvironment();

function start(
  given: FakeClusterOptions & { readonly topics?: Record<string, number> },
  mode: 'all' | 'asked' = 'asked',
  options: Partial<ConnectionOptions> = {},
): MetadataCache {
  cluster = new FakeCluster(given);
  const resolved = resolveOptions('client', CONNECTION_OPTIONS, options);
  pool = new NodePool({ bootstrap: cluster.bootstrap, connector: cluster.connector, environment, options: resolved });
  cache = new MetadataCache({ pool, environment, options: resolved, topics: mode });
  cache.start();
  return cache;
}

afterEach(() => {
  cache.close();
  pool.close();
  cluster.close();
});

/** Counts requests of a method. */
function counter(method: string): () => number {
  let count = 0;
  cluster.intercept((request) => {
    if (request.method === method) count++;
    return undefined;
  });
  return () => count;
}

function ensure(topic: string, timeoutMs = 1_000) {
  return runUntil(environment, cache.ensureTopic(topic, { timeoutMs, allowAutoTopicCreation: false }));
}

/** Until the watch covers what has been asked for. */
async function watched(): Promise<void> {
  environment.time.advance(100);
  await settle();
}

test('knows a topic once it has been asked for, and hears of its changes', async () => {
  start({ brokers: 2, topics: { t: 2, other: 1 } });
  expect(cache.topic('t')).toBeUndefined();
  expect((await ensure('t')).partitions.map(({ leader }) => leader)).toEqual([1, 2]);
  expect(cache.broker(2)?.address).toBe('broker-2.fake:7700');
  await watched();
  const asked = counter('GetMetadata');
  let changes = 0;
  const stop = cache.onChange(() => changes++);
  cluster.moveLeader('t', 0, 2);
  await settle();
  expect(cache.topic('t')?.partitions[0]).toMatchObject({ leader: 2, leaderEpoch: 1 });
  cluster.addPartitions('t', 3);
  await settle();
  expect(cache.topic('t')?.partitions).toHaveLength(3);
  cluster.deleteTopic('t');
  await settle();
  expect(cache.topic('t')).toBeUndefined();
  expect(cache.topic('other')).toBeUndefined();
  expect(changes).toBe(3);
  expect(asked()).toBe(0);
  stop();
});

test('one that watches all topics need not ask', async () => {
  start({ topics: { a: 1, b: 1 } }, 'all');
  await settle();
  expect([...cache.topics.keys()]).toEqual(['a', 'b']);
  expect(cache.clusterId).toBe('fake-cluster');
  cluster.createTopic('c');
  await settle();
  expect(cache.topic('c')).toBeDefined();
});

test('goes on watching at another node when one stops', async () => {
  start({ brokers: 3, topics: { t: 1 } });
  await ensure('t');
  await watched();
  cluster.stopBroker(1);
  for (let round = 0; round < 10; round++) await watched();
  cluster.moveLeader('t', 0, 3);
  await settle();
  expect(cache.topic('t')?.partitions[0]?.leader).toBe(3);
  expect(cache.broker(1)?.fenced).toBe(true);
});

test('asks where there is no watch, at once when something is stale and otherwise at metadata.max.age.ms', async () => {
  start({ topics: { t: 1 }, brokers: 2 }, 'asked', { metadataMaxAgeMs: 10_000 });
  cluster.intercept(onMethod('WatchMetadata', { kind: 'error', error: 'UNSUPPORTED_VERSION' }));
  await ensure('t');
  await watched();
  cluster.moveLeader('t', 0, 2);
  await watched();
  expect(cache.topic('t')?.partitions[0]?.leader).toBe(1);
  cache.requestRefresh();
  cache.requestRefresh();
  const asked = counter('GetMetadata');
  await watched();
  expect(asked()).toBe(1);
  expect(cache.topic('t')?.partitions[0]?.leader).toBe(2);
  cluster.moveLeader('t', 0, 1);
  environment.time.advance(11_000);
  await settle();
  environment.time.advance(200);
  await settle();
  expect(cache.topic('t')?.partitions[0]?.leader).toBe(1);
});

test('asks no more often than retry.backoff.ms however many ask it to', async () => {
  start({ topics: { t: 1 } }, 'asked', { retryBackoffMs: 100 });
  await ensure('t');
  await watched();
  const asked = counter('GetMetadata');
  for (let round = 0; round < 100; round++) {
    cache.requestRefresh();
    environment.time.advance(10);
    await settle(1);
  }
  expect(asked()).toBeGreaterThan(5);
  expect(asked()).toBeLessThanOrEqual(11);
});

test('never goes back to what an older answer says', async () => {
  start({ brokers: 2, topics: { t: 1 } });
  await ensure('t');
  await watched();
  cluster.freezeMetadata();
  cluster.moveLeader('t', 0, 2);
  cluster.thawMetadata();
  await settle();
  expect(cache.topic('t')?.partitions[0]?.leader).toBe(2);
  // A node that lags behind is asked.
  const stale = v1.GetMetadataResponse.create({
    clusterId: 'fake-cluster',
    metadataOffset: 1,
    topics: [{ name: 't', partitions: [{ partition: 0, leader: 1 }] }],
  });
  const client = cluster.connector.channel(pool.address).client(v1.MetadataServiceDefinition);
  const original = client.getMetadata;
  Object.assign(client, { getMetadata: () => Promise.resolve(stale) });
  await cache.refresh();
  Object.assign(client, { getMetadata: original });
  expect(cache.topic('t')?.partitions[0]?.leader).toBe(2);
  expect(cache.broker(1)).toBeDefined();
});

test('refuses a node of another cluster', async () => {
  start({ topics: { t: 1 } });
  await ensure('t');
  const other = v1.GetMetadataResponse.create({ clusterId: 'other', metadataOffset: 99 });
  const client = cluster.connector.channel(pool.address).client(v1.MetadataServiceDefinition);
  const original = client.getMetadata;
  Object.assign(client, { getMetadata: () => Promise.resolve(other) });
  await expect(cache.refresh()).rejects.toMatchObject({ errorName: 'INCONSISTENT_CLUSTER_ID' });
  Object.assign(client, { getMetadata: original });
  expect(cache.topic('t')).toBeDefined();
});

test('ensureTopic gives up at its time, and at once where asking again is no use', async () => {
  start({});
  const began = environment.time.monotonic();
  await expect(ensure('none', 1_000)).rejects.toMatchObject({ errorName: 'UNKNOWN_TOPIC_OR_PARTITION' });
  expect(environment.time.monotonic() - began).toBeLessThan(1_200);
  cluster.intercept(times(1, onMethod('GetMetadata', { kind: 'error', error: 'TOPIC_AUTHORIZATION_FAILED' })));
  const refused = cache.ensureTopic('none', { timeoutMs: 60_000, allowAutoTopicCreation: false });
  await expect(refused).rejects.toBeInstanceOf(BarnabasError);
});

test('ensureTopic survives nodes that are gone', async () => {
  start({ brokers: 3, topics: { t: 1 } });
  cluster.stopBroker(1);
  cluster.stopBroker(2);
  expect((await ensure('t')).name).toBe('t');
});

describe('a leader that a node has named', () => {
  const t0 = { topic: 't', partition: 0 };
  const refusals: [string, () => BarnabasError][] = [
    ['names an earlier epoch', () => notLeader(1, 0)],
    ['knows of no such epoch', () => new BarnabasError('UNKNOWN_LEADER_EPOCH', 'the epoch is ahead')],
  ];

  function notLeader(leader: number, leaderEpoch: number): BarnabasError {
    return new BarnabasError('NOT_LEADER_OR_FOLLOWER', 'another leads', { leader, leaderEpoch });
  }

  const broker = (brokerId: number) => ({ brokerId, address: `broker-${brokerId}.fake:7700`, isDirect: true });
  const leader = () => cache.topic('t')?.partitions[0];

  async function learned(): Promise<ClusterRouter> {
    start({ brokers: 2, topics: { t: 1 } });
    await ensure('t');
    const options = resolveOptions('client', CONNECTION_OPTIONS, {});
    const router = new ClusterRouter({ view: cache, pool, environment, options });
    router.reportRefusal(broker(1), t0, notLeader(2, 7));
    expect(leader()).toMatchObject({ leader: 2, leaderEpoch: 7 });
    return router;
  }

  test.each(refusals)('of a topic that was deleted is forgotten when he %s', async (_name, refusal) => {
    const router = await learned();
    router.reportRefusal(broker(2), t0, refusal());
    expect(leader()).toMatchObject({ leader: 1, leaderEpoch: 0 });
    router.close();
  });

  test('is believed although another one, and metadata, know only of those before', async () => {
    const router = await learned();
    router.reportRefusal(broker(1), t0, notLeader(1, 3));
    await watched();
    expect(leader()).toMatchObject({ leader: 2, leaderEpoch: 7 });
    router.close();
  });
});
