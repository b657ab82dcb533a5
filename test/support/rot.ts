/** Bytes that rot on a disk. */
import { levelStoreFactory } from '@barnabas/store';

/** Flips one bit where `text` stands in a stored batch; LevelDB's own checksums stay good. */
export async function flip(location: string, text: string): Promise<void> {
  const store = await levelStoreFactory.open(location, { createIfMissing: false });
  let flipped = 0;
  for await (const entries of store.read({ chunkBytes: 1 << 20 })) {
    for (const { key, value } of entries) {
      const at = value.indexOf(text);
      if (at === -1) continue;
      value[at] = (value[at] ?? 0) ^ 0x04;
      await store.write([{ type: 'put', key, value }], { sync: true });
      flipped += 1;
    }
  }
  await store.close();
  if (flipped !== 1) throw new Error(`${text} stands in ${flipped} batches of ${location}`);
}
