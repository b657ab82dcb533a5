/** Compaction of one log, rule by rule; random histories are in compaction.model.test.ts. */
import { BatchBuilder, buildTransactionMarker, decodeRecords, readBatchHeader } from '@barnabas/protocol';
import { KeyMap } from '../index.js';
import type { LogConfig, PartitionLog } from '../index.js';
import { World } from '../test-support.js';
import { decodeCleanerCheckpoint } from './cleaner-checkpoint.js';

const NOW = 1_700_000_000_000;
const HOUR_MS = 3_600_000;
const MARKER = { outcome: 'abort', producerId: 5, producerEpoch: 0, coordinatorEpoch: 0 } as const;
const COMPACT: Partial<LogConfig> = { cleanupPolicy: ['compact'], segmentBytes: 1_048_576, minCleanableDirtyRatio: 0 };

type Pair = readonly [key: string | null, value: string | null];

function batchOf(
  pairs: readonly Pair[],
  fields: { producerId?: number; baseSequence?: number; timestamp?: number } = {},
): Buffer {
  const { producerId = -1, baseSequence = -1, timestamp = 1_700_000_000_000 } = fields;
  const builder = new BatchBuilder({ maxBytes: 1 << 20 });
  const bytes = (text: string | null) => (text === null ? null : Buffer.from(text));
  for (const [key, value] of pairs) builder.tryAppend({ key: bytes(key), value: bytes(value), headers: [], timestamp });
  return builder.build({ producerId, producerEpoch: producerId === -1 ? -1 : 0, baseSequence });
}

/** A log whose segments close when the test says so. */
class Bench {
  readonly world = new World();
  log!: PartitionLog;
  keys = new KeyMap(1 << 16);

  async open(config: Partial<LogConfig> = {}): Promise<this> {
    this.log = await this.world.open({ ...COMPACT, ...config });
    return this;
  }

  async reopen(config: Partial<LogConfig> = {}): Promise<void> {
    this.log = await this.world.reopen({ ...COMPACT, ...config });
  }

  put(pairs: readonly Pair[], fields: Parameters<typeof batchOf>[1] & { leaderEpoch?: number } = {}): void {
    const { leaderEpoch = Math.max(0, this.log.latestEpoch), ...batch } = fields;
    this.log.appendAsLeader(batchOf(pairs, batch), { leaderEpoch, now: this.world.time.now() });
  }

  /** Closing a log closes its segment. */
  async roll(config: Partial<LogConfig> = {}): Promise<void> {
    await this.reopen(config);
  }

  compact(highWatermark = this.log.logEndOffset) {
    return this.log.compact({
      now: this.world.time.now(),
      highWatermark,
      keys: this.keys,
      pace: () => Promise.resolve(),
    });
  }

  plan(highWatermark = this.log.logEndOffset) {
    return this.log.compactionPlan({ now: this.world.time.now(), highWatermark });
  }

  async batches(from = this.log.logStartOffset): Promise<Buffer[]> {
    const maxOffset = this.log.logEndOffset;
    const found: Buffer[] = [];
    for (let offset = from; offset < maxOffset; ) {
      const { batches, nextOffset } = await this.log.read({ offset, maxOffset, maxBytes: 1 << 20, minOneBatch: true });
      if (nextOffset === offset) throw new Error(`nothing at ${offset}`);
      found.push(...batches);
      offset = nextOffset;
    }
    return found;
  }

  /** `offset:key=value` of every record. */
  async records(): Promise<string[]> {
    return (await this.batches()).flatMap((batch) =>
      decodeRecords(batch).map(({ offset, key, value }) => `${offset}:${String(key)}=${String(value)}`),
    );
  }
}

const benches: Bench[] = [];
async function bench(config: Partial<LogConfig> = {}): Promise<Bench> {
  const made = await new Bench().open(config);
  benches.push(made);
  return made;
}
afterEach(async () => {
  for (const { world } of benches.splice(0)) await world.stop();
});

test('the last record of each key stays, where it was', async () => {
  const at = await bench();
  at.put([
    ['a', '1'],
    ['b', '1'],
    ['a', '2'],
  ]);
  at.put([['c', '1']]);
  at.put([
    ['b', '2'],
    ['a', '3'],
  ]);
  await at.roll();
  at.put([['c', '2']]);
  expect(await at.compact()).toMatchObject({ cleanedTo: 6, passes: 1, recordsRemoved: 3 });
  // c's later record is in the active segment, which no pass has looked at.
  expect(await at.records()).toEqual(['3:c=1', '4:b=2', '5:a=3', '6:c=2']);
  expect([at.log.logStartOffset, at.log.logEndOffset]).toEqual([0, 7]);
  expect(await at.log.verify()).toMatchObject({ corruption: undefined, records: 4 });
});

test('batches that lose nothing keep their bytes, and those that lose all become one', async () => {
  const at = await bench();
  at.put([['keep', '1']]);
  for (let round = 0; round < 20; round++) at.put([['x', String(round)]]);
  at.put([['y', '1']]);
  await at.roll();
  const before = await at.batches();
  await at.compact();
  const after = await at.batches();
  expect(after).toHaveLength(4);
  expect(after[0]).toEqual(before[0]);
  expect(readBatchHeader(after[1] as Buffer)).toMatchObject({ baseOffset: 1, lastOffset: 19, recordCount: 0 });
  expect(after.slice(2)).toEqual(before.slice(20));
  // Keys are those that were: none was added.
  expect((await at.log.read({ offset: 10, maxOffset: 30, maxBytes: 1, minOneBatch: true })).nextOffset).toBe(20);
});

test('what has no records left is of one epoch, and epochs end where they ended', async () => {
  const at = await bench();
  for (const leaderEpoch of [0, 0, 3, 3]) at.put([['x', '1']], { leaderEpoch });
  at.put([['x', '2']], { leaderEpoch: 4 });
  await at.roll();
  await at.compact();
  expect((await at.batches()).map((batch) => readBatchHeader(batch).lastOffset)).toEqual([1, 3, 4]);
  await at.reopen();
  expect([0, 3, 4].map((epoch) => at.log.endOffsetForEpoch(epoch)?.endOffset)).toEqual([2, 4, 5]);
});

test('nothing at or above the high watermark is touched, or counts', async () => {
  const at = await bench();
  at.put([['a', '1']]);
  await at.roll();
  at.put([['a', '2']]);
  await at.roll();
  await at.compact(1);
  expect(await at.records()).toEqual(['0:a=1', '1:a=2']);
  expect(at.plan(1)).toBeUndefined();
  await at.compact(2);
  expect(await at.records()).toEqual(['1:a=2']);
});

test('tombstones stay for delete.retention.ms after the pass that met them, and then go with what they deleted', async () => {
  const at = await bench({ deleteRetentionMs: HOUR_MS });
  at.put([
    ['a', '1'],
    ['b', '1'],
  ]);
  at.put([['a', null]]);
  await at.roll({ deleteRetentionMs: HOUR_MS });
  await at.compact();
  expect(await at.records()).toEqual(['1:b=1', '2:a=null']);
  at.put([['c', '1']]);
  await at.roll({ deleteRetentionMs: HOUR_MS });
  at.world.time.advance(HOUR_MS - 1);
  await at.compact();
  expect(await at.records()).toEqual(['1:b=1', '2:a=null', '3:c=1']);
  at.put([['d', '1']]);
  await at.roll({ deleteRetentionMs: HOUR_MS });
  at.world.time.advance(1);
  await at.compact();
  expect(await at.records()).toEqual(['1:b=1', '3:c=1', '4:d=1']);
});

test('a tombstone does not go in the pass that takes away what it deletes, whatever its time', async () => {
  const at = await bench({ deleteRetentionMs: 0 });
  at.put([['a', '1']]);
  at.put([['a', null]]);
  await at.roll({ deleteRetentionMs: 0 });
  await at.compact();
  expect(await at.records()).toEqual(['1:a=null']);
});

test('a producer is known by its last batch, though it has no records left', async () => {
  const at = await bench();
  for (let sequence = 0; sequence < 3; sequence++) at.put([['x', '1']], { producerId: 9, baseSequence: sequence });
  at.put([['x', '2']]);
  await at.roll();
  await at.compact();
  const headers = (await at.batches()).map((batch) => readBatchHeader(batch));
  expect(headers.map(({ lastOffset, producerId, recordCount }) => [lastOffset, producerId, recordCount])).toEqual([
    [1, -1, 0],
    [2, 9, 0],
    [3, -1, 1],
  ]);
  // A follower that fetches all of it knows the producer too.
  const follower = await at.world.open(COMPACT, { topic: 'orders', topicId: 'BBBBBBBBBBBBBBBBBBBBBB', partition: 0 });
  follower.appendAsFollower(Buffer.concat(await at.batches()));
  await follower.whenStable();
  expect([follower.logEndOffset, follower.stableEndOffset, follower.recoveryPoint]).toEqual([4, 4, 4]);
  // What has no records is on its disk too before it says so.
  const idle = await at.world.open(COMPACT, { topic: 'orders', topicId: 'CCCCCCCCCCCCCCCCCCCCCC', partition: 0 });
  idle.appendAsFollower((await at.batches())[0] as Buffer);
  await idle.whenStable();
  expect([idle.stableEndOffset, idle.recoveryPoint]).toEqual([2, 2]);
  const next = batchOf([['x', '3']], { producerId: 9, baseSequence: 3 });
  expect(follower.appendAsLeader(next, { leaderEpoch: 0, now: NOW })).toMatchObject({ baseOffset: 4 });
  // Once it has written again, the old batch says nothing any more.
  at.put([['y', '1']], { producerId: 9, baseSequence: 3 });
  await at.roll();
  await at.compact();
  expect((await at.batches()).map((batch) => readBatchHeader(batch).lastOffset)).toEqual([2, 3, 4]);
});

test('what a transaction wrote, and its marker, are left alone', async () => {
  const at = await bench();
  const builder = new BatchBuilder({ maxBytes: 1 << 20 });
  builder.tryAppend({ key: Buffer.from('a'), value: Buffer.from('1'), headers: [], timestamp: 1_700_000_000_000 });
  const producer = { producerId: 5, producerEpoch: 0, baseSequence: 0 };
  at.put([['a', '0']]);
  at.log.appendAsLeader(builder.build({ ...producer, isTransactional: true }), { leaderEpoch: 0, now: NOW });
  const marker = buildTransactionMarker({ ...MARKER, timestamp: NOW });
  at.log.appendAsLeader(marker, { leaderEpoch: 0, now: NOW, origin: 'coordinator' });
  await at.roll();
  await at.compact();
  expect((await at.batches()).map((batch) => readBatchHeader(batch).recordCount)).toEqual([1, 1, 1]);
});

test('a record without a key is refused, and one from before goes', async () => {
  const at = await bench({ cleanupPolicy: ['delete'] });
  at.put([
    [null, 'old'],
    ['a', '1'],
  ]);
  await at.roll();
  expect(() =>
    at.put([
      ['b', '1'],
      [null, '1'],
    ]),
  ).toThrow('needs a key');
  expect(at.log.logEndOffset).toBe(2);
  await at.compact();
  expect(await at.records()).toEqual(['1:a=1']);
});

test('a map too small for all keys makes several passes of it', async () => {
  const at = await bench();
  const pairs = Array.from({ length: 100 }, (_, index): Pair => [`k${index % 40}`, String(index)]);
  for (let index = 0; index < 100; index += 7) at.put(pairs.slice(index, index + 7));
  await at.roll();
  at.keys = new KeyMap(0);
  const { passes } = await at.compact();
  expect(passes).toBeGreaterThan(5);
  expect(await at.records()).toEqual(pairs.map(([key, value], index) => `${index}:${key}=${value}`).slice(60));
});

test('records of min.compaction.lag.ms stay; those of max.compaction.lag.ms are due whatever the ratio', async () => {
  const at = await bench();
  const now = at.world.time.now();
  const lags = { minCompactionLagMs: HOUR_MS, maxCompactionLagMs: 3 * HOUR_MS, minCleanableDirtyRatio: 1 };
  at.put(
    [
      ['a', '1'],
      ['a', '2'],
    ],
    { timestamp: now },
  );
  await at.roll(lags);
  expect(at.plan()).toBeUndefined();
  at.world.time.advance(HOUR_MS);
  expect(at.plan()).toEqual({ from: 0, to: 2, dirtyRatio: 1, isDue: false });
  at.world.time.advance(2 * HOUR_MS + 1);
  expect(at.plan()).toMatchObject({ isDue: true });
});

test('max.compaction.lag.ms closes a segment that nothing else would', async () => {
  const at = await bench({ maxCompactionLagMs: HOUR_MS });
  at.put([['a', '1']], { timestamp: at.world.time.now() });
  at.world.time.advance(HOUR_MS + 1);
  await at.log.applyRetention({ now: at.world.time.now(), highWatermark: 1 });
  expect(at.plan()).toMatchObject({ to: 1 });
});

test('the ratio is of dirty bytes to all that may be compacted', async () => {
  const at = await bench({ minCleanableDirtyRatio: 0.5 });
  at.put([['a', 'x'.repeat(1000)]]);
  await at.roll({ minCleanableDirtyRatio: 0.5 });
  expect(at.plan()).toMatchObject({ dirtyRatio: 1, isDue: true });
  await at.compact();
  expect(at.plan()).toBeUndefined();
  at.put([['b', 'x'.repeat(400)]]);
  await at.roll({ minCleanableDirtyRatio: 0.5 });
  expect(at.plan()).toMatchObject({ from: 1, to: 2, isDue: false });
  at.put([['b', 'x'.repeat(900)]]);
  await at.roll({ minCleanableDirtyRatio: 0.5 });
  expect(at.plan()).toMatchObject({ from: 1, to: 3, isDue: true });
});

test('a topic that is not compacted is not', async () => {
  const at = await bench({ cleanupPolicy: ['delete'] });
  at.put([
    ['a', '1'],
    ['a', '2'],
  ]);
  await at.roll({ cleanupPolicy: ['delete'] });
  expect(at.plan()).toBeUndefined();
  expect(await at.compact()).toMatchObject({ passes: 0 });
});

test('sizes and the largest timestamp are those of what is left, also after opening again', async () => {
  const at = await bench();
  at.put([['a', 'x'.repeat(500)]], { timestamp: 9_000 });
  at.put([['b', '1']], { timestamp: 5_000 });
  await at.roll();
  at.put([['a', '2']], { timestamp: 7_000 });
  await at.roll();
  const before = at.log.sizeInBytes;
  await at.compact();
  const after = at.log.sizeInBytes;
  expect(after).toBeLessThan(before - 400);
  expect(await at.log.offsetOfMaxTimestamp()).toMatchObject({ offset: 2, timestamp: 7_000 });
  at.world.crash();
  await at.open();
  expect(at.log.sizeInBytes).toBe(after);
  expect(await at.log.offsetOfMaxTimestamp()).toMatchObject({ offset: 2, timestamp: 7_000 });
  expect(await at.log.offsetForTimestamp(4_000, { maxOffset: 3 })).toMatchObject({ offset: 1 });
  expect(await at.log.recordAtOrAfter(0, { maxOffset: 3 })).toMatchObject({ offset: 1, timestamp: 5_000 });
  expect(await at.log.offsetForTimestamp(6_000, { maxOffset: 3 })).toMatchObject({ offset: 2 });
});

test('what is clean is remembered, and forgotten where the log is cut', async () => {
  const at = await bench();
  at.put([
    ['a', '1'],
    ['b', '1'],
  ]);
  at.put([['c', '1']]);
  await at.roll();
  await at.compact();
  await at.reopen();
  expect(at.plan()).toBeUndefined();
  // In the middle of a batch: the batch goes, and with it that it is clean.
  await at.log.truncateTo(1);
  expect(at.log.logEndOffset).toBe(0);
  at.put([['a', '2']]);
  await at.roll();
  expect(at.plan()).toMatchObject({ from: 0, to: 1 });
  await at.compact();
  await at.log.truncateFullyAndStartAt(10);
  at.put([
    ['a', '3'],
    ['a', '4'],
  ]);
  await at.roll();
  expect(at.plan()).toMatchObject({ from: 10, to: 12 });
});

test('a pass during which the log is cut gives up', async () => {
  const at = await bench();
  at.put([['a', '1']]);
  await at.roll();
  at.put([['a', '2']]);
  await at.roll();
  let paced = 0;
  const result = await at.log.compact({
    now: at.world.time.now(),
    highWatermark: 2,
    keys: at.keys,
    // Behind the reading of keys and before anything goes: the record that supersedes the first goes.
    pace: () => (paced++ === 0 ? at.log.truncateTo(1) : Promise.resolve()),
  });
  expect(result).toMatchObject({ cleanedTo: 0, recordsRemoved: 0 });
  expect(await at.records()).toEqual(['0:a=1']);
});

test('retention may drop segments under a pass', async () => {
  const policy = { cleanupPolicy: ['compact', 'delete'] as const, retentionMs: HOUR_MS };
  const at = await bench(policy);
  at.put(
    [
      ['a', '1'],
      ['b', '1'],
    ],
    { timestamp: 1_000 },
  );
  await at.roll(policy);
  at.put([['a', '2']], { timestamp: at.world.time.now() });
  await at.roll(policy);
  let paced = 0;
  const now = at.world.time.now();
  const pace = async (): Promise<void> => {
    if (paced++ === 1) await at.log.applyRetention({ now, highWatermark: 3 });
  };
  await at.log.compact({ now, highWatermark: 3, keys: at.keys, pace });
  expect(at.log.logStartOffset).toBe(2);
  expect(await at.records()).toEqual(['2:a=2']);
  expect(await at.log.verify()).toMatchObject({ corruption: undefined });
});

test('a read that meets a rewrite is repeated, and finds no corruption', async () => {
  const at = await bench();
  for (let round = 0; round < 4; round++)
    at.put([
      ['x', String(round)],
      ['x', 'later'],
    ]);
  await at.roll();
  const store = at.world.store();
  // The read has looked for what begins at offset 1 and is about to look for the batch around it.
  const readChunk = store.readChunk.bind(store);
  let compacted: Promise<unknown> | undefined;
  let reads = 0;
  jest.spyOn(store, 'readChunk').mockImplementation(async (options) => {
    const isSecondLook = options.reverse === true && reads++ === 0;
    if (isSecondLook) await (compacted = at.compact());
    return readChunk(options);
  });
  const { batches, nextOffset } = await at.log.read({ offset: 1, maxOffset: 8, maxBytes: 1 << 20, minOneBatch: true });
  expect(compacted).toBeDefined();
  expect([batches.length, nextOffset]).toEqual([2, 8]);
  expect(at.world.offline).toEqual([]);
});

test('a damaged batch takes the log offline and nothing away', async () => {
  const at = await bench();
  at.put([['a', '1']]);
  at.put([['a', '2']]);
  await at.roll();
  const [entry] = (await at.world.store().readChunk({ limit: 1, chunkBytes: 1 })).entries;
  if (entry === undefined) throw new Error('the log is empty');
  entry.value.writeUInt8(0xff, 65);
  await at.world.store().write([{ type: 'put', key: entry.key, value: entry.value }], { sync: true });
  await expect(at.compact()).rejects.toMatchObject({ errorName: 'KAFKA_STORAGE_ERROR' });
  expect(at.log.offline).toBeDefined();
});

test.each([
  ['cut short', Buffer.alloc(12)],
  ['of a later version', Buffer.concat([Buffer.from([9]), Buffer.alloc(12)])],
  ['damaged', Buffer.concat([Buffer.from([1, 0, 0, 0, 1]), Buffer.alloc(8)])],
])('a checkpoint that is %s says that nothing is clean', (_name, bytes) => {
  expect(decodeCleanerCheckpoint(bytes)).toEqual({ cleanedTo: 0, passes: [] });
});

test('a key map tells keys apart and knows when it is full', () => {
  const map = new KeyMap(24 * 64);
  let count = 0;
  for (; !map.isFull; count++) map.put(Buffer.from(`k${count}`), count);
  expect(count).toBe(48);
  map.put(Buffer.from('k0'), 1_000);
  expect([map.get(Buffer.from('k0')), map.get(Buffer.from('k47')), map.get(Buffer.from('k48'))]).toEqual([
    1_000,
    47,
    undefined,
  ]);
  expect(() => map.put(Buffer.from('k1'), 1)).toThrow('offsets of a key grow');
  map.clear();
  expect([map.size, map.get(Buffer.from('k0'))]).toEqual([0, undefined]);
});
