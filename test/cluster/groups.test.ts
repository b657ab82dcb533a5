/**
 * Consumers of TypeScript in groups, against real coordinators: they share partitions, one leaves, one dies, the
 * coordinator dies, a handler is slow, an application does not come back. Every record is handled at least once,
 * in order in each partition but for what is done again after a loss.
 */
import type { BarnabasClient, Consumer, ConsumerOptions, ConsumerRecord } from '@barnabas/client';
import { CONSUMER_OFFSETS_TOPIC, coordinatorPartition } from '@barnabas/protocol';
import { createConnector } from '@barnabas/rpc';
import type { Connector } from '@barnabas/rpc';
import { addressOf, Nodes, until } from '../support/nodes';

const PARTITIONS = 6;
const SESSION_MS = 3_000;
const GROUP = 'g';

let nodes: Nodes;
let clients: BarnabasClient[];
/** Closed, whoever talks through it is cut off from one moment to the next, as when its process is killed. */
let cuttable: Connector;
let quorum: Readonly<Record<string, unknown>>;

beforeEach(async () => {
  nodes = new Nodes();
  const controller = await nodes.start({
    name: 'controller',
    roles: ['controller'],
    config: { 'broker.session.timeout.ms': 1_000 },
  });
  quorum = { 'controller.quorum.voters': `1@${addressOf(controller, 'controller')}` };
  const config = {
    ...quorum,
    'broker.heartbeat.interval.ms': 100,
    'replica.lag.time.max.ms': 2_000,
    'offsets.topic.num.partitions': 4,
    'group.consumer.session.timeout.ms': SESSION_MS,
    'group.consumer.heartbeat.interval.ms': 300,
  };
  const brokers = await Promise.all(
    [1, 2, 3].map((id) =>
      nodes.start({ name: `broker-${id}`, roles: ['broker'], config: { ...config, 'node.id': id } }),
    ),
  );
  // Each consumer has a client of its own, as it has in a process of its own.
  const bootstrap = brokers.map((broker) => broker.bootstrap ?? '').join(',');
  cuttable = createConnector();
  clients = Array.from({ length: 4 }, (_, index) =>
    nodes.client({ bootstrap }, index === 2 ? { connector: cuttable } : { clientId: `c${index}` }),
  );
  await client(0)
    .admin()
    .createTopics([
      { name: 't', partitions: PARTITIONS, replicationFactor: 3, configs: { 'min.insync.replicas': '2' } },
    ]);
}, 60_000);
afterEach(async () => {
  await nodes?.close();
  cuttable?.close();
}, 60_000);

function client(index: number): BarnabasClient {
  return clients[index] as BarnabasClient;
}

/** Handles records in a run, and writes down what it was told and what it handled. */
class Worker {
  readonly handled: { partition: number; offset: number }[] = [];
  readonly told: string[] = [];
  readonly consumer: Consumer;
  readonly ended: Promise<unknown>;
  handle: (record: ConsumerRecord) => void | Promise<void> = () => undefined;

  constructor(of: BarnabasClient, options: ConsumerOptions = {}) {
    this.consumer = of.consumer({ groupId: GROUP, autoOffsetReset: 'earliest', autoCommitIntervalMs: 100, ...options });
    const note = (what: string) => (partitions: readonly { partition: number }[]) => {
      this.told.push(
        `${what}${partitions
          .map(({ partition }) => partition)
          .sort()
          .join('')}`,
      );
    };
    this.consumer.subscribe('t', { onAssigned: note('+'), onRevoked: note('-'), onLost: note('!') });
    this.ended = this.consumer
      .run({
        concurrency: PARTITIONS,
        eachRecord: async (record) => {
          await this.handle(record);
          this.handled.push({ partition: record.partition, offset: record.offset });
        },
      })
      .then(
        () => undefined,
        (error: unknown) => error,
      );
  }

  get owned(): number[] {
    return this.consumer
      .assignment()
      .map(({ partition }) => partition)
      .sort();
  }
}

/** Writes so many records to each partition. */
async function produce(count: number): Promise<void> {
  const producer = client(0).producer({ acks: 'all' });
  const sent = [];
  for (let n = 0; n < count * PARTITIONS; n++)
    sent.push(producer.send({ topic: 't', partition: n % PARTITIONS, value: `${n}` }));
  await Promise.all(sent);
  await producer.close();
}

function share(...workers: readonly Worker[]): Promise<void> {
  return until(() => {
    const owned = workers.flatMap((worker) => worker.owned);
    const isFair = workers.every((worker) => worker.owned.length >= Math.floor(PARTITIONS / workers.length));
    return Promise.resolve(isFair && owned.length === PARTITIONS && new Set(owned).size === PARTITIONS);
  });
}

function handledBy(workers: readonly Worker[]): string[] {
  return workers.flatMap(({ handled }) => handled.map(({ partition, offset }) => `${partition}/${offset}`));
}

function everything(count: number): string[] {
  const offsets = Array.from({ length: count }, (_, offset) => offset);
  return Array.from({ length: PARTITIONS }, (_, partition) => offsets.map((offset) => `${partition}/${offset}`)).flat();
}

/** All of them have been handled. Returns how many were handled more than once. */
async function allHandled(count: number, ...workers: readonly Worker[]): Promise<number> {
  const all = everything(count);
  await until(() => {
    const seen = new Set(handledBy(workers));
    return Promise.resolve(all.every((name) => seen.has(name)));
  });
  return handledBy(workers).length - all.length;
}

/** In each partition a worker goes forward, and back only when it was given the partition anew. */
function expectOrder(worker: Worker): void {
  const given = worker.told.filter((line) => line.startsWith('+'));
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const offsets = worker.handled.filter((one) => one.partition === partition).map(({ offset }) => offset);
    const stepsBack = offsets.filter((offset, at) => at > 0 && offset <= (offsets[at - 1] ?? -1)).length;
    const times = given.filter((line) => line.includes(`${partition}`)).length;
    expect(stepsBack).toBeLessThanOrEqual(Math.max(0, times - 1));
  }
}

async function committed(): Promise<readonly (number | undefined)[]> {
  const asker = client(0).consumer({ groupId: GROUP });
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: 't', partition }));
  const offsets = await asker.committed(partitions);
  await asker.close();
  return offsets.map((one) => one?.offset);
}

test('consumers share, one leaves and nothing comes twice, one dies and nothing is missed', async () => {
  await produce(100);
  const [one, two] = [new Worker(client(1)), new Worker(client(2))];
  await share(one, two);
  const three = new Worker(client(3));
  await share(one, two, three);
  await produce(100);
  await allHandled(200, one, two, three);
  await three.consumer.close();
  await share(one, two);
  await produce(100);
  // Joining and leaving in good order costs no record a second handling.
  expect(await allHandled(300, one, two, three)).toBe(0);

  // It dies: no commit, no good-bye. The group waits for its session.
  const dies = two;
  dies.handle = () => new Promise(() => undefined);
  await produce(20);
  const diedAt = performance.now();
  cuttable.close();
  await until(() => Promise.resolve(one.owned.length === PARTITIONS));
  expect(performance.now() - diedAt).toBeGreaterThan(SESSION_MS / 2);
  await allHandled(320, one, two, three);
  for (const worker of [one, two, three]) expectOrder(worker);
  await one.consumer.close();
  expect(await committed()).toEqual(Array.from({ length: PARTITIONS }, () => 320));
}, 90_000);

test('the coordinator dies, and the group goes on with its members, its offsets and its partitions', async () => {
  await produce(50);
  const [one, two] = [new Worker(client(1)), new Worker(client(2))];
  await share(one, two);
  await allHandled(50, one, two);
  const [topic] = await client(0).admin().describeTopics([CONSUMER_OFFSETS_TOPIC]);
  const place = topic?.partitions[coordinatorPartition(GROUP, topic.partitions.length)];
  expect(topic?.partitions).toHaveLength(4);
  expect(place?.replicas).toHaveLength(3);
  const before = [one.told.length, two.told.length];
  await nodes.stop(`broker-${place?.leader}`, 0);
  await produce(50);
  await allHandled(100, one, two);
  // Nothing moved, and commits reach the new coordinator.
  expect([one.told.length, two.told.length]).toEqual(before);
  await until(async () => (await committed()).every((offset) => offset === 100));
  await two.consumer.close();
  await share(one);
  await one.consumer.close();
}, 90_000);

test('a slow handler costs nothing, one that is too slow its membership; nothing is missed', async () => {
  const slow = new Worker(client(1), { maxPollIntervalMs: 4 * SESSION_MS });
  const other = new Worker(client(2));
  await share(slow, other);
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let begunAt = 0;
  slow.handle = () => {
    begunAt ||= performance.now();
    return released;
  };
  await produce(10);
  await until(() => Promise.resolve(begunAt > 0));
  // Well beyond the session timeout it is a member still: heartbeats do not wait for handlers.
  const told = slow.told.length;
  await until(() => Promise.resolve(performance.now() - begunAt > 2 * SESSION_MS));
  expect([slow.told.length, slow.owned.length]).toEqual([told, 3]);
  // Beyond max.poll.interval.ms it is not, and the other one has everything.
  await until(() => Promise.resolve(other.owned.length === PARTITIONS));
  expect(slow.told.at(-1)).toMatch(/^!/);
  release();
  await share(slow, other);
  await allHandled(10, slow, other);
  await Promise.all([slow, other].map(({ consumer }) => consumer.close()));
}, 90_000);

test('a static member that restarts moves nothing', async () => {
  const [one, two] = [new Worker(client(1), { groupInstanceId: 'one' }), new Worker(client(2))];
  await share(one, two);
  const before = one.owned;
  const told = two.told.length;
  await produce(20);
  await allHandled(20, one, two);
  await one.consumer.close();
  await produce(20);
  const again = new Worker(client(3), { groupInstanceId: 'one' });
  await share(again, two);
  expect(again.owned).toEqual(before);
  expect(await allHandled(40, one, two, again)).toBe(0);
  expect(two.told).toHaveLength(told);
  await Promise.all([again, two].map(({ consumer }) => consumer.close()));
}, 90_000);

test('by a pattern, with a topic that comes later', async () => {
  const consumer = client(1).consumer({ groupId: 'p', autoOffsetReset: 'earliest' });
  consumer.subscribe(/t|late-\d+/);
  const seen = new Set<string>();
  const running = consumer.run({ eachRecord: ({ topic }) => void seen.add(topic) });
  await produce(1);
  await until(() => Promise.resolve(seen.has('t')));
  await client(0)
    .admin()
    .createTopics([{ name: 'late-1', partitions: 1, replicationFactor: 3 }]);
  const producer = client(0).producer();
  await producer.send({ topic: 'late-1', value: 'v' });
  await until(() => Promise.resolve(seen.has('late-1')));
  await producer.close();
  await consumer.close();
  await running;
}, 60_000);

test('where clients do not reach the brokers, a gateway passes on what members say', async () => {
  await produce(20);
  const gateway = await nodes.start({ name: 'gateway', roles: ['gateway'], config: { ...quorum, 'node.id': 9 } });
  const far = ['one', 'two'].map((clientId) => nodes.client(gateway, { clientId, route: 'bootstrap' }));
  const [one, two] = far.map((through) => new Worker(through)) as [Worker, Worker];
  await share(one, two);
  await two.consumer.close();
  await share(one);
  await produce(20);
  expect(await allHandled(40, one, two)).toBe(0);
  await one.consumer.close();
  expect(await committed()).toEqual(Array.from({ length: PARTITIONS }, () => 40));
}, 60_000);
