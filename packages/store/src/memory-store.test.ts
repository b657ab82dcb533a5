import { SeededRandom } from '@barnabas/common';
import * as fc from 'fast-check';
import { MemoryStoreFactory } from './index.js';
import type { MemoryStore, StoreOperation } from './index.js';

const put = (key: string, value = ''): StoreOperation => ({
  type: 'put',
  key: Buffer.from(key),
  value: Buffer.from(value),
});

async function keys(store: MemoryStore): Promise<string> {
  const { entries } = await store.readChunk({ chunkBytes: 1_000_000 });
  return entries.map(({ key }) => String(key)).join('');
}

describe('MemoryStore, when the machine dies', () => {
  it('loses all unsynced writes without a random source, and the store is gone', async () => {
    const factory = new MemoryStoreFactory();
    const store = await factory.open('d');
    await store.write([put('a')], { sync: true });
    await store.write([put('b')], { sync: false });
    store.crash();
    await expect(store.get(Buffer.from('a'))).rejects.toMatchObject({ kind: 'closed' });
    expect(await keys(await factory.open('d'))).toBe('a');
  });

  it('keeps a prefix of the unsynced writes, every prefix for some seed, whole writes only', async () => {
    const seen = new Set<string>();
    const random = new SeededRandom(7);
    for (let run = 0; run < 60; run++) {
      const factory = new MemoryStoreFactory();
      const store = await factory.open('d');
      await store.write([put('a')], { sync: true });
      for (const pair of ['bc', 'de', 'fg']) {
        await store.write([put(pair.charAt(0)), put(pair.charAt(1))], { sync: false });
      }
      factory.crash(random);
      seen.add(await keys(await factory.open('d')));
    }
    expect([...seen].sort()).toEqual(['a', 'abc', 'abcde', 'abcdefg']);
  });

  it('loses unsynced writes from the middle when asked for holes', async () => {
    const seen = new Set<string>();
    const random = new SeededRandom(7);
    for (let run = 0; run < 60; run++) {
      const factory = new MemoryStoreFactory();
      const store = await factory.open('d');
      for (const key of 'abc') await store.write([put(key)], { sync: false });
      store.crash(random, { holes: true });
      seen.add(await keys(await factory.open('d')));
    }
    expect(seen.size).toBe(8);
  });

  it('never loses what was synced', async () => {
    const step = fc.record({ key: fc.constantFrom(...'abcdef'), sync: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step), fc.integer(), async (steps, seed) => {
        const factory = new MemoryStoreFactory();
        const store = await factory.open('d');
        let written: string[] = [];
        let synced: string[] = [];
        for (const { key, sync } of steps) {
          await store.write([put(key)], { sync });
          written = [...written, key];
          if (sync) synced = written;
        }
        store.crash(new SeededRandom(seed));
        const left = await keys(await factory.open('d'));
        for (const key of synced) expect(left).toContain(key);
        for (const key of left) expect(written).toContain(key);
      }),
    );
  });
});

describe('MemoryStore, told to misbehave', () => {
  it('fails the next write once, before or after it took effect', async () => {
    const store = await new MemoryStoreFactory().open('d');
    store.failNextWrite();
    await expect(store.write([put('a')], { sync: true })).rejects.toMatchObject({ kind: 'io' });
    store.failNextWrite({ applied: true });
    await expect(store.write([put('b')], { sync: true })).rejects.toMatchObject({ kind: 'io' });
    await store.write([put('c')], { sync: true });
    expect(await keys(store)).toBe('bc');
  });

  it('holds writes back until released; a crash meanwhile loses them', async () => {
    const factory = new MemoryStoreFactory();
    const store = await factory.open('d');
    const release = store.stallWrites();
    let done = false;
    const writing = store.write([put('a')], { sync: true }).then(() => {
      done = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).toBe(false);
    release();
    await writing;
    const releaseAgain = store.stallWrites();
    const lost = store.write([put('b')], { sync: true });
    const refused = expect(lost).rejects.toMatchObject({ kind: 'closed' });
    store.crash();
    releaseAgain();
    await refused;
    expect(await keys(await factory.open('d'))).toBe('a');
  });

  it('rots a value for the running process and for the next one', async () => {
    const factory = new MemoryStoreFactory();
    const store = await factory.open('d');
    await store.write([put('a', 'xyz')], { sync: true });
    store.disk.corrupt(Buffer.from('a'), (value) => value.fill('!', 1, 2));
    expect(String(await store.get(Buffer.from('a')))).toBe('x!z');
    store.crash();
    expect(String(await (await factory.open('d')).get(Buffer.from('a')))).toBe('x!z');
  });
});
