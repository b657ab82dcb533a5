/**
 * One partition that a fetch stream follows: where it is, and whether there is enough to send.
 *
 *   opening   its log is being opened            -> waiting
 *   waiting   nothing to send, or not enough yet -> ready
 *   ready     in line for its turn               -> reading
 *   reading   a read is on its way, or read and in line to be sent -> waiting, ready
 *   ended     final
 */
import type { Timer, Timers } from '@barnabas/common';
import type { PartitionLog } from '@barnabas/log';
import type { v1 } from '@barnabas/protocol';
import type { ReplicaPartition } from '../runtime/replica-driver.js';

export type SubscriptionState = 'opening' | 'waiting' | 'ready' | 'reading' | 'ended';

/** Kafka's default of max.partition.fetch.bytes. */
const DEFAULT_MAX_BYTES = 1024 * 1024;
/** Kafka's default of fetch.max.wait.ms. */
const DEFAULT_MAX_WAIT_MS = 500;

export class Subscription {
  readonly id: number;
  readonly maxBytes: number;
  /** Of the batch before the first offset asked for, as the client has read it; -1 if it does not say. */
  readonly lastFetchedEpoch: number;
  readonly #minBytes: number;
  readonly #maxWaitMs: number;
  state: SubscriptionState = 'opening';
  log: PartitionLog | undefined;
  /** Ends the partition's reports of changes. */
  unlisten: () => void = () => {};
  #position: number;
  /** What the partition had committed when exactly `#unsentBytes` of it were not sent; undefined: not known. */
  #countedFrom: number | undefined;
  #unsentBytes = 0;
  #timer: Timer | undefined;
  #waited = false;

  constructor(
    request: v1.FetchSubscribe,
    readonly partition: ReplicaPartition,
    maxMessageBytes: number,
    private readonly timers: Timers,
  ) {
    this.id = request.subscriptionId;
    this.#position = request.offset;
    this.lastFetchedEpoch = request.lastFetchedEpoch ?? -1;
    this.maxBytes = Math.min(request.maxBytes === 0 ? DEFAULT_MAX_BYTES : request.maxBytes, maxMessageBytes);
    // More than fits one message would never come together.
    this.#minBytes = Math.min(request.minBytes, this.maxBytes);
    this.#maxWaitMs = request.maxWaitMs === 0 ? DEFAULT_MAX_WAIT_MS : request.maxWaitMs;
  }

  /** Offset of the next record to send. */
  get position(): number {
    return this.#position;
  }

  /** Exclusive end of what may be sent now. No transaction is ever undecided yet, so it is the high watermark. */
  get limit(): number {
    return this.partition.lastStableOffset;
  }

  /** Whether something may be sent now. Where min_bytes holds it back, `onDue` is called once it has waited long enough. */
  isDue(onDue: () => void): boolean {
    if (this.#position >= this.limit) return false;
    if (this.#minBytes <= 1 || this.#waited || this.#countedFrom === undefined) return true;
    if (this.#unsentBytes + this.partition.appends.committedBytes - this.#countedFrom >= this.#minBytes) return true;
    this.#timer ??= this.timers.after(this.#maxWaitMs, () => {
      this.#timer = undefined;
      this.#waited = true;
      onDue();
    });
    return false;
  }

  /** Whether what was read is too little; then it is counted, and read again with what comes. */
  holdsBack(bytes: number, reachedLimit: boolean): boolean {
    if (bytes >= this.#minBytes || this.#waited || !reachedLimit) return false;
    this.#unsentBytes = bytes;
    this.#countedFrom = this.partition.appends.committedBytes;
    return true;
  }

  /** Everything before `nextOffset` has been sent. */
  sent(nextOffset: number): void {
    this.#position = nextOffset;
    this.#waited = false;
    this.#timer?.cancel();
    this.#timer = undefined;
    const caughtUp = nextOffset >= this.limit;
    this.#unsentBytes = 0;
    this.#countedFrom = caughtUp ? this.partition.appends.committedBytes : undefined;
  }

  end(): void {
    this.state = 'ended';
    this.#timer?.cancel();
    this.unlisten();
  }
}
