import { BarnabasError, decodeRecords, ERRORS, v1 } from '@barnabas/protocol';
import type { ErrorName } from '@barnabas/protocol';
import { batchEntry, batchOf, eventually, Inbox, request, settled, TestCluster } from '../test-kit/index.js';

const code = (name: ErrorName) => ERRORS[name].code;
const CREDIT = 1_000_000_000;

let cluster: TestCluster;
afterEach(() => cluster.close());

type FetchInbox = Inbox<v1.FetchResponse, v1.FetchRequest>;

async function twoBrokers(config: Record<string, unknown> = {}): Promise<void> {
  cluster = await new TestCluster(config).start(2);
  cluster.controller.createTopic('clicks', [1, 2]);
}

function subscribe(inbox: FetchInbox, more: Partial<v1.FetchSubscribe> & { subscriptionId: number }): void {
  const subscribe = v1.FetchSubscribe.create({ topic: 'clicks', ...more });
  inbox.stream.write({ request: { $case: 'subscribe', subscribe } });
}

const credit = (inbox: FetchInbox, bytes: number) =>
  inbox.stream.write({ request: { $case: 'credit', credit: { bytes } } });

/** Values that came for a subscription, in order. */
const values = (inbox: FetchInbox, id: number) =>
  inbox.messages
    .filter(({ subscriptionId }) => subscriptionId === id)
    .flatMap(({ batches }) => (batches.length === 0 ? [] : decodeRecords(batches)))
    .map(({ value }) => Buffer.from(value ?? []).toString());

const ends = (inbox: FetchInbox) =>
  inbox.messages.filter(({ ended }) => ended).map(({ subscriptionId, error }) => [subscriptionId, error?.code]);

const bytesOf = (inbox: FetchInbox) => inbox.messages.reduce((sum, { batches }) => sum + batches.length, 0);

describe('a fetch stream', () => {
  test('brings partitions of several leaders, each in order, as they are written', async () => {
    await twoBrokers();
    await cluster.log.produce(request(batchEntry('clicks', 0, batchOf('a0')), batchEntry('clicks', 1, batchOf('b0'))));
    const inbox = new Inbox(cluster.log.fetch());
    subscribe(inbox, { subscriptionId: 10, partition: 0 });
    subscribe(inbox, { subscriptionId: 11, partition: 1 });
    credit(inbox, CREDIT);
    await inbox.until(() => values(inbox, 10).length === 1 && values(inbox, 11).length === 1);
    await cluster.log.produce(
      request(batchEntry('clicks', 0, batchOf('a1', 'a2')), batchEntry('clicks', 1, batchOf('b1'))),
    );
    await inbox.until(() => values(inbox, 10).length === 3 && values(inbox, 11).length === 2);
    expect(values(inbox, 10)).toEqual(['a0', 'a1', 'a2']);
    expect(values(inbox, 11)).toEqual(['b0', 'b1']);
    const last = inbox.messages.findLast(({ subscriptionId }) => subscriptionId === 10);
    expect(last).toMatchObject({ nextOffset: 3, highWatermark: 3, ended: false });
    inbox.stream.cancel();
  });

  test('sends nothing with batches without credit, and overdraws it by one message at most', async () => {
    await twoBrokers();
    for (let index = 0; index < 20; index += 1) cluster.broker(1).append('clicks', 0, batchOf(Buffer.alloc(1_000)));
    const inbox = new Inbox(cluster.log.fetch());
    subscribe(inbox, { subscriptionId: 1, partition: 0 });
    await inbox.until(() => inbox.messages.length === 1);
    await settled();
    expect(bytesOf(inbox)).toBe(0);
    const size = batchOf(Buffer.alloc(1_000)).length;
    credit(inbox, 1);
    await settled();
    expect(bytesOf(inbox)).toBe(size);
    credit(inbox, 3 * size);
    await settled();
    expect(bytesOf(inbox)).toBe(4 * size);
    credit(inbox, CREDIT);
    await inbox.until(() => bytesOf(inbox) === 20 * size);
    inbox.stream.cancel();
  });

  test('goes on at the new leader where the old one stopped', async () => {
    await twoBrokers();
    cluster.broker(1).append('clicks', 0, batchOf('one', 'two'));
    const inbox = new Inbox(cluster.log.fetch());
    subscribe(inbox, { subscriptionId: 1, partition: 0 });
    credit(inbox, CREDIT);
    await inbox.until(() => values(inbox, 1).length === 2);
    cluster.broker(2).append('clicks', 0, batchOf('one', 'two'));
    cluster.broker(2).append('clicks', 0, batchOf('three'));
    cluster.controller.moveLeader('clicks', 0, 2);
    cluster.broker(1).endSubscriptions(new BarnabasError('NOT_LEADER_OR_FOLLOWER', 'moved'));
    await inbox.until(() => values(inbox, 1).length === 3);
    expect(values(inbox, 1)).toEqual(['one', 'two', 'three']);
    expect(cluster.broker(2).subscribed).toEqual(['clicks-0@2']);
    expect(ends(inbox)).toEqual([]);
    inbox.stream.cancel();
  });

  test('survives a broker that dies and comes back', async () => {
    await twoBrokers();
    const broker = cluster.broker(1);
    broker.append('clicks', 0, batchOf('before'));
    const inbox = new Inbox(cluster.log.fetch());
    subscribe(inbox, { subscriptionId: 1, partition: 0 });
    credit(inbox, CREDIT);
    await inbox.until(() => values(inbox, 1).length === 1);
    cluster.kill(broker);
    await settled();
    cluster.revive(broker);
    broker.append('clicks', 0, batchOf('after'));
    await inbox.until(() => values(inbox, 1).length === 2);
    expect(values(inbox, 1)).toEqual(['before', 'after']);
    inbox.stream.cancel();
  });

  test('answers an unsubscribe with one end, and nothing of the subscription follows', async () => {
    await twoBrokers();
    const inbox = new Inbox(cluster.log.fetch());
    subscribe(inbox, { subscriptionId: 1, partition: 0 });
    credit(inbox, CREDIT);
    await inbox.until(() => inbox.messages.length === 1);
    inbox.stream.write({ request: { $case: 'unsubscribe', unsubscribe: { subscriptionId: 1 } } });
    inbox.stream.write({ request: { $case: 'unsubscribe', unsubscribe: { subscriptionId: 1 } } });
    await inbox.until(() => ends(inbox).length === 1);
    cluster.broker(1).append('clicks', 0, batchOf('later'));
    await settled();
    expect(inbox.messages.at(-1)).toMatchObject({ subscriptionId: 1, ended: true, error: undefined });
    expect(ends(inbox)).toHaveLength(1);
    // The id may be used again.
    subscribe(inbox, { subscriptionId: 1, partition: 0 });
    await inbox.until(() => values(inbox, 1).length === 1);
    inbox.stream.cancel();
  });

  test('sends nothing more of a subscription that was given up, not even what had come for it', async () => {
    await twoBrokers();
    const inbox = new Inbox(cluster.log.fetch());
    subscribe(inbox, { subscriptionId: 1, partition: 0 });
    await inbox.until(() => inbox.messages.length === 1);
    cluster.broker(1).append('clicks', 0, batchOf('waits for credit'));
    await settled();
    inbox.stream.write({ request: { $case: 'unsubscribe', unsubscribe: { subscriptionId: 1 } } });
    credit(inbox, CREDIT);
    await inbox.until(() => ends(inbox).length === 1);
    await settled();
    expect(values(inbox, 1)).toEqual([]);
    expect(inbox.messages.at(-1)?.ended).toBe(true);
    inbox.stream.cancel();
  });

  test('ends when the client has half-closed and nothing more can follow', async () => {
    await twoBrokers();
    cluster.broker(1).append('clicks', 0, batchOf('x'));
    const inbox = new Inbox(cluster.log.fetch());
    subscribe(inbox, { subscriptionId: 1, partition: 0 });
    credit(inbox, 1);
    inbox.stream.end();
    expect(await inbox.closed).toBeUndefined();
    expect(values(inbox, 1)).toEqual(['x']);
  });

  test('ends subscriptions of a topic that is deleted, also if it is made again', async () => {
    await twoBrokers();
    const inbox = new Inbox(cluster.log.fetch());
    subscribe(inbox, { subscriptionId: 1, partition: 0 });
    await inbox.until(() => inbox.messages.length === 1);
    cluster.controller.recreateTopic('clicks', [1, 2]);
    await inbox.until(() => ends(inbox).length === 1);
    expect(ends(inbox)).toEqual([[1, code('UNKNOWN_TOPIC_OR_PARTITION')]]);
    inbox.stream.cancel();
  });

  test.each<[string, Partial<v1.FetchSubscribe>, ErrorName]>([
    ['an unknown topic', { topic: 'nowhere' }, 'UNKNOWN_TOPIC_OR_PARTITION'],
    ['an illegal name', { topic: '..' }, 'INVALID_TOPIC_EXCEPTION'],
    ['a partition that is not there', { partition: 7 }, 'UNKNOWN_TOPIC_OR_PARTITION'],
    ['a negative offset', { offset: -1 }, 'OFFSET_OUT_OF_RANGE'],
    ['an offset beyond the end', { offset: 99 }, 'OFFSET_OUT_OF_RANGE'],
    ['a negative size', { maxBytes: -1 }, 'INVALID_REQUEST'],
    ['a leader epoch of the future', { leaderEpoch: 9 }, 'UNKNOWN_LEADER_EPOCH'],
  ])('ends the subscription of %s alone', async (_what, bad, name) => {
    await twoBrokers();
    cluster.controller.moveLeader('clicks', 0, 2);
    cluster.controller.moveLeader('clicks', 0, 1);
    const inbox = new Inbox(cluster.log.fetch());
    subscribe(inbox, { subscriptionId: 1, partition: 0, ...bad });
    subscribe(inbox, { subscriptionId: 2, partition: 1 });
    await inbox.until(() => ends(inbox).length === 1 && inbox.messages.length === 2);
    expect(ends(inbox)).toEqual([[1, code(name)]]);
    inbox.stream.cancel();
  });

  test.each<[string, v1.FetchRequest[]]>([
    ['an empty message', [{ request: undefined }]],
    ['an id used twice', [subscription(1), subscription(1)]],
    ['too many subscriptions', [subscription(1), subscription(2), subscription(3), subscription(4)]],
  ])('fails as a whole for %s', async (_what, messages) => {
    await twoBrokers({ 'barnabas.fetch.max.stream.subscriptions': 3 });
    const inbox = new Inbox(cluster.log.fetch());
    for (const message of messages) inbox.stream.write(message);
    expect((await inbox.closed)?.errorName).toBe('INVALID_REQUEST');
  });

  test('is broken off by a stop, for the client to go on elsewhere', async () => {
    await twoBrokers();
    const inbox = new Inbox(cluster.log.fetch());
    subscribe(inbox, { subscriptionId: 1, partition: 0 });
    await inbox.until(() => inbox.messages.length === 1);
    await cluster.gateway.stop(1_000);
    expect((await inbox.closed)?.errorName).toBe('BROKER_NOT_AVAILABLE');
  });
});

function subscription(subscriptionId: number): v1.FetchRequest {
  const subscribe = v1.FetchSubscribe.create({ subscriptionId, topic: 'clicks' });
  return { request: { $case: 'subscribe', subscribe } };
}

describe('a client that never reads', () => {
  const BUFFER = 256 * 1024;
  const MESSAGE = 32 * 1024;

  test('costs one buffer, though it grants any credit', async () => {
    await twoBrokers({ 'barnabas.fetch.stream.buffer.bytes': BUFFER });
    const log = await cluster.overGrpc();
    const stream = log.fetch();
    stream.pause();
    const inbox = new Inbox(stream);
    subscribe(inbox, { subscriptionId: 1, partition: 0 });
    subscribe(inbox, { subscriptionId: 2, partition: 1 });
    credit(inbox, CREDIT);
    await writeMuch();
    // The transport takes what its windows and buffers hold; what the gateway itself holds is its buffer.
    const held = await bufferedBytes();
    expect(held).toBeGreaterThan(0);
    expect(held).toBeLessThanOrEqual(BUFFER + 2 * (MESSAGE + 1_000));
    stream.cancel();
    await inbox.closed;
    await settled();
    expect(await bufferedBytes()).toBe(0);
  });

  test('costs one buffer, though it grants no credit and leaders have more', async () => {
    await twoBrokers({ 'barnabas.fetch.stream.buffer.bytes': BUFFER });
    const inbox = new Inbox(cluster.log.fetch());
    subscribe(inbox, { subscriptionId: 1, partition: 0 });
    subscribe(inbox, { subscriptionId: 2, partition: 1 });
    await writeMuch();
    expect(await bufferedBytes()).toBeLessThanOrEqual(BUFFER + 2 * (MESSAGE + 1_000));
    expect(cluster.broker(1).bytesSent + cluster.broker(2).bytesSent).toBeLessThanOrEqual(
      BUFFER + 2 * (MESSAGE + 1_000),
    );
    inbox.stream.cancel();
  });

  test('costs one buffer on Consume', async () => {
    await twoBrokers({ 'barnabas.fetch.stream.buffer.bytes': BUFFER });
    const log = await cluster.overGrpc();
    const stream = log.consume(
      v1.ConsumeRequest.create({ topic: 'clicks', start: { position: { $case: 'earliest', earliest: true } } }),
    );
    stream.pause();
    const inbox = new Inbox(stream);
    await writeMuch();
    const held = await bufferedBytes();
    expect(held).toBeGreaterThan(0);
    expect(held).toBeLessThanOrEqual(BUFFER + 2 * (MESSAGE + 1_000));
    stream.resume();
    await inbox.until(() => inbox.messages.reduce((sum, { records }) => sum + records.length, 0) === 1_600);
    stream.cancel();
  });

  /** Far more than every buffer on the way holds together: 25 MB from each leader. */
  async function writeMuch(): Promise<void> {
    const batch = batchOf(Buffer.alloc(MESSAGE));
    for (let index = 0; index < 800; index += 1) {
      cluster.broker(1).append('clicks', 0, batch);
      cluster.broker(2).append('clicks', 1, batch);
      if (index % 50 === 0) await settled();
    }
    await settled();
  }

  async function bufferedBytes(): Promise<number> {
    return Number(/barnabas_gateway_fetch_buffered_bytes (\d+)/.exec(await cluster.metrics.expose())?.[1]);
  }
});

describe('consume', () => {
  const consume = (more: Partial<v1.ConsumeRequest>) =>
    new Inbox(cluster.log.consume(v1.ConsumeRequest.create({ topic: 'clicks', ...more })));
  const earliest: v1.StartPosition = { position: { $case: 'earliest', earliest: true } };
  const records = (inbox: { messages: v1.ConsumeResponse[] }) => inbox.messages.flatMap(({ records: some }) => some);
  const texts = (inbox: { messages: v1.ConsumeResponse[] }) =>
    records(inbox).map(({ value }) => Buffer.from(value ?? []).toString());

  test('streams all partitions decoded, and ends at the end where it is asked to', async () => {
    await twoBrokers();
    cluster.broker(1).append('clicks', 0, batchOf('a', 'b'));
    cluster.broker(1).append('clicks', 0, batchOf('c'));
    cluster.broker(2).append('clicks', 1, batchOf('d'));
    const inbox = consume({ start: earliest, stopAtEnd: true });
    expect(await inbox.closed).toBeUndefined();
    const byPartition = (partition: number) =>
      records(inbox)
        .filter((record) => record.partition === partition)
        .map(({ offset, value, timestampMs }) => [offset, Buffer.from(value ?? []).toString(), timestampMs]);
    expect(byPartition(0)).toEqual([
      [0, 'a', 1000],
      [1, 'b', 1000],
      [2, 'c', 1000],
    ]);
    expect(byPartition(1)).toEqual([[0, 'd', 1000]]);
  });

  test('of empty partitions ends at once', async () => {
    await twoBrokers();
    const inbox = consume({ start: earliest, stopAtEnd: true });
    expect(await inbox.closed).toBeUndefined();
    expect(inbox.messages).toEqual([]);
  });

  test('begins in the middle of a batch, and ends after so many records', async () => {
    await twoBrokers();
    cluster.broker(1).append('clicks', 0, batchOf('a', 'b', 'c', 'd'));
    const start: v1.StartPosition = { position: { $case: 'offset', offset: 1 } };
    const inbox = consume({ start, partitions: [0], maxRecords: 2 });
    expect(await inbox.closed).toBeUndefined();
    expect(texts(inbox)).toEqual(['b', 'c']);
  });

  test('begins at the end by default, and goes on with what is written', async () => {
    await twoBrokers();
    cluster.broker(1).append('clicks', 0, batchOf('old'));
    const inbox = consume({ maxRecords: 1 });
    await eventually(() => cluster.broker(1).subscribed.length === 1);
    cluster.broker(1).append('clicks', 0, batchOf('new'));
    await inbox.closed;
    expect(texts(inbox)).toEqual(['new']);
  });

  test('begins at a time, and at the end when all is older', async () => {
    await twoBrokers();
    cluster.broker(1).append('clicks', 0, batchOf('old'));
    const at = (timestampMs: number): v1.StartPosition => ({ position: { $case: 'timestampMs', timestampMs } });
    const found = consume({ start: at(1000), partitions: [0], stopAtEnd: true });
    await found.closed;
    expect(texts(found)).toEqual(['old']);
    const none = consume({ start: at(1001), partitions: [0], stopAtEnd: true });
    expect(await none.closed).toBeUndefined();
    expect(texts(none)).toEqual([]);
    const later = consume({ start: at(1001), partitions: [0], maxRecords: 1 });
    await eventually(() => cluster.broker(1).subscribed.at(-1) === 'clicks-0@1');
    cluster.broker(1).append('clicks', 0, batchOf('new'));
    expect(await later.closed).toBeUndefined();
    expect(texts(later)).toEqual(['new']);
  });

  test('goes on through a move of the leader', async () => {
    await twoBrokers();
    cluster.broker(1).append('clicks', 0, batchOf('one'));
    const inbox = consume({ start: earliest, partitions: [0], maxRecords: 2 });
    await inbox.until(() => records(inbox).length === 1);
    cluster.broker(2).append('clicks', 0, batchOf('one'));
    cluster.broker(2).append('clicks', 0, batchOf('two'));
    cluster.controller.moveLeader('clicks', 0, 2);
    expect(await inbox.closed).toBeUndefined();
    expect(texts(inbox)).toEqual(['one', 'two']);
  });

  test('cuts a large batch into messages of a bounded size', async () => {
    await twoBrokers();
    cluster.broker(1).append('clicks', 0, batchOf(...Array.from({ length: 60 }, () => Buffer.alloc(20_000))));
    const inbox = consume({ start: earliest, partitions: [0], stopAtEnd: true });
    await inbox.closed;
    expect(records(inbox)).toHaveLength(60);
    for (const { records: some } of inbox.messages) expect(some.length * 20_000).toBeLessThan(300_000);
  });

  test('refuses a batch that was damaged on its way', async () => {
    await twoBrokers();
    const damaged = batchOf('good');
    cluster.broker(1).append('clicks', 0, damaged);
    const [stored] = cluster.broker(1).partition('clicks', 0).batches;
    stored?.bytes.writeUInt8(0xff, stored.bytes.length - 2);
    const inbox = consume({ start: earliest, partitions: [0] });
    expect((await inbox.closed)?.errorName).toBe('CORRUPT_MESSAGE');
  });

  test.each<[string, Partial<v1.ConsumeRequest>, ErrorName]>([
    ['an unknown topic', { topic: 'nowhere' }, 'UNKNOWN_TOPIC_OR_PARTITION'],
    ['an illegal name', { topic: 'a b' }, 'INVALID_TOPIC_EXCEPTION'],
    ['a partition that is not there', { partitions: [0, 5] }, 'UNKNOWN_TOPIC_OR_PARTITION'],
    ['a partition named twice', { partitions: [1, 1] }, 'INVALID_REQUEST'],
    ['a negative count', { maxRecords: -1 }, 'INVALID_REQUEST'],
    ['a negative time', { start: { position: { $case: 'timestampMs', timestampMs: -5 } } }, 'INVALID_REQUEST'],
    ['a negative offset', { start: { position: { $case: 'offset', offset: -5 } } }, 'OFFSET_OUT_OF_RANGE'],
    ['an offset beyond the end', { start: { position: { $case: 'offset', offset: 500 } } }, 'OFFSET_OUT_OF_RANGE'],
  ])('fails for %s', async (_what, bad, name) => {
    await twoBrokers();
    expect((await consume(bad).closed)?.errorName).toBe(name);
  });

  test('fails when its topic is deleted, and when the gateway stops', async () => {
    await twoBrokers();
    cluster.controller.createTopic('doomed', [1]);
    const doomed = consume({ topic: 'doomed' });
    const other = consume({});
    await eventually(() => cluster.broker(1).subscribed.length === 2);
    cluster.controller.deleteTopic('doomed');
    expect((await doomed.closed)?.errorName).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    await cluster.gateway.stop(1_000);
    expect((await other.closed)?.errorName).toBe('BROKER_NOT_AVAILABLE');
  });
});
