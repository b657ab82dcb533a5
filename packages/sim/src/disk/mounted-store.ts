/**
 * One store on a simulated disk. A synced write is two events, so that the power can go between its
 * reaching the operating system and its reaching the disk. Calls of one process complete in any order.
 *
 * A write is refused whole or applied whole (S2 of the port); a sync puts on disk whatever was
 * applied before it, as an fsync of LevelDB's write-ahead file does.
 */
import { StoreError } from '@barnabas/store';
import type { Entry, KeyRange, KeyValueStore, MemoryStore, ReadOptions } from '@barnabas/store';
import type { StoreOperation, WriteOptions } from '@barnabas/store';
import type { Scope } from '../kernel/scheduler.js';
import type { SimulatedDisk } from './simulated-disk.js';

export class MountedStore implements KeyValueStore {
  readonly #name: string;
  #closed = false;
  #inFlight = 0;
  #whenQuiet: (() => void) | undefined;

  constructor(
    private readonly store: MemoryStore,
    private readonly disk: SimulatedDisk,
    private readonly scope: Scope,
  ) {
    this.#name = store.location.slice(store.location.lastIndexOf('/') + 1);
  }

  get(key: Uint8Array): Promise<Buffer | undefined> {
    return this.#call(async () => {
      await this.#turn(this.disk.readMs(), 'get');
      return this.store.get(key);
    });
  }

  readChunk(options: ReadOptions): Promise<{ readonly entries: readonly Entry[]; readonly done: boolean }> {
    return this.#call(async () => {
      await this.#turn(this.disk.readMs(), 'read');
      return this.store.readChunk(options);
    });
  }

  async *read(options: ReadOptions): AsyncGenerator<readonly Entry[], void, undefined> {
    for await (const chunk of this.store.read(options)) {
      await this.#turn(this.disk.readMs(), 'read on');
      yield chunk;
    }
  }

  write(operations: readonly StoreOperation[], { sync }: WriteOptions): Promise<void> {
    const copies = operations.map(copyOf);
    return this.#call(async () => {
      const failure = this.disk.nextFailure();
      await this.#turn(this.disk.writeMs(), 'write');
      if (this.disk.isFull) throw this.#isFull();
      if (failure === 'refused') throw this.#failure();
      await this.store.write(copies, { sync: false });
      if (sync || failure !== undefined) await this.#sync(failure !== undefined);
    });
  }

  sync(): Promise<void> {
    return this.#call(() => this.#sync(this.disk.nextFailure() !== undefined));
  }

  clear(range: KeyRange): Promise<void> {
    return this.#call(async () => {
      await this.#turn(this.disk.writeMs(), 'clear');
      await this.store.clear(range);
    });
  }

  compactRange(range: KeyRange): Promise<void> {
    return this.#call(async () => {
      await this.#turn(this.disk.writeMs(), 'compact');
      await this.store.compactRange(range);
    });
  }

  approximateSize(range: KeyRange): Promise<number> {
    return this.#call(() => this.store.approximateSize(range));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#whenQuiet = resolve));
    await this.#turn(this.disk.readMs(), 'close');
    await this.store.close();
  }

  async #sync(fails: boolean): Promise<void> {
    await this.#turn(this.disk.syncMs(), 'sync');
    if (fails) throw this.#failure();
    await this.store.sync();
  }

  #failure(): StoreError {
    const { location } = this.store;
    return new StoreError('io', `the simulated disk of ${location} failed`, location);
  }

  #isFull(): StoreError {
    const { location } = this.store;
    return new StoreError('no-space', `the simulated disk of ${location} is full`, location);
  }

  #turn(ms: number, what: string): Promise<void> {
    return this.scope.delay(ms, `disk ${this.#name} ${what}`);
  }

  /** Refuses calls after close, and lets close wait for those on their way (S5 of the port). */
  async #call<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new StoreError('closed', 'the store is closed', this.store.location);
    this.#inFlight += 1;
    try {
      return await work();
    } finally {
      this.#inFlight -= 1;
      if (this.#inFlight === 0) this.#whenQuiet?.();
    }
  }
}

function copyOf(operation: StoreOperation): StoreOperation {
  const key = Buffer.from(operation.key);
  return operation.type === 'del' ? { type: 'del', key } : { type: 'put', key, value: Buffer.from(operation.value) };
}
