import { createConnector } from '@barnabas/rpc';
import type { ServiceClient } from '@barnabas/rpc';
import { forEachBatch, v1 } from '@barnabas/protocol';
import {
  Recorded,
  batchEntry,
  batchOf,
  credit,
  errorCodeOf,
  eventually,
  produceRequest,
  recordsEntry,
  subscribe,
  unsubscribe,
} from '../test-kit/requests.js';
import { TestBroker } from '../test-kit/test-broker.js';

const KiB = 1024;
const MiB = 1024 * KiB;

let broker: TestBroker;

beforeEach(async () => {
  broker = await TestBroker.start();
});
afterEach(() => broker.stop());

type Fetched = Recorded<v1.FetchResponse, v1.FetchRequest>;

function open(log: ServiceClient<typeof v1.LogServiceDefinition> = broker.log): Fetched {
  return new Recorded(log.fetch());
}

function send(fetched: Fetched, ...requests: v1.FetchRequest[]): Fetched {
  for (const request of requests) fetched.stream.write(request);
  return fetched;
}

async function produce(topic: string, batches: readonly Buffer[], partition = 0): Promise<void> {
  for (const batch of batches) {
    const { results } = await broker.log.produce(produceRequest([batchEntry(topic, batch, partition)]));
    expect(results[0]?.error).toBeUndefined();
  }
}

/** Base offsets of all batches that came for a subscription. */
function offsetsOf(fetched: Fetched, subscriptionId = 1): number[] {
  const offsets: number[] = [];
  for (const message of fetched.messages) {
    if (message.subscriptionId !== subscriptionId) continue;
    forEachBatch(message.batches, (header) => offsets.push(header.baseOffset));
  }
  return offsets;
}

const reached =
  (nextOffset: number, subscriptionId = 1) =>
  (message: v1.FetchResponse) =>
    message.subscriptionId === subscriptionId && message.nextOffset >= nextOffset;
const ended =
  (subscriptionId = 1) =>
  (message: v1.FetchResponse) =>
    message.subscriptionId === subscriptionId && message.ended;

/** The error with which a subscription ends. */
async function endOf(fetched: Fetched, subscriptionId = 1): Promise<string | undefined> {
  return errorCodeOf((await fetched.find(ended(subscriptionId))).error);
}

/** Lets everything that is on its way arrive. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('Fetch', () => {
  beforeEach(() => broker.topic('orders', 2));

  it('says where the partition stands, and sends batches once there is credit', async () => {
    await produce('orders', [batchOf(['a', 'b']), batchOf(['c'])]);
    const fetched = send(open(), subscribe());
    expect(await fetched.find(() => true)).toMatchObject({
      subscriptionId: 1,
      highWatermark: 3,
      logStartOffset: 0,
      lastStableOffset: 3,
      leaderEpoch: 0,
      nextOffset: 0,
      ended: false,
    });
    await settle();
    expect(fetched.messages).toHaveLength(1);
    send(fetched, credit(MiB));
    expect(await fetched.find(reached(3))).toMatchObject({ highWatermark: 3, nextOffset: 3 });
    expect(offsetsOf(fetched)).toEqual([0, 2]);
    fetched.stream.cancel();
  });

  it('pushes what is appended later, in order, without being asked', async () => {
    const fetched = send(open(), subscribe(), credit(MiB));
    for (let offset = 0; offset < 5; offset++) {
      await produce('orders', [batchOf([`value ${offset}`])]);
      await fetched.find(reached(offset + 1));
    }
    expect(offsetsOf(fetched)).toEqual([0, 1, 2, 3, 4]);
    fetched.stream.cancel();
  });

  it('begins at the batch that holds the offset', async () => {
    await produce('orders', [batchOf(['a', 'b']), batchOf(['c', 'd', 'e']), batchOf(['f'])]);
    const fetched = send(open(), subscribe({ offset: 3 }), credit(MiB));
    await fetched.find(reached(6));
    expect(offsetsOf(fetched)).toEqual([2, 5]);
    fetched.stream.cancel();
  });

  it('never sends what is not below the high watermark', async () => {
    const topicId = await broker.topic('slow');
    await produce('slow', [batchOf(['a'])]);
    const fetched = send(open(), subscribe({ topic: 'slow' }), credit(MiB));
    await fetched.find(reached(1));
    const release = broker.store(topicId).stallWrites();
    const answer = broker.log.produce(produceRequest([recordsEntry('slow', ['b'])], v1.Acks.ALL));
    await eventually(() => broker.metrics.total('barnabas_messages_in_total') === 2, 'the second is appended');
    // Also somebody who comes only now, and reads from the start, sees the first batch alone.
    const late = send(open(), subscribe({ topic: 'slow' }), credit(MiB));
    await late.find(reached(1));
    await settle();
    expect([offsetsOf(fetched), offsetsOf(late)]).toEqual([[0], [0]]);
    release();
    await answer;
    await Promise.all([fetched.find(reached(2)), late.find(reached(2))]);
    expect([offsetsOf(fetched), offsetsOf(late)]).toEqual([
      [0, 1],
      [0, 1],
    ]);
    fetched.stream.cancel();
    late.stream.cancel();
  });

  it('overdraws credit by one message at most', async () => {
    await produce(
      'orders',
      Array.from({ length: 6 }, () => batchOf([Buffer.alloc(KiB)])),
    );
    const fetched = send(open(), subscribe(), credit(1));
    await fetched.find(reached(1));
    await settle();
    expect(offsetsOf(fetched)).toEqual([0]);
    // What was overdrawn is owed first.
    send(fetched, credit(100));
    await settle();
    expect(offsetsOf(fetched)).toEqual([0]);
    send(fetched, credit(KiB));
    await fetched.find(reached(2));
    await settle();
    expect(offsetsOf(fetched)).toEqual([0, 1]);
    fetched.stream.cancel();
  });

  it('keeps messages within max_bytes, but sends a batch that is larger alone', async () => {
    await produce('orders', [
      batchOf([Buffer.alloc(5 * KiB)]),
      ...Array.from({ length: 6 }, () => batchOf([Buffer.alloc(KiB)])),
    ]);
    const fetched = send(open(), subscribe({ maxBytes: 3 * KiB }), credit(MiB));
    await fetched.find(reached(7));
    const counts = fetched.messages.map(({ batches }) => {
      let count = 0;
      forEachBatch(batches, () => (count += 1));
      return count;
    });
    expect(counts).toEqual([0, 1, 2, 2, 2]);
    fetched.stream.cancel();
  });

  it('holds back until min_bytes have come together', async () => {
    const batch = batchOf([Buffer.alloc(KiB)]);
    await produce('orders', [batch]);
    const patient = { minBytes: 3 * batch.length, maxWaitMs: 600_000 };
    const fetched = send(open(), subscribe(patient), credit(MiB));
    await fetched.find(() => true);
    await produce('orders', [batch]);
    await settle();
    expect(offsetsOf(fetched)).toEqual([]);
    await produce('orders', [batch]);
    await fetched.find(reached(3));
    expect(fetched.messages).toHaveLength(2);
    await produce('orders', [batch, batch]);
    await settle();
    expect(fetched.messages).toHaveLength(2);
    await produce('orders', [batch]);
    await fetched.find(reached(6));
    expect(fetched.messages).toHaveLength(3);
    fetched.stream.cancel();
  });

  it('holds back no longer than max_wait_ms', async () => {
    await produce('orders', [batchOf(['a'])]);
    const fetched = send(open(), subscribe({ minBytes: MiB, maxWaitMs: 20 }), credit(MiB));
    await fetched.find(reached(1));
    await produce('orders', [batchOf(['b'])]);
    await fetched.find(reached(2));
    fetched.stream.cancel();
  });

  it('lets subscriptions take turns', async () => {
    const batches = Array.from({ length: 8 }, () => batchOf([Buffer.alloc(10 * KiB)]));
    await produce('orders', batches, 0);
    await produce('orders', batches, 1);
    const fetched = send(
      open(),
      subscribe({ subscriptionId: 1, partition: 0, maxBytes: 11 * KiB }),
      subscribe({ subscriptionId: 2, partition: 1, maxBytes: 11 * KiB }),
    );
    await fetched.until((messages) => messages.length === 2);
    send(fetched, credit(MiB));
    await Promise.all([fetched.find(reached(8, 1)), fetched.find(reached(8, 2))]);
    const turns = fetched.messages
      .filter(({ batches: sent }) => sent.length > 0)
      .map((message) => message.subscriptionId);
    // Neither is ever two messages ahead of the other.
    let ahead = 0;
    for (const id of turns) {
      ahead += id === 1 ? 1 : -1;
      expect(Math.abs(ahead)).toBeLessThanOrEqual(1);
    }
    expect(turns).toHaveLength(16);
    fetched.stream.cancel();
  });

  it('stops when unsubscribed, and nothing follows', async () => {
    const fetched = send(open(), subscribe(), credit(MiB));
    await produce('orders', [batchOf(['a'])]);
    await fetched.find(reached(1));
    send(fetched, unsubscribe(1), unsubscribe(1), unsubscribe(77));
    expect(await endOf(fetched)).toBeUndefined();
    const before = fetched.messages.length;
    await produce('orders', [batchOf(['b'])]);
    await settle();
    expect(fetched.messages).toHaveLength(before);
    // The id is free again.
    send(fetched, subscribe({ offset: 1 }));
    await fetched.find(reached(2));
    fetched.stream.cancel();
  });

  it('goes on for a client that has said all it will say, as long as there is credit', async () => {
    await produce('orders', [batchOf([Buffer.alloc(KiB)])]);
    const fetched = send(open(), subscribe(), credit(KiB + 200));
    fetched.stream.end();
    await fetched.find(reached(1));
    expect(fetched.closed).toBeUndefined();
    await produce('orders', [batchOf([Buffer.alloc(KiB)])]);
    expect(await fetched.end()).toBeUndefined();
    expect(offsetsOf(fetched)).toEqual([0, 1]);
  });
});

describe('a subscription ends', () => {
  beforeEach(() => broker.topic('orders'));

  it('at once, for what does not exist or is not served here', async () => {
    broker.controller.createTopic('elsewhere', [{ leader: 2 }, { leader: -1, replicas: [2], isr: [2] }]);
    await broker.caughtUp();
    const refused: [Partial<v1.FetchSubscribe>, string][] = [
      [{ topic: 'missing' }, 'UNKNOWN_TOPIC_OR_PARTITION'],
      [{ topic: 'no/slashes' }, 'INVALID_TOPIC_EXCEPTION'],
      [{ partition: 1 }, 'UNKNOWN_TOPIC_OR_PARTITION'],
      [{ topic: 'elsewhere' }, 'NOT_LEADER_OR_FOLLOWER'],
      [{ topic: 'elsewhere', partition: 1 }, 'LEADER_NOT_AVAILABLE'],
      [{ leaderEpoch: 7 }, 'UNKNOWN_LEADER_EPOCH'],
      [{ offset: 1 }, 'OFFSET_OUT_OF_RANGE'],
      [{ offset: -1 }, 'OFFSET_OUT_OF_RANGE'],
      [{ maxBytes: -1 }, 'INVALID_REQUEST'],
      [{ minBytes: -1 }, 'INVALID_REQUEST'],
      [{ maxWaitMs: -1 }, 'INVALID_REQUEST'],
    ];
    const fetched = open();
    for (const [index, [change, expected]] of refused.entries()) {
      send(fetched, subscribe({ subscriptionId: index, ...change }));
      expect([change, await endOf(fetched, index)]).toEqual([change, expected]);
    }
    fetched.stream.cancel();
  });

  it('when leadership moves, and an older epoch is fenced afterwards', async () => {
    const topicId = await broker.topic('moving');
    const fetched = send(open(), subscribe({ topic: 'moving' }));
    await fetched.find(() => true);
    broker.controller.changePartition(topicId, 0, { leader: 1 });
    await broker.caughtUp();
    expect(fetched.messages).toHaveLength(1);
    send(fetched, subscribe({ subscriptionId: 2, topic: 'moving', leaderEpoch: 0 }));
    expect(await endOf(fetched, 2)).toBe('FENCED_LEADER_EPOCH');
    broker.controller.changePartition(topicId, 0, { leader: -1 });
    expect(await endOf(fetched)).toBe('LEADER_NOT_AVAILABLE');
    fetched.stream.cancel();
  });

  it('when the log is not the one that the client has read', async () => {
    const topicId = await broker.topic('parted');
    await produce('parted', [batchOf(['a', 'b'])]);
    broker.controller.changePartition(topicId, 0, { leader: 1 });
    await broker.caughtUp();
    await produce('parted', [batchOf(['c'])]);
    const fetched = open();
    const ask = (subscriptionId: number, offset: number, lastFetchedEpoch: number) =>
      send(fetched, subscribe({ subscriptionId, topic: 'parted', offset, lastFetchedEpoch }));
    // What was read is here: each record in the epoch in which it was written.
    ask(1, 2, 0);
    ask(2, 3, 1);
    ask(3, 0, -1);
    for (const id of [1, 2, 3]) await fetched.find(({ subscriptionId, ended }) => subscriptionId === id && !ended);
    // Offset 2 was read in epoch 0, which ended before it.
    ask(4, 3, 0);
    const parted = await fetched.find(({ subscriptionId, ended }) => subscriptionId === 4 && ended);
    expect(parted.error?.code).toBe(v1.ErrorCode.OFFSET_OUT_OF_RANGE);
    expect(parted.diverging).toEqual({ leaderEpoch: 0, endOffset: 2 });
    // Read in an epoch that this log has nothing of, though it has begun here.
    broker.controller.changePartition(topicId, 0, { leader: 1 });
    await broker.caughtUp();
    const later = open();
    send(later, subscribe({ subscriptionId: 5, topic: 'parted', offset: 3, lastFetchedEpoch: 2 }));
    expect((await later.find(({ subscriptionId, ended }) => subscriptionId === 5 && ended)).diverging).toEqual({
      leaderEpoch: 1,
      endOffset: 3,
    });
    fetched.stream.cancel();
    later.stream.cancel();
  });

  it('and not as a log that was cut off, when this broker has not heard of the epoch in which it was read', async () => {
    await broker.topic('behind');
    await produce('behind', [batchOf(['a', 'b'])]);
    const fetched = send(open(), subscribe({ subscriptionId: 1, topic: 'behind', offset: 7, lastFetchedEpoch: 1 }));
    const ended = await fetched.find((message) => message.ended);
    expect([ended.error?.code, ended.diverging]).toEqual([v1.ErrorCode.UNKNOWN_LEADER_EPOCH, undefined]);
    fetched.stream.cancel();
  });

  it('at a follower that is behind, to go back to the leader, and not as a log that was cut off', async () => {
    broker.controller.createTopic('followed', [{ leader: 2, replicas: [1, 2], isr: [2] }]);
    await broker.caughtUp();
    const change = { subscriptionId: 1, topic: 'followed', offset: 3, lastFetchedEpoch: 0, rack: 'r1' };
    const fetched = send(open(), subscribe(change));
    const ended = await fetched.find((message) => message.ended);
    expect([ended.error?.code, ended.diverging]).toEqual([v1.ErrorCode.OFFSET_NOT_AVAILABLE, undefined]);
    fetched.stream.cancel();
  });

  it('when the topic is deleted, and the name can be used again', async () => {
    const topicId = await broker.topic('passing');
    await produce('passing', [batchOf(['a'])]);
    const fetched = send(open(), subscribe({ topic: 'passing' }), credit(MiB));
    await fetched.find(reached(1));
    broker.controller.deleteTopic(topicId);
    expect(await endOf(fetched)).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    await broker.topic('passing');
    await produce('passing', [batchOf(['new'])]);
    send(fetched, subscribe({ subscriptionId: 2, topic: 'passing' }));
    await fetched.find(reached(1, 2));
    fetched.stream.cancel();
  });

  it('when what it would read has been deleted', async () => {
    await produce('orders', [batchOf(['a']), batchOf(['b'])]);
    const fetched = send(open(), subscribe());
    await fetched.find(() => true);
    await broker.log.deleteRecords({ entries: [{ topic: 'orders', partition: 0, beforeOffset: 1 }] });
    send(fetched, credit(MiB));
    expect(await endOf(fetched)).toBe('OFFSET_OUT_OF_RANGE');
    send(fetched, subscribe({ subscriptionId: 2, offset: 0 }));
    expect(await endOf(fetched, 2)).toBe('OFFSET_OUT_OF_RANGE');
    fetched.stream.cancel();
  });

  it('when the log is offline', async () => {
    const topicId = await broker.topic('broken');
    await produce('broken', [batchOf(['a'])]);
    const fetched = send(open(), subscribe({ topic: 'broken' }), credit(MiB));
    await fetched.find(reached(1));
    broker.store(topicId).failNextWrite();
    await broker.log.produce(produceRequest([recordsEntry('broken', ['b'])]));
    expect(await endOf(fetched)).toBe('KAFKA_STORAGE_ERROR');
    fetched.stream.cancel();
  });

  it('together with the stream, for what no client may do', async () => {
    const twice = send(open(), subscribe(), subscribe());
    expect(await twice.end()).toMatchObject({ errorName: 'INVALID_REQUEST' });
    const empty = send(open(), {});
    expect(await empty.end()).toMatchObject({ errorName: 'INVALID_REQUEST' });
  });

  it('when the broker stops', async () => {
    const fetched = send(open(), subscribe());
    await fetched.find(() => true);
    await broker.role.stop(1000);
    // With the stream: a server that stops must not wait for its clients.
    expect(await fetched.end()).toMatchObject({ errorName: 'BROKER_NOT_AVAILABLE' });
  });
});

describe('a consumer that never reads', () => {
  const TOTAL = 24 * MiB;

  async function fill(): Promise<void> {
    await broker.topic('orders', 1, { 'flush.messages': '1000000' });
    const batch = batchOf([Buffer.alloc(512 * KiB)]);
    const entries = Array.from({ length: 8 }, () => batchEntry('orders', batch));
    for (let bytes = 0; bytes < TOTAL; bytes += 8 * 512 * KiB) await broker.log.produce(produceRequest(entries));
  }

  it('makes the broker hold no more than the transport takes and a few messages', async () => {
    await fill();
    const fetched = open();
    fetched.stream.pause();
    send(fetched, subscribe({ maxBytes: 512 * KiB }), credit(2 ** 31));
    await eventually(() => broker.metrics.total('barnabas_bytes_out_total') > 0, 'something is sent');
    await settle();
    const sent = broker.metrics.total('barnabas_bytes_out_total');
    const read = broker.metrics.total('barnabas_log_read_bytes_total');
    expect(sent).toBeLessThan(3 * MiB);
    expect(read - sent).toBeLessThanOrEqual(5 * MiB);
    fetched.stream.resume();
    await fetched.find(reached(TOTAL / (512 * KiB)));
    fetched.stream.cancel();
  });

  it('does so over gRPC', async () => {
    await fill();
    const connector = createConnector({ limits: { flowControlWindowBytes: MiB } });
    const fetched = open(connector.channel(await broker.serveGrpc()).client(v1.LogServiceDefinition));
    fetched.stream.pause();
    send(fetched, subscribe({ maxBytes: 512 * KiB }), credit(2 ** 31));
    await eventually(() => broker.metrics.total('barnabas_bytes_out_total') > 0, 'something is sent');
    for (let turn = 0; turn < 300; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(broker.metrics.total('barnabas_bytes_out_total')).toBeLessThan(8 * MiB);
    fetched.stream.resume();
    await fetched.find(reached(TOTAL / (512 * KiB)));
    fetched.stream.cancel();
    connector.close();
  });

  it('cannot make it hold more by talking on', async () => {
    await broker.stop();
    broker = await TestBroker.start({ writeHighWaterBytes: 4 * KiB });
    await broker.topic('orders');
    const fetched = open();
    fetched.stream.pause();
    let written = 0;
    while (written < 5_000 && fetched.stream.write(subscribe({ subscriptionId: written, topic: 'missing' }))) {
      written += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(written).toBeLessThan(5_000);
    fetched.stream.cancel();
  });
});
