/** Memory stores by location: a set of disks that outlives the stores opened on them. */
import type { Random } from '@barnabas/common';
import { StoreError } from './errors.js';
import { MemoryDisk, MemoryStore } from './memory-store.js';
import type { KeyValueStore, OpenOptions, StoreFactory } from './types.js';

export class MemoryStoreFactory implements StoreFactory {
  readonly #disks = new Map<string, MemoryDisk>();
  readonly #open = new Map<string, MemoryStore>();

  async open(location: string, options: OpenOptions = {}): Promise<MemoryStore> {
    this.#mustBeClosed(location);
    const store = new MemoryStore(location, this.#diskToOpen(location, options.createIfMissing ?? true), () =>
      this.#open.delete(location),
    );
    this.#open.set(location, store);
    return store;
  }

  async openReadOnly(location: string): Promise<KeyValueStore> {
    const picture = new MemoryDisk();
    picture.written.replaceBy(this.#diskToOpen(location, false).written);
    return new MemoryStore(location, picture);
  }

  async destroy(location: string): Promise<void> {
    this.#mustBeClosed(location);
    this.#disks.delete(location);
  }

  async list(directory: string): Promise<string[]> {
    const prefix = `${directory}/`;
    const inside = this.locations().filter((location) => location.startsWith(prefix));
    return inside.map((location) => location.slice(prefix.length)).sort();
  }

  async rename(from: string, to: string): Promise<void> {
    this.#mustBeClosed(from);
    const disk = this.#diskToOpen(from, false);
    if (this.#disks.has(to)) throw new StoreError('io', `${to} exists already`, to);
    this.#disks.set(to, disk);
    this.#disks.delete(from);
  }

  /** The disk at a location, if a store was ever opened there. */
  disk(location: string): MemoryDisk | undefined {
    return this.#disks.get(location);
  }

  /** The open store at a location. */
  store(location: string): MemoryStore | undefined {
    return this.#open.get(location);
  }

  locations(): string[] {
    return [...this.#disks.keys()];
  }

  /** The machine dies, with everything on it. */
  crash(random?: Random, options: { readonly holes?: boolean } = {}): void {
    for (const [location, disk] of this.#disks) {
      const store = this.#open.get(location);
      if (store === undefined) disk.crash(random, options);
      else store.crash(random, options);
    }
  }

  #mustBeClosed(location: string): void {
    if (this.#open.has(location)) {
      throw new StoreError('locked', `${location} is in use: close it first`, location);
    }
  }

  #diskToOpen(location: string, createIfMissing: boolean): MemoryDisk {
    const known = this.#disks.get(location);
    if (known !== undefined) return known;
    if (!createIfMissing) throw new StoreError('not-found', `there is no store at ${location}`, location);
    const made = new MemoryDisk();
    this.#disks.set(location, made);
    return made;
  }
}
