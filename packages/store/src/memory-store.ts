/**
 * The key-value port in memory, for tests and the simulator: what LevelDB may do, made to happen.
 *
 * Owns: contents as written and contents as on disk, which differ by the writes not yet synced;
 * crash(), which forgets unsynced writes; faults on request. No time, no randomness of its own.
 */
import type { Random } from '@barnabas/common';
import { deferred } from '@barnabas/common';
import { StoreError } from './errors.js';
import { SortedEntries } from './sorted-entries.js';
import type { Entry, KeyRange, KeyValueStore, ReadOptions, StoreOperation, WriteOptions } from './types.js';

/** What survives a store: shared by the stores opened one after the other at a location. */
export class MemoryDisk {
  /** What a process sees. */
  readonly written = new SortedEntries();
  /** What a machine that lost its power sees. */
  readonly synced = new SortedEntries();
  /** What is in the first and not in the second, in order, by atomic write. */
  unsynced: (readonly StoreOperation[])[] = [];

  /**
   * The machine dies. Of the writes that were not synced a prefix survives, its length chosen by
   * `random` (none without it). With `holes`, each of them survives or not on its own: what a disk
   * does that writes pages back in any order.
   */
  crash(random?: Random, options: { readonly holes?: boolean } = {}): void {
    const kept = random === undefined ? 0 : random.below(this.unsynced.length + 1);
    this.unsynced.forEach((operations, index) => {
      const survives = options.holes === true && random !== undefined ? random.below(2) === 0 : index < kept;
      if (survives) this.synced.apply(operations);
    });
    this.unsynced = [];
    this.written.replaceBy(this.synced);
  }

  /** Rot: changes a stored value in place, on disk and in memory. */
  corrupt(key: Uint8Array, change: (value: Buffer) => Buffer): void {
    for (const entries of [this.written, this.synced]) {
      const value = entries.get(key);
      if (value !== undefined) entries.apply([{ type: 'put', key, value: change(Buffer.from(value)) }]);
    }
  }
}

export class MemoryStore implements KeyValueStore {
  #closed = false;
  #crashed = false;
  #failures: { readonly error: StoreError; readonly applied: boolean }[] = [];
  #stalled: Promise<void> | undefined;
  #inFlight: Promise<unknown> = Promise.resolve();
  /** Bytes of keys and values written so far. */
  bytesWritten = 0;

  constructor(
    readonly location: string,
    readonly disk: MemoryDisk,
    private readonly onClosed: () => void = () => undefined,
  ) {}

  /** The next write or sync fails; with `applied`, after it took effect, as when the answer is lost. */
  failNextWrite(options: { readonly applied?: boolean } = {}): void {
    const error = new StoreError('io', `the store at ${this.location} was told to fail`, this.location);
    this.#failures.push({ error, applied: options.applied ?? false });
  }

  /** Writes and syncs begun from now on wait until the returned function is called. */
  stallWrites(): () => void {
    const gate = deferred<void>();
    this.#stalled = gate.promise;
    return () => {
      if (this.#stalled === gate.promise) this.#stalled = undefined;
      gate.resolve();
    };
  }

  /** The machine dies: this store is gone, and the disk keeps what MemoryDisk.crash says. */
  crash(random?: Random, options: { readonly holes?: boolean } = {}): void {
    this.disk.crash(random, options);
    this.#crashed = true;
    this.#closed = true;
    this.onClosed();
  }

  async get(key: Uint8Array): Promise<Buffer | undefined> {
    this.#mustBeOpen();
    const value = this.disk.written.get(key);
    return value === undefined ? undefined : Buffer.from(value);
  }

  async readChunk(options: ReadOptions): Promise<{ entries: readonly Entry[]; done: boolean }> {
    this.#mustBeOpen();
    const all = this.disk.written.range(options);
    const [first = []] = chunksOf(all, options);
    return { entries: first, done: first.length === all.length };
  }

  async *read(options: ReadOptions): AsyncGenerator<readonly Entry[], void, undefined> {
    this.#mustBeOpen();
    // The copy of the range's references is the snapshot; entries themselves never change.
    for (const chunk of chunksOf(this.disk.written.range(options), options)) {
      yield chunk;
      this.#mustBeOpen();
    }
  }

  write(operations: readonly StoreOperation[], options: WriteOptions): Promise<void> {
    const copies = operations.map(copyOf);
    return this.#change(() => {
      this.disk.written.apply(copies);
      this.disk.unsynced.push(copies);
      for (const operation of copies) this.bytesWritten += sizeOf(operation);
      if (options.sync) this.#syncAll();
    });
  }

  sync(): Promise<void> {
    return this.#change(() => this.#syncAll());
  }

  clear(range: KeyRange): Promise<void> {
    return this.#change(() => {
      for (const { key } of this.disk.written.range({ ...range, keysOnly: true, chunkBytes: 1 })) {
        const operations = [{ type: 'del', key } as const];
        this.disk.written.apply(operations);
        this.disk.unsynced.push(operations);
      }
    });
  }

  async compactRange(_range: KeyRange): Promise<void> {
    this.#mustBeOpen();
  }

  async approximateSize(range: KeyRange): Promise<number> {
    this.#mustBeOpen();
    let bytes = 0;
    for (const entry of this.disk.written.range({ ...range, chunkBytes: 1 })) {
      bytes += entry.key.length + entry.value.length;
    }
    return bytes;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#inFlight;
    this.onClosed();
  }

  #syncAll(): void {
    for (const operations of this.disk.unsynced) this.disk.synced.apply(operations);
    this.disk.unsynced = [];
  }

  async #change(apply: () => void): Promise<void> {
    this.#mustBeOpen();
    const change = this.#faultyChange(apply);
    const settled = change.catch(() => undefined);
    this.#inFlight = Promise.all([this.#inFlight, settled]);
    await change;
  }

  async #faultyChange(apply: () => void): Promise<void> {
    const failure = this.#failures.shift();
    await this.#stalled;
    // The machine died while the write was stalled: it never reached the disk.
    if (this.#crashed) this.#mustBeOpen();
    if (failure === undefined || failure.applied) apply();
    if (failure !== undefined) throw failure.error;
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new StoreError('closed', `the store at ${this.location} is closed`, this.location);
  }
}

function copyOf(operation: StoreOperation): StoreOperation {
  const key = Buffer.from(operation.key);
  return operation.type === 'del' ? { type: 'del', key } : { type: 'put', key, value: Buffer.from(operation.value) };
}

function sizeOf(operation: StoreOperation): number {
  return operation.key.length + (operation.type === 'put' ? operation.value.length : 0);
}

function chunksOf(entries: readonly Entry[], options: ReadOptions): Entry[][] {
  const chunks: Entry[][] = [];
  let chunk: Entry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    chunk.push(entry);
    bytes += entry.key.length + entry.value.length;
    if (bytes < options.chunkBytes) continue;
    chunks.push(chunk);
    chunk = [];
    bytes = 0;
  }
  if (chunk.length > 0) chunks.push(chunk);
  return chunks;
}
