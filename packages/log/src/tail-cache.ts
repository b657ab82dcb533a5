/**
 * The newest batches of all logs in memory, so that consumers near the end read no disk.
 *
 * Owns: which batches are kept, with one cap in bytes for the whole broker. A batch that is not on
 * disk yet is never dropped: it is nowhere else. Such batches may exceed the cap; back-pressure
 * bounds them. Batches read from here were checked when they came and are not checked again.
 *
 * Invariants: a log's batches here are contiguous and end at its log end (or there are none);
 * `bytes` is the sum of their sizes.
 */
import { assert } from '@barnabas/common';
import type { PlannedBatch } from './append-plan.js';
import type { ReadRequest, ReadResult } from './types.js';

interface CachedBatch extends PlannedBatch {
  readonly tail: LogTail;
}

export class TailCache {
  /** Oldest first over all logs: a Set keeps the order of insertion. */
  readonly #evictable = new Set<CachedBatch>();
  #bytes = 0;

  constructor(readonly maxBytes: number) {}

  get bytes(): number {
    return this.#bytes;
  }

  /** A tail for one log; forget() it when the log goes. */
  newTail(): LogTail {
    return new LogTail({
      added: (batch) => {
        this.#bytes += batch.bytes.length;
      },
      written: (batch) => {
        this.#evictable.add(batch);
      },
      removed: (batch) => {
        this.#bytes -= batch.bytes.length;
        this.#evictable.delete(batch);
      },
      trim: () => this.#evict(),
    });
  }

  #evict(): void {
    for (const batch of this.#evictable) {
      if (this.#bytes <= this.maxBytes) return;
      batch.tail.dropThrough(batch);
    }
  }
}

interface CacheEvents {
  added(batch: CachedBatch): void;
  written(batch: CachedBatch): void;
  removed(batch: CachedBatch): void;
  trim(): void;
}

/** One log's part of the cache. */
export class LogTail {
  #batches: CachedBatch[] = [];
  /** Batches before this index are gone; the array is cut when they are many. */
  #first = 0;
  #writtenEndOffset = 0;

  constructor(private readonly cache: CacheEvents) {}

  /** Where the cached batches begin; undefined when there are none. */
  get startOffset(): number | undefined {
    return this.#batches[this.#first]?.header.baseOffset;
  }

  append(batch: PlannedBatch): void {
    const last = this.#batches.at(-1)?.header;
    assert(last === undefined || batch.header.baseOffset === last.lastOffset + 1, 'cached batches are contiguous', {
      baseOffset: batch.header.baseOffset,
      lastOffset: last?.lastOffset,
    });
    const cached = { ...batch, tail: this };
    this.#batches.push(cached);
    this.cache.added(cached);
  }

  /** Everything below the offset can be read from disk now. Without `keep` it need not stay here: nobody reads a follower's tail. */
  written(endOffset: number, keep: boolean): void {
    for (let index = this.#indexOf(this.#writtenEndOffset); index < this.#batches.length; index++) {
      const batch = this.#batches[index];
      if (batch === undefined || batch.header.lastOffset >= endOffset) break;
      this.cache.written(batch);
    }
    this.#writtenEndOffset = endOffset;
    const last = this.#batches[this.#indexOf(endOffset) - 1];
    if (!keep && last !== undefined && last.header.lastOffset < endOffset) this.dropThrough(last);
    this.cache.trim();
  }

  /** Undefined when the offset is not cached: the disk has it, if anybody. */
  read({ offset, maxBytes, maxOffset, minOneBatch }: ReadRequest): ReadResult | undefined {
    const start = this.startOffset;
    if (start === undefined || offset < start) return undefined;
    const batches: Buffer[] = [];
    let bytes = 0;
    let nextOffset = offset;
    for (let index = this.#indexOf(offset); index < this.#batches.length; index++) {
      const batch = this.#batches[index];
      if (batch === undefined || batch.header.lastOffset >= maxOffset) break;
      bytes += batch.bytes.length;
      if (bytes > maxBytes && !(minOneBatch && batches.length === 0)) break;
      batches.push(batch.bytes);
      nextOffset = batch.header.lastOffset + 1;
    }
    return { batches, nextOffset };
  }

  /** Drops this batch and those before it. */
  dropThrough(batch: PlannedBatch): void {
    while (this.#first < this.#batches.length) {
      const oldest = this.#batches[this.#first];
      if (oldest === undefined || oldest.header.baseOffset > batch.header.baseOffset) break;
      this.#first++;
      this.cache.removed(oldest);
    }
    if (this.#first * 2 > this.#batches.length) {
      this.#batches = this.#batches.slice(this.#first);
      this.#first = 0;
    }
  }

  /** Drops what lies below the offset and is on disk: other batches stand there now. */
  forgetBelow(offset: number): void {
    const last = this.#batches[this.#indexOf(Math.min(offset, this.#writtenEndOffset)) - 1];
    if (last !== undefined && this.#first < this.#batches.length) this.dropThrough(last);
  }

  /** Drops everything: the log was truncated, went offline or is closed. */
  forget(): void {
    const last = this.#batches.at(-1);
    if (last !== undefined) this.dropThrough(last);
    this.#writtenEndOffset = 0;
  }

  /** The index of the batch that holds the offset, or of the first behind it. */
  #indexOf(offset: number): number {
    let low = this.#first;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const batch = this.#batches[middle];
      if (batch !== undefined && batch.header.lastOffset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
