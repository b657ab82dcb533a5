/**
 * The appends of one leader that are not committed yet, in the order of their offsets, with two
 * marks: what the leader's own disk has (stable), and what every in-sync replica has (committed).
 *
 * Each step hands back the entries whose acks it satisfies. An entry answered early, by its
 * deadline, keeps its place: its bytes still count when they are committed.
 */
import { assert } from '@barnabas/common';
import { Fifo } from './fifo.js';
import type { PendingProduce } from './pending-produce.js';

export class AppendQueue<Token> {
  readonly #appends = new Fifo<PendingProduce<Token>>();
  /** Entries before this sequence number are stable. */
  #stableSequence = 0;
  /** Retries of batches that the log already had: they wait for offsets, but bring no bytes. Rare. */
  #duplicates: PendingProduce<Token>[] = [];
  #committedBytes = 0;

  /** Bytes committed since the log was opened; only differences mean anything. */
  get committedBytes(): number {
    return this.#committedBytes;
  }

  /** Appends not committed yet. */
  get length(): number {
    return this.#appends.length + this.#duplicates.length;
  }

  /** End of the first append not committed yet. */
  get firstEndOffset(): number | undefined {
    return this.#appends.peek()?.endOffset;
  }

  push(produce: PendingProduce<Token>): void {
    const last = this.#appends.last();
    assert(last === undefined || last.endOffset < produce.endOffset, 'P4: appends come in the order of their offsets', {
      last: last?.endOffset,
      next: produce.endOffset,
    });
    this.#appends.push(produce);
  }

  pushDuplicate(produce: PendingProduce<Token>): void {
    this.#duplicates.push(produce);
  }

  /** Everything below `endOffset` is on the leader's disk. */
  stable(endOffset: number): readonly PendingProduce<Token>[] {
    const satisfied: PendingProduce<Token>[] = this.#takeDuplicates('leader', endOffset);
    for (;;) {
      const produce = this.#appends.at(this.#stableSequence);
      if (produce === undefined || produce.endOffset > endOffset) break;
      this.#stableSequence += 1;
      if (produce.acks === 'leader' && !produce.answered) satisfied.push(produce);
    }
    return satisfied;
  }

  /** Everything below `highWatermark` is on the disks of all in-sync replicas. */
  commit(highWatermark: number): readonly PendingProduce<Token>[] {
    const satisfied: PendingProduce<Token>[] = this.#takeDuplicates('all', highWatermark);
    for (;;) {
      const produce = this.#appends.peek();
      if (produce === undefined || produce.endOffset > highWatermark) break;
      assert(this.#appends.headSequence < this.#stableSequence, 'P1: what is committed is stable on the leader', {
        endOffset: produce.endOffset,
        highWatermark,
      });
      this.#appends.shift();
      this.#committedBytes += produce.sizeInBytes;
      if (produce.acks === 'all' && !produce.answered) satisfied.push(produce);
    }
    return satisfied;
  }

  /** Empties the queue and returns what still has no answer. */
  abandon(): PendingProduce<Token>[] {
    const all = [...this.#appends.drain(), ...this.#duplicates.splice(0)];
    this.#stableSequence = this.#appends.tailSequence;
    return all.filter((produce) => !produce.answered);
  }

  /** Entries that still wait for an answer; for checks. */
  *unanswered(): Generator<PendingProduce<Token>> {
    for (let at = this.#appends.headSequence; at < this.#appends.tailSequence; at++) {
      const produce = this.#appends.at(at);
      if (produce !== undefined && !produce.answered) yield produce;
    }
    for (const produce of this.#duplicates) if (!produce.answered) yield produce;
  }

  #takeDuplicates(acks: 'leader' | 'all', endOffset: number): PendingProduce<Token>[] {
    if (this.#duplicates.length === 0) return [];
    const isSatisfied = (produce: PendingProduce<Token>) => produce.acks === acks && produce.endOffset <= endOffset;
    const satisfied = this.#duplicates.filter((produce) => isSatisfied(produce) && !produce.answered);
    this.#duplicates = this.#duplicates.filter((produce) => !isSatisfied(produce) && !produce.answered);
    return satisfied;
  }
}
