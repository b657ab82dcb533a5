/** A partition log as a broker uses it: appends, flush policy, reads, lookups, truncation, retention. */
import { buildTransactionMarker, decodeRecords, readBatchHeader } from '@barnabas/protocol';
import { UNLIMITED } from './index.js';
import type { PartitionLog } from './index.js';
import { batchOf, readAll, valuesOf, World } from './test-support.js';

let world: World;
/** Nothing stays in memory once it is written, so that every read is one from disk. */
const withoutMemory = () => new World({ limits: { tailCacheBytes: 0 } });
beforeEach(() => {
  world = new World();
});

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('appending as leader', () => {
  it('assigns offsets at once, and patches offset and epoch outside the CRC', async () => {
    const log = await world.open();
    const first = world.append(log, ['a', 'b'], { leaderEpoch: 7 });
    const second = log.appendAsLeader(Buffer.concat([batchOf(['c']), batchOf(['d', 'e'])]), {
      leaderEpoch: 7,
      now: world.time.now(),
    });
    expect([first.baseOffset, first.lastOffset, second.baseOffset, second.lastOffset]).toEqual([0, 1, 2, 4]);
    expect(first).toMatchObject({ duplicate: false, logAppendTime: -1 });
    expect([log.logEndOffset, log.stableEndOffset, log.latestEpoch]).toEqual([5, 0, 7]);
    await second.stable;
    expect([log.stableEndOffset, log.recoveryPoint]).toEqual([5, 5]);
    const { batches, nextOffset } = await log.read({ offset: 0, maxBytes: 1e6, maxOffset: 5, minOneBatch: false });
    expect(valuesOf(batches)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(nextOffset).toBe(5);
    expect(readBatchHeader(batches[2] ?? Buffer.alloc(0))).toMatchObject({ baseOffset: 3, partitionLeaderEpoch: 7 });
  });

  it('keeps its own copy of what it was given', async () => {
    const log = await world.open();
    const batch = batchOf(['precious']);
    await log.appendAsLeader(batch, { leaderEpoch: 0, now: world.time.now() }).stable;
    batch.fill(0);
    expect(await readAll(log)).toEqual(['precious']);
  });

  it('keeps what it is handed over as it is, without a copy', async () => {
    const log = await world.open();
    const follower = await world.open({}, { topic: 'copy', topicId: 'B'.repeat(22), partition: 0 });
    const read = { offset: 0, maxBytes: 1e6, maxOffset: 1, minOneBatch: true };
    const batch = batchOf(['precious']);
    await log.appendAsLeader(batch, { leaderEpoch: 3, now: world.time.now(), handedOver: true }).stable;
    const { batches } = await log.read(read);
    expect(batches[0]?.buffer).toBe(batch.buffer);
    expect(readBatchHeader(batch)).toMatchObject({ partitionLeaderEpoch: 3 });
    await follower.appendAsFollower(batch, { handedOver: true }).stable;
    expect(await readAll(follower)).toEqual(['precious']);
  });

  it('changes nothing of a buffer it is handed over and refuses', async () => {
    const log = await world.open({ maxMessageBytes: 1000 });
    const batches = Buffer.concat([batchOf(['a']), batchOf(['x'.repeat(2000)])]);
    const before = Buffer.from(batches);
    const options = { leaderEpoch: 7, now: world.time.now(), handedOver: true };
    expect(() => log.appendAsLeader(batches, options)).toThrow(
      expect.objectContaining({ errorName: 'MESSAGE_TOO_LARGE' }),
    );
    expect(batches.equals(before)).toBe(true);
  });

  it('stamps log append time where the topic wants it, with a CRC that is right', async () => {
    world = withoutMemory();
    const log = await world.open({ messageTimestampType: 'LogAppendTime' });
    const result = world.append(log, ['a', 'b'], { timestamps: [5, 6] });
    expect(result.logAppendTime).toBe(world.time.now());
    await log.whenStable();
    const { batches } = await log.read({ offset: 0, maxBytes: 1e6, maxOffset: 2, minOneBatch: true });
    expect(decodeRecords(batches[0] ?? Buffer.alloc(0)).map((record) => record.timestamp)).toEqual([
      world.time.now(),
      world.time.now(),
    ]);
  });

  it.each([
    ['a batch with a flipped bit', () => flip(batchOf(['abc']), 63), 'CORRUPT_MESSAGE'],
    ['half a batch', () => batchOf(['abc']).subarray(0, 40), 'CORRUPT_MESSAGE'],
    ['no batch', () => Buffer.alloc(0), 'INVALID_REQUEST'],
    ['too large a batch', () => batchOf(['x'.repeat(2000)]), 'MESSAGE_TOO_LARGE'],
    ['a control batch of a client', () => marker(), 'INVALID_RECORD'],
    ['a timestamp far ahead', () => batchOf(['a'], { timestamps: [2e12] }), 'INVALID_TIMESTAMP'],
    ['a timestamp far back', () => batchOf(['a'], { timestamps: [1e12] }), 'INVALID_TIMESTAMP'],
    ['a late second timestamp', () => batchOf(['a', 'b'], { timestamps: [17e11, 2e12] }), 'INVALID_TIMESTAMP'],
    [
      'a good batch before a bad one',
      () => Buffer.concat([batchOf(['a']), flip(batchOf(['b']), 63)]),
      'CORRUPT_MESSAGE',
    ],
  ])('refuses %s and changes nothing', async (_what, make, errorName) => {
    const log = await world.open({ maxMessageBytes: 1000, messageTimestampBeforeMaxMs: 1e10 });
    expect(() => log.appendAsLeader(make(), { leaderEpoch: 0, now: world.time.now() })).toThrow(
      expect.objectContaining({ errorName }),
    );
    expect([log.logEndOffset, log.sizeInBytes, log.unstableBytes]).toEqual([0, 0, 0]);
    world.append(log, ['fine']);
    expect(await readAll(log)).toEqual(['fine']);
  });

  it('takes records without timestamps, and control batches of a coordinator', async () => {
    const log = await world.open({ messageTimestampBeforeMaxMs: 1000 });
    world.append(log, ['a'], { timestamps: [-1] });
    log.appendAsLeader(marker(), { leaderEpoch: 0, now: world.time.now(), origin: 'coordinator' });
    expect(log.logEndOffset).toBe(2);
  });

  it('encodes batches anew where compression.type asks for it, and leaves them otherwise', async () => {
    world = withoutMemory();
    const log = await world.open({ compressionType: 'gzip' });
    const values = ['one', 'two', 'three'];
    world.append(log, values, { compression: 'lz4', producerId: 9, producerEpoch: 0, baseSequence: 0 });
    world.append(log, values, { compression: 'gzip' });
    log.configure({ ...log.config, compressionType: 'uncompressed' });
    world.append(log, values, { compression: 'zstd' });
    log.configure({ ...log.config, compressionType: 'producer' });
    world.append(log, values, { compression: 'snappy' });
    await log.whenStable();
    const { batches } = await log.read({ offset: 0, maxBytes: 1e6, maxOffset: 12, minOneBatch: true });
    expect(batches.map((batch) => readBatchHeader(batch).compression)).toEqual(['gzip', 'gzip', 'none', 'snappy']);
    expect(valuesOf(batches)).toEqual([...values, ...values, ...values, ...values]);
    expect(readBatchHeader(batches[0] ?? Buffer.alloc(0))).toMatchObject({ producerId: 9, baseSequence: 0 });
  });

  it('takes an append of an old epoch for a fault, not for a client’s error', async () => {
    const log = await world.open();
    world.append(log, ['a'], { leaderEpoch: 3 });
    expect(() => world.append(log, ['b'], { leaderEpoch: 2 })).toThrow('a leader appends in the latest epoch');
  });
});

describe('idempotent producers', () => {
  const produce = (log: PartitionLog, baseSequence: number, values = ['x', 'y'], producerEpoch = 0) =>
    world.append(log, values, { producerId: 42, producerEpoch, baseSequence });

  it('answers a batch sent twice with its first offsets, and stores it once', async () => {
    const log = await world.open();
    produce(log, 0);
    world.append(log, ['other']);
    produce(log, 2);
    const again = produce(log, 0);
    expect(again).toMatchObject({ baseOffset: 0, lastOffset: 1, duplicate: true });
    expect(log.logEndOffset).toBe(5);
    await again.stable;
    expect(log.stableEndOffset).toBe(5);
  });

  it('does not call a duplicate stable before the first one is', async () => {
    const log = await world.open();
    await produce(log, 0).stable;
    const release = world.store().stallWrites();
    produce(log, 2);
    let stable = false;
    const again = produce(log, 2).stable.then(() => {
      stable = true;
    });
    await turn();
    expect(stable).toBe(false);
    release();
    await again;
    expect(log.stableEndOffset).toBe(4);
  });

  it('refuses gaps, old epochs and epochs that do not begin at 0', async () => {
    const log = await world.open();
    produce(log, 0);
    expect(() => produce(log, 3)).toThrow(expect.objectContaining({ errorName: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }));
    expect(() => produce(log, 5, ['x'], 1)).toThrow(
      expect.objectContaining({ errorName: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }),
    );
    produce(log, 0, ['x'], 1);
    expect(() => produce(log, 2)).toThrow(expect.objectContaining({ errorName: 'INVALID_PRODUCER_EPOCH' }));
    expect(log.logEndOffset).toBe(3);
  });

  it.each(['a clean stop', 'a crash'])('remembers them over %s', async (how) => {
    let log = await world.open();
    for (let sequence = 0; sequence < 12; sequence += 2) await produce(log, sequence).stable;
    if (how === 'a crash') world.crash();
    log = await world.reopen();
    expect(produce(log, 10)).toMatchObject({ baseOffset: 10, duplicate: true });
    expect(() => produce(log, 14)).toThrow(expect.objectContaining({ errorName: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }));
    // Five batches are remembered, this one is older.
    expect(() => produce(log, 0)).toThrow(expect.objectContaining({ errorName: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }));
    expect(produce(log, 12)).toMatchObject({ baseOffset: 12, duplicate: false });
  });

  it('forgets what truncation took: the batch is no duplicate any more', async () => {
    const log = await world.open();
    produce(log, 0);
    produce(log, 2);
    await log.whenStable();
    await log.truncateTo(2);
    expect(() => produce(log, 4)).toThrow(expect.objectContaining({ errorName: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }));
    expect(produce(log, 2)).toMatchObject({ baseOffset: 2, duplicate: false });
    expect(await readAll(log)).toEqual(['x', 'y', 'x', 'y']);
  });

  it('forgets a producer that was silent for producer.id.expiration.ms', async () => {
    world = new World({ limits: { producerIdExpirationMs: 1000 } });
    const log = await world.open();
    produce(log, 0);
    world.time.advance(999);
    await log.applyRetention({ now: world.time.now(), highWatermark: 2 });
    expect(() => produce(log, 7)).toThrow(expect.objectContaining({ errorName: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }));
    world.time.advance(1);
    await log.applyRetention({ now: world.time.now(), highWatermark: 2 });
    expect(() => produce(log, 2)).toThrow(expect.objectContaining({ errorName: 'UNKNOWN_PRODUCER_ID' }));
    expect(produce(log, 0, ['x'], 1)).toMatchObject({ duplicate: false });
  });

  it('takes nothing of a producer before its first batch, so that one refused earlier can still come', async () => {
    const log = await world.open();
    expect(() => produce(log, 2)).toThrow(expect.objectContaining({ errorName: 'UNKNOWN_PRODUCER_ID' }));
    produce(log, 0);
    produce(log, 2);
    expect(await readAll(log)).toEqual(['x', 'y', 'x', 'y']);
  });

  it('follows sequences around the end of 31 bits', async () => {
    const log = await world.open();
    const baseSequence = 2 ** 31 - 3;
    log.appendAsFollower(
      batchOf(['x', 'y'], { baseOffset: 0, partitionLeaderEpoch: 0, producerId: 42, producerEpoch: 0, baseSequence }),
    );
    produce(log, 2 ** 31 - 1);
    expect(produce(log, 1)).toMatchObject({ baseOffset: 4, duplicate: false });
    expect(produce(log, 2 ** 31 - 1)).toMatchObject({ baseOffset: 2, duplicate: true });
  });

  it('refuses an append of which a part is a duplicate', async () => {
    const log = await world.open();
    produce(log, 0);
    const batches = Buffer.concat(
      [0, 2].map((baseSequence) => batchOf(['x', 'y'], { producerId: 42, producerEpoch: 0, baseSequence })),
    );
    expect(() => log.appendAsLeader(batches, { leaderEpoch: 0, now: world.time.now() })).toThrow(
      expect.objectContaining({ errorName: 'INVALID_REQUEST' }),
    );
  });
});

describe('appending as follower', () => {
  it('stores a leader’s batches as they are', async () => {
    const leader = await world.open();
    world.append(leader, ['a', 'b'], { leaderEpoch: 1, producerId: 4, producerEpoch: 0, baseSequence: 0 });
    world.append(leader, ['c'], { leaderEpoch: 2 });
    const { batches } = await leader.read({ offset: 0, maxBytes: 1e6, maxOffset: 3, minOneBatch: true });
    const follower = await world.open({ maxMessageBytes: 1 }, { topic: 'copy', topicId: 'B'.repeat(22), partition: 0 });
    await follower.appendAsFollower(Buffer.concat(batches)).stable;
    expect(await readAll(follower)).toEqual(['a', 'b', 'c']);
    expect(follower.endOffsetForEpoch(1)).toEqual({ leaderEpoch: 1, endOffset: 2 });
  });

  it('refuses gaps, overlaps, going back in epochs and damage', async () => {
    const log = await world.open();
    const at = (baseOffset: number, partitionLeaderEpoch = 1) => batchOf(['v'], { baseOffset, partitionLeaderEpoch });
    log.appendAsFollower(at(0));
    expect(() => log.appendAsFollower(at(2))).toThrow(expect.objectContaining({ errorName: 'OFFSET_OUT_OF_RANGE' }));
    expect(() => log.appendAsFollower(at(0))).toThrow(expect.objectContaining({ errorName: 'OFFSET_OUT_OF_RANGE' }));
    expect(() => log.appendAsFollower(at(1, 0))).toThrow(expect.objectContaining({ errorName: 'CORRUPT_MESSAGE' }));
    expect(() => log.appendAsFollower(flip(at(1), 63))).toThrow(
      expect.objectContaining({ errorName: 'CORRUPT_MESSAGE' }),
    );
    expect(log.logEndOffset).toBe(1);
  });
});

describe('the flush policy', () => {
  it('coalesces what comes while a write is on its way, and syncs once for all of it', async () => {
    const log = await world.open();
    await world.append(log, ['first']).stable;
    const release = world.store().stallWrites();
    const slow = world.append(log, ['slow']);
    await turn();
    const gathered = [...'abcdefgh'].map((value) => world.append(log, [value]).stable);
    const writes = countWrites();
    release();
    await Promise.all([slow.stable, ...gathered]);
    expect(writes()).toEqual([{ operations: 8, sync: true }]);
    expect(log.recoveryPoint).toBe(10);
  });

  it('bounds what it gathers', async () => {
    world = new World({ limits: { maxWriteBytes: 200 } });
    const log = await world.open();
    await world.append(log, ['first']).stable;
    const writes = countWrites();
    for (const value of 'abcdefgh') world.append(log, [value]);
    await log.whenStable();
    expect(writes().every(({ operations }) => operations <= 3)).toBe(true);
    expect(writes().reduce((sum, { operations }) => sum + operations, 0)).toBe(8);
  });

  it('does not say stable before the sync is done', async () => {
    const log = await world.open();
    await world.append(log, ['a']).stable;
    world.store().failNextWrite({ applied: true });
    await expect(world.append(log, ['b']).stable).rejects.toMatchObject({ errorName: 'KAFKA_STORAGE_ERROR' });
  });

  it('syncs after flush.messages records, in between not', async () => {
    const log = await world.open({ flushMessages: 3 });
    for (const [value, expected] of [
      ['a', 0],
      ['b', 0],
      ['c', 3],
      ['d', 3],
    ] as const) {
      await world.append(log, [value]).stable;
      expect(log.recoveryPoint).toBe(expected);
    }
    world.crash();
    expect(await readAll(await world.open())).toEqual(['a', 'b', 'c']);
  });

  it('syncs flush.ms after a write at the latest, also under steady appends', async () => {
    const log = await world.open({ flushMessages: UNLIMITED, flushMs: 100 });
    await world.append(log, ['a']).stable;
    world.time.advance(99);
    await turn();
    expect(log.recoveryPoint).toBe(0);
    world.append(log, ['b']);
    world.time.advance(1);
    await log.whenStable();
    await turn();
    expect(log.recoveryPoint).toBeGreaterThanOrEqual(1);
  });

  it('flushes when told', async () => {
    const log = await world.open({ flushMessages: UNLIMITED });
    world.append(log, ['a']);
    await log.flush();
    expect(log.recoveryPoint).toBe(1);
    world.crash();
    expect(await readAll(await world.open())).toEqual(['a']);
  });

  it('signals back-pressure until the disk has caught up', async () => {
    world = new World({ limits: { maxUnstableBytes: 500 } });
    const log = await world.open();
    await world.append(log, ['a']).stable;
    await log.whenDrained();
    const release = world.store().stallWrites();
    for (let index = 0; index < 10; index++) world.append(log, ['some value']);
    expect(log.isSaturated).toBe(true);
    expect(log.unstableBytes).toBeGreaterThan(500);
    let drained = false;
    const waiting = log.whenDrained().then(() => {
      drained = true;
    });
    await turn();
    expect(drained).toBe(false);
    release();
    await waiting;
    await log.whenStable();
    expect([log.isSaturated, log.unstableBytes]).toEqual([false, 0]);
  });
});

describe('reading', () => {
  const open = async () => {
    const log = await world.open();
    for (const values of [['a', 'b', 'c'], ['d'], ['e', 'f'], ['g']]) world.append(log, values);
    await log.whenStable();
    return log;
  };
  const read = async (log: PartitionLog, request: Partial<Parameters<PartitionLog['read']>[0]>) => {
    const result = await log.read({
      offset: 0,
      maxBytes: 1e6,
      maxOffset: log.logEndOffset,
      minOneBatch: true,
      ...request,
    });
    return [valuesOf(result.batches).join(''), result.nextOffset];
  };

  describe.each(['memory', 'disk'])('from %s', (from) => {
    const log = () => {
      if (from === 'disk') world = withoutMemory();
      return open();
    };

    it('begins with the batch that holds the offset', async () => {
      const opened = await log();
      expect(await read(opened, { offset: 1 })).toEqual(['abcdefg', 7]);
      expect(await read(opened, { offset: 3 })).toEqual(['defg', 7]);
      expect(await read(opened, { offset: 5 })).toEqual(['efg', 7]);
      expect(await read(opened, { offset: 7 })).toEqual(['', 7]);
    });

    it('ends before the batch that reaches maxOffset', async () => {
      const opened = await log();
      expect(await read(opened, { maxOffset: 5 })).toEqual(['abcd', 4]);
      expect(await read(opened, { offset: 4, maxOffset: 5 })).toEqual(['', 4]);
      expect(await read(opened, { offset: 5, maxOffset: 2 })).toEqual(['', 5]);
      expect(await read(opened, { maxOffset: 1e9 })).toEqual(['abcdefg', 7]);
    });

    it('keeps to maxBytes, but for the first batch where asked', async () => {
      const opened = await log();
      const size = batchOf(['a', 'b', 'c']).length;
      expect(await read(opened, { maxBytes: size })).toEqual(['abc', 3]);
      expect(await read(opened, { maxBytes: size - 1 })).toEqual(['abc', 3]);
      expect(await read(opened, { maxBytes: size - 1, minOneBatch: false })).toEqual(['', 0]);
      expect(await read(opened, { maxBytes: 0 })).toEqual(['abc', 3]);
      expect(await read(opened, { offset: 1, maxBytes: size + batchOf(['d']).length })).toEqual(['abcd', 4]);
    });

    it('refuses offsets that the log does not have', async () => {
      const opened = await log();
      for (const offset of [-1, 8]) {
        await expect(read(opened, { offset })).rejects.toMatchObject({
          errorName: 'OFFSET_OUT_OF_RANGE',
          facts: { logStartOffset: 0, logEndOffset: 7 },
        });
      }
    });
  });

  it('reads what is not on disk yet', async () => {
    const log = await open();
    const release = world.store().stallWrites();
    world.append(log, ['new']);
    expect(await read(log, { offset: 6 })).toEqual(['gnew', 8]);
    release();
  });

  it('does not read disk for what is in memory, and keeps memory to its cap', async () => {
    world = new World({ limits: { tailCacheBytes: 1000 } });
    const log = await world.open();
    for (let index = 0; index < 100; index++) await world.append(log, [`value ${index}`]).stable;
    expect((await world.manager()).stats().tailCacheBytes).toBeLessThanOrEqual(1000);
    const get = jest.spyOn(world.store(), 'readChunk');
    expect(await read(log, { offset: 99 })).toEqual(['value 99', 100]);
    expect(get).not.toHaveBeenCalled();
    expect(await readAll(log)).toHaveLength(100);
  });
});

describe('looking up', () => {
  const T = 1_700_000_000_000;

  describe.each([100_000_000, 400])('with segments of %d bytes', (segmentBytes) => {
    it('finds the first record at or after a timestamp', async () => {
      world = withoutMemory();
      const log = await world.open({ segmentBytes });
      world.append(log, ['0', '1', '2'], { timestamps: [T + 10, T + 30, T + 20], leaderEpoch: 4 });
      world.append(log, ['3'], { timestamps: [T + 5], leaderEpoch: 5 });
      log.appendAsLeader(marker(T + 35), { leaderEpoch: 5, now: T, origin: 'coordinator' });
      for (let offset = 5; offset < 30; offset++) {
        world.append(log, [String(offset)], { timestamps: [T + offset * 10], leaderEpoch: 6 });
      }
      await log.whenStable();
      await log.whenStable();
      const find = async (timestamp: number, maxOffset = 1e9) =>
        (await log.offsetForTimestamp(timestamp, { maxOffset }))?.offset;
      expect(await find(0)).toBe(0);
      expect(await find(T + 10)).toBe(0);
      expect(await find(T + 11)).toBe(1);
      expect(await find(T + 21)).toBe(1);
      expect(await find(T + 31)).toBe(5);
      for (let offset = 5; offset < 30; offset++) expect(await find(T + offset * 10 - 9)).toBe(offset);
      expect(await find(T + 291)).toBeUndefined();
      expect(await find(T + 200, 20)).toBeUndefined();
      expect(await find(T + 190, 20)).toBe(19);
      expect(await log.offsetForTimestamp(T + 11, { maxOffset: 9 })).toEqual({
        timestamp: T + 30,
        offset: 1,
        leaderEpoch: 4,
      });
    });

    it('finds the record at an offset, or the first behind it', async () => {
      world = withoutMemory();
      const log = await world.open({ segmentBytes });
      const find = (offset: number, maxOffset = 1e9) => log.recordAtOrAfter(offset, { maxOffset });
      expect(await find(0)).toBeUndefined();
      world.append(log, ['0', '1', '2'], { timestamps: [T + 10, -1, T + 20], leaderEpoch: 4 });
      log.appendAsLeader(marker(T + 35), { leaderEpoch: 5, now: T, origin: 'coordinator' });
      for (let offset = 4; offset < 30; offset++) {
        world.append(log, [String(offset)], { timestamps: [T + offset], leaderEpoch: 6 });
      }
      await log.whenStable();
      expect(await find(0)).toEqual({ offset: 0, timestamp: T + 10, leaderEpoch: 4 });
      expect(await find(1)).toEqual({ offset: 1, timestamp: -1, leaderEpoch: 4 });
      expect(await find(2)).toEqual({ offset: 2, timestamp: T + 20, leaderEpoch: 4 });
      // A marker is no record.
      expect(await find(3)).toEqual({ offset: 4, timestamp: T + 4, leaderEpoch: 6 });
      for (let offset = 4; offset < 30; offset++) expect((await find(offset))?.timestamp).toBe(T + offset);
      expect(await find(30)).toBeUndefined();
      expect(await find(29, 29)).toBeUndefined();
      await log.deleteRecordsBefore(7);
      expect((await find(0))?.offset).toBe(7);
    });

    it('finds the first record with the largest timestamp', async () => {
      const log = await world.open({ segmentBytes });
      expect(await log.offsetOfMaxTimestamp()).toBeUndefined();
      world.append(log, ['0'], { timestamps: [T] });
      world.append(log, ['1', '2', '3'], { timestamps: [T + 7, T + 9, T + 9] });
      for (let offset = 4; offset < 12; offset++) world.append(log, [String(offset)], { timestamps: [T + 5] });
      world.append(log, ['12'], { timestamps: [T + 9] });
      await log.whenStable();
      expect(await log.offsetOfMaxTimestamp()).toEqual({ timestamp: T + 9, offset: 2, leaderEpoch: 0 });
      await log.deleteRecordsBefore(3);
      expect((await log.offsetOfMaxTimestamp())?.offset).toBe(3);
      await log.deleteRecordsBefore(5);
      expect((await log.offsetOfMaxTimestamp())?.offset).toBe(12);
      expect((await log.offsetForTimestamp(0, { maxOffset: 1e9 }))?.offset).toBe(5);
    });
  });

  it('knows where leader epochs end, also after a restart', async () => {
    let log = await world.open();
    expect(log.endOffsetForEpoch(0)).toBeUndefined();
    for (const [leaderEpoch, value] of [
      [1, 'a'],
      [1, 'b'],
      [4, 'c'],
      [9, 'd'],
    ] as const) {
      world.append(log, [value], { leaderEpoch });
    }
    for (const clean of [true, false]) {
      await log.whenStable();
      if (!clean) world.crash();
      log = await world.reopen();
      expect(log.endOffsetForEpoch(0)).toBeUndefined();
      expect(log.endOffsetForEpoch(1)).toEqual({ leaderEpoch: 1, endOffset: 2 });
      expect(log.endOffsetForEpoch(3)).toEqual({ leaderEpoch: 1, endOffset: 2 });
      expect(log.endOffsetForEpoch(4)).toEqual({ leaderEpoch: 4, endOffset: 3 });
      expect(log.endOffsetForEpoch(9)).toEqual({ leaderEpoch: 9, endOffset: log.logEndOffset });
      expect(log.latestEpoch).toBe(9);
      world.append(log, ['more'], { leaderEpoch: 9 });
    }
  });
});

describe('truncation', () => {
  it('lets a flush that falls due meanwhile wait, by time or because somebody asks', async () => {
    const log = await world.open({ flushMessages: UNLIMITED, flushMs: 100 });
    for (const value of ['a', 'b', 'c']) await world.append(log, [value]).stable;
    const release = world.store().stallWrites();
    const truncated = log.truncateTo(1);
    await turn();
    // What has been taken away is on the disk; what would be synced now would not be for a long time.
    release();
    const releaseFlushes = world.store().stallWrites();
    world.time.advance(100);
    const flushed = log.flush();
    await truncated;
    releaseFlushes();
    await flushed;
    expect([log.logEndOffset, log.stableEndOffset, log.recoveryPoint]).toEqual([1, 1, 1]);
    await world.append(log, ['d']).stable;
    await log.flush();
    expect(log.recoveryPoint).toBe(2);
    world.crash();
    expect(await readAll(await world.open())).toEqual(['a', 'd']);
  });

  it('drops whole batches, their epochs and their bytes, durably', async () => {
    let log = await world.open({ segmentBytes: 300 });
    for (let index = 0; index < 20; index++) world.append(log, [`${index}a`, `${index}b`], { leaderEpoch: index >> 2 });
    await log.whenStable();
    const size = log.sizeInBytes;
    await log.truncateTo(17);
    expect([log.logEndOffset, log.stableEndOffset, log.latestEpoch]).toEqual([16, 16, 1]);
    expect(log.sizeInBytes).toBeLessThan(size / 2);
    expect(log.endOffsetForEpoch(3)).toEqual({ leaderEpoch: 1, endOffset: 16 });
    world.crash();
    log = await world.open({ segmentBytes: 300 });
    expect(log.logEndOffset).toBe(16);
    await world.append(log, ['new'], { leaderEpoch: 9 }).stable;
    expect((await readAll(log)).slice(-2)).toEqual(['7b', 'new']);
  });

  it('does nothing at or above the log end', async () => {
    const log = await world.open();
    await world.append(log, ['a', 'b']).stable;
    await log.truncateTo(2);
    await log.truncateTo(100);
    expect(log.logEndOffset).toBe(2);
  });

  it('begins anew at any offset, below and above what was there', async () => {
    let log = await world.open();
    await world.append(log, ['a', 'b'], { leaderEpoch: 3 }).stable;
    for (const offset of [1000, 7, 0]) {
      await log.truncateFullyAndStartAt(offset);
      expect([log.logStartOffset, log.logEndOffset, log.latestEpoch, log.sizeInBytes]).toEqual([offset, offset, -1, 0]);
      world.crash();
      log = await world.open();
      expect([log.logStartOffset, log.logEndOffset]).toEqual([offset, offset]);
      expect(world.append(log, ['x']).baseOffset).toBe(offset);
      expect(await readAll(log)).toEqual(['x']);
    }
  });

  it('moves a noted high watermark down with the log', async () => {
    const log = await world.open();
    await world.append(log, ['a', 'b']).stable;
    await world.append(log, ['c']).stable;
    log.noteHighWatermark(3);
    await log.truncateTo(2);
    expect(log.highWatermark).toBe(2);
    expect(() => log.noteHighWatermark(3)).toThrow('not above the log end');
  });
});

describe('retention', () => {
  const DAY = 86_400_000;
  const fill = async (log: PartitionLog, count: number, value = 'v'.repeat(50)) => {
    for (let index = 0; index < count; index++) {
      world.time.advance(1000);
      world.append(log, [value], { timestamps: [world.time.now()] });
    }
    await log.whenStable();
  };

  it('deletes old segments by time, never above the high watermark, and frees them', async () => {
    let log = await world.open({ segmentBytes: 500, retentionMs: DAY });
    await fill(log, 40);
    const { size } = world.store().disk.written;
    world.time.advance(DAY - 20_000);
    const first = await log.applyRetention({ now: world.time.now(), highWatermark: 10 });
    expect(first.logStartOffset).toBeGreaterThan(0);
    expect(first.logStartOffset).toBeLessThanOrEqual(10);
    const second = await log.applyRetention({ now: world.time.now(), highWatermark: 40 });
    expect(second.logStartOffset).toBeGreaterThan(10);
    expect(second.logStartOffset).toBeLessThanOrEqual(20);
    expect(second.deletedBytes).toBeGreaterThan(0);
    expect(log.sizeInBytes).toBeLessThan(40 * 130);
    expect(world.store().disk.written.size).toBeLessThan(size);
    await expect(log.read({ offset: 0, maxBytes: 1, maxOffset: 40, minOneBatch: true })).rejects.toMatchObject({
      errorName: 'OFFSET_OUT_OF_RANGE',
    });
    const left = await readAll(log);
    log = await world.reopen({ segmentBytes: 500 });
    expect(log.logStartOffset).toBe(second.logStartOffset);
    expect(await readAll(log)).toEqual(left);
  });

  it('empties a log whose every record is old, and keeps its end, epochs and producers', async () => {
    let log = await world.open({ retentionMs: DAY });
    await fill(log, 5);
    world.append(log, ['p'], { producerId: 5, producerEpoch: 0, baseSequence: 0, leaderEpoch: 2 });
    world.time.advance(DAY + 1);
    const result = await log.applyRetention({ now: world.time.now(), highWatermark: 6 });
    expect(result).toMatchObject({ logStartOffset: 6, deletedSegments: 1 });
    expect([log.logStartOffset, log.logEndOffset, log.sizeInBytes, log.latestEpoch]).toEqual([6, 6, 0, 2]);
    world.crash();
    log = await world.open();
    expect([log.logStartOffset, log.logEndOffset, log.latestEpoch]).toEqual([6, 6, 2]);
    expect(log.endOffsetForEpoch(2)).toEqual({ leaderEpoch: 2, endOffset: 6 });
  });

  it('deletes by size until the rest fits', async () => {
    const log = await world.open({ segmentBytes: 500, retentionBytes: 2000, retentionMs: -1 });
    await fill(log, 100);
    await log.applyRetention({ now: world.time.now(), highWatermark: 100 });
    expect(log.sizeInBytes).toBeGreaterThanOrEqual(2000);
    expect(log.sizeInBytes).toBeLessThan(2500);
    expect(await readAll(log)).toHaveLength(100 - log.logStartOffset);
  });

  it('keeps everything where nothing limits it, or where the policy is to compact', async () => {
    const log = await world.open({ segmentBytes: 500, retentionMs: -1 });
    await fill(log, 20);
    world.time.advance(1000 * DAY);
    await log.applyRetention({ now: world.time.now(), highWatermark: 20 });
    log.configure({ ...log.config, retentionMs: 1, cleanupPolicy: ['compact'] });
    await log.applyRetention({ now: world.time.now(), highWatermark: 20 });
    expect(log.logStartOffset).toBe(0);
  });

  it('closes segments after segment.ms', async () => {
    const log = await world.open({ segmentMs: 5000, retentionMs: 5000 });
    await fill(log, 20);
    await log.applyRetention({ now: world.time.now(), highWatermark: 20 });
    expect(log.logStartOffset).toBeGreaterThan(0);
    expect(log.logStartOffset).toBeLessThan(20);
  });

  it('moves the log start up to any offset, durably, and not down', async () => {
    let log = await world.open({ segmentBytes: 300 });
    await fill(log, 10);
    await log.deleteRecordsBefore(4);
    await log.deleteRecordsBefore(3);
    expect(log.logStartOffset).toBe(4);
    await expect(log.deleteRecordsBefore(11)).rejects.toMatchObject({ errorName: 'OFFSET_OUT_OF_RANGE' });
    world.crash();
    log = await world.open();
    expect(log.logStartOffset).toBe(4);
    expect(await readAll(log)).toHaveLength(6);
    await log.deleteRecordsBefore(10);
    expect(await readAll(log)).toEqual([]);
    expect(world.append(log, ['next']).baseOffset).toBe(10);
  });

  it('deletes a segment only once its end is on disk, which says where the log goes on', async () => {
    let log = await world.open({ segmentBytes: 300 });
    const first = world.append(log, ['0', '1', '2'], { timestamps: [1, 2, 3] });
    await first.stable;
    // The write that would close the segment does not come to an end.
    jest.spyOn(world.store(), 'write').mockImplementationOnce(() => new Promise(() => {}));
    world.append(log, ['x'.repeat(300)]);
    void log.deleteRecordsBefore(3).catch(() => {});
    for (let count = 0; count < 10; count++) await turn();
    // Every deletion that was begun outlives the machine.
    world.crash({ random: { below: (bound) => bound - 1, float: () => 0 } });
    log = await world.open();
    expect([log.logStartOffset, log.logEndOffset]).toEqual([3, 3]);
    expect(world.append(log, ['next']).baseOffset).toBe(3);
  });

  it('deletes nothing below a log start that is not on disk, also where retention comes in between', async () => {
    const log = await world.open({ segmentBytes: 300 });
    await fill(log, 40);
    const { written } = world.store().disk;
    const { size } = written;
    const release = world.store(`${world.directory}/checkpoints`).stallWrites();
    const retention = log.applyRetention({ now: world.time.now(), highWatermark: 40 });
    const deletion = log.deleteRecordsBefore(30);
    await turn();
    expect(written.size).toBe(size);
    release();
    await Promise.all([retention, deletion]);
    expect(written.size).toBeLessThan(size);
  });

  it('says that records are deleted once that is on disk, also where somebody else has asked for more', async () => {
    const log = await world.open();
    await fill(log, 10);
    const release = world.store(`${world.directory}/checkpoints`).stallWrites();
    const more = log.deleteRecordsBefore(5);
    let isDone = false;
    const less = log.deleteRecordsBefore(3).then(() => {
      isDone = true;
    });
    await turn();
    expect(isDone).toBe(false);
    release();
    await Promise.all([more, less]);
    world.crash();
    expect((await world.open()).logStartOffset).toBe(5);
  });
});

function flip(batch: Buffer, at: number): Buffer {
  const flipped = Buffer.from(batch);
  flipped.writeUInt8(flipped.readUInt8(at) ^ 0x10, at);
  return flipped;
}

function marker(timestamp = 1_700_000_000_000): Buffer {
  return buildTransactionMarker({
    outcome: 'commit',
    coordinatorEpoch: 0,
    producerId: 77,
    producerEpoch: 0,
    timestamp,
  });
}

function countWrites(): () => { operations: number; sync: boolean }[] {
  const spy = jest.spyOn(world.store(), 'write');
  return () => spy.mock.calls.map(([operations, { sync }]) => ({ operations: operations.length, sync }));
}
