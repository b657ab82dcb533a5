import { ERRORS, v1 } from '@barnabas/protocol';
import type { ErrorName } from '@barnabas/protocol';
import { createConnector, LocalNetwork } from '@barnabas/rpc';
import { silentLogger } from '@barnabas/common';
import { PrometheusMetrics, systemClock, systemRandom, systemTimers } from '@barnabas/common/node';
import { gatewayConfig } from './config.js';
import { createGateway } from './gateway.js';
import { batchEntry, batchOf, CLUSTER_ID, request, settled, TestCluster } from './test-kit/index.js';

const code = (name: ErrorName) => ERRORS[name].code;

let cluster: TestCluster;
afterEach(() => cluster.close());

const http = async (path: string): Promise<[number, string]> => {
  const response = await fetch(`http://127.0.0.1:${cluster.gateway.httpPort}${path}`);
  return [response.status, await response.text()];
};

test('serves metadata, admin and configuration as a broker does', async () => {
  cluster = await new TestCluster().start(2);
  cluster.controller.createTopic('clicks', [1, 2]);
  const metadata = await cluster.metadata.getMetadata({
    topics: [],
    allowAutoTopicCreation: false,
    brokersOnly: false,
  });
  expect(metadata.clusterId).toBe(CLUSTER_ID);
  expect(metadata.brokers.map(({ id }) => id)).toEqual([1, 2]);
  expect(metadata.topics.map(({ name }) => name)).toEqual(['clicks']);
  await cluster.admin.createTopics({
    topics: [v1.NewTopic.create({ name: 'new' })],
    validateOnly: false,
    timeoutMs: 0,
  });
  expect(cluster.controller.adminRequests).toEqual(['create new']);
  const { results } = await cluster.admin.describeConfigs({
    resources: [{ type: v1.ConfigResourceType.BROKER, name: '2' }],
    keys: [],
  });
  expect(results[0]?.entries).toMatchObject([{ key: 'node.id', value: '2' }]);
});

test('asks each leader for its offsets, and puts answers and errors in order', async () => {
  cluster = await new TestCluster().start(2);
  cluster.controller.createTopic('clicks', [1, 2]);
  cluster.broker(2).append('clicks', 1, batchOf('a', 'b'));
  const latest = (topic: string, partition: number) => ({
    topic,
    partition,
    spec: { $case: 'latest' as const, latest: true },
  });
  const { results } = await cluster.log.listOffsets({
    entries: [latest('clicks', 1), latest('nowhere', 0), latest('clicks', 0), latest('clicks', 2), latest('a/b', 0)],
    isolationLevel: v1.IsolationLevel.UNSPECIFIED,
  });
  expect(results.map(({ topic, partition, offset, error }) => [topic, partition, offset, error?.code])).toEqual([
    ['clicks', 1, 2, undefined],
    ['nowhere', 0, -1, code('UNKNOWN_TOPIC_OR_PARTITION')],
    ['clicks', 0, 0, undefined],
    ['clicks', 2, -1, code('UNKNOWN_TOPIC_OR_PARTITION')],
    ['a/b', 0, -1, code('INVALID_TOPIC_EXCEPTION')],
  ]);
});

test('asks for no offsets of a partition whose leader it has not heard of yet', async () => {
  cluster = await new TestCluster().start(1);
  cluster.controller.createTopic('clicks', [1]);
  cluster.broker(1).append('clicks', 0, batchOf('a', 'b'));
  const ask = async (currentLeaderEpoch: number) => {
    const entries = [{ topic: 'clicks', partition: 0, spec: { $case: 'atOffset' as const, atOffset: 1 } }];
    const request = { entries: entries.map((entry) => ({ ...entry, currentLeaderEpoch })), isolationLevel: 0 };
    return (await cluster.log.listOffsets(request)).results[0];
  };
  expect(await ask(-1)).toMatchObject({ offset: 1, error: undefined });
  expect((await ask(9))?.error?.code).toBe(code('UNKNOWN_LEADER_EPOCH'));
});

test('says LEADER_NOT_AVAILABLE when nobody leads in the caller’s time', async () => {
  cluster = await new TestCluster().start(1);
  cluster.controller.createTopic('clicks', [-1]);
  const entries = [{ topic: 'clicks', partition: 0, spec: { $case: 'earliest' as const, earliest: true } }];
  // The gateway gives its own answer before the caller gives up.
  const { results } = await cluster.log.listOffsets({ entries, isolationLevel: 0 }, { timeoutMs: 400 });
  expect(results[0]?.error?.code).toBe(code('LEADER_NOT_AVAILABLE'));
});

test('deletes records at their leaders', async () => {
  cluster = await new TestCluster().start(2);
  cluster.controller.createTopic('clicks', [1, 2]);
  cluster.broker(1).append('clicks', 0, batchOf('a', 'b'));
  const { results } = await cluster.log.deleteRecords({
    entries: [
      { topic: 'clicks', partition: 0, beforeOffset: 1 },
      { topic: 'nowhere', partition: 0, beforeOffset: 1 },
    ],
  });
  expect(results).toMatchObject([
    { partition: 0, logStartOffset: 1, error: undefined },
    { logStartOffset: -1, error: { code: code('UNKNOWN_TOPIC_OR_PARTITION') } },
  ]);
  await expect(
    cluster.log.deleteRecords({ entries: new Array(10_001).fill({ topic: 'x', partition: 0, beforeOffset: 0 }) }),
  ).rejects.toMatchObject({ errorName: 'INVALID_REQUEST' });
});

test('takes producer ids from whichever broker answers', async () => {
  cluster = await new TestCluster().start(2);
  const first = await cluster.log.initProducerId({});
  const second = await cluster.log.initProducerId({});
  expect(second.producerId).not.toBe(first.producerId);
  cluster.kill(cluster.broker(1));
  const third = await cluster.log.initProducerId({});
  expect(Math.floor(third.producerId / 1000)).toBe(2);
});

test('says that it is not ready until it knows its cluster, and again when it stops', async () => {
  cluster = new TestCluster();
  const early = cluster.gateway.start({ host: 'gateway.invalid', port: 7600 });
  while (cluster.gateway.httpPort === undefined) await new Promise((resolve) => setImmediate(resolve));
  const [status] = await http('/health/live');
  expect(status).toBe(200);
  await early;
  expect(await http('/health/ready')).toEqual([200, '{"status":"ready"}']);
  const [, page] = await http('/metrics');
  expect(page).toContain('barnabas_gateway_readers 0');
  expect((await http('/nothing'))[0]).toBe(404);
  const port = cluster.gateway.httpPort;
  await cluster.gateway.stop(0);
  await expect(fetch(`http://127.0.0.1:${port}/health/live`)).rejects.toThrow();
});

test('is not ready while no controller answers, and refuses calls until then', async () => {
  cluster = new TestCluster();
  const local = new LocalNetwork();
  const environment = {
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    logger: silentLogger,
    metrics: new PrometheusMetrics({ processMetrics: false }),
  };
  const connector = createConnector({ local });
  const config = gatewayConfig.parse({ 'controller.quorum.voters': '1@127.0.0.1:1', 'http.port': 0 });
  const gateway = createGateway({ config, environment, connector });
  local.register('alone.invalid:1', gateway.services);
  const starting = gateway.start({ host: 'alone.invalid', port: 1 });
  while (gateway.httpPort === undefined) await new Promise((resolve) => setImmediate(resolve));
  const ready = await fetch(`http://127.0.0.1:${gateway.httpPort}/health/ready`);
  expect(ready.status).toBe(503);
  expect(await ready.json()).toEqual({ status: 'not ready', reason: 'starting' });
  const metrics = await fetch(`http://127.0.0.1:${gateway.httpPort}/metrics`);
  expect(metrics.status).toBe(404);
  const log = connector.channel('alone.invalid:1').client(v1.LogServiceDefinition);
  const { results } = await log.produce(request(batchEntry('clicks', 0, batchOf('x'))));
  expect(results[0]?.error?.code).toBe(code('BROKER_NOT_AVAILABLE'));
  await gateway.stop(0);
  await expect(starting).rejects.toMatchObject({ errorName: 'BROKER_NOT_AVAILABLE' });
  connector.close();
});

test('cannot be given a port that is taken', async () => {
  cluster = await new TestCluster().start(1);
  const other = new TestCluster({ 'http.port': cluster.gateway.httpPort });
  await expect(other.gateway.start({ host: 'gateway.invalid', port: 7600 })).rejects.toMatchObject({
    errorName: 'INVALID_CONFIG',
  });
  await other.close();
});

test('ends with a fault when its controllers turn out to be of another cluster', async () => {
  cluster = await new TestCluster().start(1);
  cluster.controller.write({ $case: 'clusterId', clusterId: { clusterId: 'another' } });
  await expect(cluster.gateway.failed).rejects.toBeInstanceOf(Error);
});

test('counts what passes', async () => {
  cluster = await new TestCluster().start(1);
  cluster.controller.createTopic('clicks', [1]);
  await cluster.log.produce(request(batchEntry('clicks', 0, batchOf('x')), batchEntry('made-up', 0, batchOf('x'))));
  await settled();
  const page = await cluster.metrics.expose();
  expect(page).toContain('barnabas_gateway_produce_entries_total{topic="clicks"} 1');
  expect(page).toContain('barnabas_gateway_failed_produce_entries_total{error="UNKNOWN_TOPIC_OR_PARTITION"} 1');
  expect(page).not.toContain('made-up');
});
