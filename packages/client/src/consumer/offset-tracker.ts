/**
 * What of a partition is done where things end in another order than they began: the low watermark of
 * everything handed out. Invariant: nothing at or above `low` that was added counts as done before all
 * below it is.
 */
import type { PartitionPosition } from './assigned-partition.js';

/** Something handed out, which begins at a position. */
export interface Tracked {
  readonly start: PartitionPosition;
  isDone: boolean;
}

export class OffsetTracker {
  #entries: Tracked[] = [];
  #head = 0;

  /** In offset order. */
  add(start: PartitionPosition): Tracked {
    const entry = { start, isDone: false };
    this.#entries.push(entry);
    return entry;
  }

  finish(entry: Tracked): void {
    entry.isDone = true;
    while (this.#entries[this.#head]?.isDone === true) this.#head++;
    if (this.#head < 64 || this.#head * 2 < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#head);
    this.#head = 0;
  }

  /** Everything below is done; undefined where all is. */
  get low(): PartitionPosition | undefined {
    return this.#entries[this.#head]?.start;
  }
}
