/** An ordered map of byte strings: arrays kept sorted, quick where keys arrive in order. Keeps what it is given: callers copy. */
import type { Entry, ReadOptions, StoreOperation } from './types.js';

const NOTHING = Buffer.alloc(0);

export class SortedEntries {
  #entries: Entry[] = [];

  get size(): number {
    return this.#entries.length;
  }

  get(key: Uint8Array): Buffer | undefined {
    const entry = this.#entries[this.#lowerBound(key)];
    return entry !== undefined && entry.key.equals(key) ? entry.value : undefined;
  }

  apply(operations: readonly StoreOperation[]): void {
    for (const operation of operations) {
      const at = this.#lowerBound(operation.key);
      const found = this.#entries[at]?.key.equals(operation.key) === true ? 1 : 0;
      if (operation.type === 'del') this.#entries.splice(at, found);
      else this.#entries.splice(at, found, { key: asBuffer(operation.key), value: asBuffer(operation.value) });
    }
  }

  replaceBy(other: SortedEntries): void {
    this.#entries = [...other.#entries];
  }

  /** A new array; `limit`, `reverse` and `keysOnly` are honoured, `chunkBytes` is not. */
  range(options: ReadOptions): Entry[] {
    const from = options.gte === undefined ? 0 : this.#lowerBound(options.gte);
    const to = options.lt === undefined ? this.#entries.length : this.#lowerBound(options.lt);
    let entries = this.#entries.slice(from, Math.max(from, to));
    if (options.reverse === true) entries.reverse();
    if (options.limit !== undefined) entries = entries.slice(0, options.limit);
    return options.keysOnly === true ? entries.map(({ key }) => ({ key, value: NOTHING })) : entries;
  }

  /** The index of the first key that is not below the given one. */
  #lowerBound(key: Uint8Array): number {
    let low = 0;
    let high = this.#entries.length;
    // Keys mostly come in order: look at the end first.
    const last = this.#entries[high - 1];
    if (last !== undefined && Buffer.compare(last.key, key) < 0) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.#entries[middle];
      if (entry !== undefined && Buffer.compare(entry.key, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
