import { deferred } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';
import { readBatchHeader, v1 } from '@barnabas/protocol';
import type { ProducerOptions } from '../options/producer-options.js';
import type { ProducerRecord, RecordMetadata } from '../records.js';
import { Harness, onMethod, settle, times } from '../testing/index.js';
import type { HarnessOptions } from '../testing/index.js';
import type { Producer } from './producer.js';

let harness: Harness;

afterEach(() => harness.close());

function start(options: ProducerOptions = {}, cluster: HarnessOptions = {}): Producer {
  harness = new Harness({ topics: { t: 1 }, ...cluster });
  return harness.client.producer(options);
}

function values(topic = 't', partition = 0): string[] {
  return harness.cluster.records(topic, partition).map(({ value }) => Buffer.from(value ?? '').toString());
}

function sendAll(producer: Producer, count: number, record: Partial<ProducerRecord> = {}): Promise<RecordMetadata[]> {
  const sent = Array.from({ length: count }, (_, index) => producer.send({ topic: 't', value: `${index}`, ...record }));
  return Promise.all(sent);
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${index}`);
}

/** What the promise rejects with, seen to before time moves. */
function failureOf(promise: Promise<unknown>): Promise<BarnabasError> {
  return promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: BarnabasError) => error,
  );
}

/** Counts messages of a method, and their entries. */
function count(method: string): { messages: number; entries: number } {
  const counts = { messages: 0, entries: 0 };
  harness.cluster.intercept(({ method: actual, message }) => {
    if (actual !== method) return undefined;
    counts.messages++;
    counts.entries += (message as v1.ProduceStreamRequest).request?.entries.length ?? 0;
    return undefined;
  });
  return counts;
}

describe('sending', () => {
  test('a record goes to its topic and its promise tells where', async () => {
    const producer = start();
    const sent = producer.send({ topic: 't', key: 'k', value: 'v', headers: { h: '1', n: null }, timestamp: 5 });
    expect(await harness.run(sent)).toEqual({ topic: 't', partition: 0, offset: 0, timestamp: 5 });
    const [record] = harness.cluster.records('t');
    expect(record).toMatchObject({ key: Buffer.from('k'), value: Buffer.from('v'), timestamp: 5 });
    expect(record?.headers).toEqual([
      { key: 'h', value: Buffer.from('1') },
      { key: 'n', value: null },
    ]);
  });

  test('bytes, nulls, repeated headers and the time of sending are kept', async () => {
    const producer = start();
    const headers = [
      { key: 'h', value: 'a' },
      { key: 'h', value: Buffer.from('b') },
    ];
    const { timestamp } = await harness.run(producer.send({ topic: 't', key: null, value: null, headers }));
    const [record] = harness.cluster.records('t');
    expect(record).toMatchObject({ key: null, value: null });
    expect(record?.headers.map(({ value }) => Buffer.from(value ?? '').toString())).toEqual(['a', 'b']);
    expect(record?.timestamp).toBe(timestamp);
    expect(timestamp).toBeGreaterThanOrEqual(harness.environment.time.epochMs);
  });

  test('what lingers shares a batch, and a full batch does not wait', async () => {
    const producer = start({ lingerMs: 1_000, batchSize: 500 });
    const produced = count('ProduceStream');
    const first = sendAll(producer, 3);
    await settle(20);
    expect(produced.messages).toBe(0);
    harness.environment.time.advance(900);
    await settle();
    expect(produced.messages).toBe(0);
    harness.environment.time.advance(100);
    await settle();
    expect(produced.messages).toBe(1);
    await first;
    const more = [...numbers(3)].map(() => producer.send({ topic: 't', value: Buffer.alloc(300) }));
    await settle();
    expect(produced.entries).toBe(3);
    await harness.run(Promise.all(more));
  });

  test('a topic that does not exist fails after max.block.ms, and not before', async () => {
    const producer = start({ maxBlockMs: 1_000 });
    const failure = failureOf(producer.send({ topic: 'none', value: 'v' }));
    let isSettled = false;
    void failure.then(() => {
      isSettled = true;
    });
    for (let passed = 0; passed < 800; passed += 100) {
      await settle();
      harness.environment.time.advance(100);
    }
    expect(isSettled).toBe(false);
    expect((await harness.run(failure)).errorName).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  });

  test('a topic that appears meanwhile takes what waits for it, in order', async () => {
    const producer = start();
    const sent = Promise.all(numbers(5).map((value) => producer.send({ topic: 'late', value })));
    await settle();
    harness.cluster.createTopic('late');
    await harness.run(sent);
    expect(values('late')).toEqual(numbers(5));
  });

  test('a cluster that creates topics does so on the first record', async () => {
    const producer = start({}, { autoCreateTopics: true });
    await harness.run(producer.send({ topic: 'fresh', value: 'v' }));
    expect(values('fresh')).toEqual(['v']);
  });

  test.each<[string, unknown, string]>([
    ['a number as value', { topic: 't', value: 5 }, 'INVALID_RECORD'],
    ['a record without value', { topic: 't', value: undefined }, 'INVALID_RECORD'],
    ['an object as key', { topic: 't', key: {}, value: 'v' }, 'INVALID_RECORD'],
    ['a negative timestamp', { topic: 't', value: 'v', timestamp: -5 }, 'INVALID_TIMESTAMP'],
    ['half a millisecond', { topic: 't', value: 'v', timestamp: 1.5 }, 'INVALID_TIMESTAMP'],
    ['a partition that is not there', { topic: 't', value: 'v', partition: 1 }, 'UNKNOWN_TOPIC_OR_PARTITION'],
    ['a negative partition', { topic: 't', value: 'v', partition: -1 }, 'INVALID_PARTITIONS'],
    ['a record beyond max.request.size', { topic: 't', value: Buffer.alloc(1_048_576) }, 'MESSAGE_TOO_LARGE'],
    ['an illegal topic name', { topic: 'no/slash', value: 'v' }, 'UNKNOWN_TOPIC_OR_PARTITION'],
  ])('%s is refused', async (_, record, errorName) => {
    const producer = start({ maxBlockMs: 500 });
    await harness.run(producer.send({ topic: 't', value: 'before' }));
    expect((await harness.run(failureOf(producer.send(record as ProducerRecord)))).errorName).toBe(errorName);
    await harness.run(producer.send({ topic: 't', value: 'after' }));
    expect(values()).toEqual(['before', 'after']);
  });

  test.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)('%s is undone by whoever reads', async (compressionType) => {
    const producer = start({ compressionType });
    await harness.run(sendAll(producer, 100, { key: 'the same key again and again' }));
    expect(values()).toEqual(numbers(100));
    expect(readBatchHeader(harness.cluster.partition('t', 0).batches[0] as Buffer).compression).toBe(compressionType);
  });

  test('acks 0 is not answered and says no offset', async () => {
    const producer = start({ acks: 0 });
    const results = await harness.run(sendAll(producer, 3));
    expect(results.map(({ offset }) => offset)).toEqual([-1, -1, -1]);
    await settle();
    expect(values()).toEqual(numbers(3));
  });

  test('acks go to the wire as they are', async () => {
    for (const [acks, wire] of [
      ['all', v1.Acks.ALL],
      [1, v1.Acks.LEADER],
    ] as const) {
      const producer = start({ acks });
      let seen: v1.Acks | undefined;
      harness.cluster.intercept(({ method, message }) => {
        if (method === 'ProduceStream') seen = (message as v1.ProduceStreamRequest).request?.acks;
        return undefined;
      });
      await harness.run(producer.send({ topic: 't', value: 'v' }));
      expect(seen).toBe(wire);
      if (acks === 'all') await harness.close();
    }
  });
});

describe('partitions', () => {
  test('a key decides as in Kafka, a partition given overrules it, a function overrules both but the latter', async () => {
    const producer = start({}, { topics: { t: 10 } });
    const keyed = await harness.run(producer.send({ topic: 't', key: 'foobar', value: 'v' }));
    expect(keyed.partition).toBe((-790332482 & 0x7fffffff) % 10);
    const given = await harness.run(producer.send({ topic: 't', key: 'foobar', partition: 3, value: 'v' }));
    expect(given.partition).toBe(3);
    const own = harness.client.producer({
      partitioner: (record, key, topic) => (key?.length ?? 0) % topic.partitionCount,
    });
    expect((await harness.run(own.send({ topic: 't', key: 'four', value: 'v' }))).partition).toBe(4);
    const wrong = harness.client.producer({ partitioner: () => 10 });
    const failure = await harness.run(failureOf(wrong.send({ topic: 't', value: 'v' })));
    expect(failure.errorName).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  });

  test('records without keys fill batches and get to all partitions', async () => {
    const producer = start({ batchSize: 1_000 }, { topics: { t: 4 } });
    await harness.run(sendAll(producer, 2_000, { value: Buffer.alloc(90) }));
    const counts = [0, 1, 2, 3].map((partition) => harness.cluster.records('t', partition).length);
    for (const count of counts) expect(count).toBeGreaterThan(250);
    const batches = [0, 1, 2, 3].flatMap((partition) => harness.cluster.partition('t', partition).batches);
    // Nine records fit, so that many batches at least; few more, because hardly any is left half full.
    expect(batches.length).toBeLessThan(2_000 / 9 + 10);
  });

  test('partitions that are added are used', async () => {
    const producer = start({ batchSize: 100 });
    await harness.run(producer.send({ topic: 't', value: 'v' }));
    // The watch is opened for a topic a little after it was first asked for.
    harness.environment.time.advance(100);
    await settle();
    harness.cluster.addPartitions('t', 3);
    await settle();
    expect((await harness.run(producer.send({ topic: 't', partition: 2, value: 'v' }))).partition).toBe(2);
    expect((await harness.run(producer.partitionsFor('t'))).length).toBe(3);
  });
});

describe('back-pressure', () => {
  test('past buffer.memory send waits, writable says so, and drained comes when there is room', async () => {
    const producer = start({ batchSize: 1_000, bufferMemory: 3_000, lingerMs: 0 });
    const gate = deferred<void>();
    await harness.run(producer.send({ topic: 't', value: 'first' }));
    harness.cluster.intercept(times(1, onMethod('ProduceStream', { kind: 'hold', until: gate.promise })));
    const sent = sendAll(producer, 100, { value: Buffer.alloc(400) });
    expect(producer.writable).toBe(false);
    let isDrained = false;
    const drained = producer.drained().then(() => {
      isDrained = true;
    });
    await settle(20);
    expect(isDrained).toBe(false);
    gate.resolve();
    await harness.run(drained);
    await harness.run(sent);
    expect(producer.writable).toBe(true);
    expect(harness.cluster.records('t')).toHaveLength(101);
  });

  test('a record that has waited max.block.ms for memory fails; those in batches do not', async () => {
    const producer = start({ batchSize: 1_000, bufferMemory: 1_000, maxBlockMs: 500, lingerMs: 0 });
    const gate = deferred<void>();
    await harness.run(producer.send({ topic: 't', value: 'first' }));
    const stop = harness.cluster.intercept(onMethod('ProduceStream', { kind: 'hold', until: gate.promise }));
    const kept = producer.send({ topic: 't', value: 'kept' });
    await settle();
    const refused = failureOf(producer.send({ topic: 't', value: Buffer.alloc(990) }));
    const failure = await harness.run(refused);
    expect(failure.errorName).toBe('REQUEST_TIMED_OUT');
    expect(failure.message).toContain('buffer.memory');
    stop();
    gate.resolve();
    await harness.run(kept);
    expect(values()).toEqual(['first', 'kept']);
  });

  test('order holds between records that wait for memory and those that come later', async () => {
    const producer = start({ batchSize: 200, bufferMemory: 400, lingerMs: 0 });
    const sent: Promise<unknown>[] = [];
    for (let index = 0; index < 300; index++) {
      sent.push(producer.send({ topic: 't', value: `${index}` }));
      if (index % 7 === 0) await settle(1);
    }
    await harness.run(Promise.all(sent));
    expect(values()).toEqual(numbers(300));
  });

  test('a record larger than the memory is refused at once', async () => {
    const producer = start({ batchSize: 100, bufferMemory: 2_000 });
    await harness.run(producer.send({ topic: 't', value: 'v' }));
    const failure = await failureOf(producer.send({ topic: 't', value: Buffer.alloc(3_000) }));
    expect(failure.errorName).toBe('MESSAGE_TOO_LARGE');
  });
});

describe('flush and close', () => {
  test('flush sends what lingers and resolves when it is settled', async () => {
    const producer = start({ lingerMs: 60_000 });
    const sent = sendAll(producer, 10);
    await harness.run(producer.flush());
    expect(values()).toEqual(numbers(10));
    await sent;
    await producer.flush();
  });

  test('flush covers what waits for its topic', async () => {
    const producer = start({ lingerMs: 60_000 }, { autoCreateTopics: true });
    const sent = producer.send({ topic: 'fresh', value: 'v' });
    await harness.run(producer.flush());
    expect(values('fresh')).toEqual(['v']);
    await sent;
  });

  test('flush resolves although records fail', async () => {
    const producer = start({ lingerMs: 60_000 });
    harness.cluster.intercept(onMethod('ProduceStream', { kind: 'error', error: 'TOPIC_AUTHORIZATION_FAILED' }));
    const failure = failureOf(producer.send({ topic: 't', value: 'v' }));
    await harness.run(producer.flush());
    expect((await failure).errorName).toBe('TOPIC_AUTHORIZATION_FAILED');
  });

  test('close waits for what is under way and refuses the rest', async () => {
    const producer = start({ lingerMs: 60_000 });
    const sent = sendAll(producer, 10);
    await harness.run(producer.close());
    await sent;
    expect(values()).toEqual(numbers(10));
    expect((await failureOf(producer.send({ topic: 't', value: 'v' }))).errorName).toBe('INVALID_REQUEST');
  });

  test('close gives up after its time', async () => {
    const producer = start({ lingerMs: 0 });
    await harness.run(producer.send({ topic: 't', value: 'first' }));
    harness.cluster.intercept(onMethod('ProduceStream', { kind: 'drop' }));
    const failure = failureOf(producer.send({ topic: 't', value: 'v' }));
    await settle();
    await harness.run(producer.close(500));
    expect((await failure).errorName).toBe('REQUEST_TIMED_OUT');
  });
});

describe('interceptors', () => {
  test('see every record before it is sent and every outcome, and their own failures hurt nobody', async () => {
    const seen: unknown[] = [];
    const producer = start({
      interceptors: [
        {
          onSend: (record) => ({ ...record, value: `${String(record.value)}!` }),
          onAcknowledgement: (metadata, error, record) => seen.push([metadata?.offset, error?.errorName, record.value]),
        },
        {
          onSend: () => {
            throw new Error('faulty');
          },
          onAcknowledgement: () => {
            throw new Error('faulty');
          },
        },
      ],
    });
    await harness.run(sendAll(producer, 2));
    expect(values()).toEqual(['0!', '1!']);
    await failureOf(producer.send({ topic: 't', value: 'v', partition: 9 }));
    expect(seen).toEqual([
      [0, undefined, '0!'],
      [1, undefined, '1!'],
      [undefined, 'UNKNOWN_TOPIC_OR_PARTITION', 'v!'],
    ]);
  });
});
