import { present, SeededRandom, silentLogger } from '@barnabas/common';
import type { Logger } from '@barnabas/common';
import { MemoryStoreFactory } from '@barnabas/store';
import type { MemoryStore } from '@barnabas/store';
import { crc32c } from '@barnabas/protocol';
import * as fc from 'fast-check';
import { encodeConfiguration } from '../core/index.js';
import type { Configuration, Entry, PersistGroup, SnapshotMark } from '../core/index.js';
import { directoryIdOf, formatStore } from './format.js';
import * as layout from './layout.js';
import { RaftStorage } from './raft-storage.js';

const IDENTITY = { clusterId: 'castle', nodeId: 7 };
const VOTERS = [
  { id: 8, directoryId: 'eighth-disk', endpoint: 'host-8:7800' },
  { id: 7, directoryId: 'seventh-disk', endpoint: 'host-7:7800' },
];
/** In order of their ids. */
const FIRST: Configuration = { voters: [...VOTERS].reverse(), learners: [] };
const FORMAT = { ...IDENTITY, initialVoters: VOTERS, random: new SeededRandom(1) };
const ALL = { chunkBytes: 1 << 20 };

const entry = (index: number, term: number, command = `${index}/${term}`): Entry => ({
  index,
  term,
  kind: 'command',
  command: Buffer.from(command),
});

function group(parts: Partial<PersistGroup>): PersistGroup {
  return { snapshot: undefined, entries: [], hardState: undefined, messages: [], ...parts };
}

async function collect(records: AsyncIterable<readonly Buffer[]>): Promise<string[]> {
  const texts: string[] = [];
  for await (const piece of records) texts.push(...piece.map(String));
  return texts;
}

describe('RaftStorage', () => {
  let disks: MemoryStoreFactory;
  let store: MemoryStore;
  let warnings: string[];
  let logger: Logger;

  beforeEach(async () => {
    disks = new MemoryStoreFactory();
    store = await disks.open('disk');
    warnings = [];
    logger = { ...silentLogger, warn: (message) => void warnings.push(message) };
    await formatStore(store, FORMAT);
  });

  const open = () => RaftStorage.open(store, IDENTITY, logger);

  async function crashAndOpen(random?: SeededRandom) {
    store.crash(random);
    store = await disks.open('disk');
    return open();
  }

  async function stage(storage: RaftStorage, mark: SnapshotMark, records: readonly string[]) {
    const writer = storage.stage(mark, FIRST, 8);
    for (const record of records) await writer.add(Buffer.from(record));
    return writer.finish();
  }

  it('finds on a new disk what it was formatted with', async () => {
    const { recovered, storage } = await open();
    const nothing = { hardState: { term: 0, votedFor: undefined }, snapshot: { index: 0, term: 0 }, entries: [] };
    expect(recovered).toEqual({ ...nothing, configuration: FIRST });
    expect(storage.identity).toEqual({ ...IDENTITY, directoryId: 'seventh-disk' });
    expect((await crashAndOpen()).recovered).toEqual(recovered);
  });

  it('refuses the disk of another cluster or node, and one that does not say whose it is', async () => {
    const other = RaftStorage.open(store, { clusterId: 'village', nodeId: 7 }, logger);
    await expect(other).rejects.toMatchObject({ errorName: 'INCONSISTENT_CLUSTER_ID' });
    const another = RaftStorage.open(store, { clusterId: 'castle', nodeId: 8 }, logger);
    await expect(another).rejects.toMatchObject({ errorName: 'INVALID_CONFIG' });
    const foreign = await disks.open('foreign');
    await expect(RaftStorage.open(foreign, IDENTITY, logger)).rejects.toThrow('does not say whose it is');
  });

  it('refuses a disk of an earlier format, and says so', async () => {
    const json = Buffer.from(JSON.stringify({ formatVersion: 1, clusterId: 'castle', nodeId: 7 }));
    const value = Buffer.concat([Buffer.alloc(4), json]);
    value.writeUInt32BE(crc32c(json), 0);
    store.disk.corrupt(layout.IDENTITY_KEY, () => value);
    await expect(open()).rejects.toMatchObject({ errorName: 'UNSUPPORTED_VERSION' });
    await expect(open()).rejects.toThrow('format 1');
  });

  describe('formatting', () => {
    let freshDisks = 0;
    const format = async (parts: Partial<Parameters<typeof formatStore>[1]> = {}) => {
      const fresh = await disks.open(`fresh ${++freshDisks}`);
      return { fresh, identity: await formatStore(fresh, { ...FORMAT, ...parts }) };
    };

    it('makes the same first configuration on all initial voters, in whatever order they are listed', async () => {
      const { fresh } = await format({ nodeId: 8, initialVoters: [...VOTERS].reverse() });
      const { recovered } = await RaftStorage.open(fresh, { clusterId: 'castle', nodeId: 8 }, logger);
      expect(recovered.configuration).toEqual(FIRST);
    });

    it('works directory ids out where none are given, and makes one up for whoever joins', async () => {
      const initialVoters = VOTERS.map(({ id, endpoint }) => ({ id, endpoint }));
      const { identity } = await format({ initialVoters });
      expect(identity.directoryId).toBe(directoryIdOf('castle', 7));
      expect(directoryIdOf('castle', 7)).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/);
      expect(
        new Set(['castle', 'village'].flatMap((cluster) => [7, 8].map((id) => directoryIdOf(cluster, id)))).size,
      ).toBe(4);
      const joins = await format({ nodeId: 9 });
      const empty = await format({ initialVoters: [], nodeId: 9 });
      expect(new Set([joins, empty].map((one) => one.identity.directoryId)).size).toBe(2);
      const { recovered } = await RaftStorage.open(empty.fresh, { clusterId: 'castle', nodeId: 9 }, logger);
      expect(recovered.configuration).toEqual({ voters: [], learners: [] });
    });

    it('refuses a store with anything in it, and voters that cannot be', async () => {
      await expect(formatStore(store, FORMAT)).rejects.toMatchObject({ errorName: 'KAFKA_STORAGE_ERROR' });
      const refused: Partial<Parameters<typeof formatStore>[1]>[] = [
        { clusterId: '' },
        { initialVoters: [...VOTERS, ...VOTERS] },
        { initialVoters: [{ id: -1, endpoint: 'a:1' }] },
        { initialVoters: [{ id: 7, endpoint: '' }] },
        { initialVoters: [{ id: 7, endpoint: 'hö:1' }] },
        { directoryId: 'another-disk' },
      ];
      for (const parts of refused) await expect(format(parts)).rejects.toMatchObject({ errorName: 'INVALID_CONFIG' });
    });
  });

  it('puts a group on disk in one synced write', async () => {
    const { storage } = await open();
    const write = jest.spyOn(store, 'write');
    const entries = [entry(1, 1), entry(2, 1)];
    await storage.persist(group({ entries, hardState: { term: 1, votedFor: 3 } }), undefined);
    expect(write).toHaveBeenCalledTimes(1);
    expect(write).toHaveBeenCalledWith(expect.anything(), { sync: true });
    const { recovered } = await crashAndOpen();
    expect(recovered).toEqual({
      hardState: { term: 1, votedFor: 3 },
      snapshot: { index: 0, term: 0 },
      configuration: FIRST,
      entries: [entry(1, 1), entry(2, 1)],
    });
  });

  it('answers only for what no crash can take back, also where the process before had not synced it', async () => {
    const { storage } = await open();
    jest.spyOn(store, 'write').mockImplementationOnce(async (operations) => {
      await store.write(operations, { sync: false });
      throw new Error('the sync failed');
    });
    const persisting = storage.persist(
      group({ entries: [entry(1, 1)], hardState: { term: 1, votedFor: 3 } }),
      undefined,
    );
    await expect(persisting).rejects.toThrow('the sync failed');
    await store.close();
    store = await disks.open('disk');
    const { recovered } = await open();
    expect(recovered.hardState).toEqual({ term: 1, votedFor: 3 });
    expect((await crashAndOpen()).recovered).toEqual(recovered);
  });

  it('removes what a snapshot has replaced only once no crash can take the snapshot back', async () => {
    const { storage } = await open();
    const entries = [1, 2, 3].map((index) => entry(index, 1));
    await storage.persist(group({ entries, hardState: { term: 1, votedFor: 3 } }), undefined);
    const made = await stage(storage, { index: 2, term: 1 }, ['image']);
    jest.spyOn(store, 'write').mockImplementationOnce(async (operations) => {
      await store.write(operations, { sync: false });
      throw new Error('the sync failed');
    });
    await expect(storage.adopt(made)).rejects.toThrow('the sync failed');
    await store.close();
    store = await disks.open('disk');
    const clear = store.clear.bind(store);
    jest.spyOn(store, 'clear').mockImplementation(async (range) => {
      await clear(range);
      if (range.gte?.[0] === layout.entryKey(0)[0]) throw new Error('the power goes');
    });
    await expect(open()).rejects.toThrow('the power goes');
    // Of the writes that are not synced, the disk has lost the oldest: a first question is how many to keep.
    const answers = [0, 1];
    store.crash({ below: () => answers.shift() ?? 0, float: () => 0 }, { holes: true });
    store = await disks.open('disk');
    const { recovered } = await open();
    expect(recovered.snapshot).toEqual({ index: 2, term: 1 });
    expect(recovered.entries).toEqual([entry(3, 1)]);
  });

  it('replaces the tail of the log by a shorter one', async () => {
    const { storage } = await open();
    const first = [1, 2, 3, 4, 5].map((index) => entry(index, 1));
    await storage.persist(group({ entries: first, hardState: { term: 2, votedFor: undefined } }), undefined);
    await storage.persist(group({ entries: [entry(3, 2)] }), undefined);
    const { recovered, storage: again } = await crashAndOpen();
    expect(recovered.entries).toEqual([entry(1, 1), entry(2, 1), entry(3, 2)]);
    await again.persist(group({ entries: [entry(2, 2)] }), undefined);
    expect((await crashAndOpen()).recovered.entries).toEqual([entry(1, 1), entry(2, 2)]);
  });

  describe('damage', () => {
    beforeEach(async () => {
      const { storage } = await open();
      const entries = [1, 2, 3, 4].map((index) => entry(index, 1));
      await storage.persist(group({ entries, hardState: { term: 1, votedFor: 7 } }), undefined);
    });

    it('of a last entry that ends early is cut, with a warning', async () => {
      for (const length of [1, 28, 30]) {
        store.disk.corrupt(layout.entryKey(4), (value) => value.subarray(0, length));
        const { recovered } = await open();
        expect(recovered.entries.map(({ index }) => index)).toEqual([1, 2, 3]);
        expect(warnings).toHaveLength(1);
        const { recovered: next, storage } = await crashAndOpen();
        expect(next.entries).toHaveLength(3);
        expect(warnings).toHaveLength(1);
        await storage.persist(group({ entries: [entry(4, 1)] }), undefined);
        warnings = [];
      }
    });

    it('of a last change of the membership that ends early is cut like any other entry', async () => {
      const command = Buffer.from(encodeConfiguration(FIRST));
      const { storage } = await open();
      await storage.persist(group({ entries: [{ index: 5, term: 1, kind: 'remove', command }] }), undefined);
      store.disk.corrupt(layout.entryKey(5), (value) => value.subarray(0, value.length - 1));
      expect((await open()).recovered.entries).toHaveLength(4);
      expect(warnings).toHaveLength(1);
    });

    it.each([
      ['an entry in the middle that ends early', () => store.disk.corrupt(layout.entryKey(2), (v) => v.subarray(0, 9))],
      ['a changed byte in any entry', () => store.disk.corrupt(layout.entryKey(4), flip(30))],
      ['a changed length', () => store.disk.corrupt(layout.entryKey(4), flip(6))],
      ['a changed term', () => store.disk.corrupt(layout.entryKey(3), flip(27))],
      ['a changed vote', () => store.disk.corrupt(layout.HARD_STATE_KEY, flip(16))],
      ['a changed configuration', () => store.disk.corrupt(layout.SNAPSHOT_KEY, flip(40))],
      [
        'a change of the membership that cannot be read',
        () => store.disk.corrupt(layout.entryKey(4), () => layout.encodeEntry({ ...entry(4, 1), kind: 'promote' })),
      ],
      ['a changed identity', () => store.disk.corrupt(layout.IDENTITY_KEY, flip(8))],
      [
        'an entry in the place of another',
        () => store.disk.corrupt(layout.entryKey(2), () => layout.encodeEntry(entry(3, 1))),
      ],
      [
        'an entry of a later term than the node',
        () => store.disk.corrupt(layout.entryKey(4), () => layout.encodeEntry(entry(4, 9))),
      ],
      ['a term that falls', () => store.disk.corrupt(layout.entryKey(3), () => layout.encodeEntry(entry(3, 0)))],
    ])('is refused: %s', async (_, damage) => {
      damage();
      await expect(open()).rejects.toMatchObject({ errorName: 'KAFKA_STORAGE_ERROR' });
      expect(warnings).toEqual([]);
    });

    it('is refused: a missing entry, a missing term', async () => {
      await store.write([{ type: 'del', key: layout.entryKey(3) }], { sync: true });
      await expect(open()).rejects.toThrow('entry 3 of the log is missing');
      await store.write([{ type: 'put', key: layout.entryKey(3), value: layout.encodeEntry(entry(3, 1)) }], {
        sync: true,
      });
      await store.write([{ type: 'del', key: layout.HARD_STATE_KEY }], { sync: true });
      await expect(open()).rejects.toThrow('damaged');
    });
  });

  describe('snapshots', () => {
    const mark = { index: 3, term: 1 };
    let storage: RaftStorage;

    beforeEach(async () => {
      ({ storage } = await open());
      const entries = [1, 2, 3, 4, 5].map((index) => entry(index, 1));
      await storage.persist(group({ entries, hardState: { term: 1, votedFor: 7 } }), undefined);
    });

    it('of its own come into force at once, before or after the entries in it are removed', async () => {
      const pointer = await stage(storage, mark, ['alpha', 'beta', 'gamma']);
      expect(pointer.chunks).toBe(2);
      expect(await storage.adopt(pointer)).toBe(true);
      const { recovered, storage: again } = await crashAndOpen();
      expect(recovered.snapshot).toEqual(mark);
      expect(recovered.entries).toEqual([entry(4, 1), entry(5, 1)]);
      expect(await collect(again.readSnapshot().records)).toEqual(['alpha', 'beta', 'gamma']);
    });

    it('are of no effect before they are in force', async () => {
      await stage(storage, mark, ['alpha', 'beta', 'gamma']);
      const { recovered } = await crashAndOpen(new SeededRandom(1));
      expect(recovered.snapshot.index).toBe(0);
      expect(recovered.entries).toHaveLength(5);
      const left = await store.readChunk({ ...ALL, gte: Buffer.from('c'), lt: Buffer.from('d') });
      expect(left.entries).toEqual([]);
    });

    it('that are older than the one in force are not adopted', async () => {
      const newer = await stage(storage, { index: 4, term: 1 }, ['new']);
      const older = await stage(storage, mark, ['old']);
      expect(await storage.adopt(newer)).toBe(true);
      expect(await storage.adopt(older)).toBe(false);
      expect(await collect(storage.readSnapshot().records)).toEqual(['new']);
    });

    it('stay readable for who has begun when the next comes into force', async () => {
      await storage.adopt(await stage(storage, mark, ['alpha', 'beta', 'gamma']));
      const reading = storage.readSnapshot();
      await storage.adopt(await stage(storage, { index: 4, term: 1 }, ['delta']));
      expect(await collect(reading.records)).toEqual(['alpha', 'beta', 'gamma']);
      await storage.adopt(await stage(storage, { index: 5, term: 1 }, ['epsilon']));
      const chunks = await store.readChunk({ ...ALL, gte: Buffer.from('c'), lt: Buffer.from('d') });
      expect(chunks.entries).toHaveLength(2);
    });

    it('from a leader replace the whole log, with what would follow them, in one write', async () => {
      const received = await stage(storage, { index: 4, term: 2 }, ['from afar']);
      const parts = { snapshot: received.mark, entries: [entry(5, 2)], hardState: { term: 2, votedFor: undefined } };
      await storage.persist(group(parts), received);
      const { recovered, storage: again } = await crashAndOpen();
      expect(recovered).toEqual({ ...parts, configuration: FIRST, entries: [entry(5, 2)] });
      expect(await collect(again.readSnapshot().records)).toEqual(['from afar']);
    });

    it('leave nothing of an old log behind them', async () => {
      const received = await stage(storage, { index: 4, term: 2 }, []);
      const parts = { snapshot: received.mark, hardState: { term: 2, votedFor: undefined } };
      await storage.persist(group(parts), received);
      expect((await crashAndOpen()).recovered.entries).toEqual([]);
    });

    it('stay until they have been read, however many come into force meanwhile', async () => {
      await storage.adopt(await stage(storage, mark, ['alpha', 'beta', 'gamma']));
      const pieces = storage.readSnapshot().records[Symbol.asyncIterator]();
      expect((await pieces.next()).value?.map(String)).toEqual(['alpha', 'beta']);
      for (const index of [4, 5, 6]) {
        await storage.adopt(await stage(storage, { index, term: 1 }, ['a newer one']));
      }
      expect((await pieces.next()).value?.map(String)).toEqual(['gamma']);
      expect((await pieces.next()).done).toBe(true);
      // Then they go.
      const { entries } = await store.readChunk({ ...ALL, gte: Buffer.from('c'), lt: Buffer.from('d') });
      expect(entries).toHaveLength(2);
    });

    it('carry the configuration as of their end', async () => {
      const configuration = { voters: [present(VOTERS[1], 'voter')], learners: [present(VOTERS[0], 'voter')] };
      const writer = storage.stage(mark, configuration, 100);
      await storage.adopt(await writer.finish());
      expect((await crashAndOpen()).recovered.configuration).toEqual(configuration);
    });

    it('that lack a piece, or hold a damaged one, are refused when they are read', async () => {
      const pointer = await stage(storage, mark, ['alpha', 'beta', 'gamma']);
      await storage.adopt(pointer);
      store.disk.corrupt(layout.chunkKey(pointer.id, 1), flip(7));
      await expect(collect(storage.readSnapshot().records)).rejects.toThrow('piece 2 of the snapshot at 3');
      await store.write([{ type: 'del', key: layout.chunkKey(pointer.id, 1) }], { sync: true });
      await expect(collect(storage.readSnapshot().records)).rejects.toThrow('incomplete');
    });
  });

  it('gives back every entry as it was', () => {
    const anyEntry = fc.record({
      index: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      term: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
      kind: fc.constantFrom('command' as const, 'noop' as const),
      command: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    });
    for (const kind of ['addLearner', 'promote', 'remove', 'update'] as const) {
      const one = { index: 4, term: 2, kind, command: Buffer.from(encodeConfiguration(FIRST)) };
      expect(layout.decodeEntry(layout.encodeEntry(one))).toEqual(one);
    }
    fc.assert(fc.property(anyEntry, (one) => expect(layout.decodeEntry(layout.encodeEntry(one))).toEqual(one)));
  });

  it('notices every single changed byte of an entry', () => {
    const value = layout.encodeEntry(entry(5, 3, 'some command'));
    for (let at = 0; at < value.length; at++) {
      expect(layout.decodeEntry(flip(at)(Buffer.from(value)))).toBe('corrupt');
    }
  });
});

function flip(at: number): (value: Buffer) => Buffer {
  return (value) => {
    value.writeUInt8(value.readUInt8(at) ^ 1, at);
    return value;
  };
}
