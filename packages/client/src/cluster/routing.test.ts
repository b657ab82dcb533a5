/** Leaders directly, through a gateway, and around addresses that cannot be reached. */
import type { Logger } from '@barnabas/common';
import { silentLogger } from '@barnabas/common';
import type { BarnabasError, v1 } from '@barnabas/protocol';
import { BarnabasClient } from '../client.js';
import type { ClientOptions } from '../options/client-options.js';
import { GATEWAY_ID, Harness, onMethod, settle } from '../testing/index.js';
import type { HarnessOptions } from '../testing/index.js';
import { callLeaders } from './leader-calls.js';

let harness: Harness;

afterEach(() => harness.close());

function start(options: HarnessOptions = {}): Harness {
  harness = new Harness({ brokers: 2, topics: { t: 2 }, ...options });
  return harness;
}

/** Nodes that have had produce and fetch messages. */
function nodesOf(...methods: string[]): Set<number> {
  const nodes = new Set<number>();
  harness.cluster.intercept(({ nodeId, method }) => {
    if (methods.includes(method)) nodes.add(nodeId);
    return undefined;
  });
  return nodes;
}

async function produceAndConsume(): Promise<void> {
  const producer = harness.client.producer({ lingerMs: 0 });
  const consumer = harness.client.consumer();
  const partitions = [0, 1].map((partition) => ({ topic: 't', partition }));
  await harness.run(Promise.all(partitions.map((partition) => producer.send({ ...partition, value: 'v' }))));
  const assigned = partitions.map((partition) => ({ ...partition, position: 'earliest' as const }));
  await harness.run(consumer.assign(assigned));
  const iterator = consumer[Symbol.asyncIterator]();
  for (const _ of partitions) expect((await harness.run(iterator.next())).done).toBe(false);
}

test('requests go to the leaders although the bootstrap is a gateway', async () => {
  start({ bootstrap: 'gateway' });
  const nodes = nodesOf('ProduceStream', 'Fetch', 'ListOffsets');
  await produceAndConsume();
  expect(nodes).toEqual(new Set([1, 2]));
});

test('with route bootstrap everything goes through the gateway', async () => {
  start({ bootstrap: 'gateway', client: { route: 'bootstrap' } });
  const nodes = nodesOf('ProduceStream', 'Fetch', 'ListOffsets', 'GetMetadata', 'InitProducerId');
  await produceAndConsume();
  expect(nodes).toEqual(new Set([GATEWAY_ID]));
});

test('brokers that cannot be reached are served through the gateway, with a warning', async () => {
  const warnings: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (message) => warnings.push(message), child: () => logger };
  harness = new Harness({ brokers: 2, topics: { t: 2 } });
  const { cluster, environment } = harness;
  const options: ClientOptions = { bootstrap: cluster.gatewayAddress, connector: cluster.connector };
  const client = new BarnabasClient({ ...options, environment: { ...environment, logger } });
  cluster.setReachable(1, false);
  cluster.setReachable(2, false);
  const producer = client.producer({ lingerMs: 0 });
  const nodes = nodesOf('ProduceStream');
  await harness.run(producer.send({ topic: 't', partition: 0, value: '0' }));
  expect(nodes).toEqual(new Set([GATEWAY_ID]));
  expect(warnings).toContain('a broker cannot be reached at its advertised address: going through the bootstrap');
  // After a while the direct way is tried again.
  cluster.setReachable(1, true);
  environment.time.advance(60_000);
  await harness.run(producer.send({ topic: 't', partition: 0, value: '1' }));
  expect(nodes).toEqual(new Set([GATEWAY_ID, 1]));
  expect(cluster.records('t', 0)).toHaveLength(2);
  await harness.run(client.close());
});

test('a broker as bootstrap does not pass requests on, so there is no way round for long', async () => {
  start({ brokers: 2, topics: { t: 2 } });
  harness.cluster.setReachable(2, false);
  const producer = harness.client.producer({ lingerMs: 0 });
  const nodes = nodesOf('ProduceStream');
  const sent = producer.send({ topic: 't', partition: 1, value: 'v' });
  for (let round = 0; round < 20; round++) {
    await settle();
    harness.environment.time.advance(100);
  }
  expect(harness.cluster.records('t', 1)).toHaveLength(0);
  harness.cluster.setReachable(2, true);
  await harness.run(sent);
  expect(nodes.has(2)).toBe(true);
});

test('a broker that does not answer is found out in connection set-up time, not in request time', async () => {
  start({ brokers: 1, client: { socketConnectionSetupTimeoutMs: 50 }, bootstrap: 'gateway' });
  harness.cluster.intercept((request) =>
    request.nodeId === 1 && request.method === 'GetMetadata' ? { kind: 'drop' } : undefined,
  );
  const nodes = nodesOf('ProduceStream');
  const producer = harness.client.producer({ lingerMs: 0 });
  await harness.run(producer.send({ topic: 't', partition: 0, value: 'v' }));
  expect(nodes).toEqual(new Set([GATEWAY_ID]));
});

describe('calls to leaders', () => {
  function offsetsOf(entries: readonly { topic: string; partition: number }[], timeoutMs = 5_000) {
    const { router } = harness.client;
    return harness.run(
      callLeaders(router, {
        entries,
        timeoutMs,
        send: (channel, asked) =>
          Promise.resolve(asked.map(({ partition }) => ({ address: channel.address, partition, error: undefined }))),
      }),
    );
  }

  test('are split by leader and answered in the order asked', async () => {
    start();
    const entries = [1, 0, 1].map((partition) => ({ topic: 't', partition }));
    expect(await offsetsOf(entries)).toMatchObject([
      { address: 'broker-2.fake:7700', partition: 1 },
      { address: 'broker-1.fake:7700', partition: 0 },
      { address: 'broker-2.fake:7700', partition: 1 },
    ]);
  });

  test('each entry fails for itself', async () => {
    start();
    const entries = [
      { topic: 't', partition: 0 },
      { topic: 't', partition: 7 },
      { topic: 'none', partition: 0 },
    ];
    const [good, noPartition, noTopic] = await offsetsOf(entries, 2_000);
    expect(good).toMatchObject({ partition: 0 });
    expect((noPartition as BarnabasError).message).toContain('has 2 partitions');
    expect((noTopic as BarnabasError).errorName).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  });

  test('follow a leader that moves while metadata is late', async () => {
    start();
    const admin = harness.client.admin();
    const question = { topic: 't', partition: 0, spec: 'latest' } as const;
    await harness.run(admin.listOffsets([question]));
    harness.cluster.freezeMetadata();
    harness.cluster.moveLeader('t', 0, 2);
    const asking = admin.listOffsets([question]);
    await settle(20);
    harness.cluster.thawMetadata();
    expect((await harness.run(asking))[0]?.offset).toBe(0);
  });

  test('say which leader they are meant for, and are not answered by one of the past', async () => {
    start();
    harness.cluster.moveLeader('t', 0, 2);
    const epochs: (number | undefined)[] = [];
    harness.cluster.intercept(({ method, message }) => {
      if (method !== 'ListOffsets') return undefined;
      epochs.push((message as v1.ListOffsetsRequest).entries[0]?.currentLeaderEpoch);
      return epochs.length === 1 ? { kind: 'error', error: 'UNKNOWN_LEADER_EPOCH' } : undefined;
    });
    const asking = harness.client.admin().listOffsets([{ topic: 't', partition: 0, spec: 'latest' }]);
    expect((await harness.run(asking))[0]?.offset).toBe(0);
    expect(epochs).toEqual([1, 1]);
  });

  test('give up at their time', async () => {
    start();
    harness.cluster.intercept(onMethod('ListOffsets', { kind: 'error', error: 'LEADER_NOT_AVAILABLE' }));
    const asking = harness.client
      .admin()
      .listOffsets([{ topic: 't', partition: 0, spec: 'latest' }], { timeoutMs: 700 });
    await expect(harness.run(asking)).rejects.toMatchObject({ errorName: 'LEADER_NOT_AVAILABLE' });
  });

  test('tell of a corrupt log long before their time is up, but not at the first word of it', async () => {
    start();
    let asked = 0;
    let isCorrupt = true;
    harness.cluster.intercept(({ method }) => {
      if (method !== 'ListOffsets') return undefined;
      asked += 1;
      return isCorrupt ? { kind: 'error', error: 'KAFKA_STORAGE_ERROR' } : undefined;
    });
    const { clock } = harness.environment;
    const begun = clock.monotonic();
    const ask = () => harness.client.admin().listOffsets([{ topic: 't', partition: 0, spec: 'latest' }]);
    await expect(harness.run(ask())).rejects.toMatchObject({ errorName: 'KAFKA_STORAGE_ERROR' });
    expect(asked).toBe(5);
    expect(clock.monotonic() - begun).toBeLessThan(10_000);
    // Another replica takes the lead meanwhile.
    asked = 0;
    const asking = ask();
    await settle(20);
    isCorrupt = false;
    expect(asked).toBeGreaterThan(0);
    expect((await harness.run(asking))[0]?.offset).toBe(0);
  });
});
