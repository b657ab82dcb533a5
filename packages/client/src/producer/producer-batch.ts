/**
 * A batch of a producer's records, from its first record to its outcome: the builder while it is
 * open, the finished bytes once it is sealed, and the promises of its records.
 *
 * Hot: everything here that runs for each record allocates nothing beyond array slots.
 */
import { assert } from '@barnabas/common';
import { BatchBuilder, decodeRecords, NO_PRODUCER, setProducerState } from '@barnabas/protocol';
import type { BarnabasError, BatchBuilderOptions, ProducerState, Record as BatchRecord } from '@barnabas/protocol';
import type { BufferPool } from './buffer-pool.js';
import { isFailure } from '../produce/outbound.js';
import type { AppendResult, OutboundBatch } from '../produce/outbound.js';
import type { ProducerRecord, RecordMetadata } from '../records.js';
import { sequenceAfter } from './partition-sequences.js';

/**
 * The end of a record's promise; a rejected promise rejects it. Only this end is kept: two functions
 * for each of some hundred thousand records on their way are what the garbage collector would be
 * busy with most.
 */
export type Resolve = (metadata: RecordMetadata | Promise<never>) => void;

/** Waits until a number of batches are settled. */
export interface FlushToken {
  remaining: number;
  readonly done: () => void;
}

export interface ProducerBatchParts {
  readonly topic: string;
  readonly partition: number;
  readonly builder: BatchBuilderOptions;
  /** Where to build; undefined where nothing tells when the bytes have been read (acks 0). */
  readonly pool: BufferPool | undefined;
  readonly isIdempotent: boolean;
  /** Keep records as the application gave them, for its interceptors. */
  readonly keepsSources: boolean;
  readonly createdMs: number;
  readonly deadlineMs: number;
  /** Called once, after the records' promises. */
  readonly onSettled: (batch: ProducerBatch, outcome: AppendResult | BarnabasError) => void;
}

const NOT_SEALED = Buffer.alloc(0);

export class ProducerBatch implements OutboundBatch {
  readonly #parts: ProducerBatchParts;
  #builder: BatchBuilder | undefined;
  #buffer: Buffer | undefined;
  readonly #resolves: Resolve[] = [];
  readonly #timestamps: number[] = [];
  readonly #sources: ProducerRecord[] = [];
  #state: ProducerState = NO_PRODUCER;
  bytes: Buffer = NOT_SEALED;
  attempts = 0;
  ordinal = 0;
  isUncertain = false;
  isSettled = false;
  /** Has waited for long enough (linger.ms), or somebody is in a hurry. */
  isDue = false;
  /** Bytes of buffer memory that it holds. */
  chargedBytes = 0;
  readonly flushTokens: FlushToken[] = [];

  constructor(parts: ProducerBatchParts) {
    this.#parts = parts;
    this.#buffer = parts.pool?.take();
    const options = this.#buffer === undefined ? parts.builder : { ...parts.builder, buffer: this.#buffer };
    this.#builder = new BatchBuilder(options);
  }

  get isIdempotent(): boolean {
    return this.#parts.isIdempotent;
  }

  get createdMs(): number {
    return this.#parts.createdMs;
  }

  get deadlineMs(): number {
    return this.#parts.deadlineMs;
  }

  get recordCount(): number {
    return this.#timestamps.length;
  }

  get sizeInBytes(): number {
    return this.#builder?.sizeInBytes ?? this.bytes.length;
  }

  /** Takes the record, or returns false where the batch is full. Throws where it fits no batch. */
  tryAppend(record: BatchRecord, source: ProducerRecord | undefined, resolve: Resolve): boolean {
    if (this.#builder === undefined || !this.#builder.tryAppend(record)) return false;
    this.#resolves.push(resolve);
    this.#timestamps.push(record.timestamp);
    if (this.#parts.keepsSources && source !== undefined) this.#sources.push(source);
    return true;
  }

  /** Makes the bytes. */
  seal(state: ProducerState = NO_PRODUCER): void {
    assert(this.#builder !== undefined, 'a batch is sealed once');
    this.bytes = this.#builder.build(state);
    this.#builder = undefined;
    this.#state = state;
  }

  /** Gives the sealed batch another place in another epoch. The caller knows that it is in no log. */
  renumber(state: ProducerState): void {
    setProducerState(this.bytes, 0, state);
    this.#state = state;
    this.isUncertain = false;
  }

  /** Two sealed batches with half of the records each under the same numbers, which settle the records' promises in its place. */
  split(): readonly [ProducerBatch, ProducerBatch] {
    const records = decodeRecords(this.bytes);
    const half = Math.ceil(records.length / 2);
    const halves = [new ProducerBatch(this.#parts), new ProducerBatch(this.#parts)] as const;
    records.forEach((record, index) => {
      const resolve = this.#resolves[index] as Resolve;
      const isTaken = halves[index < half ? 0 : 1].tryAppend(record, this.#sources[index], resolve);
      assert(isTaken, 'half of a batch fits into a batch');
    });
    halves[0].seal(this.#state);
    halves[1].seal(sequenceAfter(this.#state, half));
    return halves;
  }

  settle(outcome: AppendResult | BarnabasError): void {
    if (this.isSettled) return;
    this.isSettled = true;
    if (isFailure(outcome)) for (const resolve of this.#resolves) resolve(Promise.reject(outcome));
    else {
      this.#resolveAll(outcome);
      this.#giveBufferBack();
    }
    this.#parts.onSettled(this, outcome);
    this.#release();
  }

  /** Its records have gone into others: nobody is told anything here. */
  supersede(): void {
    this.isSettled = true;
    this.#release();
  }

  /** The records as the application gave them; empty unless they are kept. */
  get sources(): readonly ProducerRecord[] {
    return this.#sources;
  }

  /** Metadata of one record of a batch that was appended. */
  metadata(result: AppendResult, index: number): RecordMetadata {
    const { topic, partition } = this.#parts;
    const { baseOffset, logAppendTimeMs } = result;
    return {
      topic,
      partition,
      offset: baseOffset < 0 ? -1 : baseOffset + index,
      timestamp: logAppendTimeMs >= 0 ? logAppendTimeMs : (this.#timestamps[index] ?? -1),
    };
  }

  #resolveAll(result: AppendResult): void {
    const resolves = this.#resolves;
    for (let index = 0; index < resolves.length; index++) {
      (resolves[index] as Resolve)(this.metadata(result, index));
    }
  }

  /** See BufferPool for when this is safe. */
  #giveBufferBack(): void {
    if (this.#buffer === undefined || this.attempts !== 1) return;
    this.bytes = NOT_SEALED;
    this.#parts.pool?.give(this.#buffer);
    this.#buffer = undefined;
  }

  /** A batch that was given up stays in its lane until it comes back: without what it held. */
  #release(): void {
    this.#resolves.length = 0;
    this.#sources.length = 0;
  }
}
