/**
 * What a consumer hands out: one thing after the other, records of a batch that has been begun or whole batches,
 * and what is in hand of it. Positions move as things are handed out.
 *
 * Invariants:
 *   H1  what was taken last is in hand, and its partition worked on, until the next thing is asked for: only then
 *       is it done. Whoever stops without that has not said that it is
 *   H2  a batch that was begun goes on where it was left, also by the other way of taking things, unless its
 *       partition has been moved or paused meanwhile
 * Does not own: which partition's turn it is (whoever gives the batches).
 */
import type { ConsumerRecord } from '../records.js';
import type { AssignedPartition } from './assigned-partition.js';
import { unreadable } from './batch-reader.js';
import type { NextItem } from './batch-reader.js';
import type { BatchRecord, ConsumerBatch } from './consumer-batch.js';

/** A batch and whose it is. */
export type AssignedBatch = NextItem & { readonly kind: 'batch' };

/** The next batch, of a partition that is ready; throws what reading fails with. */
export type NextBatch = (isReady?: (assigned: AssignedPartition) => boolean) => AssignedBatch | undefined;

/** A batch being handed out record by record. */
interface Current {
  readonly assigned: AssignedPartition;
  readonly generation: number;
  readonly batch: ConsumerBatch;
  readonly records: readonly BatchRecord[];
  index: number;
}

export class HandOut {
  readonly #nextBatch: NextBatch;
  #current: Current | undefined;
  /** What was handed out last, until the next thing is asked for. */
  #inHand: AssignedPartition | undefined;
  #isWorking = false;

  constructor(nextBatch: NextBatch) {
    this.#nextBatch = nextBatch;
  }

  /** The next record. What was taken before is done. */
  takeRecord(): ConsumerRecord | undefined {
    this.#settle();
    for (;;) {
      const current = this.#liveCurrent() ?? this.#advance();
      if (current === undefined) return undefined;
      const { assigned, batch, records } = current;
      const record = records[current.index++];
      if (record !== undefined) {
        const { offset, timestamp, key, value, headers } = record;
        this.#hand(assigned);
        assigned.advance(offset + 1, batch.leaderEpoch);
        return { topic: assigned.topic, partition: assigned.partition, offset, timestamp, key, value, headers };
      }
      // The last offsets of a batch may have been removed by compaction.
      assigned.advance(Math.max(assigned.position, batch.nextOffset), batch.leaderEpoch);
      this.#current = undefined;
    }
  }

  /** The next batch, or what is left of one. What was taken before is done. */
  takeBatch(): ConsumerBatch | undefined {
    this.#settle();
    const begun = this.#liveCurrent();
    this.#current = undefined;
    if (begun !== undefined && begun.index < begun.records.length) {
      const rest = begun.batch.from(begun.assigned.position);
      this.#hand(begun.assigned);
      begun.assigned.advance(rest.nextOffset, rest.leaderEpoch);
      return rest;
    }
    const item = this.#nextBatch();
    if (item === undefined) return undefined;
    this.#hand(item.assigned);
    item.assigned.advance(item.batch.nextOffset, item.batch.leaderEpoch);
    return item.batch;
  }

  /** The next batch of a partition that is ready, for whoever keeps account of what is done by itself. */
  takeReady(isReady: (assigned: AssignedPartition) => boolean): AssignedBatch | undefined {
    this.#settle();
    const begun = this.#liveCurrent();
    if (begun !== undefined && isReady(begun.assigned)) {
      this.#current = undefined;
      if (begun.index < begun.records.length) {
        return { kind: 'batch', assigned: begun.assigned, batch: begun.batch.from(begun.assigned.position) };
      }
    }
    return this.#nextBatch((assigned) => assigned !== this.#current?.assigned && isReady(assigned));
  }

  /** Whoever took the last thing has stopped. Whether it was done is not known before they come back. */
  stopWorking(): void {
    if (this.#isWorking) this.#inHand?.end();
    this.#isWorking = false;
  }

  /** Whoever took the last thing has come back for more: it is done. */
  #settle(): void {
    const assigned = this.#inHand;
    if (assigned === undefined) return;
    this.#inHand = undefined;
    assigned.settle();
    if (this.#isWorking) assigned.end();
    this.#isWorking = false;
  }

  #hand(assigned: AssignedPartition): void {
    this.#inHand = assigned;
    this.#isWorking = true;
    assigned.takeInHand();
    assigned.begin();
  }

  #liveCurrent(): Current | undefined {
    const current = this.#current;
    return current?.generation === current?.assigned.generation ? current : undefined;
  }

  #advance(): Current | undefined {
    this.#current = undefined;
    const item = this.#nextBatch();
    if (item === undefined) return undefined;
    const { assigned, batch } = item;
    this.#current = { assigned, generation: assigned.generation, batch, records: decoded(assigned, batch), index: 0 };
    return this.#current;
  }
}

function decoded(assigned: AssignedPartition, batch: ConsumerBatch): readonly BatchRecord[] {
  try {
    return batch.records;
  } catch (error) {
    throw unreadable(assigned, error);
  }
}
