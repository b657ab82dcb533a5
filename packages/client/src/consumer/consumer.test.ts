import { BatchBuilder, buildTransactionMarker, readBatchHeader } from '@barnabas/protocol';
import type { BarnabasError, CompressionType, ErrorName, v1 } from '@barnabas/protocol';
import type { ConsumerOptions } from '../options/consumer-options.js';
import type { Assignment, ConsumerRecord } from '../records.js';
import { Harness, settle, times } from '../testing/index.js';
import type { HarnessOptions } from '../testing/index.js';
import type { ConsumerBatch } from './consumer-batch.js';
import type { Consumer } from './consumer.js';

let harness: Harness;

afterEach(() => harness.close());

function start(options: ConsumerOptions = {}, cluster: HarnessOptions = {}): Consumer {
  harness = new Harness({ topics: { t: 1 }, ...cluster });
  return harness.client.consumer(options);
}

/** Appends a batch of records, numbers from the partition's end on. */
function append(
  count: number,
  options: { partition?: number; timestamp?: number; compression?: CompressionType } = {},
) {
  const { partition: index = 0, timestamp = 1_000, compression = 'none' } = options;
  const partition = harness.cluster.partition('t', index);
  const builder = new BatchBuilder({ maxBytes: 1_000_000, compression });
  for (let offset = 0; offset < count; offset++) {
    const value = Buffer.from(`${partition.logEndOffset + offset}`);
    builder.tryAppend({ key: null, value, headers: [], timestamp: timestamp + offset });
  }
  partition.append(builder.build());
}

function appendBatches(batches: number, size: number, partition = 0): void {
  for (let batch = 0; batch < batches; batch++) append(size, { partition });
}

const T0 = { topic: 't', partition: 0 };

function from(position: Assignment['position'], partition = 0): Assignment {
  return position === undefined ? { topic: 't', partition } : { topic: 't', partition, position };
}

/** Takes so many records and leaves the loop. */
async function take(consumer: Consumer, count: number): Promise<ConsumerRecord[]> {
  const taken: ConsumerRecord[] = [];
  if (count === 0) return taken;
  for await (const record of consumer) {
    taken.push(record);
    if (taken.length === count) break;
  }
  return taken;
}

async function takeBatches(consumer: Consumer, count: number): Promise<ConsumerBatch[]> {
  const taken: ConsumerBatch[] = [];
  for await (const batch of consumer.batches()) {
    taken.push(batch);
    if (taken.length === count) break;
  }
  return taken;
}

function offsets(records: readonly { readonly offset: number }[]): number[] {
  return records.map(({ offset }) => offset);
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, index) => start + index);
}

function failureOf(promise: Promise<unknown>): Promise<BarnabasError> {
  return promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: BarnabasError) => error,
  );
}

/** Nothing has come when everything has had its turn. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let isSettled = false;
  const mark = (): void => {
    isSettled = true;
  };
  promise.then(mark, mark);
  for (let round = 0; round < 5; round++) {
    await settle();
    harness.environment.time.advance(500);
  }
  await settle();
  return !isSettled;
}

describe('reading', () => {
  test('records come in order with all that they have', async () => {
    const consumer = start();
    const producer = harness.client.producer();
    const sent = producer.send({ topic: 't', key: 'k', value: 'v', headers: { h: 'x', n: null }, timestamp: 7 });
    await harness.run(sent);
    append(5);
    await harness.run(consumer.assign([from('earliest')]));
    const records = await harness.run(take(consumer, 6));
    expect(records[0]).toEqual({
      topic: 't',
      partition: 0,
      offset: 0,
      timestamp: 7,
      key: Buffer.from('k'),
      value: Buffer.from('v'),
      headers: [
        { key: 'h', value: Buffer.from('x') },
        { key: 'n', value: null },
      ],
    });
    expect(offsets(records)).toEqual(range(0, 6));
  });

  test.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)('%s batches are decoded', async (compression) => {
    const consumer = start();
    append(100, { compression });
    await harness.run(consumer.assign([from('earliest')]));
    const records = await harness.run(take(consumer, 100));
    expect(records.map(({ value }) => value?.toString())).toEqual(range(0, 100).map(String));
  });

  test('what comes later is pushed', async () => {
    const consumer = start();
    await harness.run(consumer.assign([from('latest')]));
    const taking = take(consumer, 3);
    expect(await isPending(taking)).toBe(true);
    append(2);
    append(1);
    expect(offsets(await harness.run(taking))).toEqual([0, 1, 2]);
  });

  test('several partitions over several brokers, each in order', async () => {
    const consumer = start({}, { brokers: 3, topics: { t: 6 } });
    for (const partition of range(0, 6)) appendBatches(10, 10, partition);
    await harness.run(consumer.assign(range(0, 6).map((partition) => from('earliest', partition))));
    const records = await harness.run(take(consumer, 600));
    for (const partition of range(0, 6)) {
      expect(offsets(records.filter((record) => record.partition === partition))).toEqual(range(0, 100));
    }
  });

  test('leaving the loop in the middle of a batch keeps the place', async () => {
    const consumer = start();
    append(10);
    append(10);
    await harness.run(consumer.assign([from('earliest')]));
    expect(offsets(await harness.run(take(consumer, 4)))).toEqual(range(0, 4));
    expect(consumer.position(T0)).toBe(4);
    const [rest] = await harness.run(takeBatches(consumer, 1));
    expect(offsets(rest?.records ?? [])).toEqual(range(4, 10));
    expect(offsets(await harness.run(take(consumer, 10)))).toEqual(range(10, 20));
    expect(consumer.position(T0)).toBe(20);
  });

  test('batches say what they are and are decoded when asked', async () => {
    const consumer = start();
    append(10, { compression: 'gzip', timestamp: 500 });
    await harness.run(consumer.assign([from({ offset: 3 })]));
    const [batch] = await harness.run(takeBatches(consumer, 1));
    expect(batch).toMatchObject({
      topic: 't',
      partition: 0,
      baseOffset: 0,
      lastOffset: 9,
      nextOffset: 10,
      compression: 'gzip',
      timestampType: 'CreateTime',
      maxTimestamp: 509,
    });
    expect(offsets([...(batch ?? [])])).toEqual(range(3, 10));
    expect(readBatchHeader(batch?.bytes as Buffer).recordCount).toBe(10);
  });

  test('control batches are skipped and counted', async () => {
    const consumer = start();
    append(2);
    const marker = { outcome: 'commit', coordinatorEpoch: 0, producerId: 5, producerEpoch: 0, timestamp: 1 } as const;
    harness.cluster.partition('t', 0).appendUnchecked(buildTransactionMarker(marker), 1);
    append(2);
    await harness.run(consumer.assign([from('earliest')]));
    expect(offsets(await harness.run(take(consumer, 4)))).toEqual([0, 1, 3, 4]);
  });

  test('one loop at a time', async () => {
    const consumer = start();
    append(2);
    await harness.run(consumer.assign([from('earliest')]));
    const taking = take(consumer, 3);
    await settle();
    expect((await failureOf(take(consumer, 1))).errorName).toBe('INVALID_REQUEST');
    append(1);
    expect(await harness.run(taking)).toHaveLength(3);
    expect(await isPending(take(consumer, 1))).toBe(true);
  });

  test('close ends the loop, and nothing begins after it', async () => {
    const consumer = start();
    await harness.run(consumer.assign([from('earliest')]));
    const taking = take(consumer, 1);
    await settle();
    await consumer.close();
    expect(await taking).toEqual([]);
    expect(() => consumer.batches()).toThrow('closed');
    expect((await failureOf(consumer.assign([]))).errorName).toBe('INVALID_REQUEST');
  });

  test('interceptors see what is read, and their own failures hurt nobody', async () => {
    const consumer = start({
      interceptors: [
        { onConsume: (records) => records.filter(({ offset }) => offset % 2 === 0) },
        {
          onConsume: () => {
            throw new Error('faulty');
          },
        },
      ],
    });
    append(10);
    await harness.run(consumer.assign([from('earliest')]));
    const records = await harness.run(take(consumer, 5));
    expect(offsets(records)).toEqual([0, 2, 4, 6, 8]);
    expect(records[0]?.topic).toBe('t');
  });
});

describe('positions', () => {
  test.each<[string, Assignment['position'], number]>([
    ['earliest', 'earliest', 3],
    ['latest', 'latest', 10],
    ['an offset', { offset: 7 }, 7],
    ['a time', { timestamp: 1_005 }, 5],
    ['a time before all', { timestamp: 1 }, 3],
    ['a time after all', { timestamp: 9_999 }, 10],
    ['nothing, which means auto.offset.reset', undefined, 10],
  ])('assign from %s', async (_, position, expected) => {
    const consumer = start();
    append(10);
    harness.cluster.partition('t', 0).deleteRecordsBefore(3);
    await harness.run(consumer.assign([from(position)]));
    expect(consumer.position(T0)).toBe(expected);
    append(1);
    expect((await harness.run(take(consumer, 1)))[0]?.offset).toBe(expected);
  });

  test('auto.offset.reset none refuses to guess', async () => {
    const consumer = start({ autoOffsetReset: 'none' });
    expect((await failureOf(consumer.assign([from(undefined)]))).errorName).toBe('INVALID_REQUEST');
  });

  test('what does not exist is not assigned, and what was stays', async () => {
    const consumer = start({ defaultApiTimeoutMs: 2_000 });
    append(1);
    await harness.run(consumer.assign([from('earliest')]));
    const wrong: readonly [Assignment, string][] = [
      [{ topic: 'none', partition: 0 }, 'UNKNOWN_TOPIC_OR_PARTITION'],
      [{ topic: 't', partition: 1 }, 'UNKNOWN_TOPIC_OR_PARTITION'],
      [{ topic: 't', partition: -1 }, 'INVALID_REQUEST'],
      [{ topic: 't', partition: 0, position: { offset: -2 } }, 'INVALID_REQUEST'],
      [{ topic: 't', partition: 0, position: 'first' as never }, 'INVALID_REQUEST'],
    ];
    for (const [assignment, errorName] of wrong) {
      expect((await harness.run(failureOf(consumer.assign([assignment])))).errorName).toBe(errorName);
    }
    expect((await failureOf(consumer.assign([T0, T0]))).errorName).toBe('INVALID_REQUEST');
    expect(consumer.assignment()).toEqual([T0]);
    expect(await harness.run(take(consumer, 1))).toHaveLength(1);
  });

  test('seek, also in the middle of a batch and of a loop', async () => {
    const consumer = start();
    append(10);
    append(10);
    await harness.run(consumer.assign([from('earliest')]));
    const seen: number[] = [];
    const loop = async (): Promise<void> => {
      for await (const { offset } of consumer) {
        seen.push(offset);
        if (seen.length === 3) consumer.seek(T0, 15);
        if (seen.length === 5) consumer.seek(T0, 1);
        if (seen.length === 8) break;
      }
    };
    await harness.run(loop());
    expect(seen).toEqual([0, 1, 2, 15, 16, 1, 2, 3]);
    expect(() => consumer.seek({ topic: 't', partition: 9 }, 0)).toThrow('not assigned');
    expect(() => consumer.seek(T0, -1)).toThrow('whole number');
  });

  test('seekToBeginning and seekToEnd', async () => {
    const consumer = start();
    append(10);
    await harness.run(consumer.assign([from({ offset: 5 })]));
    await harness.run(consumer.seekToBeginning());
    expect(consumer.position(T0)).toBe(0);
    await harness.run(consumer.seekToEnd([T0]));
    expect(consumer.position(T0)).toBe(10);
  });

  test('offsets of partitions that are not assigned', async () => {
    const consumer = start();
    append(10);
    harness.cluster.partition('t', 0).deleteRecordsBefore(2);
    const ends = Promise.all([
      consumer.beginningOffsets([T0]),
      consumer.endOffsets([T0]),
      consumer.offsetsForTimes([
        { ...T0, timestamp: 1_004 },
        { ...T0, timestamp: 9_999 },
      ]),
    ]);
    const [beginning, end, times] = await harness.run(ends);
    expect(beginning[0]?.offset).toBe(2);
    expect(end[0]?.offset).toBe(10);
    expect(times[0]).toMatchObject({ offset: 4, timestamp: 1_004 });
    expect(times[1]).toBeUndefined();
  });

  test('currentLag is what there is beyond the position', async () => {
    const consumer = start();
    append(10);
    await harness.run(consumer.assign([from('earliest')]));
    expect(consumer.currentLag(T0)).toBeUndefined();
    await harness.run(take(consumer, 4));
    expect(consumer.currentLag(T0)).toBe(6);
  });

  test('pause holds a partition back, what was fetched included; resume goes on without a gap', async () => {
    const consumer = start({}, { topics: { t: 2 } });
    appendBatches(5, 10, 0);
    appendBatches(5, 10, 1);
    await harness.run(consumer.assign([from('earliest', 0), from('earliest', 1)]));
    const first = await harness.run(take(consumer, 5));
    const paused = first[0]?.partition ?? 0;
    consumer.pause([{ topic: 't', partition: paused }]);
    expect(consumer.paused()).toEqual([{ topic: 't', partition: paused }]);
    const others = await harness.run(take(consumer, 50));
    expect(others.every(({ partition }) => partition !== paused)).toBe(true);
    expect(await isPending(take(consumer, 1).then((records) => expect(records).toEqual([])))).toBe(true);
  });

  test('resume goes on without a gap', async () => {
    const consumer = start();
    appendBatches(5, 10);
    await harness.run(consumer.assign([from('earliest')]));
    await harness.run(take(consumer, 15));
    consumer.pause([T0]);
    await settle();
    consumer.resume([T0]);
    expect(offsets(await harness.run(take(consumer, 35)))).toEqual(range(15, 50));
  });

  test('assign anew replaces what was assigned, and drops what was fetched', async () => {
    const consumer = start({}, { topics: { t: 2 } });
    append(10, { partition: 0 });
    append(10, { partition: 1 });
    await harness.run(consumer.assign([from('earliest', 0)]));
    await harness.run(take(consumer, 2));
    await harness.run(consumer.assign([from({ offset: 8 }, 1)]));
    expect(consumer.assignment()).toEqual([{ topic: 't', partition: 1 }]);
    const records = await harness.run(take(consumer, 2));
    expect(records.map(({ partition, offset }) => [partition, offset])).toEqual([
      [1, 8],
      [1, 9],
    ]);
  });
});

describe('when things go wrong', () => {
  test('a position that retention has passed is reset, after what was fetched has been read', async () => {
    const consumer = start({ autoOffsetReset: 'earliest' });
    append(10);
    await harness.run(consumer.assign([from({ offset: 2 })]));
    harness.cluster.partition('t', 0).deleteRecordsBefore(10);
    append(2);
    expect(offsets(await harness.run(take(consumer, 2)))).toEqual([10, 11]);
  });

  test('with auto.offset.reset none the loop fails, and goes on after a seek', async () => {
    const consumer = start({ autoOffsetReset: 'none' });
    append(10);
    await harness.run(consumer.assign([from({ offset: 50 })]));
    for (let attempt = 0; attempt < 2; attempt++) {
      const failure = await harness.run(failureOf(take(consumer, 1)));
      expect(failure.errorName).toBe('OFFSET_OUT_OF_RANGE');
      expect(failure.message).toContain('t-0');
    }
    consumer.seek(T0, 9);
    expect(offsets(await harness.run(take(consumer, 1)))).toEqual([9]);
  });

  describe('where an unclean election has cut off what was read', () => {
    /** Six records, of which the consumer has read so many; then a leader that has two of them, and five others. */
    async function readAndCut(consumer: Consumer, read: number): Promise<void> {
      appendBatches(3, 2);
      await harness.run(consumer.assign([from('earliest')]));
      expect(offsets(await harness.run(take(consumer, read)))).toHaveLength(read);
      const partition = harness.cluster.partition('t', 0);
      partition.truncateTo(2);
      harness.cluster.moveLeader('t', 0, 2);
      append(5);
    }

    test('a consumer goes back to where the log parts from what it has read', async () => {
      const consumer = start({}, { brokers: 2 });
      await readAndCut(consumer, 6);
      expect(offsets(await harness.run(take(consumer, 5)))).toEqual([2, 3, 4, 5, 6]);
    });

    test('with auto.offset.reset none it fails with where that is', async () => {
      const consumer = start({ autoOffsetReset: 'none' }, { brokers: 2 });
      await readAndCut(consumer, 6);
      const failure = await harness.run(failureOf(take(consumer, 1)));
      expect(failure.errorName).toBe('OFFSET_OUT_OF_RANGE');
      expect((failure.cause as BarnabasError).facts).toMatchObject({ divergingOffset: 2 });
      consumer.seek(T0, 2);
      expect(offsets(await harness.run(take(consumer, 5)))).toEqual([2, 3, 4, 5, 6]);
    });

    test('a consumer that was paused meanwhile finds out when it goes on', async () => {
      const consumer = start({}, { brokers: 2 });
      appendBatches(3, 2);
      await harness.run(consumer.assign([from('earliest')]));
      expect(offsets(await harness.run(take(consumer, 4)))).toEqual([0, 1, 2, 3]);
      consumer.pause([T0]);
      harness.cluster.partition('t', 0).truncateTo(2);
      harness.cluster.moveLeader('t', 0, 2);
      append(5);
      consumer.resume([T0]);
      expect(offsets(await harness.run(take(consumer, 5)))).toEqual([2, 3, 4, 5, 6]);
    });

    test.each<[string, HarnessOptions]>([
      ['directly', {}],
      ['through a node that passes on', { bootstrap: 'gateway', client: { route: 'bootstrap' } }],
    ])('a leader of the past, whose log is behind, is not believed (%s)', async (_way, way) => {
      const consumer = start({}, { brokers: 2, ...way });
      harness.cluster.moveLeader('t', 0, 2);
      append(4);
      await harness.run(consumer.assign([from('earliest')]));
      expect(offsets(await harness.run(take(consumer, 4)))).toEqual([0, 1, 2, 3]);
      const partition = harness.cluster.partition('t', 0);
      const asked: number[][] = [];
      const stop = harness.cluster.intercept(({ method, message }) => {
        const { request } = message as v1.FetchRequest;
        if (method !== 'Fetch' || request?.$case !== 'subscribe') return undefined;
        const { leaderEpoch = -1, lastFetchedEpoch = -1 } = request.subscribe;
        asked.push([leaderEpoch, lastFetchedEpoch]);
        // As it answers whose own epoch is 0.
        return { kind: 'error', error: leaderEpoch > 0 ? 'UNKNOWN_LEADER_EPOCH' : 'OFFSET_OUT_OF_RANGE' };
      });
      consumer.pause([T0]);
      consumer.resume([T0]);
      const next = harness.run(take(consumer, 1));
      await settle(20);
      stop();
      append(1);
      expect(offsets(await next)).toEqual([4]);
      expect(asked.length).toBeGreaterThan(0);
      expect(new Set(asked.map(String))).toEqual(new Set(['1,1']));
      expect(partition.leaderEpoch).toBe(1);
    });

    test.each([true, false])('a topic that was made anew is read from its beginning (paused: %s)', async (isPaused) => {
      const consumer = start({}, { brokers: 2 });
      harness.cluster.moveLeader('t', 0, 2);
      append(4);
      await harness.run(consumer.assign([from('earliest')]));
      expect(offsets(await harness.run(take(consumer, 4)))).toEqual([0, 1, 2, 3]);
      if (isPaused) consumer.pause([T0]);
      harness.cluster.deleteTopic('t');
      harness.cluster.createTopic('t');
      append(2);
      await settle(20);
      consumer.resume([T0]);
      expect(offsets(await harness.run(take(consumer, 2)))).toEqual([0, 1]);
    });

    test('a leader that has everything is gone on with', async () => {
      const consumer = start({}, { brokers: 2 });
      append(4);
      await harness.run(consumer.assign([from('earliest')]));
      expect(offsets(await harness.run(take(consumer, 4)))).toEqual([0, 1, 2, 3]);
      harness.cluster.moveLeader('t', 0, 2);
      append(2);
      expect(offsets(await harness.run(take(consumer, 2)))).toEqual([4, 5]);
    });
  });

  test('a damaged batch is named and not handed out; a seek goes past it', async () => {
    const consumer = start();
    append(2);
    const builder = new BatchBuilder({ maxBytes: 1_000 });
    builder.tryAppend({ key: null, value: Buffer.from('damaged'), headers: [], timestamp: 1 });
    const damaged = builder.build();
    damaged[damaged.length - 3] = 0;
    harness.cluster.partition('t', 0).appendUnchecked(damaged, 1);
    append(2);
    await harness.run(consumer.assign([from('earliest')]));
    expect(offsets(await harness.run(take(consumer, 2)))).toEqual([0, 1]);
    for (let attempt = 0; attempt < 2; attempt++) {
      const failure = await harness.run(failureOf(take(consumer, 1)));
      expect(failure.errorName).toBe('CORRUPT_MESSAGE');
      expect(failure.facts).toMatchObject({ topic: 't', partition: 0, position: 2 });
    }
    consumer.seek(T0, 3);
    expect(offsets(await harness.run(take(consumer, 2)))).toEqual([3, 4]);
  });

  test('without check.crcs nobody looks', async () => {
    const consumer = start({ checkCrcs: false });
    const builder = new BatchBuilder({ maxBytes: 1_000 });
    builder.tryAppend({ key: null, value: Buffer.from('damaged'), headers: [], timestamp: 1 });
    const damaged = builder.build();
    damaged[damaged.length - 3] = 0;
    harness.cluster.partition('t', 0).appendUnchecked(damaged, 1);
    await harness.run(consumer.assign([from('earliest')]));
    expect(await harness.run(take(consumer, 1))).toHaveLength(1);
  });

  test('a batch that expands beyond the limit is refused', async () => {
    const consumer = start({ maxDecompressedBytes: 1_000 });
    append(1_000, { compression: 'zstd' });
    await harness.run(consumer.assign([from('earliest')]));
    expect((await harness.run(failureOf(take(consumer, 1)))).errorName).toBe('MESSAGE_TOO_LARGE');
  });

  test('a leader that moves while metadata is late', async () => {
    const consumer = start({}, { brokers: 2 });
    appendBatches(3, 10);
    await harness.run(consumer.assign([from('earliest')]));
    const first = await harness.run(take(consumer, 15));
    harness.cluster.freezeMetadata();
    harness.cluster.moveLeader('t', 0, 2);
    const taking = take(consumer, 25);
    await settle(20);
    append(10);
    harness.cluster.thawMetadata();
    expect(offsets([...first, ...(await harness.run(taking))])).toEqual(range(0, 40));
  });

  test('a topic without permission ends the loop', async () => {
    const consumer = start();
    append(1);
    await harness.run(consumer.assign([from('earliest')]));
    const isSubscribe = (message: unknown): boolean => (message as v1.FetchRequest).request?.$case === 'subscribe';
    const refusal = { kind: 'error', error: 'TOPIC_AUTHORIZATION_FAILED' } as const;
    harness.cluster.intercept(times(1, ({ message }) => (isSubscribe(message) ? refusal : undefined)));
    expect((await harness.run(failureOf(take(consumer, 1)))).errorName).toBe('TOPIC_AUTHORIZATION_FAILED');
    expect(await harness.run(take(consumer, 1))).toHaveLength(1);
  });
});

describe('with client.rack', () => {
  /** Who was asked for the partition, and under which rack. */
  function watch(): string[] {
    const asked: string[] = [];
    harness.cluster.intercept(({ nodeId, method, message }) => {
      const { request } = message as v1.FetchRequest;
      if (method === 'Fetch' && request?.$case === 'subscribe') asked.push(`${nodeId} ${request.subscribe.rack}`);
      return undefined;
    });
    return asked;
  }

  async function begin(): Promise<[Consumer, string[]]> {
    const consumer = start({ clientRack: 'here' }, { brokers: 2 });
    harness.cluster.partition('t', 0).readers.set('here', 2);
    const asked = watch();
    append(2);
    await harness.run(consumer.assign([from('earliest')]));
    expect(offsets(await harness.run(take(consumer, 2)))).toEqual([0, 1]);
    await settle(20);
    return [consumer, asked];
  }

  test('records come from the replica that the leader names', async () => {
    const [consumer, asked] = await begin();
    append(2);
    expect(offsets(await harness.run(take(consumer, 2)))).toEqual([2, 3]);
    expect([asked[0], asked.at(-1)]).toEqual(['1 here', '2 here']);
  });

  test.each<ErrorName>([
    'OFFSET_NOT_AVAILABLE',
    'OFFSET_OUT_OF_RANGE',
    'NOT_LEADER_OR_FOLLOWER',
    'KAFKA_STORAGE_ERROR',
  ])('and from the leader when the replica refuses with %s, which is tried again later', async (error) => {
    const consumer = start({ clientRack: 'here', autoOffsetReset: 'none' }, { brokers: 2 });
    harness.cluster.partition('t', 0).readers.set('here', 2);
    const asked = watch();
    const stop = harness.cluster.intercept(({ nodeId, method }) =>
      method === 'Fetch' && nodeId === 2 ? { kind: 'error', error } : undefined,
    );
    append(2);
    await harness.run(consumer.assign([from('earliest')]));
    const taken = take(consumer, 4);
    await harness.run(new Promise<void>((resolve) => harness.environment.timers.after(1_000, resolve)));
    expect(asked.slice(-2)).toEqual(['2 here', '1 ']);
    stop();
    await harness.run(new Promise<void>((resolve) => harness.environment.timers.after(60_000, resolve)));
    expect(asked.slice(-2)).toEqual(['1 here', '2 here']);
    append(2);
    expect(offsets(await harness.run(taken))).toEqual([0, 1, 2, 3]);
  });

  test('a new leader is asked anew, and so is an old one after five minutes', async () => {
    const [consumer, asked] = await begin();
    expect(asked.at(-1)).toBe('2 here');
    const taken = take(consumer, 2);
    const before = asked.length;
    await harness.run(new Promise<void>((resolve) => harness.environment.timers.after(301_000, resolve)));
    expect(asked.slice(before)).toEqual(['1 here', '2 here']);
    harness.cluster.partition('t', 0).readers.clear();
    harness.cluster.moveLeader('t', 0, 2);
    harness.cluster.moveLeader('t', 0, 1);
    append(2);
    expect(offsets(await harness.run(taken))).toEqual([2, 3]);
    expect(asked.at(-1)).toBe('1 here');
  });
});

describe('memory', () => {
  test('what is fetched ahead stays within fetch.max.bytes and one message for each broker', async () => {
    const [fetchMaxBytes, maxPartitionFetchBytes] = [20_000, 2_000];
    const consumer = start({ fetchMaxBytes, maxPartitionFetchBytes }, { brokers: 2, topics: { t: 4 } });
    for (const partition of range(0, 4)) appendBatches(200, 20, partition);
    let granted = 0;
    harness.cluster.intercept(({ method, message }) => {
      const { request } = message as { request?: { $case: string; credit?: { bytes: number } } };
      if (method === 'Fetch' && request?.$case === 'credit') granted += request.credit?.bytes ?? 0;
      return undefined;
    });
    await harness.run(consumer.assign(range(0, 4).map((partition) => from('earliest', partition))));
    // Nobody takes more than the first: the brokers must stop.
    await harness.run(take(consumer, 1));
    expect(await isPending(new Promise(() => undefined))).toBe(true);
    expect(granted).toBeGreaterThan(0);
    expect(granted).toBeLessThanOrEqual(fetchMaxBytes + 2 * maxPartitionFetchBytes);
    const records = await harness.run(take(consumer, 4 * 200 * 20 - 1));
    expect(records).toHaveLength(15_999);
    expect(granted).toBeGreaterThan(4 * 200 * 20 * 8);
  });

  test('a partition that is paused with much buffered does not keep the others from coming', async () => {
    const consumer = start({ fetchMaxBytes: 3_000, maxPartitionFetchBytes: 1_000 }, { topics: { t: 2 } });
    appendBatches(100, 20, 0);
    await harness.run(consumer.assign([from('earliest', 0), from('earliest', 1)]));
    await harness.run(take(consumer, 1));
    consumer.pause([T0]);
    appendBatches(100, 20, 1);
    const records = await harness.run(take(consumer, 2_000));
    expect(offsets(records)).toEqual(range(0, 2_000));
  });
});
