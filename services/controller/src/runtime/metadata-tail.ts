/**
 * The newest committed batches, for followers that are nearly up to date. What is older is served as a
 * snapshot of the image, so nothing is ever read back from the Raft log.
 *
 * Invariant: the batches follow each other without gaps from `startOffset` to `endOffset`.
 */
import { assert } from '@barnabas/common';
import type { Batch } from '../core/index.js';

interface Kept {
  readonly batch: Batch;
  readonly bytes: number;
}

export class MetadataTail {
  #kept: Kept[] = [];
  #bytes = 0;
  #startOffset = 0;
  #endOffset = 0;

  constructor(private readonly maxBytes: number) {}

  /** The oldest offset that is here. */
  get startOffset(): number {
    return this.#startOffset;
  }

  get endOffset(): number {
    return this.#endOffset;
  }

  append(batch: Batch, bytes: number): void {
    assert(batch.baseOffset === this.#endOffset, 'the tail has no gaps', {
      end: this.#endOffset,
      base: batch.baseOffset,
    });
    this.#kept.push({ batch, bytes });
    this.#bytes += bytes;
    this.#endOffset = batch.endOffset;
    if (this.#bytes > this.maxBytes) this.#trim();
  }

  /** Starts anew after a snapshot. */
  restart(offset: number): void {
    this.#kept = [];
    this.#bytes = 0;
    this.#startOffset = offset;
    this.#endOffset = offset;
  }

  /** The batch that begins at an offset between start and end. */
  at(offset: number): Batch {
    let low = 0;
    let high = this.#kept.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#kept[middle]?.batch.baseOffset ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    const batch = this.#kept[low]?.batch;
    assert(batch?.baseOffset === offset, 'followers stand between batches', { offset, found: batch?.baseOffset });
    return batch;
  }

  /** Down to half, so that trimming is rare. */
  #trim(): void {
    let drop = 0;
    for (const { batch, bytes } of this.#kept) {
      if (this.#bytes <= this.maxBytes / 2) break;
      this.#bytes -= bytes;
      this.#startOffset = batch.endOffset;
      drop++;
    }
    this.#kept = this.#kept.slice(drop);
  }
}
