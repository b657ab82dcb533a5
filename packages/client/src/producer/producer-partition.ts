/**
 * One partition as a producer sees it: the open batch, full ones that wait, and what to do when its
 * leader refuses one. The lane behind it keeps the order; partition-sequences.ts keeps the numbers.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { AppendResult, BatchSize } from '../produce/outbound.js';
import { PartitionLane } from '../produce/partition-lane.js';
import type { LaneFeed, Verdict } from '../produce/partition-lane.js';
import { MAX_IN_FLIGHT_WITH_IDEMPOTENCE } from '../options/producer-options.js';
import { partitionName } from '../records.js';
import { PartitionSequences } from './partition-sequences.js';
import type { ProducerBatch } from './producer-batch.js';
import type { ProducerIds } from './producer-ids.js';

export interface ProducerPartitionParts {
  readonly topic: string;
  readonly partition: number;
  /** Undefined for a producer that is not idempotent. */
  readonly ids: ProducerIds | undefined;
  readonly retries: number;
  /** A batch's records have gone into two others. */
  readonly onSplit: (batch: ProducerBatch, halves: readonly ProducerBatch[]) => void;
}

const RETRY = { kind: 'retry' } as const;
/** The leader has the batch but no longer knows where. */
const APPENDED_SOMEWHERE: AppendResult = { baseOffset: -1, logAppendTimeMs: -1, logStartOffset: -1 };

export class ProducerPartition implements LaneFeed<ProducerBatch> {
  readonly lane: PartitionLane<ProducerBatch>;
  /** The batch that takes records now. */
  open: ProducerBatch | undefined;
  readonly #parts: ProducerPartitionParts;
  readonly #full: ProducerBatch[] = [];
  readonly #sequences: PartitionSequences | undefined;

  constructor(parts: ProducerPartitionParts) {
    const { topic, partition, ids } = parts;
    this.#parts = parts;
    this.#sequences = ids === undefined ? undefined : new PartitionSequences(ids);
    const maxBatches = ids === undefined ? Number.POSITIVE_INFINITY : MAX_IN_FLIGHT_WITH_IDEMPOTENCE;
    this.lane = new PartitionLane(topic, partition, this, maxBatches);
  }

  get partition(): number {
    return this.#parts.partition;
  }

  /** Batches that wait to be sent for the first time. */
  get queueLength(): number {
    return this.#full.length + (this.open === undefined ? 0 : 1);
  }

  /** The open batch takes no more. */
  closeOpen(): void {
    if (this.open === undefined) return;
    this.#full.push(this.open);
    this.open = undefined;
  }

  /** There may be a producer id now. */
  idReady(): void {
    this.#sequences?.idReady(this.lane.resend);
  }

  /** Settles everything that has not been sent. */
  abort(error: BarnabasError): void {
    this.closeOpen();
    for (const batch of this.#full.splice(0)) batch.settle(error);
  }

  get isBlocked(): boolean {
    return this.#sequences?.isBlocked ?? false;
  }

  peek(): BatchSize | undefined {
    if (this.#sequences !== undefined && !this.#sequences.mayAssign) return undefined;
    return this.#full[0] ?? (this.open?.isDue === true ? this.open : undefined);
  }

  next(): ProducerBatch {
    // An open batch goes on taking records until this moment: the longer leaders are busy, the fuller it is.
    if (this.#full.length === 0) this.closeOpen();
    const batch = this.#full.shift() as ProducerBatch;
    batch.seal(this.#sequences?.assign(batch.recordCount));
    return batch;
  }

  judge(batch: ProducerBatch, error: BarnabasError, isOldest: boolean): Verdict<ProducerBatch> {
    switch (error.errorName) {
      case 'DUPLICATE_SEQUENCE_NUMBER':
        return { kind: 'accept', result: APPENDED_SOMEWHERE };
      case 'OUT_OF_ORDER_SEQUENCE_NUMBER':
      case 'UNKNOWN_PRODUCER_ID':
      case 'INVALID_PRODUCER_EPOCH':
        return this.#judgeNumbers(batch, error, isOldest);
      case 'MESSAGE_TOO_LARGE':
      case 'RECORD_LIST_TOO_LARGE':
        return this.#judgeSize(batch, error);
      default:
        return error.retriable ? this.#retry(batch, error) : { kind: 'fail', error };
    }
  }

  failed(): void {
    this.#sequences?.failed();
  }

  accepted(): void {
    this.#sequences?.accepted();
  }

  drained(resend: readonly ProducerBatch[]): void {
    this.#sequences?.drained(resend);
  }

  expire(nowMs: number): number {
    if (this.open !== undefined && this.open.deadlineMs <= nowMs) this.closeOpen();
    // All have the same time to live, so the first is the first to expire.
    for (let batch = this.#full[0]; batch !== undefined && batch.deadlineMs <= nowMs; batch = this.#full[0]) {
      this.#full.shift();
      batch.settle(this.#neverSent(batch));
    }
    return (this.#full[0] ?? this.open)?.deadlineMs ?? Number.POSITIVE_INFINITY;
  }

  /**
   * KIP-360. Refused behind a batch that is still to be sent again: the refusal follows from that one's.
   * Refused as the oldest, with every attempt clearly refused: it is in no log, so that nothing numbered
   * behind it can be, and all of it may be numbered anew. A batch of which an attempt had no clear answer
   * is never numbered anew, whatever a leader says: the leader speaks of its own log, and the one that
   * has the batch may lead again (N2). It fails, and says so.
   */
  #judgeNumbers(batch: ProducerBatch, error: BarnabasError, isOldest: boolean): Verdict<ProducerBatch> {
    if (this.#sequences === undefined) return { kind: 'fail', error };
    if (!isOldest) return this.#retry(batch, error);
    if (batch.isUncertain) return { kind: 'fail', error: this.#perhapsWritten(batch, error) };
    this.#sequences.restart(error.errorName === 'INVALID_PRODUCER_EPOCH' ? 'new-id' : 'next-epoch');
    return this.#retry(batch, error);
  }

  /** The topic allows less than this producer's batch.size. */
  #judgeSize(batch: ProducerBatch, error: BarnabasError): Verdict<ProducerBatch> {
    // What may be in the log already must not be split: its halves would not be recognised there.
    if (batch.recordCount === 1 || batch.isUncertain || batch.isSettled) return { kind: 'fail', error };
    const batches = batch.split();
    this.#parts.onSplit(batch, batches);
    return { kind: 'replace', batches };
  }

  #retry(batch: ProducerBatch, error: BarnabasError): Verdict<ProducerBatch> {
    return batch.attempts <= this.#parts.retries ? RETRY : { kind: 'fail', error };
  }

  #perhapsWritten({ recordCount }: ProducerBatch, { errorName, message, facts }: BarnabasError): BarnabasError {
    return new BarnabasError(
      errorName,
      `${message}. An earlier attempt had no clear answer, so that ${recordCount} records may have been written: look for them before you send them again`,
      { ...facts, records: recordCount },
    );
  }

  #neverSent(batch: ProducerBatch): BarnabasError {
    const { topic, partition } = this.#parts;
    return new BarnabasError(
      'REQUEST_TIMED_OUT',
      `${batch.recordCount} records for ${partitionName(topic, partition)} could not be sent in delivery.timeout.ms: no leader could be reached, or it was too busy`,
      { topic, partition, records: batch.recordCount },
    );
  }
}
