/**
 * The key-value port: an ordered map of byte strings on one disk directory.
 *
 * Owns: what a store promises about order, atomicity and durability. Does not know what keys mean.
 *
 * Promises, the same for every implementation (conformance.test.ts runs against each):
 *   S1  keys are ordered by their bytes, unsigned;
 *   S2  a write is atomic: after a crash all of it is there or nothing;
 *   S3  writes reach the disk in order: what a crash leaves is a prefix of what was written, except
 *       that unsynced writes may also be lost from the middle when the machine (not the process) dies;
 *   S4  when write(…, {sync: true}) returns, that write is on disk; when sync() returns, so is
 *       everything written before it was called;
 *   S5  after close(), every call is refused with a StoreError of kind 'closed'.
 */

export type StoreOperation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array };

/** Half open: `gte <= key < lt`; an absent end is unbounded. */
export interface KeyRange {
  readonly gte?: Uint8Array;
  readonly lt?: Uint8Array;
}

export interface Entry {
  readonly key: Buffer;
  /** Empty when only keys were asked for. */
  readonly value: Buffer;
}

export interface ReadOptions extends KeyRange {
  /** From the highest key down. */
  readonly reverse?: boolean;
  /** Leaves values out, which saves their copy. */
  readonly keysOnly?: boolean;
  /** At most this many entries in all. */
  readonly limit?: number;
  /**
   * Bytes of keys and values after which a chunk ends. The entry that crosses the limit is still
   * part of the chunk, so every chunk makes progress however large its first entry is.
   */
  readonly chunkBytes: number;
}

export interface WriteOptions {
  /** Required on purpose: forgetting it would lose acknowledged data when the machine dies. */
  readonly sync: boolean;
}

export interface KeyValueStore {
  get(key: Uint8Array): Promise<Buffer | undefined>;
  /** The first chunk of a range. `done` says that nothing follows it; without it, something may. */
  readChunk(options: ReadOptions): Promise<{ readonly entries: readonly Entry[]; readonly done: boolean }>;
  /** The whole range in chunks, as it stood when the iteration began. */
  read(options: ReadOptions): AsyncGenerator<readonly Entry[], void, undefined>;
  /**
   * Applies the operations atomically, in their order. Keys and values are copied before it returns.
   * Of two writes begun without waiting for the first, either may come first.
   */
  write(operations: readonly StoreOperation[], options: WriteOptions): Promise<void>;
  /** Puts everything written so far on disk. */
  sync(): Promise<void>;
  /** Deletes a range from its lowest key up; neither atomic nor synced. */
  clear(range: KeyRange): Promise<void>;
  /** Gives the disk space of deleted entries in the range back. */
  compactRange(range: KeyRange): Promise<void>;
  /** Bytes of disk that the range takes, roughly; what is still in the write buffer may be missing. */
  approximateSize(range: KeyRange): Promise<number>;
  /** Waits for calls on their way, then closes. Closing twice does nothing. */
  close(): Promise<void>;
}

export interface OpenOptions {
  /** Bytes gathered in memory before they become a table on disk. Allocated as it fills; up to twice this is held. */
  readonly writeBufferBytes?: number;
  /** Bytes of cache for blocks read. */
  readonly cacheBytes?: number;
  /** False refuses a location that holds no store. */
  readonly createIfMissing?: boolean;
}

/** Opens and removes stores by location (a directory path for stores on disk). */
export interface StoreFactory {
  open(location: string, options?: OpenOptions): Promise<KeyValueStore>;
  /** Opens a private picture of the store; the location itself is not changed, and need not be unlocked. */
  openReadOnly(location: string): Promise<KeyValueStore>;
  /** Removes the store, which must be closed. Removing what is not there does nothing. */
  destroy(location: string): Promise<void>;
  /** Names of the stores directly within a directory, sorted; none if the directory is missing. */
  list(directory: string): Promise<string[]>;
  /** Moves a closed store within its directory, durably. */
  rename(from: string, to: string): Promise<void>;
}
