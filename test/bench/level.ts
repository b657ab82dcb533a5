/** LevelDB opened as the partition log opens it, so that the ceiling is the same store. */
import { levelStoreFactory } from '@barnabas/store';
import type { KeyValueStore } from '@barnabas/store';

export function openLevelStore(location: string): Promise<KeyValueStore> {
  return levelStoreFactory.open(location, { writeBufferBytes: 32 * 1024 * 1024 });
}
