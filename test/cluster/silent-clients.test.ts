/**
 * Members whose machines fall silent: packets vanish, no connection ends. Each is out of its group about a
 * session after it was last heard of, however it is a member: through a node that speaks for it or by itself.
 * Real processes. Needs a build.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BarnabasClient } from '@barnabas/client';
import type { Consumer } from '@barnabas/client';
import { systemClock, systemTimers } from '@barnabas/common/node';
import { v1 } from '@barnabas/protocol';
import { createConnector } from '@barnabas/rpc';
import type { Connector } from '@barnabas/rpc';
import { ChaosCluster } from '../chaos/cluster';
import { FaultyNetwork } from '../support/faulty-network';
import { until } from '../support/nodes';

const TOPIC = 'shared';
const PARTITIONS = 4;
const SESSION_MS = 5_000;
/** A busy machine; far less than the 30 s after which a server notices that a connection is dead. */
const SLACK_MS = 10_000;
const [LOST, HERE] = ['the lost machine', 'here'];

let dataDir: string;
let cluster: ChaosCluster | undefined;
let network: FaultyNetwork;
const closing: (() => Promise<void> | void)[] = [];

beforeEach(() => {
  dataDir = mkdtempSync(path.join(tmpdir(), 'barnabas-silent-'));
  network = new FaultyNetwork({ clock: systemClock, timers: systemTimers, whoDials: () => LOST });
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await network.close();
  await cluster?.close();
  rmSync(dataDir, { recursive: true, force: true });
});

/** Reaches every node through the network that falls silent. */
function lostConnector(ways: ReadonlyMap<string, string>): Connector {
  const inner = createConnector();
  closing.push(() => inner.close());
  return {
    channel: (address) => inner.channel(ways.get(address) ?? address),
    close: () => inner.close(),
  };
}

/** A thin client: its stream is its membership. Reads, and acknowledges. */
function subscribe(connector: Connector, address: string): () => number {
  const owned = new Set<number>();
  const stream = connector.channel(address).client(v1.GroupServiceDefinition).subscribe();
  stream.handle({
    onMessage: ({ response }) => {
      if (response?.$case === 'assigned') for (const { partition } of response.assigned.positions) owned.add(partition);
      if (response?.$case === 'revoked')
        for (const { partition } of response.revoked.partitions) owned.delete(partition);
      if (response?.$case !== 'records') return;
      const { topic, partition, nextOffset, leaderEpoch } = response.records;
      const positions = [{ topic, partition, offset: nextOffset, leaderEpoch, metadata: '' }];
      stream.write({ request: { $case: 'ack', ack: { positions } } });
    },
    onClose: () => owned.clear(),
  });
  const autoOffsetReset = v1.AutoOffsetReset.EARLIEST;
  const start = v1.SubscribeStart.create({ groupId: 'g', topics: [TOPIC], autoOffsetReset });
  stream.write({ request: { $case: 'start', start } });
  closing.push(() => stream.cancel());
  return () => owned.size;
}

function consume(client: BarnabasClient): Consumer {
  const consumer = client.consumer({ groupId: 'g', autoOffsetReset: 'earliest' });
  consumer.subscribe(TOPIC);
  const reading = (async () => {
    for await (const record of consumer) void record;
  })().catch(() => undefined);
  closing.push(async () => {
    await consumer.close(0);
    await reading;
  });
  return consumer;
}

function clientOf(options: ConstructorParameters<typeof BarnabasClient>[0]): BarnabasClient {
  const client = new BarnabasClient(options);
  closing.push(() => client.close(0));
  return client;
}

test.each([
  ['a Subscribe stream through a gateway', 'gateway'],
  ['a Subscribe stream through a broker', 'broker'],
  ['a member that speaks for itself', 'direct'],
] as const)(
  '%s that falls silent is out of its group when its session is over',
  async (_, how) => {
    const nodes = await ChaosCluster.start({
      shape: { controllers: 1, brokers: 1, gateways: 1 },
      dataDir,
      set: {
        'offsets.topic.num.partitions': 1,
        'offsets.topic.replication.factor': 1,
        'group.consumer.session.timeout.ms': SESSION_MS,
        'group.consumer.heartbeat.interval.ms': 500,
      },
      logLevel: 'warn',
      isDirect: true,
      onUnexpectedExit: () => undefined,
    });
    cluster = nodes;
    const ways = new Map<string, string>();
    for (const node of [...nodes.of('broker'), ...nodes.of('gateway')]) {
      ways.set(node.address, `127.0.0.1:${await network.open(HERE, node.port)}`);
    }
    const survivor = clientOf({ bootstrap: nodes.bootstrap });
    await survivor.admin().createTopics([{ name: TOPIC, partitions: PARTITIONS, replicationFactor: 1 }]);
    const producer = survivor.producer();
    for (let at = 0; at < 40; at++) await producer.send({ topic: TOPIC, partition: at % PARTITIONS, value: `${at}` });

    const connector = lostConnector(ways);
    const [node] = nodes.of(how === 'direct' ? 'broker' : how);
    const owned = how === 'direct' ? () => lost?.assignment().length ?? 0 : subscribe(connector, node?.address ?? '');
    const lost = how === 'direct' ? consume(clientOf({ bootstrap: nodes.bootstrap, connector })) : undefined;
    const other = consume(survivor);
    await until(() => Promise.resolve(owned() === 2 && other.assignment().length === 2));

    network.link(LOST, HERE).cut();
    network.link(HERE, LOST).cut();
    const begun = performance.now();
    await until(() => Promise.resolve(other.assignment().length === PARTITIONS));
    const tookMs = performance.now() - begun;
    expect(tookMs).toBeGreaterThan(SESSION_MS / 2);
    expect(tookMs).toBeLessThan(SESSION_MS + SLACK_MS);
  },
  180_000,
);
