/**
 * Members of a group over Subscribe, through gateways and brokers that are killed: a client that loses its
 * node resumes at another, nothing moves, and everything that was produced is read and committed. Real
 * processes. Needs a build.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BarnabasClient } from '@barnabas/client';
import { ERRORS, v1 } from '@barnabas/protocol';
import type { BarnabasError } from '@barnabas/protocol';
import { createConnector } from '@barnabas/rpc';
import type { Connector, MessageStream } from '@barnabas/rpc';
import { ChaosCluster } from '../chaos/cluster';
import { until } from '../support/nodes';

const TOPIC = 'shared';
const PARTITIONS = 6;
const SET = {
  'broker.session.timeout.ms': 1_500,
  'broker.heartbeat.interval.ms': 200,
  'offsets.topic.num.partitions': 4,
  'group.consumer.session.timeout.ms': 30_000,
  'group.consumer.heartbeat.interval.ms': 500,
};

let dataDir: string;
let cluster: ChaosCluster | undefined;
let client: BarnabasClient | undefined;
let connector: Connector;

beforeEach(() => {
  dataDir = mkdtempSync(path.join(tmpdir(), 'barnabas-subscribe-'));
  connector = createConnector();
});
afterEach(async () => {
  connector.close();
  await client?.close(0);
  await cluster?.close();
  rmSync(dataDir, { recursive: true, force: true });
});

/** A client as one would write it in any language: reads, acknowledges, and resumes at the next node when its stream breaks. */
class Reader {
  readonly values = new Set<string>();
  readonly positions = new Map<number, number>();
  readonly errors: (BarnabasError | undefined)[] = [];
  memberId = '';
  /** How often it was told that what it owns has changed. */
  moves = 0;
  resumptions = 0;
  #epoch = 0;
  #incarnation = 0;
  #stream: MessageStream<v1.SubscribeResponse, v1.SubscribeRequest> | undefined;
  #isLeaving = false;
  isOver = false;

  constructor(private readonly addresses: string[]) {
    this.#open();
  }

  leave(): void {
    this.#isLeaving = true;
    this.#stream?.end();
  }

  #open(): void {
    const [address = ''] = this.addresses;
    const stream = connector.channel(address).client(v1.GroupServiceDefinition).subscribe();
    this.#stream = stream;
    stream.handle({
      onMessage: ({ response }) => this.#hear(stream, response),
      onClose: (error) => this.#closed(error),
    });
    const owned = [...this.positions].map(([partition, offset]) => ({
      ...{ topic: TOPIC, partition, offset, leaderEpoch: -1, metadata: '' },
    }));
    const resume = { memberId: this.memberId, memberEpoch: this.#epoch, incarnation: ++this.#incarnation, owned };
    const start = v1.SubscribeStart.create({
      groupId: 'g',
      topics: [TOPIC],
      autoOffsetReset: v1.AutoOffsetReset.EARLIEST,
      ...(this.memberId !== '' && { resume }),
    });
    stream.write({ request: { $case: 'start', start } });
  }

  #closed(error: BarnabasError | undefined): void {
    this.errors.push(error);
    if (this.#isLeaving) {
      this.isOver = true;
      return;
    }
    this.resumptions += 1;
    // On to the next node.
    this.addresses.push(this.addresses.shift() ?? '');
    setTimeout(() => this.#open(), 20);
  }

  #hear(
    stream: MessageStream<v1.SubscribeResponse, v1.SubscribeRequest>,
    response: v1.SubscribeResponse['response'],
  ): void {
    switch (response?.$case) {
      case 'joined':
        this.memberId = response.joined.memberId;
        this.#epoch = response.joined.memberEpoch;
        this.#incarnation = response.joined.incarnation;
        return;
      case 'assigned':
        this.#epoch = response.assigned.memberEpoch;
        for (const { partition, offset } of response.assigned.positions) {
          if (!this.positions.has(partition)) this.moves += 1;
          this.positions.set(partition, offset);
        }
        return;
      case 'revoked':
        this.moves += 1;
        for (const { partition } of response.revoked.partitions) this.positions.delete(partition);
        return;
      case 'lost':
        this.moves += 1;
        this.positions.clear();
        return;
      case 'records': {
        const { topic, partition, records, nextOffset, leaderEpoch } = response.records;
        for (const { value } of records) this.values.add(value?.toString() ?? '');
        this.positions.set(partition, nextOffset);
        const positions = [{ topic, partition, offset: nextOffset, leaderEpoch, metadata: '' }];
        stream.write({ request: { $case: 'ack', ack: { positions } } });
        return;
      }
      default:
    }
  }
}

test('clients whose gateway or broker is killed resume elsewhere, nothing moves, and everything is read', async () => {
  const ended: string[] = [];
  const nodes = await ChaosCluster.start({
    shape: { controllers: 1, brokers: 3, gateways: 2 },
    dataDir,
    set: SET,
    logLevel: 'warn',
    isDirect: true,
    onUnexpectedExit: (node, how) => ended.push(`${node.name} ${how}`),
  });
  cluster = nodes;
  client = new BarnabasClient({ bootstrap: nodes.bootstrap });
  const assignments = Array.from({ length: PARTITIONS }, (_, index) => [1, 2, 3].map((id) => ((id + index) % 3) + 1));
  await client.admin().createTopics([{ name: TOPIC, assignments, configs: { 'min.insync.replicas': '2' } }]);
  const [one, two] = nodes.of('gateway');
  if (one === undefined || two === undefined) throw new Error('there are two gateways');
  const [broker] = nodes.of('broker');
  if (broker === undefined) throw new Error('there are brokers');

  const producer = client.producer({ acks: 'all' });
  const produced: string[] = [];
  let isProducing = true;
  const producing = (async () => {
    for (let count = 0; isProducing; count += 1) {
      const value = `value ${count}`;
      await producer.send({ topic: TOPIC, partition: count % PARTITIONS, value });
      produced.push(value);
    }
  })();
  const readers = [new Reader([one.address, two.address]), new Reader([two.address, one.address])];
  const [first, second] = readers as [Reader, Reader];
  const values = () => new Set(readers.flatMap((reader) => [...reader.values]));
  const goesOn = async () => {
    const before = values().size;
    await until(() => Promise.resolve(values().size > before + 30));
  };
  await until(() => Promise.resolve(first.positions.size === 3 && second.positions.size === 3));
  await goesOn();

  // Its gateway is gone from one moment to the next.
  const moves = first.moves + second.moves;
  const { memberId } = first;
  await nodes.kill(one);
  await until(() => Promise.resolve(first.resumptions > 0));
  await goesOn();
  expect(first.moves + second.moves).toBe(moves);
  expect(first.memberId).toBe(memberId);
  expect(first.positions.size).toBe(3);

  // A broker stops that leads partitions, and coordinates groups.
  await nodes.startNode(one);
  await nodes.kill(broker);
  await goesOn();
  await nodes.startNode(broker);
  await goesOn();
  expect(first.moves + second.moves).toBe(moves);

  // In good order: the client hears at once that it is to go on elsewhere.
  await nodes.stop(two);
  await until(() => Promise.resolve(first.resumptions > 1 && second.resumptions > 0));
  expect(second.errors[0]?.errorName).toBe('BROKER_NOT_AVAILABLE');
  await goesOn();
  expect(first.moves + second.moves).toBe(moves);

  isProducing = false;
  await producing;
  await until(() => Promise.resolve(produced.every((value) => first.values.has(value) || second.values.has(value))));
  first.leave();
  second.leave();
  await until(() => Promise.resolve(first.isOver && second.isOver));

  const groups = connector.channel(one.address).client(v1.GroupServiceDefinition);
  const { offsets } = await groups.fetchOffsets(v1.FetchOffsetsRequest.create({ groupId: 'g' }));
  expect(offsets.reduce((sum, { offset }) => sum + offset, 0)).toBe(produced.length);
  const listed = await groups.listGroups({ states: [] });
  expect(listed).toMatchObject({ groups: [{ groupId: 'g', state: v1.GroupState.EMPTY, members: 0 }], errors: [] });
  const described = await groups.describeGroups({ groupIds: ['g', 'nobody'] });
  expect(described.groups.map(({ groupId, error }) => [groupId, error?.code])).toEqual([
    ['g', undefined],
    ['nobody', ERRORS.GROUP_ID_NOT_FOUND.code],
  ]);
  expect((await groups.deleteGroups({ groupIds: ['g'] })).results).toEqual([{ groupId: 'g', error: undefined }]);
  expect(ended).toEqual([]);
}, 180_000);
