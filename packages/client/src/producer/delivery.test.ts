/** What a producer does when leaders refuse, vanish, move, or answer late. */
import { deferred } from '@barnabas/common';
import { readBatchHeader } from '@barnabas/protocol';
import type { BatchHeader, ErrorName, v1, BarnabasError } from '@barnabas/protocol';
import type { ProducerOptions } from '../options/producer-options.js';
import type { RecordMetadata } from '../records.js';
import { Harness, onMethod, settle, times } from '../testing/index.js';
import type { HarnessOptions, Interceptor } from '../testing/index.js';
import type { Producer } from './producer.js';

let harness: Harness;

afterEach(() => harness.close());

function start(options: ProducerOptions = {}, cluster: HarnessOptions = {}): Producer {
  harness = new Harness({ topics: { t: 1 }, ...cluster });
  return harness.client.producer({ lingerMs: 0, ...options });
}

function values(partition = 0): string[] {
  return harness.cluster.records('t', partition).map(({ value }) => Buffer.from(value ?? '').toString());
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${index}`);
}

/** Sends numbers so that each makes a batch of its own. */
async function sendBatches(producer: Producer, count: number, from = 0): Promise<RecordMetadata[]> {
  const sent: Promise<RecordMetadata>[] = [];
  for (let index = 0; index < count; index++) {
    sent.push(producer.send({ topic: 't', partition: 0, value: `${from + index}` }));
    await settle(1);
  }
  return Promise.all(sent);
}

function failureOf(promise: Promise<unknown>): Promise<BarnabasError> {
  return promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: BarnabasError) => error,
  );
}

/** Batches in the order in which they were sent, those sent again included. */
function watchBatches(): BatchHeader[] {
  const seen: BatchHeader[] = [];
  harness.cluster.intercept(({ method, message }) => {
    if (method !== 'ProduceStream') return undefined;
    for (const { payload } of (message as v1.ProduceStreamRequest).request?.entries ?? []) {
      if (payload?.$case === 'batch') seen.push(readBatchHeader(payload.batch));
    }
    return undefined;
  });
  return seen;
}

function stored(): BatchHeader[] {
  return harness.cluster.partition('t', 0).batches.map((batch) => readBatchHeader(batch));
}

/** Refuses the first `count` entries. */
function refuse(count: number, error: ErrorName): Interceptor {
  let left = count;
  return ({ method }) =>
    method === 'ProduceStream' ? { kind: 'entries', error: () => (left-- > 0 ? error : undefined) } : undefined;
}

describe('retries', () => {
  test.each<ErrorName>([
    'NOT_LEADER_OR_FOLLOWER',
    'LEADER_NOT_AVAILABLE',
    'NOT_ENOUGH_REPLICAS',
    'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
    'UNKNOWN_TOPIC_OR_PARTITION',
    'KAFKA_STORAGE_ERROR',
    'REQUEST_TIMED_OUT',
  ])('after %s everything arrives once and in order', async (error) => {
    const producer = start();
    await harness.run(sendBatches(producer, 1));
    harness.cluster.intercept(refuse(3, error));
    const results = await harness.run(sendBatches(producer, 8, 1));
    expect(values()).toEqual(numbers(9));
    expect(results.map(({ offset }) => offset)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('what is pipelined behind a failure goes out again in order, under its numbers', async () => {
    const producer = start();
    await harness.run(sendBatches(producer, 1));
    const gate = deferred<void>();
    // The first of the four is refused, so those behind it meet a gap.
    const then = { kind: 'entries', error: (): ErrorName => 'NOT_ENOUGH_REPLICAS' } as const;
    harness.cluster.intercept(times(1, onMethod('ProduceStream', { kind: 'hold', until: gate.promise, then })));
    const sent = sendBatches(producer, 4, 1);
    await settle(10);
    gate.resolve();
    await harness.run(sent);
    expect(values()).toEqual(numbers(5));
    expect(stored().map(({ baseSequence }) => baseSequence)).toEqual([0, 1, 2, 3, 4]);
    expect(new Set(stored().map(({ producerEpoch }) => producerEpoch))).toEqual(new Set([0]));
  });

  test('a lost answer leaves no duplicate', async () => {
    const producer = start();
    await harness.run(sendBatches(producer, 1));
    harness.cluster.intercept(times(1, onMethod('ProduceStream', { kind: 'disconnect-after' })));
    const results = await harness.run(sendBatches(producer, 5, 1));
    expect(values()).toEqual(numbers(6));
    expect(results.map(({ offset }) => offset)).toEqual([1, 2, 3, 4, 5]);
  });

  test('an answer that does not come ends the stream, and the batch is sent again', async () => {
    const producer = start({ requestTimeoutMs: 1_000 });
    await harness.run(sendBatches(producer, 1));
    harness.cluster.intercept(times(1, onMethod('ProduceStream', { kind: 'drop-answer' })));
    await harness.run(sendBatches(producer, 3, 1));
    expect(values()).toEqual(numbers(4));
  });

  test('a leader that moves is followed, also where metadata is late', async () => {
    const producer = start({}, { brokers: 3, namesLeaders: false });
    await harness.run(sendBatches(producer, 1));
    harness.cluster.freezeMetadata();
    harness.cluster.moveLeader('t', 0, 2);
    const sent = sendBatches(producer, 5, 1);
    await settle(20);
    expect(values()).toEqual(['0']);
    harness.cluster.thawMetadata();
    await harness.run(sent);
    expect(values()).toEqual(numbers(6));
  });

  test('a leader that is named by the one before is followed at once, without metadata', async () => {
    const producer = start({}, { brokers: 3 });
    await harness.run(sendBatches(producer, 1));
    harness.cluster.freezeMetadata();
    harness.cluster.moveLeader('t', 0, 2);
    const begunMs = harness.environment.clock.monotonic();
    const results = await harness.run(sendBatches(producer, 5, 1));
    expect(values()).toEqual(numbers(6));
    expect(results.map(({ offset }) => offset)).toEqual([1, 2, 3, 4, 5]);
    expect(harness.environment.clock.monotonic() - begunMs).toBeLessThan(50);
    harness.cluster.thawMetadata();
  });

  test('a leader that is succeeded and does not answer is not waited for', async () => {
    const producer = start({}, { brokers: 2 });
    await harness.run(sendBatches(producer, 1));
    // It stands still: it has appended some and not others, and says nothing.
    let messages = 0;
    harness.cluster.intercept(({ nodeId, method }) => {
      if (nodeId !== 1 || method !== 'ProduceStream') return undefined;
      return { kind: messages++ < 2 ? 'drop-answer' : 'drop' };
    });
    const sent = sendBatches(producer, 7, 1);
    await settle(30);
    const begunMs = harness.environment.clock.monotonic();
    harness.cluster.moveLeader('t', 0, 2);
    const results = await harness.run(sent);
    expect(values()).toEqual(numbers(8));
    expect(results.map(({ offset }) => offset)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(harness.environment.clock.monotonic() - begunMs).toBeLessThan(1_000);
  });

  test('an answer of a leader that was given up changes nothing', async () => {
    const producer = start({}, { brokers: 2 });
    await harness.run(sendBatches(producer, 1));
    const gate = deferred<void>();
    const late = { kind: 'hold-answer', until: gate.promise } as const;
    harness.cluster.intercept(
      times(2, (request) => (request.nodeId === 1 ? onMethod('ProduceStream', late)(request) : undefined)),
    );
    const sent = sendBatches(producer, 2, 1);
    await settle(30);
    harness.cluster.moveLeader('t', 0, 2);
    expect((await harness.run(sent)).map(({ offset }) => offset)).toEqual([1, 2]);
    gate.resolve();
    await settle(30);
    expect((await harness.run(sendBatches(producer, 1, 3))).map(({ offset }) => offset)).toEqual([3]);
    expect(values()).toEqual(numbers(4));
  });

  test('a batch without a sequence is never sent to a successor before its leader has answered', async () => {
    const producer = start({ enableIdempotence: false, requestTimeoutMs: 5_000 }, { brokers: 2 });
    await harness.run(sendBatches(producer, 1));
    const gate = deferred<void>();
    harness.cluster.intercept(times(1, onMethod('ProduceStream', { kind: 'hold-answer', until: gate.promise })));
    const sent = sendBatches(producer, 1, 1);
    // The watch is opened, so that the move is heard of.
    for (let step = 0; step < 5; step++) {
      await settle(30);
      harness.environment.time.advance(50);
    }
    harness.cluster.moveLeader('t', 0, 2);
    await settle(30);
    harness.environment.time.advance(1_000);
    await settle(30);
    gate.resolve();
    expect((await harness.run(sent)).map(({ offset }) => offset)).toEqual([1]);
    expect(values()).toEqual(numbers(2));
  });

  test('a broker that stops and comes back is found again', async () => {
    const producer = start({}, { brokers: 2 });
    await harness.run(sendBatches(producer, 1));
    harness.cluster.stopBroker(1);
    const sent = sendBatches(producer, 5, 1);
    await settle(20);
    harness.environment.time.advance(2_000);
    await settle(20);
    harness.cluster.startBroker(1);
    await harness.run(sent);
    expect(values()).toEqual(numbers(6));
  });

  test('a final error fails the batch, and those behind it arrive', async () => {
    const producer = start();
    await harness.run(sendBatches(producer, 1));
    const gate = deferred<void>();
    const then = { kind: 'entries', error: (): ErrorName => 'INVALID_TIMESTAMP' } as const;
    harness.cluster.intercept(times(1, onMethod('ProduceStream', { kind: 'hold', until: gate.promise, then })));
    const refused = failureOf(producer.send({ topic: 't', value: 'refused' }));
    await settle(3);
    const sent = sendBatches(producer, 3, 1);
    await settle(10);
    gate.resolve();
    expect((await harness.run(refused)).errorName).toBe('INVALID_TIMESTAMP');
    await harness.run(sent);
    expect(values()).toEqual(numbers(4));
    await harness.run(sendBatches(producer, 2, 4));
    expect(values()).toEqual(numbers(6));
  });

  test('retries says how often', async () => {
    const producer = start({ retries: 2 });
    await harness.run(sendBatches(producer, 1));
    const seen = watchBatches();
    harness.cluster.intercept(refuse(3, 'NOT_ENOUGH_REPLICAS'));
    expect((await harness.run(failureOf(sendBatches(producer, 1, 1)))).errorName).toBe('NOT_ENOUGH_REPLICAS');
    expect(seen).toHaveLength(3);
  });

  test('pauses grow between attempts', async () => {
    const producer = start();
    await harness.run(sendBatches(producer, 1));
    const at: number[] = [];
    harness.cluster.intercept(({ method }) => {
      if (method === 'ProduceStream') at.push(harness.environment.time.monotonic());
      return undefined;
    });
    harness.cluster.intercept(refuse(6, 'NOT_ENOUGH_REPLICAS'));
    await harness.run(sendBatches(producer, 1, 1));
    const pauses = at.slice(1).map((time, index) => time - (at[index] ?? 0));
    expect(pauses).toHaveLength(6);
    [100, 200, 400, 800, 1_000, 1_000].forEach((nominal, index) => {
      expect(pauses[index]).toBeGreaterThanOrEqual(nominal * 0.8);
      expect(pauses[index]).toBeLessThanOrEqual(nominal * 1.2 + 20);
    });
  });
});

describe('without idempotence', () => {
  test.each<[string, ProducerOptions]>([
    ['acks 1', { acks: 1, maxInFlight: 5 }],
    ['acks all', { enableIdempotence: false, maxInFlight: 10 }],
  ])('%s keeps the order all the same, with one request a partition on its way', async (_, options) => {
    const producer = start(options);
    await harness.run(sendBatches(producer, 1));
    const seen = watchBatches();
    harness.cluster.intercept(refuse(2, 'NOT_ENOUGH_REPLICAS'));
    await harness.run(sendBatches(producer, 20, 1));
    expect(values()).toEqual(numbers(21));
    expect(seen.every(({ producerId }) => producerId === -1)).toBe(true);
  });

  test('what gathers while a request is on its way goes with the next one', async () => {
    const producer = start({ acks: 1, batchSize: 100 });
    await harness.run(sendBatches(producer, 1));
    const gate = deferred<void>();
    let messages = 0;
    harness.cluster.intercept(({ method }) => {
      if (method !== 'ProduceStream') return undefined;
      messages++;
      return messages === 1 ? { kind: 'hold', until: gate.promise } : undefined;
    });
    const sent = sendBatches(producer, 40, 1);
    await settle(60);
    expect(messages).toBe(1);
    gate.resolve();
    await harness.run(sent);
    expect(messages).toBe(2);
    expect(values()).toEqual(numbers(41));
  });

  test('a lost answer is at least once', async () => {
    const producer = start({ acks: 1 });
    await harness.run(sendBatches(producer, 1));
    harness.cluster.intercept(times(1, onMethod('ProduceStream', { kind: 'disconnect-after' })));
    await harness.run(sendBatches(producer, 1, 1));
    expect(values()).toEqual(['0', '1', '1']);
  });
});

describe('sequences', () => {
  test('count on over batches and are the same when sent again', async () => {
    const producer = start();
    const seen = watchBatches();
    harness.cluster.intercept(refuse(1, 'NOT_ENOUGH_REPLICAS'));
    await harness.run(
      Promise.all([producer.send({ topic: 't', value: '0' }), producer.send({ topic: 't', value: '1' })]),
    );
    await harness.run(sendBatches(producer, 2, 2));
    expect(seen.map(({ baseSequence }) => baseSequence)).toEqual([0, 0, 2, 3]);
    expect(new Set(seen.map(({ producerId }) => producerId)).size).toBe(1);
  });

  test('no more than five batches of a partition are on their way', async () => {
    const producer = start({ maxInFlight: 5 });
    await harness.run(sendBatches(producer, 1));
    const seen = watchBatches();
    const gate = deferred<void>();
    harness.cluster.intercept(times(1, onMethod('ProduceStream', { kind: 'hold', until: gate.promise })));
    const sent = sendBatches(producer, 20, 1);
    await settle(40);
    expect(seen.length).toBeLessThanOrEqual(5);
    gate.resolve();
    await harness.run(sent);
    expect(values()).toEqual(numbers(21));
  });

  test('a leader that lost records makes the producer go on in a new epoch', async () => {
    const producer = start();
    await harness.run(sendBatches(producer, 5));
    harness.cluster.partition('t', 0).truncateTo(2);
    await harness.run(sendBatches(producer, 3, 5));
    expect(values()).toEqual(['0', '1', '5', '6', '7']);
    expect(
      stored()
        .slice(0, 3)
        .map(({ producerEpoch, baseSequence }) => [producerEpoch, baseSequence]),
    ).toEqual([
      [0, 0],
      [0, 1],
      [1, 0],
    ]);
  });

  test('a leader that remembers nothing of the producer likewise', async () => {
    const producer = start();
    await harness.run(sendBatches(producer, 3));
    harness.cluster.partition('t', 0).forgetProducers();
    await harness.run(sendBatches(producer, 3, 3));
    expect(values()).toEqual(numbers(6));
  });

  test('but it fails a batch that such a leader may have had before', async () => {
    const producer = start();
    await harness.run(sendBatches(producer, 3));
    const partition = harness.cluster.partition('t', 0);
    harness.cluster.intercept(times(1, onMethod('ProduceStream', { kind: 'disconnect-after' })));
    const sent = failureOf(producer.send({ topic: 't', value: 'may be there' }));
    await settle(5);
    partition.forgetProducers();
    expect((await harness.run(sent)).errorName).toBe('UNKNOWN_PRODUCER_ID');
    await harness.run(sendBatches(producer, 2, 3));
    expect(values()).toEqual(['0', '1', '2', 'may be there', '3', '4']);
  });

  test.each<ErrorName>(['OUT_OF_ORDER_SEQUENCE_NUMBER', 'UNKNOWN_PRODUCER_ID', 'INVALID_PRODUCER_EPOCH'])(
    'a batch that may be in a log is not numbered anew for %s of another leader',
    async (error) => {
      const producer = start();
      await harness.run(sendBatches(producer, 3));
      let attempts = 0;
      harness.cluster.intercept(({ method }) => {
        if (method !== 'ProduceStream') return undefined;
        attempts++;
        if (attempts === 1) return { kind: 'disconnect-after' };
        return attempts === 2 ? { kind: 'entries', error: () => error } : undefined;
      });
      const failure = await harness.run(failureOf(producer.send({ topic: 't', value: 'there' })));
      expect(failure.errorName).toBe(error);
      expect(failure.message).toContain('may have been written');
      await harness.run(sendBatches(producer, 2, 3));
      expect(values()).toEqual(['0', '1', '2', 'there', '3', '4']);
    },
  );

  test('each batch says which leader epoch is known', async () => {
    const producer = start({}, { brokers: 2 });
    const epochs: unknown[] = [];
    harness.cluster.intercept(({ method, message }) => {
      if (method !== 'ProduceStream') return undefined;
      for (const entry of (message as v1.ProduceStreamRequest).request?.entries ?? [])
        epochs.push(entry.currentLeaderEpoch);
      return undefined;
    });
    await harness.run(sendBatches(producer, 1));
    harness.cluster.moveLeader('t', 0, 2);
    await settle(20);
    await harness.run(sendBatches(producer, 1, 1));
    // The old leader, which refuses, names the new one and its epoch.
    expect(epochs).toEqual([0, 0, 1]);
  });

  test('a producer whose epoch is taken gets another id', async () => {
    const producer = start();
    await harness.run(sendBatches(producer, 2));
    const [{ producerId } = { producerId: -1 }] = stored();
    harness.cluster.partition('t', 0).bumpProducerEpoch(producerId);
    await harness.run(sendBatches(producer, 3, 2));
    expect(values()).toEqual(numbers(5));
    expect(new Set(stored().map((header) => header.producerId)).size).toBe(2);
  });

  test('a batch that the leader had too long ago counts as appended', async () => {
    const producer = start();
    await harness.run(sendBatches(producer, 1));
    harness.cluster.intercept(refuse(1, 'DUPLICATE_SEQUENCE_NUMBER'));
    const [result] = await harness.run(sendBatches(producer, 1, 1));
    expect(result?.offset).toBe(-1);
  });

  test('there is no sending before there is a producer id, and without one records fail', async () => {
    const producer = start({ deliveryTimeoutMs: 2_000, requestTimeoutMs: 1_000 });
    const stop = harness.cluster.intercept(
      onMethod('InitProducerId', { kind: 'error', error: 'CLUSTER_AUTHORIZATION_FAILED' }),
    );
    const failure = await harness.run(failureOf(producer.send({ topic: 't', value: 'v' })));
    expect(failure.errorName).toBe('CLUSTER_AUTHORIZATION_FAILED');
    stop();
    await harness.run(sendBatches(producer, 1));
    expect(values()).toEqual(['0']);
  });

  test('each partition counts for itself', async () => {
    const producer = start({}, { topics: { t: 2 } });
    const send = (partition: number, value: string) => producer.send({ topic: 't', partition, value });
    await harness.run(Promise.all([send(0, '0'), send(1, '0')]));
    harness.cluster.partition('t', 0).forgetProducers();
    await harness.run(Promise.all([send(0, '1'), send(1, '1')]));
    expect(values(0)).toEqual(['0', '1']);
    expect(values(1)).toEqual(['0', '1']);
    expect(stored().map(({ producerEpoch }) => producerEpoch)).toEqual([0, 1]);
    const other = harness.cluster.partition('t', 1).batches.map((batch) => readBatchHeader(batch).producerEpoch);
    expect(other).toEqual([0, 0]);
  });
});

describe('large batches', () => {
  test('what is larger than the topic allows is split until it fits, in order and once', async () => {
    const producer = start({ batchSize: 16_384 }, { maxMessageBytes: 1_000 });
    const sent = Array.from({ length: 100 }, (_, index) =>
      producer.send({ topic: 't', key: `${index}`, value: Buffer.alloc(100, index), timestamp: 1_000 + index }),
    );
    const results = await harness.run(Promise.all(sent));
    expect(results.map(({ offset }) => offset)).toEqual(numbers(100).map(Number));
    expect(results.map(({ timestamp }) => timestamp)).toEqual(numbers(100).map((value) => 1_000 + Number(value)));
    const records = harness.cluster.records('t');
    expect(records.map(({ key }) => Buffer.from(key ?? '').toString())).toEqual(numbers(100));
    expect(stored().every(({ sizeInBytes }) => sizeInBytes <= 1_000)).toBe(true);
    await harness.run(producer.flush());
  });

  test('a record that is too large alone fails alone', async () => {
    const producer = start({}, { maxMessageBytes: 1_000 });
    const outcomes = ['a', 'large', 'b'].map((value) =>
      producer.send({ topic: 't', value: value === 'large' ? Buffer.alloc(2_000) : value }).then(
        () => 'sent',
        (error: BarnabasError) => error.errorName,
      ),
    );
    expect(await harness.run(Promise.all(outcomes))).toEqual(['sent', 'MESSAGE_TOO_LARGE', 'sent']);
    expect(values()).toEqual(['a', 'b']);
  });

  test('flush waits for the parts, and memory is given back', async () => {
    const producer = start({ lingerMs: 60_000, bufferMemory: 20_000 }, { maxMessageBytes: 1_000 });
    const sent = Array.from({ length: 50 }, () => producer.send({ topic: 't', value: Buffer.alloc(100) }));
    await harness.run(producer.flush());
    expect(harness.cluster.records('t')).toHaveLength(50);
    await Promise.all(sent);
    expect(producer.writable).toBe(true);
  });

  test('requests stay within max.request.size', async () => {
    const producer = start({ batchSize: 1_000, maxRequestSize: 3_000, acks: 1 });
    let largest = 0;
    harness.cluster.intercept(({ method, message }) => {
      if (method !== 'ProduceStream') return undefined;
      const entries = (message as v1.ProduceStreamRequest).request?.entries ?? [];
      const sizes = entries.map(({ payload }) => (payload?.$case === 'batch' ? payload.batch.length : 0));
      largest = Math.max(
        largest,
        sizes.reduce((sum, size) => sum + size, 0),
      );
      return undefined;
    });
    const sent = Array.from({ length: 100 }, () => producer.send({ topic: 't', value: Buffer.alloc(200) }));
    await harness.run(Promise.all(sent));
    expect(largest).toBeGreaterThan(2_000);
    expect(largest).toBeLessThanOrEqual(3_000);
  });
});

describe('delivery.timeout.ms', () => {
  const short: ProducerOptions = { deliveryTimeoutMs: 3_000, requestTimeoutMs: 1_000 };

  test('a record that no leader takes fails at its end', async () => {
    const producer = start(short);
    await harness.run(sendBatches(producer, 1));
    harness.cluster.intercept(refuse(1_000, 'NOT_ENOUGH_REPLICAS'));
    const began = harness.environment.time.monotonic();
    const failure = await harness.run(failureOf(producer.send({ topic: 't', value: 'v' })));
    const took = harness.environment.time.monotonic() - began;
    expect(failure.errorName).toBe('REQUEST_TIMED_OUT');
    expect(took).toBeGreaterThanOrEqual(3_000);
    expect(took).toBeLessThan(3_100);
  });

  test('a record that was never sent fails too, and says so', async () => {
    const producer = start(short);
    await harness.run(sendBatches(producer, 1));
    harness.cluster.stopBroker(1);
    await settle();
    const failure = await harness.run(failureOf(producer.send({ topic: 't', value: 'v' })));
    expect(failure.errorName).toBe('REQUEST_TIMED_OUT');
    expect(failure.message).toContain('no leader could be reached');
  });

  test('after a batch that may or may not be there, the next ones arrive once', async () => {
    for (const kind of ['drop', 'drop-answer'] as const) {
      const producer = start(short);
      await harness.run(sendBatches(producer, 1));
      const stop = harness.cluster.intercept(onMethod('ProduceStream', { kind }));
      const failure = failureOf(producer.send({ topic: 't', value: 'lost' }));
      expect((await harness.run(failure)).errorName).toBe('REQUEST_TIMED_OUT');
      stop();
      await harness.run(sendBatches(producer, 4, 1));
      expect(values().filter((value) => value !== 'lost')).toEqual(numbers(5));
      expect(values().filter((value) => value === 'lost')).toHaveLength(kind === 'drop' ? 0 : 1);
      if (kind === 'drop') await harness.close();
    }
  });
});

describe('a request for many partitions', () => {
  it('settles what an early part of its answer says, and leaves the rest to the last', async () => {
    const producer = start({}, { topics: { t: 3 } });
    const gate = deferred<void>();
    harness.cluster.intercept(times(1, onMethod('ProduceStream', { kind: 'answer-in-parts', until: gate.promise })));
    const done: number[] = [];
    const sent = [0, 1, 2].map((partition) =>
      producer.send({ topic: 't', partition, value: 'a' }).then(() => done.push(partition)),
    );
    await sent[0];
    await settle();
    expect(done).toEqual([0]);
    // The partition that is done does not wait for the others.
    await producer.send({ topic: 't', partition: 0, value: 'b' });
    expect(values(0)).toEqual(['a', 'b']);
    gate.resolve();
    await Promise.all(sent);
    expect(done).toEqual([0, 1, 2]);
    expect([values(1), values(2)]).toEqual([['a'], ['a']]);
  });

  it('is split into requests that the leader answers one by one, all on their way at once', async () => {
    const producer = start({}, { topics: { t: 300 } });
    await producer.send({ topic: 't', partition: 0, value: 'first' });
    const gate = deferred<void>();
    const sizes: number[] = [];
    harness.cluster.intercept(({ method, message }) => {
      if (method !== 'ProduceStream') return undefined;
      sizes.push((message as v1.ProduceStreamRequest).request?.entries.length ?? 0);
      return { kind: 'hold-answer', until: gate.promise };
    });
    const sent = Array.from({ length: 300 }, (_, partition) => producer.send({ topic: 't', partition, value: 'a' }));
    await settle();
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(300);
    expect(Math.max(...sizes)).toBe(128);
    gate.resolve();
    await Promise.all(sent);
  });
});
