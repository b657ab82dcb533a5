/** Three brokers, three replicas: what was acknowledged survives its leader, and followers catch up. */
import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { BarnabasClient } from '@barnabas/client';
import type { RunningNode } from '@barnabas/cli/node';
import { createConnector } from '@barnabas/rpc';
import type { Connector } from '@barnabas/rpc';
import { v1 } from '@barnabas/protocol';
import { addressOf, Nodes, readAll, until } from '../support/nodes';
import { flip } from '../support/rot';

const BROKERS = [1, 2, 3];

let nodes: Nodes;
let connector: Connector;
let gateway: RunningNode;
let brokers: readonly RunningNode[];
let quorum: Readonly<Record<string, unknown>>;
let client: BarnabasClient;

const startBroker = (id: number) =>
  nodes.start({
    name: `broker-${id}`,
    roles: ['broker'],
    config: {
      ...quorum,
      'node.id': id,
      'broker.rack': `rack-${id}`,
      'replica.selector.class': 'RackAwareReplicaSelector',
      'broker.heartbeat.interval.ms': 100,
      'replica.lag.time.max.ms': 2_000,
    },
  });

beforeEach(async () => {
  nodes = new Nodes();
  connector = createConnector();
  const controller = await nodes.start({
    name: 'controller',
    roles: ['controller'],
    config: { 'broker.session.timeout.ms': 1_000 },
  });
  quorum = { 'controller.quorum.voters': `1@${addressOf(controller, 'controller')}` };
  brokers = await Promise.all(BROKERS.map(startBroker));
  gateway = await nodes.start({ name: 'gateway', roles: ['gateway'], config: { ...quorum, 'node.id': 9 } });
  client = nodes.client(gateway);
});
afterEach(async () => {
  connector?.close();
  await nodes?.close();
});

async function partitionOf(topic: string) {
  const request = v1.GetMetadataRequest.create({ topics: [topic] });
  const metadata = connector.channel(addressOf(gateway, 'gateway')).client(v1.MetadataServiceDefinition);
  const partition = (await metadata.getMetadata(request)).topics[0]?.partitions[0];
  if (partition === undefined) throw new Error(`there is no ${topic}`);
  return partition;
}

const isrIs = (topic: string, ids: readonly number[]) =>
  until(async () => [...(await partitionOf(topic)).isr].sort().join() === [...ids].sort().join());

async function produce(topic: string, from: number, to: number, prefix = ''): Promise<void> {
  const producer = client.producer({ acks: 'all' });
  const sent = [];
  for (let n = from; n < to; n++) sent.push(producer.send({ topic, partition: 0, value: `${prefix}${n}` }));
  await Promise.all(sent);
  await producer.close();
}

/** Flips a bit of a record on the disk of a broker that does not run. */
async function rot(brokerId: number, topic: string, value: string): Promise<void> {
  const logs = path.join(nodes.directory(`broker-${brokerId}`), 'broker');
  const directory = path.join(logs, readdirSync(logs).find((name) => name.startsWith(`${topic}-0.`)) ?? 'missing');
  await flip(directory, value);
}

const numbers = (to: number) => Array.from({ length: to }, (_, n) => `${n}`);

test('nothing acknowledged is lost when the leader dies, and it comes back into the ISR', async () => {
  await client
    .admin()
    .createTopics([{ name: 'orders', partitions: 1, replicationFactor: 3, configs: { 'min.insync.replicas': '2' } }]);
  await produce('orders', 0, 500);
  const first = await partitionOf('orders');
  expect([...first.isr].sort()).toEqual(BROKERS);
  const others = BROKERS.filter((id) => id !== first.leader);

  await nodes.stop(`broker-${first.leader}`, 0);
  await isrIs('orders', others);
  await produce('orders', 500, 1000);
  expect((await readAll(client, 'orders', 1)).map(({ value }) => value)).toEqual(numbers(1000));

  await startBroker(first.leader);
  await isrIs('orders', BROKERS);
  await produce('orders', 1000, 1500);

  // Each of them has everything: whoever is left can lead.
  for (const id of others) {
    await nodes.stop(`broker-${id}`, 0);
    await until(async () => !(await partitionOf('orders')).isr.includes(id));
  }
  await until(async () => (await partitionOf('orders')).leader === first.leader);
  expect((await readAll(client, 'orders', 1)).map(({ value }) => value)).toEqual(numbers(1500));
}, 60_000);

test('a replica that is corrupt is found when it is read, hands over, and is fetched again', async () => {
  await client
    .admin()
    .createTopics([{ name: 'rot', partitions: 1, replicationFactor: 3, configs: { 'min.insync.replicas': '2' } }]);
  await produce('rot', 0, 300, 'record ');
  const [leader, rotten, sound] = (await partitionOf('rot')).replicas as [number, number, number];
  await nodes.stop(`broker-${rotten}`, 5_000);
  await rot(rotten, 'rot', 'record 150');
  await startBroker(rotten);
  await isrIs('rot', BROKERS);

  await nodes.stop(`broker-${leader}`, 5_000);
  await until(async () => (await partitionOf('rot')).leader === rotten);
  const expected = numbers(300).map((n) => `record ${n}`);
  // The reader follows to the next leader and misses nothing.
  expect((await readAll(client, 'rot', 1)).map(({ value }) => value)).toEqual(expected);
  expect((await partitionOf('rot')).leader).toBe(sound);

  // Fetched anew, it may lead.
  await isrIs('rot', [rotten, sound]);
  await nodes.stop(`broker-${sound}`, 5_000);
  await until(async () => (await partitionOf('rot')).leader === rotten);
  expect((await readAll(client, 'rot', 1)).map(({ value }) => value)).toEqual(expected);
}, 60_000);

test('a replica whose files are gone does not count for what they held', async () => {
  await client.admin().createTopics([{ name: 'robbed', partitions: 1, replicationFactor: 2 }]);
  await produce('robbed', 0, 200);
  const [leader, robbed] = (await partitionOf('robbed')).replicas as [number, number];
  // Long enough for the checkpoint, which is what is left to tell of the loss.
  await nodes.stop(`broker-${robbed}`, 5_000);
  const logs = path.join(nodes.directory(`broker-${robbed}`), 'broker');
  for (const name of readdirSync(logs).filter((one) => one.startsWith('robbed-0.'))) {
    rmSync(path.join(logs, name), { recursive: true });
  }
  await startBroker(robbed);
  await isrIs('robbed', [leader, robbed]);
  await nodes.stop(`broker-${leader}`, 5_000);
  await until(async () => (await partitionOf('robbed')).leader === robbed);
  expect((await readAll(client, 'robbed', 1)).map(({ value }) => value)).toEqual(numbers(200));
}, 60_000);

/** The first thing that a broker says to a reader in a rack that is worth saying. */
async function read(broker: number, topic: string, rack: string | undefined): Promise<v1.FetchResponse> {
  const node = brokers[broker - 1];
  if (node === undefined) throw new Error(`there is no broker ${broker}`);
  const stream = connector.channel(addressOf(node, 'broker')).client(v1.LogServiceDefinition).fetch();
  const subscribe = v1.FetchSubscribe.create({ subscriptionId: 1, topic, rack });
  try {
    return await new Promise((resolve, reject) => {
      stream.handle({
        onMessage: (message) => {
          if (message.ended || message.batches.length > 0) resolve(message);
        },
        onClose: (error) => reject(error ?? new Error('the stream is over')),
      });
      stream.write({ request: { $case: 'subscribe', subscribe } });
      stream.write({ request: { $case: 'credit', credit: { bytes: 1000 } } });
    });
  } finally {
    stream.cancel();
  }
}

test('a reader reads from the replica in its rack, and records go from all replicas', async () => {
  await client.admin().createTopics([{ name: 'near', partitions: 1, replicationFactor: 3 }]);
  await produce('near', 0, 100);
  const { leader } = await partitionOf('near');
  const [near] = BROKERS.filter((id) => id !== leader) as [number];

  const sent = await read(leader, 'near', `rack-${near}`);
  expect(sent).toMatchObject({ ended: true, error: undefined, preferredReadReplica: near });
  const local = await read(leader, 'near', `rack-${leader}`);
  expect(local.batches.length).toBeGreaterThan(0);
  // It hears of the watermark without asking.
  await until(async () => (await read(near, 'near', `rack-${near}`)).batches.length > 0);
  const refused = await read(near, 'near', undefined);
  expect(refused.error?.code).toBe(v1.ErrorCode.NOT_LEADER_OR_FOLLOWER);

  const consumer = client.consumer({ clientRack: `rack-${near}`, autoOffsetReset: 'earliest' });
  await consumer.assign([{ topic: 'near', partition: 0, position: 'earliest' }]);
  const offsets: number[] = [];
  for await (const { offset } of consumer) if (offsets.push(offset) === 100) break;
  await consumer.close();
  expect(offsets).toEqual(numbers(100).map(Number));

  const gatewayChannel = connector.channel(addressOf(gateway, 'gateway'));
  const [described] = (
    await gatewayChannel.client(v1.AdminServiceDefinition).describeReplicas({
      topics: [{ topic: 'near', partitions: [] }],
    })
  ).results;
  expect(described).toMatchObject({ leader, highWatermark: 100, logEndOffset: 100, error: undefined });
  expect(described?.replicas.map(({ lag, inSync, logEndOffset }) => [lag, inSync, logEndOffset])).toEqual(
    BROKERS.map(() => [0, true, 100]),
  );

  const { results } = await gatewayChannel.client(v1.LogServiceDefinition).deleteRecords({
    entries: [{ topic: 'near', partition: 0, beforeOffset: 60 }],
  });
  expect(results[0]).toMatchObject({ logStartOffset: 60, error: undefined });
  const fromFollower = await read(near, 'near', `rack-${near}`);
  expect(fromFollower.error?.code).toBe(v1.ErrorCode.OFFSET_OUT_OF_RANGE);
}, 60_000);
