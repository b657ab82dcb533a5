/** One broker's logs together: directories, the lock, the cap on open databases, checkpoints, deletion. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { levelStoreFactory } from '@barnabas/store';
import { dumpLog, partitionOfDirectory } from './index.js';
import type { DumpedEntry, PartitionLog, TopicPartition } from './index.js';
import { DIRECTORY, ORDERS, ORDERS_LOCATION, readAll, TOPIC_ID, valuesOf, World } from './test-support.js';

let world: World;
beforeEach(() => {
  world = new World();
});

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const numbered = (partition: number): TopicPartition => ({ ...ORDERS, partition });

describe('opening', () => {
  it('gives the same log while it is open, also to those who ask at once', async () => {
    const manager = await world.manager();
    const [first, second] = await Promise.all([world.open(), world.open()]);
    expect(first).toBe(second);
    expect(await world.open()).toBe(first);
    expect(manager.log(TOPIC_ID, 3)).toBe(first);
    expect(manager.logs()).toEqual([first]);
    expect(manager.log(TOPIC_ID, 4)).toBeUndefined();
  });

  it('gives another log after a close, with what the first one had', async () => {
    const first = await world.open();
    await world.append(first, ['a']).stable;
    first.noteHighWatermark(1);
    const manager = await world.manager();
    await manager.closeLog(TOPIC_ID, 3);
    expect(manager.log(TOPIC_ID, 3)).toBeUndefined();
    expect(() => world.append(first, ['b'])).toThrow(expect.objectContaining({ errorName: 'KAFKA_STORAGE_ERROR' }));
    const second = await world.open();
    expect(second).not.toBe(first);
    expect(second.highWatermark).toBe(1);
    expect(await readAll(second)).toEqual(['a']);
  });

  it('fails for a corrupt log and leaves the others alone', async () => {
    const good = await world.open({}, numbered(1));
    const bad = await world.open();
    for (const log of [good, bad]) for (const value of ['a', 'b']) await world.append(log, [value]).stable;
    world.crash();
    const disk = world.memory.disk(ORDERS_LOCATION);
    const [first] = disk?.written.range({ chunkBytes: 1 }) ?? [];
    disk?.corrupt(first?.key ?? Buffer.alloc(0), (value) => value.fill(0, 30));
    await expect(world.open()).rejects.toMatchObject({ message: expect.stringContaining('orders-3 is corrupt') });
    expect(await readAll(await world.open({}, numbered(1)))).toEqual(['a', 'b']);
  });
});

describe('a stop in good order', () => {
  it('is told to the next start, and only to that one', async () => {
    await world.append(await world.open(), ['a']).stable;
    expect((await world.manager()).cleanShutdownEpoch).toBe(-1);
    await world.stop(7);
    expect((await world.manager()).cleanShutdownEpoch).toBe(7);
    // From here on a crash is a crash, whatever was written before.
    world.crash();
    expect((await world.manager()).cleanShutdownEpoch).toBe(-1);
    await world.stop();
    expect((await world.manager()).cleanShutdownEpoch).toBe(-1);
  });

  it('is none once a log has failed, which may have lost something', async () => {
    const log = await world.open();
    world.memory.store(ORDERS_LOCATION)?.failNextWrite();
    await expect(world.append(log, ['a']).stable).rejects.toMatchObject({ errorName: 'KAFKA_STORAGE_ERROR' });
    await (await world.manager()).closeLog(TOPIC_ID, 3);
    await world.stop(7);
    expect((await world.manager()).cleanShutdownEpoch).toBe(-1);
  });
});

describe('the directory', () => {
  it('is refused when it belongs to another cluster or node', async () => {
    await world.open();
    await world.stop();
    for (const owner of [{ clusterId: 'cluster-b' }, { nodeId: 2 }]) {
      await expect(world.manager(owner)).rejects.toMatchObject({
        errorName: 'INCONSISTENT_CLUSTER_ID',
        message: expect.stringContaining('cluster-a'),
      });
    }
    expect(await world.open()).toBeDefined();
  });

  it('is refused while another manager uses it', async () => {
    await world.open();
    const other = new World({ factory: world.memory });
    await expect(other.manager()).rejects.toMatchObject({
      errorName: 'KAFKA_STORAGE_ERROR',
      message: expect.stringContaining('in use by another process'),
    });
  });

  it('lists what is stored, so that strays can be found and removed', async () => {
    const manager = await world.manager();
    const long = { topic: 'x'.repeat(249), topicId: 'C'.repeat(22), partition: 7 };
    const log = await world.open({}, long);
    await world.append(log, ['a']).stable;
    await world.open();
    const stored = await manager.storedLogs();
    expect(stored).toEqual([
      { ...ORDERS, directory: ORDERS_LOCATION },
      { ...long, directory: expect.stringContaining(`${DIRECTORY}/xxx`) },
    ]);
    await manager.closeLog(long.topicId, 7);
    await manager.deleteLog(long.topicId, 7);
    world.time.advance(0);
    await turn();
    expect((await manager.storedLogs()).map(({ topic }) => topic)).toEqual(['orders']);
    expect(world.memory.locations()).toHaveLength(2);
  });
});

describe('deletion', () => {
  it('takes the log away at once and its files later', async () => {
    const log = await world.open({ fileDeleteDelayMs: 1000 });
    await world.append(log, ['a']).stable;
    const manager = await world.manager();
    const pending = world.append(log, ['b']);
    await manager.deleteLog(TOPIC_ID, 3);
    await expect(pending.stable).rejects.toMatchObject({ errorName: 'KAFKA_STORAGE_ERROR' });
    expect(manager.log(TOPIC_ID, 3)).toBeUndefined();
    expect(world.offline).toEqual([]);
    world.time.advance(999);
    await turn();
    expect(world.memory.locations()).toContain(`${ORDERS_LOCATION}.deleted`);
    world.time.advance(1);
    await turn();
    expect(world.memory.locations()).toEqual([`${DIRECTORY}/checkpoints`]);
  });

  it('leaves nothing behind for a topic made again, nor the old high watermark', async () => {
    const log = await world.open();
    await world.append(log, ['a']).stable;
    log.noteHighWatermark(1);
    const manager = await world.manager();
    await manager.checkpoint();
    await manager.deleteLog(TOPIC_ID, 3);
    const again = await world.open();
    expect([again.logEndOffset, again.highWatermark]).toEqual([0, 0]);
  });

  it('is finished at the next start', async () => {
    const log = await world.open({ fileDeleteDelayMs: 1e9 });
    await world.append(log, ['a']).stable;
    await (await world.manager()).deleteLog(TOPIC_ID, 3);
    await world.stop();
    await world.manager();
    expect(world.memory.locations()).toEqual([`${DIRECTORY}/checkpoints`]);
  });

  it('of what is not there does nothing', async () => {
    await (await world.manager()).deleteLog(TOPIC_ID, 9);
    await (await world.manager()).closeLog(TOPIC_ID, 9);
  });
});

describe('checkpoints', () => {
  it('are written in intervals and at close, and never lead above the log end', async () => {
    world = new World({ limits: { checkpointIntervalMs: 5000 } });
    let log = await world.open();
    await world.append(log, ['a']).stable;
    await world.append(log, ['b']).stable;
    log.noteHighWatermark(1);
    world.time.advance(5000);
    await turn();
    log.noteHighWatermark(2);
    const checkpoints = world.store(`${DIRECTORY}/checkpoints`);
    await checkpoints.sync();
    world.crash();
    log = await world.open();
    expect(log.highWatermark).toBe(1);
    log.noteHighWatermark(2);
    log = await world.reopen();
    expect(log.highWatermark).toBe(2);
    await log.truncateTo(1);
    log = await world.reopen();
    expect(log.highWatermark).toBe(1);
  });

  it('are written only where something changed', async () => {
    const log = await world.open();
    await world.append(log, ['a']).stable;
    log.noteHighWatermark(1);
    const manager = await world.manager();
    await manager.checkpoint();
    const { bytesWritten } = world.store(`${DIRECTORY}/checkpoints`);
    await manager.checkpoint();
    expect(world.store(`${DIRECTORY}/checkpoints`).bytesWritten).toBe(bytesWritten);
  });
});

describe('open databases', () => {
  const open = async (count: number) => {
    const logs: PartitionLog[] = [];
    for (let partition = 0; partition < count; partition++) logs.push(await world.open({}, numbered(partition)));
    return logs;
  };
  const openNow = () => world.memory.locations().filter((location) => world.memory.store(location)).length - 1;

  it('stay below the cap; logs work whether theirs is open or not', async () => {
    world = new World({ limits: { maxOpenDatabases: 3, tailCacheBytes: 0 } });
    const logs = await open(10);
    const manager = await world.manager();
    for (let round = 0; round < 3; round++) {
      const all = logs.map((log) => world.append(log, [`${log.partition} ${round}`]).stable);
      expect(openNow()).toBeLessThanOrEqual(3);
      await Promise.all(all);
      expect(manager.stats().openDatabases).toBeLessThanOrEqual(3);
    }
    const read = await Promise.all(logs.map((log) => readAll(log)));
    expect(read.map(String)).toEqual(logs.map((log) => `${log.partition} 0,${log.partition} 1,${log.partition} 2`));
    expect(openNow()).toBeLessThanOrEqual(3);
    expect(manager.stats()).toMatchObject({ logs: 10, offlineLogs: 0 });
  });

  it('are not closed while in use: whoever needs another waits', async () => {
    world = new World({ limits: { maxOpenDatabases: 1 } });
    const [first, second] = await open(2);
    if (first === undefined || second === undefined) throw new Error('two logs');
    await world.append(first, ['a']).stable;
    const release = world.store(`${DIRECTORY}/orders-0.${TOPIC_ID}`).stallWrites();
    const slow = world.append(first, ['b']).stable;
    await turn();
    const waiting = world.append(second, ['c']).stable;
    await turn();
    expect(world.memory.store(`${DIRECTORY}/orders-1.${TOPIC_ID}`)).toBeUndefined();
    release();
    await Promise.all([slow, waiting]);
    expect(world.memory.store(`${DIRECTORY}/orders-0.${TOPIC_ID}`)).toBeUndefined();
  });

  it('are closed when idle, and opened again when needed', async () => {
    world = new World({ limits: { idleCloseMs: 60_000 } });
    const [first, second] = await open(2);
    if (first === undefined || second === undefined) throw new Error('two logs');
    world.time.advance(40_000);
    await world.append(first, ['a']).stable;
    world.time.advance(20_000);
    await turn();
    expect(openNow()).toBe(1);
    world.time.advance(120_000);
    await turn();
    expect(openNow()).toBe(0);
    await world.append(second, ['b']).stable;
    expect(await readAll(first)).toEqual(['a']);
    expect(await readAll(second)).toEqual(['b']);
  });

  it('lose nothing by being closed between unsynced writes', async () => {
    world = new World({ limits: { maxOpenDatabases: 1 } });
    const logs = [
      await world.open({ flushMessages: 1000 }, numbered(0)),
      await world.open({ flushMessages: 1000 }, numbered(1)),
    ];
    for (let round = 0; round < 5; round++) for (const log of logs) await world.append(log, [String(round)]).stable;
    for (const log of logs) await log.flush();
    world.crash();
    for (const partition of [0, 1]) {
      expect(await readAll(await world.open({}, numbered(partition)))).toEqual(['0', '1', '2', '3', '4']);
    }
  });
});

describe('over LevelDB', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'barnabas-logs-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));
  const level = (limits = {}) => new World({ factory: levelStoreFactory, directory: root, limits });

  it('stores, restarts, deletes and leaves only what it should', async () => {
    world = level({ maxOpenDatabases: 2 });
    for (let partition = 0; partition < 4; partition++) {
      const log = await world.open({ fileDeleteDelayMs: 0 }, numbered(partition));
      await world.append(log, [`in ${partition}`]).stable;
    }
    await world.stop();
    const manager = await world.manager();
    expect((await manager.storedLogs()).map(({ partition }) => partition)).toEqual([0, 1, 2, 3]);
    const log = await world.open({ fileDeleteDelayMs: 0 }, numbered(2));
    expect(await readAll(log)).toEqual(['in 2']);
    await manager.deleteLog(TOPIC_ID, 2);
    await manager.deleteLog(TOPIC_ID, 3);
    await world.stop();
    await world.manager();
    await world.stop();
    expect((await readdir(root)).sort()).toEqual(['checkpoints', `orders-0.${TOPIC_ID}`, `orders-1.${TOPIC_ID}`]);
  });

  it('refuses a second process', async () => {
    world = level();
    await world.open();
    await expect(level().manager()).rejects.toMatchObject({ message: expect.stringContaining('another process') });
    await world.stop();
  });

  it('survives retention: disk space is given back, the rest is readable', async () => {
    world = level({ tailCacheBytes: 0 });
    const log = await world.open({ segmentBytes: 100_000, retentionBytes: 300_000, retentionMs: -1 });
    for (let index = 0; index < 200; index++) await world.append(log, [String(index).padEnd(5000, '.')]).stable;
    await log.applyRetention({ now: world.time.now(), highWatermark: 200 });
    expect(log.sizeInBytes).toBeLessThan(400_000);
    const left = await readAll(log, log.logStartOffset, { maxBytes: 50_000 });
    expect(left).toHaveLength(200 - log.logStartOffset);
    expect(await log.verify()).toMatchObject({ corruption: undefined, batches: left.length });
    await world.stop();
  });

  it('can be dumped offline, batch by batch, with a verdict on each', async () => {
    world = level();
    const log = await world.open({ segmentBytes: 150 });
    for (const value of ['a', 'b', 'c']) await world.append(log, [value]).stable;
    const directory = join(root, `orders-3.${TOPIC_ID}`);
    const dumped = await dump(directory);
    expect(dumped.map(({ kind, offset }) => [kind, offset])).toEqual([
      ['batch', 0],
      ['batch', 1],
      ['segmentEnd', 2],
      ['batch', 2],
    ]);
    expect(valuesOf(dumped.flatMap((entry) => (entry.kind === 'batch' ? [entry.bytes] : [])))).toEqual(['a', 'b', 'c']);
    expect(partitionOfDirectory(directory)).toMatchObject(ORDERS);
    await world.stop();
    expect((await dump(directory, 2)).map(({ kind, offset }) => [kind, offset])).toEqual([
      ['segmentEnd', 2],
      ['batch', 2],
      ['segmentEnd', 3],
    ]);
    await expect(dump(join(root, 'nothing'))).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('names damage and gaps in a dump without stopping there', async () => {
    world = level();
    const log = await world.open();
    for (const value of ['a', 'b', 'c', 'd', 'e']) await world.append(log, [value]).stable;
    await world.stop();
    const directory = join(root, `orders-3.${TOPIC_ID}`);
    const store = await levelStoreFactory.open(directory);
    const { entries } = await store.readChunk({ chunkBytes: 1e6 });
    const [, second, , fourth, , end] = entries;
    if (second === undefined || fourth === undefined || end === undefined) throw new Error('entries are missing');
    await store.write(
      [
        { type: 'put', key: second.key, value: Buffer.from(second.value).fill(0, 65) },
        { type: 'del', key: fourth.key },
        { type: 'put', key: end.key, value: Buffer.alloc(3) },
        { type: 'put', key: Buffer.from('zzz'), value: Buffer.alloc(0) },
      ],
      { sync: true },
    );
    await store.close();
    const dumped = await dump(directory);
    expect(dumped.map((entry) => [entry.kind, entry.offset])).toEqual([
      ['batch', 0],
      ['corrupt', 1],
      ['batch', 2],
      ['batch', 4],
      ['corrupt', 5],
      ['corrupt', -1],
    ]);
    // What a damaged batch covers is damaged, not missing.
    expect(dumped.map((entry) => entry.kind === 'batch' && entry.gapBefore)).toEqual([
      false,
      false,
      false,
      true,
      false,
      false,
    ]);
    expect(dumped[1]).toMatchObject({
      why: expect.stringMatching(/the stored batch is damaged .* fails its CRC.*let it be fetched again/),
    });
  });
});

async function dump(directory: string, fromOffset = 0): Promise<DumpedEntry[]> {
  const entries: DumpedEntry[] = [];
  for await (const entry of dumpLog(directory, { fromOffset })) entries.push(entry);
  return entries;
}
