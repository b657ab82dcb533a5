/**
 * The databases of one broker, opened when they are used and closed when they are idle or too many.
 *
 * Owns: how many are open, which one goes first (the longest unused; never one in use), and how the
 * write buffers share their budget. Does not know what is in them.
 *
 * Invariant: at most `maxOpen` databases are open, being opened or being closed at any time.
 */
import { deferred } from '@barnabas/common';
import type { Clock, Deferred, Timer, Timers } from '@barnabas/common';
import type { KeyValueStore, StoreFactory } from '@barnabas/store';

/** Access to one database. */
export interface StoreHandle {
  /** Runs with the database open; it stays open until `work` has settled. */
  use<T>(work: (store: KeyValueStore) => Promise<T>): Promise<T>;
}

export interface OpenStoresOptions {
  readonly factory: StoreFactory;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly maxOpen: number;
  readonly idleCloseMs: number;
  readonly writeBufferBytes: number;
  readonly totalWriteBufferBytes: number;
  /** A close failed; the database counts as closed. */
  readonly onCloseError: (location: string, error: unknown) => void;
}

/** No database gets a smaller write buffer: below this LevelDB makes tables too small to be worth it. */
const MIN_WRITE_BUFFER_BYTES = 2 * 1024 * 1024;

interface OpenStore {
  readonly location: string;
  readonly store: Promise<KeyValueStore>;
  readonly writeBufferBytes: number;
  users: number;
  lastUsedMs: number;
  /** Set once closing has begun; settled when the location is free again. */
  closed: Promise<void> | undefined;
}

export class OpenStores {
  /** The longest unused first. */
  readonly #open = new Map<string, OpenStore>();
  readonly #waiting: Deferred<void>[] = [];
  #idleTimer: Timer | undefined;

  constructor(private readonly options: OpenStoresOptions) {}

  get size(): number {
    return this.#open.size;
  }

  handle(location: string): StoreHandle {
    return { use: (work) => this.#use(location, work) };
  }

  /** Closes a database once its users are done. */
  async close(location: string): Promise<void> {
    for (let open = this.#open.get(location); open !== undefined; open = this.#open.get(location)) {
      if (open.users > 0) await this.#changed();
      else await this.#close(open);
    }
  }

  async closeAll(): Promise<void> {
    this.#idleTimer?.cancel();
    await Promise.all([...this.#open.keys()].map((location) => this.close(location)));
  }

  async #use<T>(location: string, work: (store: KeyValueStore) => Promise<T>): Promise<T> {
    const open = await this.#acquire(location);
    try {
      return await work(await open.store);
    } finally {
      this.#release(open);
    }
  }

  async #acquire(location: string): Promise<OpenStore> {
    while (true) {
      const open = this.#open.get(location);
      if (open?.closed === undefined && open !== undefined) {
        open.users++;
        return open;
      }
      if (open?.closed !== undefined) await open.closed;
      else if (this.#open.size < this.options.maxOpen) return this.#begin(location);
      else await this.#makeRoom();
    }
  }

  #begin(location: string): OpenStore {
    const writeBufferBytes = this.#writeBufferBytes();
    const store = this.options.factory.open(location, { writeBufferBytes });
    const now = this.options.clock.monotonic();
    const open: OpenStore = { location, store, writeBufferBytes, users: 1, lastUsedMs: now, closed: undefined };
    this.#open.set(location, open);
    store.catch(() => {
      this.#open.delete(location);
      this.#notify();
    });
    return open;
  }

  #release(open: OpenStore): void {
    open.users--;
    open.lastUsedMs = this.options.clock.monotonic();
    if (this.#open.get(open.location) === open) {
      this.#open.delete(open.location);
      this.#open.set(open.location, open);
    }
    if (open.users === 0) this.#notify();
    this.#armIdleTimer();
  }

  async #makeRoom(): Promise<void> {
    const idle = [...this.#open.values()].find((open) => open.users === 0 && open.closed === undefined);
    await (idle === undefined ? this.#changed() : this.#close(idle));
  }

  #close(open: OpenStore): Promise<void> {
    open.closed ??= this.#closeNow(open);
    return open.closed;
  }

  async #closeNow(open: OpenStore): Promise<void> {
    try {
      await (await open.store).close();
    } catch (error) {
      this.options.onCloseError(open.location, error);
    }
    this.#open.delete(open.location);
    this.#notify();
  }

  /** Resolves when a database became unused or was closed. */
  #changed(): Promise<void> {
    const waiter = deferred<void>();
    this.#waiting.push(waiter);
    return waiter.promise;
  }

  #notify(): void {
    for (const waiter of this.#waiting.splice(0)) waiter.resolve();
  }

  /** Half of what is left of the budget, so that the first ones get a full buffer and no one gets none. */
  #writeBufferBytes(): number {
    const { writeBufferBytes, totalWriteBufferBytes } = this.options;
    let used = 0;
    for (const open of this.#open.values()) used += open.writeBufferBytes;
    const share = Math.floor((totalWriteBufferBytes - used) / 2);
    return Math.max(MIN_WRITE_BUFFER_BYTES, Math.min(writeBufferBytes, share));
  }

  #armIdleTimer(): void {
    if (this.#idleTimer !== undefined) return;
    this.#idleTimer = this.options.timers.after(this.options.idleCloseMs, () => {
      this.#idleTimer = undefined;
      this.#closeIdle();
    });
  }

  #closeIdle(): void {
    const now = this.options.clock.monotonic();
    for (const open of this.#open.values()) {
      if (open.users > 0 || open.closed !== undefined) continue;
      if (now - open.lastUsedMs >= this.options.idleCloseMs) void this.#close(open);
    }
    if (this.#open.size > 0) this.#armIdleTimer();
  }
}
