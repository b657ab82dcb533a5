/**
 * One produce entry on its way through the broker: from the door to its one answer.
 *
 * It is answered exactly once (P5): by success once its acks are satisfied, by a refusal, or by its
 * deadline. After the append it stays in its partition's queue until it is committed, answered or
 * not, because the queue also says how many bytes each step of the high watermark makes readable.
 */
import { assert } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';
import type { Deadlined } from './purgatory.js';

/** What an answer promises: nothing, the leader's disk, every in-sync replica's disk. */
export type Acks = 'none' | 'leader' | 'all';

/** The answer to one entry. */
export type ProduceOutcome =
  | {
      readonly kind: 'appended';
      /** -1 with acks none: nobody waits to hear where the records went. */
      readonly baseOffset: number;
      /** -1 unless the topic has LogAppendTime. */
      readonly logAppendTimeMs: number;
      readonly logStartOffset: number;
    }
  | { readonly kind: 'refused'; readonly error: BarnabasError };

export interface ProduceInput<Token> {
  /** Record batches, checked at the door. */
  readonly batches: Uint8Array;
  /** Whether the log may keep the buffer of `batches` instead of copying it. */
  readonly handedOver: boolean;
  readonly acks: Acks;
  /** Monotonic milliseconds. */
  readonly deadline: number;
  /** Handed back with the answer. */
  readonly token: Token;
}

/** Names the partition in messages. */
export interface PartitionName {
  readonly topic: string;
  readonly partition: number;
}

/** What an entry asks of its partition when its deadline has passed. */
export interface ProducedTo extends PartitionName {
  readonly isr: readonly number[];
  readonly requiredIsr: number;
  readonly isUnderMinIsr: boolean;
}

export class PendingProduce<Token> implements Deadlined {
  readonly acks: Acks;
  readonly deadline: number;
  readonly token: Token;
  readonly sizeInBytes: number;
  readonly handedOver: boolean;
  /** Exclusive; -1 before the append. */
  endOffset = -1;
  baseOffset = -1;
  logAppendTimeMs = -1;
  #batches: Uint8Array | undefined;
  #answered = false;

  constructor(
    readonly at: ProducedTo,
    input: ProduceInput<Token>,
  ) {
    this.acks = input.acks;
    this.deadline = input.deadline;
    this.token = input.token;
    this.sizeInBytes = input.batches.length;
    this.handedOver = input.handedOver;
    this.#batches = input.batches;
  }

  get answered(): boolean {
    return this.#answered;
  }

  /** Hands the batches over, once: afterwards this entry no longer keeps them in memory. */
  takeBatches(): Uint8Array {
    const batches = this.#batches;
    assert(batches !== undefined, 'the batches of an entry are taken once');
    this.#batches = undefined;
    return batches;
  }

  placed(baseOffset: number, endOffset: number, logAppendTimeMs: number): void {
    this.baseOffset = baseOffset;
    this.endOffset = endOffset;
    this.logAppendTimeMs = logAppendTimeMs;
  }

  markAnswered(): void {
    assert(!this.#answered, 'P5: an entry is answered once', { baseOffset: this.baseOffset });
    this.#answered = true;
    this.#batches = undefined;
  }
}
