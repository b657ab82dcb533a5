/**
 * Writes a snapshot's content, piece by piece, under an id that nothing refers to yet. A writer that
 * is abandoned leaves pieces behind, which the next start removes.
 */
import type { KeyValueStore } from '@barnabas/store';
import type { Configuration, SnapshotMark } from '../core/index.js';
import { chunkKey, encodeChunk } from './layout.js';
import type { SnapshotPointer } from './layout.js';

export class SnapshotWriter {
  #chunks = 0;
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;

  constructor(
    readonly store: KeyValueStore,
    readonly id: number,
    readonly mark: SnapshotMark,
    /** As of the snapshot. */
    readonly configuration: Configuration,
    readonly chunkBytes: number,
  ) {}

  /** Adds a record. When it returns a promise, the caller waits for it before it goes on. */
  add(record: Uint8Array): Promise<void> | undefined {
    this.#gathered.push(record);
    this.#gatheredBytes += record.length;
    return this.#gatheredBytes >= this.chunkBytes ? this.#write() : undefined;
  }

  /** Puts everything on disk. The snapshot may be referred to from now on. */
  async finish(): Promise<SnapshotPointer> {
    if (this.#gathered.length > 0) await this.#write();
    await this.store.sync();
    const { id, mark, configuration } = this;
    return { id, mark, configuration, chunks: this.#chunks };
  }

  async #write(): Promise<void> {
    const operation = {
      type: 'put',
      key: chunkKey(this.id, this.#chunks++),
      value: encodeChunk(this.#gathered),
    } as const;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    await this.store.write([operation], { sync: false });
  }
}
