/** What a log makes of what it finds on disk: torn tails are cut, everything else is named and not served. */
import { SeededRandom } from '@barnabas/common';
import type { Random } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { UNLIMITED } from './index.js';
import type { LogConfig, PartitionLog } from './index.js';
import { decodeKey, encodeKey, keyAt } from './keys.js';
import { ORDERS_LOCATION, readAll, World } from './test-support.js';

let world: World;
beforeEach(() => {
  world = new World({ limits: { tailCacheBytes: 0, maxWriteBytes: 1 } });
});

const flip = (value: Buffer): Buffer => {
  value.writeUInt8(value.readUInt8(value.length - 1) ^ 1, value.length - 1);
  return value;
};

function disk() {
  const found = world.memory.disk(ORDERS_LOCATION);
  if (found === undefined) throw new Error('there is no disk');
  return found;
}

function keys(): { offset: number; kind: string; key: Buffer }[] {
  return disk()
    .written.range({ chunkBytes: 1 })
    .map(({ key }) => ({ key, ...(decodeKey(key) ?? { offset: -1, kind: 'unknown' as const }) }));
}

/** The key of the batch at an offset. */
function batchKey(offset: number): Buffer {
  const found = keys().find((key) => key.offset === offset && key.kind !== 'segmentEnd');
  if (found === undefined) throw new Error(`no batch at ${offset}`);
  return found.key;
}

async function fill(log: PartitionLog, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await world.append(log, [`value ${index}`]).stable;
}

const values = (count: number) => Array.from({ length: count }, (_, index) => `value ${index}`);

async function offlineAt(promise: Promise<unknown>, offset: number): Promise<void> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(BarnabasError);
  expect(error).toMatchObject({
    errorName: 'KAFKA_STORAGE_ERROR',
    message: expect.stringContaining(`orders-3 is corrupt at offset ${offset}`),
    facts: expect.objectContaining({ topic: 'orders', partition: 3, offset, corrupt: true }),
  });
}

/** A crash that loses nothing of what was handed to the disk. */
const KEEPS_ALL: Random = { below: (bound) => bound - 1, float: () => 0 };

describe('recovery after a crash', () => {
  it('reads no further back than the last segment end', async () => {
    let log = await world.open({ segmentBytes: 400 });
    await fill(log, 40);
    const lastEnd = keys().findLast((key) => key.kind === 'segmentEnd');
    world.crash();
    // Damage far back is not looked at: it is found when somebody reads there.
    disk().corrupt(batchKey(0), flip);
    log = await world.open({ segmentBytes: 400 });
    expect(lastEnd?.offset).toBeGreaterThan(30);
    expect(await readAll(log, lastEnd?.offset)).toEqual(values(40).slice(lastEnd?.offset));
    await offlineAt(readAll(log), 0);
  });

  it('tells of a damaged batch as one that is stored, and what to do', async () => {
    const log = await world.open();
    await fill(log, 2);
    world.crash();
    disk().corrupt(batchKey(0), flip);
    const refused: unknown = await world.open().then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refused).toMatchObject({
      message: expect.stringMatching(/the stored batch is damaged .* fails its CRC.*let it be fetched again/),
    });
  });

  it('finds nothing to recover after a clean stop', async () => {
    const log = await world.open();
    await fill(log, 5);
    await world.stop();
    expect(keys().at(-1)).toMatchObject({ kind: 'segmentEnd', offset: 5 });
    await world.open();
    expect(world.store().bytesWritten).toBe(0);
  });

  it('cuts a torn last batch, says so, and appends there', async () => {
    let log = await world.open();
    await fill(log, 5);
    world.crash();
    disk().corrupt(batchKey(4), flip);
    log = await world.open();
    expect(log.logEndOffset).toBe(4);
    expect(world.warnings).toContain('the torn end of a partition log was cut off');
    await world.append(log, ['again']).stable;
    world.crash();
    expect(await readAll(await world.open())).toEqual([...values(4), 'again']);
  });

  it('cuts a last batch of which only a part is there', async () => {
    const log = await world.open();
    await fill(log, 3);
    world.crash();
    disk().corrupt(batchKey(2), (value) => value.subarray(0, 30));
    expect((await world.open()).logEndOffset).toBe(2);
  });

  it('does not cut a last batch that is known to be synced', async () => {
    const log = await world.open();
    await fill(log, 3);
    await world.stop();
    disk().corrupt(batchKey(2), flip);
    const reopened = await world.open();
    await offlineAt(readAll(reopened), 2);
  });

  it.each([
    ['every write synced', {}],
    ['no write synced', { flushMessages: UNLIMITED }],
  ])('goes offline for a damaged batch in the middle, with %s', async (_how, config: Partial<LogConfig>) => {
    const log = await world.open(config);
    await fill(log, 6);
    await log.flush();
    world.crash();
    disk().corrupt(batchKey(3), flip);
    await offlineAt(world.open(config), 3);
    // And it stays as it is: nothing was cut, nothing made up.
    expect(keys().map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4, 5]);
    await offlineAt(world.open(config), 3);
  });

  it('goes offline for a missing batch that was synced', async () => {
    const log = await world.open();
    await fill(log, 6);
    world.crash();
    const key = batchKey(3);
    disk().written.apply([{ type: 'del', key }]);
    await offlineAt(world.open(), 3);
  });

  it('cuts at a hole among writes that were never synced', async () => {
    const log = await world.open({ flushMessages: UNLIMITED });
    await fill(log, 6);
    world.crash({ random: new SeededRandom(1), holes: true });
    const left = keys().map(({ offset }) => offset);
    const hole = left.findIndex((offset, index) => offset !== index);
    expect(hole).toBeGreaterThanOrEqual(0);
    const reopened = await world.open();
    expect(reopened.logEndOffset).toBe(hole);
    expect(await readAll(reopened)).toEqual(values(hole));
    expect(keys()).toHaveLength(hole);
  });

  it('never trusts a segment end above a hole: everything before it was synced first', async () => {
    const config = { flushMessages: UNLIMITED, segmentBytes: 300 };
    const random = new SeededRandom(99);
    for (let run = 0; run < 30; run++) {
      world = new World({ limits: { tailCacheBytes: 0, maxWriteBytes: 1 } });
      await fill(await world.open(config), 12);
      world.crash({ random, holes: true });
      const log = await world.open(config);
      expect(await readAll(log)).toEqual(values(log.logEndOffset));
    }
  });

  it('goes offline for a hole below what was synced, even if nothing synced it since', async () => {
    const log = await world.open({ flushMessages: UNLIMITED });
    await fill(log, 3);
    await log.flush();
    await fill(log, 3);
    await log.flush();
    world.crash();
    // Offset 3 was written when everything before it was synced, so 1 cannot be missing.
    disk().written.apply([{ type: 'del', key: batchKey(1) }]);
    await offlineAt(world.open(), 1);
  });

  it('goes offline for a key or a batch that stands in the wrong place', async () => {
    const log = await world.open();
    await fill(log, 4);
    world.crash();
    const value = disk().written.get(batchKey(1)) ?? Buffer.alloc(0);
    disk().written.apply([{ type: 'put', key: batchKey(2), value }]);
    await offlineAt(world.open(), 2);
    disk().written.apply([{ type: 'put', key: Buffer.from('nonsense'), value }]);
    await expect(world.open()).rejects.toMatchObject({ message: expect.stringContaining('none that this version') });
  });

  it('goes offline for epochs that go back', async () => {
    const log = await world.open();
    await world.append(log, ['a'], { leaderEpoch: 5 }).stable;
    await world.append(log, ['b'], { leaderEpoch: 5 }).stable;
    world.crash();
    disk().corrupt(batchKey(1), (value) => {
      value.writeInt32BE(4, 12);
      return value;
    });
    disk().written.apply([{ type: 'put', key: encodeKey(2, 'batch'), value: Buffer.alloc(0) }]);
    await offlineAt(world.open(), 1);
  });

  it('says when records that consumers saw are missing', async () => {
    const log = await world.open();
    await fill(log, 3);
    log.noteHighWatermark(3);
    await (await world.manager()).checkpoint();
    world.memory.disk('/logs/checkpoints')?.crash(KEEPS_ALL);
    await world.stop();
    disk().written.apply([
      { type: 'del', key: batchKey(2) },
      { type: 'del', key: keyAt(3) },
    ]);
    const reopened = await world.open();
    expect([reopened.logEndOffset, reopened.highWatermark]).toEqual([2, 2]);
    expect(world.warnings).toContain(
      'a partition log ends below its last high watermark: records that consumers saw are missing',
    );
  });
});

describe('damaged segment ends', () => {
  it.each([
    ['the last', -1],
    ['an older one', 3],
    ['the first', 0],
  ])('are derived again from batches: %s', async (_which, index) => {
    const config = { segmentBytes: 400 };
    let log = await world.open(config);
    for (let offset = 0; offset < 30; offset++) {
      world.append(log, [`value ${offset}`], { producerId: 8, producerEpoch: 0, baseSequence: offset, leaderEpoch: 2 });
    }
    await log.whenStable();
    const size = log.sizeInBytes;
    world.crash();
    const ends = keys().filter((key) => key.kind === 'segmentEnd');
    disk().corrupt(ends.at(index)?.key ?? Buffer.alloc(0), flip);
    log = await world.open(config);
    expect([log.logEndOffset, log.sizeInBytes, log.latestEpoch]).toEqual([30, size, 2]);
    expect(await readAll(log)).toEqual(values(30));
    const again = world.append(log, ['value 29'], {
      producerId: 8,
      producerEpoch: 0,
      baseSequence: 29,
      leaderEpoch: 2,
    });
    expect(again).toMatchObject({ duplicate: true, baseOffset: 29 });
    expect(await log.verify()).toEqual({ batches: 30, records: 30, bytes: size, corruption: undefined });
  });

  it('do not hide where a log begins', async () => {
    let log = await world.open();
    await fill(log, 2);
    await log.truncateFullyAndStartAt(500);
    await fill(log, 2);
    world.crash();
    disk().corrupt(keyAt(500), flip);
    log = await world.open();
    expect([log.logStartOffset, log.logEndOffset]).toEqual([500, 502]);
  });

  it('are found in long chains, of which few are read', async () => {
    const config = { segmentBytes: 100 };
    let log = await world.open(config);
    await fill(log, 400);
    world.crash();
    log = await world.open(config);
    const read = jest.spyOn(world.store(), 'get');
    expect(log.sizeInBytes).toBeGreaterThan(400 * 70);
    expect(await readAll(log, 0, { maxBytes: 10_000 })).toEqual(values(400));
    await log.applyRetention({ now: 0, highWatermark: 400 });
    expect(read.mock.calls.length).toBeLessThan(10);
  });
});

describe('corruption found later', () => {
  it('is never served: the read names it, and the log is offline from then on', async () => {
    const log = await world.open();
    await fill(log, 6);
    disk().corrupt(batchKey(3), flip);
    expect(await readAll(log, 0, { maxOffset: 3 })).toEqual(values(3));
    await offlineAt(log.read({ offset: 0, maxBytes: 1e6, maxOffset: 6, minOneBatch: true }), 3);
    expect(log.offline?.facts).toMatchObject({ offset: 3 });
    expect(world.offline).toHaveLength(1);
    expect(() => world.append(log, ['more'])).toThrow(log.offline);
    await expect(readAll(log, 5)).rejects.toBe(log.offline);
    await expect(log.truncateTo(1)).rejects.toBe(log.offline);
    await expect(log.applyRetention({ now: 0, highWatermark: 6 })).rejects.toBe(log.offline);
  });

  it('is found in a batch that holds the offset further down', async () => {
    const log = await world.open();
    await world.append(log, ['a', 'b', 'c']).stable;
    await fill(log, 1);
    disk().corrupt(batchKey(0), flip);
    await offlineAt(log.read({ offset: 1, maxBytes: 1, maxOffset: 4, minOneBatch: true }), 0);
  });

  it('is found where a batch has vanished, at the offset itself and behind it', async () => {
    for (const offset of [2, 3]) {
      world = new World({ limits: { tailCacheBytes: 0 } });
      const log = await world.open();
      await fill(log, 5);
      disk().written.apply([{ type: 'del', key: batchKey(3) }]);
      await offlineAt(log.read({ offset, maxBytes: 1e6, maxOffset: 5, minOneBatch: true }), 3);
    }
  });

  it('is found by verify, wherever it is', async () => {
    for (const damaged of [0, 7, 19]) {
      world = new World({ limits: { tailCacheBytes: 0 } });
      const log = await world.open({ segmentBytes: 300 });
      await fill(log, 20);
      expect(await log.verify()).toMatchObject({ batches: 20, records: 20, corruption: undefined });
      disk().corrupt(batchKey(damaged), flip);
      const report = await log.verify();
      expect(report).toMatchObject({ batches: damaged, corruption: { facts: { offset: damaged } } });
      expect(log.offline).toBe(report.corruption);
    }
  });

  it('is found for every single flipped bit of a batch', async () => {
    const log = await world.open();
    await fill(log, 3);
    const original = Buffer.from(disk().written.get(batchKey(1)) ?? Buffer.alloc(0));
    world.crash();
    for (let bit = 0; bit < original.length * 8; bit++) {
      // The leader epoch lies outside the CRC, as in Kafka: what stands there is checked to be in order.
      const byte = bit >> 3;
      if (byte >= 12 && byte < 16) continue;
      const damaged = Buffer.from(original);
      damaged.writeUInt8(damaged.readUInt8(byte) ^ (1 << (bit & 7)), byte);
      disk().corrupt(batchKey(1), () => damaged);
      await offlineAt(world.open(), 1);
    }
    disk().corrupt(batchKey(1), () => original);
    expect(await readAll(await world.open())).toEqual(values(3));
  });
});

describe('a failing disk', () => {
  it('takes the log offline; a restart finds a whole log without what was not acknowledged', async () => {
    let log = await world.open();
    await fill(log, 3);
    world.store().failNextWrite();
    const failed = world.append(log, ['lost', 'too']);
    const queued = world.append(log, ['lost as well']);
    await expect(failed.stable).rejects.toMatchObject({ errorName: 'KAFKA_STORAGE_ERROR' });
    await expect(queued.stable).rejects.toBe(log.offline);
    expect(log.offline?.message).toContain('orders-3 is offline');
    await expect(readAll(log)).rejects.toBe(log.offline);
    await expect(log.whenStable()).rejects.toBe(log.offline);
    await expect(log.whenDrained()).rejects.toBe(log.offline);
    await expect(log.flush()).rejects.toBe(log.offline);
    expect((await world.manager()).stats()).toMatchObject({ offlineLogs: 1, tailCacheBytes: 0 });
    log = await world.reopen();
    expect(await readAll(log)).toEqual(values(3));
  });

  it('may have written what it said it did not: then a restart finds that too, whole', async () => {
    const log = await world.open();
    await fill(log, 2);
    world.store().failNextWrite({ applied: true });
    await expect(world.append(log, ['maybe', 'there']).stable).rejects.toThrow();
    expect(await readAll(await world.reopen())).toEqual([...values(2), 'maybe', 'there']);
  });

  it('takes the log offline when truncation or retention fails', async () => {
    for (const job of [
      (log: PartitionLog) => log.truncateTo(1),
      (log: PartitionLog) => log.applyRetention({ now: 1e15, highWatermark: 5 }),
    ]) {
      world = new World();
      const log = await world.open();
      await fill(log, 5);
      world.store().failNextWrite();
      await expect(job(log)).rejects.toMatchObject({ errorName: 'KAFKA_STORAGE_ERROR' });
      expect(log.offline).toBeDefined();
    }
  });
});
