/** What types.ts promises, checked against every implementation. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { levelStoreFactory, MemoryStoreFactory, StoreError } from './index.js';
import type { Entry, KeyValueStore, ReadOptions, StoreFactory, StoreOperation } from './index.js';

const put = (key: string, value: string): StoreOperation => ({
  type: 'put',
  key: Buffer.from(key),
  value: Buffer.from(value),
});
const del = (key: string): StoreOperation => ({ type: 'del', key: Buffer.from(key) });
const text = (entries: readonly Entry[]): string[] =>
  entries.map(({ key, value }) => `${String(key)}=${String(value)}`);

async function all(store: KeyValueStore, options: Partial<ReadOptions> = {}): Promise<string[]> {
  const found: string[] = [];
  for await (const chunk of store.read({ chunkBytes: 7, ...options })) found.push(...text(chunk));
  return found;
}

async function kindOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => 'no error',
    (reason: unknown) => reason,
  );
  return error instanceof StoreError ? error.kind : String(error);
}

describe.each<[string, () => StoreFactory]>([
  ['LevelStore', () => levelStoreFactory],
  ['MemoryStore', () => new MemoryStoreFactory()],
])('%s', (_name, makeFactory) => {
  let root: string;
  let factory: StoreFactory;
  let store: KeyValueStore;
  const at = (name: string) => join(root, name);

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'barnabas-store-'));
    factory = makeFactory();
    store = await factory.open(at('a'), { writeBufferBytes: 64 * 1024 });
  });

  afterEach(async () => {
    await store.close();
    await rm(root, { recursive: true, force: true });
  });

  it('gets what was put, and nothing for what was not', async () => {
    await store.write([put('a', '1'), put('empty', '')], { sync: false });
    expect(String(await store.get(Buffer.from('a')))).toBe('1');
    expect((await store.get(Buffer.from('empty')))?.length).toBe(0);
    expect(await store.get(Buffer.from('b'))).toBeUndefined();
  });

  it('applies the operations of a write in order', async () => {
    await store.write([put('a', '1'), del('a'), put('b', '1'), put('b', '2'), put('c', '3'), del('c')], { sync: true });
    expect(await all(store)).toEqual(['b=2']);
  });

  it('orders keys by unsigned bytes', async () => {
    const keys = [Buffer.from([0x80]), Buffer.from([0x7f]), Buffer.from([0xff, 0]), Buffer.from([0xff])];
    await store.write(
      keys.map((key) => ({ type: 'put', key, value: Buffer.from('v') })),
      { sync: false },
    );
    const { entries } = await store.readChunk({ chunkBytes: 1000 });
    expect(entries.map(({ key }) => key.toString('hex'))).toEqual(['7f', '80', 'ff', 'ff00']);
  });

  it('copies what it is given before write returns', async () => {
    const value = Buffer.from('before');
    const writing = store.write([{ type: 'put', key: Buffer.from('k'), value }], { sync: true });
    value.fill('x');
    await writing;
    expect(String(await store.get(Buffer.from('k')))).toBe('before');
  });

  it('reads ranges in both directions, half open, limited, keys only', async () => {
    await store.write([put('a', '1'), put('b', '2'), put('c', '3'), put('d', '4')], { sync: false });
    const range = { gte: Buffer.from('b'), lt: Buffer.from('d') };
    expect(await all(store, range)).toEqual(['b=2', 'c=3']);
    expect(await all(store, { ...range, reverse: true })).toEqual(['c=3', 'b=2']);
    expect(await all(store, { limit: 3 })).toEqual(['a=1', 'b=2', 'c=3']);
    expect(await all(store, { reverse: true, limit: 1 })).toEqual(['d=4']);
    expect(await all(store, { gte: Buffer.from('c'), keysOnly: true })).toEqual(['c=', 'd=']);
    expect(await all(store, { gte: Buffer.from('x') })).toEqual([]);
  });

  it('ends a chunk with the entry that reaches its bytes, and says when the range is done', async () => {
    await store.write([put('a', '12345'), put('b', '1'), put('c', '1'), put('d', '123456789')], { sync: false });
    const read = async (options: Partial<ReadOptions>, chunkBytes: number) => {
      const { entries, done } = await store.readChunk({ ...options, chunkBytes });
      return [entries.length, done];
    };
    expect(await read({}, 1)).toEqual([1, false]);
    expect(await read({}, 6)).toEqual([1, false]);
    expect(await read({}, 7)).toEqual([2, false]);
    expect(await read({}, 11)).toEqual([4, expect.any(Boolean)]);
    expect(await read({}, 1000)).toEqual([4, true]);
    expect(await read({ gte: Buffer.from('x') }, 1)).toEqual([0, true]);
  });

  it('iterates over the range as it stood at the beginning', async () => {
    await store.write([put('a', '1'), put('b', '2'), put('c', '3')], { sync: false });
    const seen: string[] = [];
    for await (const chunk of store.read({ chunkBytes: 1 })) {
      seen.push(...text(chunk));
      await store.write([put('c', 'changed'), put('d', 'new')], { sync: false });
    }
    expect(seen).toEqual(['a=1', 'b=2', 'c=3']);
  });

  it('reads more entries than one trip carries', async () => {
    const operations = Array.from({ length: 3000 }, (_, index) => put(String(index).padStart(5, '0'), 'v'));
    await store.write(operations, { sync: false });
    expect(await all(store, { chunkBytes: 1_000_000 })).toHaveLength(3000);
  });

  it('clears a range, gives the space back and measures it', async () => {
    const value = 'x'.repeat(1000);
    for (let index = 0; index < 300; index++) await store.write([put(`k${1000 + index}`, value)], { sync: false });
    await store.compactRange({});
    const before = await store.approximateSize({});
    expect(before).toBeGreaterThan(250_000);
    await store.clear({ lt: Buffer.from('k1200') });
    await store.compactRange({ lt: Buffer.from('k1200') });
    expect(await all(store, { limit: 1 })).toEqual([`k1200=${value}`]);
    expect(await store.approximateSize({})).toBeLessThan(before / 2);
  });

  it('keeps what was written across close and open', async () => {
    await store.write([put('a', '1')], { sync: false });
    await store.write([put('b', '2')], { sync: true });
    await store.write([], { sync: true });
    await store.sync();
    await store.close();
    store = await factory.open(at('a'));
    expect(await all(store)).toEqual(['a=1', 'b=2']);
  });

  it('refuses every call once closed, and closes twice quietly', async () => {
    await store.close();
    await store.close();
    expect(await kindOf(store.get(Buffer.from('a')))).toBe('closed');
    expect(await kindOf(store.write([put('a', '1')], { sync: true }))).toBe('closed');
    expect(await kindOf(store.readChunk({ chunkBytes: 1 }))).toBe('closed');
    expect(await kindOf(all(store))).toBe('closed');
    expect(await kindOf(store.sync())).toBe('closed');
    expect(await kindOf(store.clear({}))).toBe('closed');
    expect(await kindOf(store.compactRange({}))).toBe('closed');
    expect(await kindOf(store.approximateSize({}))).toBe('closed');
  });

  it('refuses to open twice, to open what is missing, to destroy what is open', async () => {
    expect(await kindOf(factory.open(at('a')))).toBe('locked');
    expect(await kindOf(factory.destroy(at('a')))).toBe('locked');
    expect(await kindOf(factory.open(at('missing'), { createIfMissing: false }))).toBe('not-found');
    expect(await kindOf(factory.openReadOnly(at('missing')))).toBe('not-found');
  });

  it('lists, renames and destroys stores', async () => {
    await store.write([put('a', '1')], { sync: true });
    const other = await factory.open(at('b'));
    await other.close();
    expect(await factory.list(root)).toEqual(['a', 'b']);
    expect(await factory.list(at('nowhere'))).toEqual([]);
    await factory.destroy(at('b'));
    await factory.destroy(at('b'));
    await store.close();
    await factory.rename(at('a'), at('c'));
    expect(await factory.list(root)).toEqual(['c']);
    store = await factory.open(at('c'));
    expect(await all(store)).toEqual(['a=1']);
  });

  it('opens a picture of a store that changes nothing', async () => {
    await store.write([put('a', '1')], { sync: true });
    await store.close();
    const picture = await factory.openReadOnly(at('a'));
    await picture.write([put('b', '2')], { sync: true });
    expect(await all(picture)).toEqual(['a=1', 'b=2']);
    await picture.close();
    store = await factory.open(at('a'));
    expect(await all(store)).toEqual(['a=1']);
  });

  it('agrees with a sorted map on any sequence of operations', async () => {
    const key = fc.constantFrom('a', 'b', 'bb', 'c', 'd', 'e');
    const operation = fc.oneof(
      fc.record({ do: fc.constant('put' as const), key, value: fc.string({ maxLength: 4 }) }),
      fc.record({ do: fc.constant('del' as const), key }),
      fc.record({ do: fc.constant('clear' as const), from: key, to: key }),
      fc.record({ do: fc.constant('sync' as const) }),
      fc.record({ do: fc.constant('reopen' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 12 }), async (operations) => {
        await store.clear({});
        const model = new Map<string, string>();
        for (const step of operations) {
          if (step.do === 'put') {
            await store.write([put(step.key, step.value)], { sync: false });
            model.set(step.key, step.value);
          } else if (step.do === 'del') {
            await store.write([del(step.key)], { sync: true });
            model.delete(step.key);
          } else if (step.do === 'clear') {
            await store.clear({ gte: Buffer.from(step.from), lt: Buffer.from(step.to) });
            for (const known of [...model.keys()]) if (known >= step.from && known < step.to) model.delete(known);
          } else if (step.do === 'sync') {
            await store.sync();
          } else {
            await store.close();
            store = await factory.open(at('a'));
          }
        }
        const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => `${k}=${v}`);
        expect(await all(store)).toEqual(expected);
        expect(await all(store, { reverse: true })).toEqual(expected.reverse());
      }),
      { numRuns: 60 },
    );
  });
});
