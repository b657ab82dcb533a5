/** One role each: a controller, three brokers, two gateways, every one a node with its own directory. */
import { createConnector } from '@barnabas/rpc';
import type { Connector } from '@barnabas/rpc';
import type { RunningNode } from '@barnabas/cli/node';
import { v1 } from '@barnabas/protocol';
import { addressOf, Nodes, readAll } from '../support/nodes';

const PARTITIONS = 6;
const BROKERS = [1, 2, 3];

let nodes: Nodes;
let quorum: Readonly<Record<string, unknown>>;
let gateways: readonly RunningNode[];
let connector: Connector;

const startBroker = (id: number) =>
  nodes.start({ name: `broker-${id}`, roles: ['broker'], config: { ...quorum, 'node.id': id } });

beforeAll(async () => {
  nodes = new Nodes();
  connector = createConnector();
  const controller = await nodes.start({ name: 'controller', roles: ['controller'] });
  quorum = { 'controller.quorum.voters': `1@${addressOf(controller, 'controller')}` };
  await Promise.all(BROKERS.map(startBroker));
  gateways = await Promise.all(
    [1, 2].map((id) =>
      nodes.start({ name: `gateway-${id}`, roles: ['gateway'], config: { ...quorum, 'node.id': id } }),
    ),
  );
});
afterAll(async () => {
  connector?.close();
  await nodes?.close();
});

function gateway(number: 1 | 2): RunningNode {
  const node = gateways[number - 1];
  if (node === undefined) throw new Error('there are two gateways');
  return node;
}

const logOf = (node: RunningNode) => connector.channel(addressOf(node, 'gateway')).client(v1.LogServiceDefinition);

const thin = (topic: string, partition: number, values: readonly string[]) =>
  v1.ProduceEntry.create({
    topic,
    partition,
    payload: {
      $case: 'records',
      records: { records: values.map((value) => v1.Record.create({ value: Buffer.from(value) })) },
    },
  });

/** What a thin client is given by Consume, up to the end. */
async function consumeThin(node: RunningNode, topic: string): Promise<string[]> {
  const request = v1.ConsumeRequest.create({
    topic,
    start: { position: { $case: 'earliest', earliest: true } },
    stopAtEnd: true,
  });
  const stream = logOf(node).consume(request);
  const values: string[] = [];
  await new Promise<void>((resolve, reject) =>
    stream.handle({
      onMessage: ({ records }) => {
        for (const { partition, value } of records) values.push(`${partition}:${Buffer.from(value ?? []).toString()}`);
      },
      onClose: (error) => (error === undefined ? resolve() : reject(error)),
    }),
  );
  return values;
}

const byPartition = (values: readonly string[]) => [...values].sort((a, b) => Number(a[0]) - Number(b[0]));

test('the partitions of a topic are spread over the brokers, and both gateways know', async () => {
  const admin = nodes.client(gateway(1)).admin();
  await admin.createTopics([{ name: 'spread', partitions: PARTITIONS }]);
  for (const number of [1, 2] as const) {
    const client = nodes.client(gateway(number));
    await client.router.view.ensureTopic('spread', { timeoutMs: 5_000, allowAutoTopicCreation: false });
    const [topic] = await client.admin().describeTopics(['spread']);
    const leaders = topic?.partitions.map(({ leader }) => leader) ?? [];
    for (const broker of BROKERS) expect(leaders.filter((leader) => leader === broker)).toHaveLength(2);
  }
});

test('what goes in by one gateway, as records, comes out of the other, and straight from the leaders', async () => {
  const client = nodes.client(gateway(2));
  await client.admin().createTopics([{ name: 'thin', partitions: PARTITIONS }]);
  const expected: string[] = [];
  const entries = Array.from({ length: PARTITIONS }, (_, partition) => {
    const values = ['a', 'b', 'c'].map((value) => `${value}${partition}`);
    expected.push(...values.map((value) => `${partition}:${value}`));
    return thin('thin', partition, values);
  });
  const { results } = await logOf(gateway(1)).produce(v1.ProduceRequest.create({ entries }));
  expect(results.map(({ partition, baseOffset, error }) => [partition, baseOffset, error])).toEqual(
    entries.map((_, partition) => [partition, 0, undefined]),
  );
  expect(byPartition(await consumeThin(gateway(2), 'thin'))).toEqual(expected);
  const direct = await readAll(client, 'thin', PARTITIONS);
  expect(direct.map(({ partition, value }) => `${partition}:${value}`)).toEqual(expected);
});

test('what the TypeScript client sends straight to the leaders, or by a gateway, comes out everywhere', async () => {
  const direct = nodes.client(gateway(1));
  const routed = nodes.client(gateway(2), { route: 'bootstrap' });
  await direct.admin().createTopics([{ name: 'keyed', partitions: PARTITIONS }]);
  for (const [name, client] of [
    ['direct', direct],
    ['routed', routed],
  ] as const) {
    const producer = client.producer();
    const sent = Array.from({ length: 300 }, (_, n) =>
      producer.send({ topic: 'keyed', key: `key-${n % 17}`, value: `${name} ${n}` }),
    );
    expect(new Set((await Promise.all(sent)).map(({ partition }) => partition)).size).toBe(PARTITIONS);
  }
  const found = await readAll(direct, 'keyed', PARTITIONS);
  expect(found).toHaveLength(600);
  expect(await readAll(routed, 'keyed', PARTITIONS)).toEqual(found);
  for (let key = 0; key < 17; key++) {
    const ofKey = found.filter((record) => record.key === `key-${key}`);
    expect(new Set(ofKey.map(({ partition }) => partition)).size).toBe(1);
    const numbers = Array.from({ length: 300 }, (_, n) => n).filter((n) => n % 17 === key);
    expect(ofKey.map(({ value }) => value)).toEqual(
      ['direct', 'routed'].flatMap((name) => numbers.map((n) => `${name} ${n}`)),
    );
  }
});

test('a broker that is restarted keeps its data and goes on, while a producer keeps sending', async () => {
  const client = nodes.client(gateway(1));
  await client.admin().createTopics([{ name: 'kept', partitions: PARTITIONS }]);
  const producer = client.producer();
  const send = (round: string) =>
    Promise.all(
      Array.from({ length: PARTITIONS }, (_, partition) =>
        producer.send({ topic: 'kept', partition, value: `${round} ${partition}` }),
      ),
    );
  await send('before');
  await nodes.stop('broker-2');
  const during = send('during');
  await startBroker(2);
  expect((await during).map(({ offset }) => offset)).toEqual(Array.from({ length: PARTITIONS }, () => 1));
  expect((await readAll(client, 'kept', PARTITIONS)).map(({ partition, value }) => [partition, value])).toEqual(
    Array.from({ length: PARTITIONS }, (_, partition) => [
      [partition, `before ${partition}`],
      [partition, `during ${partition}`],
    ]).flat(),
  );
});

test('a watch of the metadata sees a topic come and go', async () => {
  const stream = connector
    .channel(addressOf(gateway(2), 'gateway'))
    .client(v1.MetadataServiceDefinition)
    .watchMetadata(v1.WatchMetadataRequest.create({}));
  const seen = new Watched<v1.WatchMetadataResponse>();
  stream.handle({ onMessage: (message) => seen.add(message), onClose: () => {} });
  const first = await seen.first(({ full }) => full);
  expect(first.brokers.map(({ id, fenced }) => [id, fenced]).sort()).toEqual(BROKERS.map((id) => [id, false]));

  const admin = nodes.client(gateway(1)).admin();
  const [created] = await admin.createTopics([{ name: 'watched', partitions: 2 }]);
  const came = await seen.first(({ topics }) => topics.some(({ name }) => name === 'watched'));
  expect(came.topics.find(({ name }) => name === 'watched')).toMatchObject({ topicId: created?.topicId });
  await admin.deleteTopics(['watched']);
  const went = await seen.first(({ removedTopics }) => removedTopics.includes('watched'));
  expect(went.metadataOffset).toBeGreaterThan(came.metadataOffset);
  stream.cancel();
});

test('a configuration that is altered takes effect: larger batches are refused, and then taken again', async () => {
  const client = nodes.client(gateway(1));
  const admin = client.admin();
  await admin.createTopics([{ name: 'limited', partitions: 1 }]);
  const large = 'x'.repeat(5_000);
  const produce = () => client.producer({ lingerMs: 0 }).send({ topic: 'limited', value: large });
  expect((await produce()).offset).toBe(0);

  const resource = { type: 'topic', name: 'limited' } as const;
  await admin.incrementalAlterConfigs([{ resource, ops: [{ key: 'max.message.bytes', value: '1000' }] }]);
  // The broker follows the metadata log; until it has seen the change it takes what it took before.
  const refused = await eventually(produce, (outcome) => outcome instanceof Error);
  expect(refused).toMatchObject({ errorName: 'MESSAGE_TOO_LARGE' });
  expect(String(refused)).toMatch(/max\.message\.bytes|1000/);

  await admin.incrementalAlterConfigs([{ resource, ops: [{ key: 'max.message.bytes', op: 'delete' }] }]);
  await eventually(produce, (outcome) => !(outcome instanceof Error));
});

/** Does it again until what comes of it, a value or an error, is as wanted. */
async function eventually<T>(act: () => Promise<T>, wanted: (outcome: unknown) => boolean): Promise<unknown> {
  for (;;) {
    const outcome: unknown = await act().catch((error: unknown) => error);
    if (wanted(outcome)) return outcome;
  }
}

/** What a stream has delivered, to be waited for. */
class Watched<T> {
  readonly #messages: T[] = [];
  readonly #waiting: (() => void)[] = [];

  add(message: T): void {
    this.#messages.push(message);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async first(matches: (message: T) => boolean): Promise<T> {
    for (;;) {
      const found = this.#messages.find(matches);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}
