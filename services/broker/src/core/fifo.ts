/**
 * A first-in, first-out queue whose entries keep their sequence number, so that a cursor can point
 * into it while entries leave at the head. Push, shift and look-up cost the same however long it is.
 */
import { assert } from '@barnabas/common';

/** Below this many dead slots at the front, moving the rest is not worth it. */
const COMPACT_FROM = 64;

export class Fifo<T> {
  readonly #slots: (T | undefined)[] = [];
  /** Slots at the front whose entries have left. */
  #dead = 0;
  #headSequence = 0;

  /** Sequence number of the first entry, or of the next push when empty. */
  get headSequence(): number {
    return this.#headSequence;
  }

  /** Sequence number of the next push. */
  get tailSequence(): number {
    return this.#headSequence + this.length;
  }

  get length(): number {
    return this.#slots.length - this.#dead;
  }

  push(entry: T): void {
    this.#slots.push(entry);
  }

  /** The entry with this sequence number; undefined beyond the tail. It must not have left. */
  at(sequence: number): T | undefined {
    assert(sequence >= this.#headSequence, 'an entry that has left cannot be looked up', { sequence });
    return this.#slots[this.#dead + sequence - this.#headSequence];
  }

  peek(): T | undefined {
    return this.#slots[this.#dead];
  }

  last(): T | undefined {
    return this.length === 0 ? undefined : this.#slots[this.#slots.length - 1];
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const entry = this.#slots[this.#dead];
    this.#slots[this.#dead] = undefined;
    this.#dead += 1;
    this.#headSequence += 1;
    if (this.#dead >= COMPACT_FROM && this.#dead * 2 >= this.#slots.length) {
      this.#slots.splice(0, this.#dead);
      this.#dead = 0;
    }
    return entry;
  }

  /** Takes everything out, in order. */
  drain(): T[] {
    const entries: T[] = [];
    for (let entry = this.shift(); entry !== undefined; entry = this.shift()) entries.push(entry);
    return entries;
  }
}
