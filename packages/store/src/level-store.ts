/**
 * The key-value port over LevelDB (classic-level, which is what `level` is in Node).
 *
 * Owns: options, chunked iteration, and what "on disk" means. Compression is off: values are already
 * compressed by whoever made them. Errors leave as StoreErrors.
 *
 * Invariant: #unsynced is true whenever a write may not be on disk (S4 of types.ts rests on it).
 */
import type { BatchOperation, ClassicLevel, Iterator } from 'classic-level';
import { StoreError } from './errors.js';
import { toStoreError } from './level-errors.js';
import type { Entry, KeyRange, KeyValueStore, ReadOptions, StoreOperation, WriteOptions } from './types.js';
import { syncLogFiles } from './write-ahead-files.js';

/** Entries fetched in one trip to the thread pool at most; LevelDB's binding reserves memory for as many. */
const ENTRIES_PER_TRIP = 1024;

const LOWEST = Buffer.alloc(0);
/** Above every key in use; LevelDB's range calls take no open end. */
const HIGHEST = Buffer.alloc(64, 0xff);

export type Level = ClassicLevel<Uint8Array, Uint8Array>;
type LevelOperation = BatchOperation<Level, Uint8Array, Uint8Array>;
type LevelIterator = Iterator<Level, Uint8Array, Uint8Array>;

export class LevelStore implements KeyValueStore {
  #unsynced: boolean;
  /** Changes begun so far, and those of them on their way. */
  #changes = 0;
  #changing = 0;
  #closing: Promise<void> | undefined;

  constructor(
    private readonly database: Level,
    private readonly onClosed: () => Promise<void> = async () => undefined,
  ) {
    // Opening may have found a log of a process that was killed: its last writes may be unsynced.
    this.#unsynced = true;
  }

  get location(): string {
    return this.database.location;
  }

  get(key: Uint8Array): Promise<Buffer | undefined> {
    return this.#guard(async () => {
      const value = await this.database.get(key);
      return value === undefined ? undefined : asBuffer(value);
    });
  }

  async readChunk(options: ReadOptions): Promise<{ entries: readonly Entry[]; done: boolean }> {
    return this.#guard(async () => {
      const iterator = this.#iterator(options);
      try {
        const entries = await nextEntries(iterator);
        return { entries, done: isLast(entries, options) };
      } finally {
        await iterator.close();
      }
    });
  }

  async *read(options: ReadOptions): AsyncGenerator<readonly Entry[], void, undefined> {
    const iterator = await this.#guard(async () => this.#iterator(options));
    try {
      while (true) {
        const entries = await this.#guard(() => nextEntries(iterator));
        if (entries.length === 0) return;
        yield entries;
        if (isLast(entries, options)) return;
      }
    } finally {
      await iterator.close();
    }
  }

  write(operations: readonly StoreOperation[], options: WriteOptions): Promise<void> {
    return this.#guard(async () => {
      if (operations.length === 0) return options.sync ? this.#syncAll() : undefined;
      // LevelDB's own sync covers only the log file it writes to now. Writes that went to an earlier
      // file, whose table is not finished yet, would be overtaken: so earlier unsynced writes are
      // synced file by file.
      const simple = options.sync && !this.#unsynced;
      await this.#change(simple, () => this.database.batch(operations as LevelOperation[], { sync: simple }));
      return options.sync && !simple ? this.#syncAll() : undefined;
    });
  }

  sync(): Promise<void> {
    return this.#guard(() => this.#syncAll());
  }

  clear(range: KeyRange): Promise<void> {
    return this.#guard(() => this.#change(false, () => this.database.clear(bounds(range))));
  }

  compactRange(range: KeyRange): Promise<void> {
    return this.#guard(() => this.database.compactRange(range.gte ?? LOWEST, range.lt ?? HIGHEST));
  }

  approximateSize(range: KeyRange): Promise<number> {
    return this.#guard(() => this.database.approximateSize(range.gte ?? LOWEST, range.lt ?? HIGHEST));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await this.database.close();
    } catch (error) {
      throw toStoreError(error, this.location);
    }
    await this.onClosed();
  }

  async #change(syncsItself: boolean, change: () => Promise<void>): Promise<void> {
    if (!syncsItself) this.#unsynced = true;
    this.#changes++;
    this.#changing++;
    try {
      await change();
    } catch (error) {
      this.#unsynced = true;
      throw error;
    } finally {
      this.#changing--;
    }
  }

  async #syncAll(): Promise<void> {
    if (!this.#unsynced) return;
    // A change on its way, or one that begins meanwhile, may reach its file only after the sync.
    const before = this.#changing === 0 ? this.#changes : undefined;
    await syncLogFiles(this.location);
    if (this.#changes === before) this.#unsynced = false;
  }

  #iterator(options: ReadOptions): LevelIterator {
    return this.database.iterator<Uint8Array, Uint8Array>({
      ...bounds(options),
      reverse: options.reverse ?? false,
      values: options.keysOnly !== true,
      limit: options.limit ?? -1,
      // The binding stops once it holds more than this.
      highWaterMarkBytes: Math.max(0, options.chunkBytes - 1),
      fillCache: false,
    });
  }

  async #guard<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) {
      throw new StoreError('closed', `the database at ${this.location} is closed`, this.location);
    }
    try {
      return await call();
    } catch (error) {
      throw toStoreError(error, this.location);
    }
  }
}

function bounds(range: KeyRange): { gte?: Uint8Array; lt?: Uint8Array } {
  return {
    ...(range.gte === undefined ? {} : { gte: range.gte }),
    ...(range.lt === undefined ? {} : { lt: range.lt }),
  };
}

async function nextEntries(iterator: LevelIterator): Promise<Entry[]> {
  const pairs: [Uint8Array, Uint8Array | undefined][] = await iterator.nextv(ENTRIES_PER_TRIP);
  return pairs.map(([key, value]) => ({ key: asBuffer(key), value: value === undefined ? LOWEST : asBuffer(value) }));
}

/** The binding ends a trip for size, for count, or because nothing is left: neither of the first two means the last. */
function isLast(entries: readonly Entry[], options: ReadOptions): boolean {
  if (entries.length >= ENTRIES_PER_TRIP) return false;
  let bytes = 0;
  for (const entry of entries) bytes += entry.key.length + entry.value.length;
  return bytes < Math.max(1, options.chunkBytes);
}

/** Values arrive as Node Buffers already; the type only promises the superclass. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
