/**
 * The batches of one partition on their way, in the order in which they must be appended.
 *
 * Invariants:
 *   L1  batches reach the log in the order in which the feed gave them: after a failure nothing more
 *       is sent until all that was on its way has come back; then they are sent again in order
 *   L2  batches without producer id and sequence are on their way in one entry of one request only,
 *       which is appended whole or not at all: nothing else would stop a later one from being appended
 *       when an earlier one fails
 *   L3  from the oldest batch that has not come back to the newest sent there are at most `maxBatches`:
 *       a leader remembers only so many, and recognises no older one when it comes again
 *   L4  every batch taken from the feed is settled once
 */
import { assert } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { partitionName } from '../records.js';
import { isFailure, mayHaveBeenAppended } from './outbound.js';
import type { AppendResult, BatchSize, OutboundBatch } from './outbound.js';

/** What to do about a batch that a leader refused. */
export type Verdict<B> =
  | { readonly kind: 'retry' }
  /** It failed for good. */
  | { readonly kind: 'fail'; readonly error: BarnabasError }
  /** It is in the log after all. */
  | { readonly kind: 'accept'; readonly result: AppendResult }
  /** Send these in its place. */
  | { readonly kind: 'replace'; readonly batches: readonly B[] };

/** Where a lane gets its batches and its judgement from. */
export interface LaneFeed<B extends OutboundBatch> {
  /** Nothing may be sent now, not even again: whoever blocks calls ProduceDispatcher.ready when it is over. */
  readonly isBlocked: boolean;
  /** The batch that `next` would give now. */
  peek(): BatchSize | undefined;
  /** Hands over the next batch for good. */
  next(): B;
  /** `isOldest`: every batch before it has been settled, so that the refusal speaks of it alone. */
  judge(batch: B, error: BarnabasError, isOldest: boolean): Verdict<B>;
  /** A batch that had been sent has failed, and the leader has not said that it has the ones after it. */
  failed(batch: B): void;
  accepted(batch: B): void;
  /** Nothing is on its way; `resend` are next. The time to give them new producer state. */
  drained(resend: readonly B[]): void;
  /** Settles what has not been handed over and is past its deadline. Returns the next deadline. */
  expire(nowMs: number): number;
}

/** A request being put together for one node. */
export interface RequestRoom {
  /** Whether a batch of that size fits; the first always does. */
  fits(sizeInBytes: number): boolean;
  add(lane: PartitionLane, batch: OutboundBatch): void;
}

export class PartitionLane<B extends OutboundBatch = OutboundBatch> {
  readonly topic: string;
  readonly partition: number;
  readonly #feed: LaneFeed<B>;
  readonly #maxBatches: number;
  readonly #inFlight: B[] = [];
  readonly #resend: B[] = [];
  /**
   * What has been sent from the oldest batch that is open on, in order. Answers may come in another
   * order, from two leaders even; counting only what is on its way would let a batch stay open while
   * any number of later ones pass it, and its retry would not be recognised.
   */
  readonly #window: B[] = [];
  #plainInFlight = 0;
  #isMuted = false;
  #notBeforeMs = 0;
  #failures = 0;
  #nextOrdinal = 0;
  /** Batches up to this one go alone, because an entry that had one of them was refused for good. */
  #aloneUpTo = -1;
  /** The leader that gave the last failure. With another one there is no reason to wait. */
  #failedLeader = '';
  /** Why the last batch that was sent again had to be: what a time-out is really about. */
  #lastRefusal: BarnabasError | undefined;

  constructor(topic: string, partition: number, feed: LaneFeed<B>, maxBatches: number) {
    this.topic = topic;
    this.partition = partition;
    this.#feed = feed;
    this.#maxBatches = maxBatches;
  }

  /** Neither on its way nor waiting to be sent. */
  get isIdle(): boolean {
    return this.#inFlight.length === 0 && this.#resend.length === 0 && this.#feed.peek() === undefined;
  }

  get batchesInFlight(): number {
    return this.#inFlight.length;
  }

  /** What is to be sent again, in order. */
  get resend(): readonly B[] {
    return this.#resend;
  }

  /** Failures in a row. */
  get failures(): number {
    return this.#failures;
  }

  /** When the pause after a failure ends; in the past if there is none. */
  get notBeforeMs(): number {
    return this.#notBeforeMs;
  }

  /** Whether there is something to send now, or after the pause. */
  get hasWork(): boolean {
    if (this.#isMuted || this.#feed.isBlocked) return false;
    const next = this.#peek();
    return next !== undefined && this.#maySendBeside(next);
  }

  isPausing(nowMs: number, leader: string): boolean {
    return nowMs < this.#notBeforeMs && leader === this.#failedLeader;
  }

  /** Moves what may be sent now into a request. */
  fill(room: RequestRoom): void {
    if (!this.hasWork) return;
    for (let next = this.#peek(); next !== undefined && room.fits(next.sizeInBytes); next = this.#peek()) {
      const batch = this.#take();
      room.add(this, batch);
      if (!batch.isIdempotent && batch.ordinal <= this.#aloneUpTo) return;
    }
  }

  /**
   * An entry of several batches was refused for good. Which of them is at fault is found out by sending
   * each alone.
   */
  unpack(batches: readonly OutboundBatch[]): void {
    for (const batch of batches) {
      this.#aloneUpTo = batch.ordinal;
      this.#leaveFlight(batch as B, this.#inFlight.indexOf(batch as B));
      this.#putBack(batch as B);
    }
    this.#cameBack();
  }

  /** A batch of this lane has come back. `leader` names who answered. */
  settle(batch: OutboundBatch, outcome: AppendResult | BarnabasError, leader: string, pauseUntilMs: number): void {
    const index = this.#inFlight.indexOf(batch as B);
    assert(index !== -1, 'only a batch on its way comes back', { topic: this.topic, partition: this.partition });
    const own = this.#inFlight[index] as B;
    if (isFailure(outcome)) this.#refused(own, index, outcome, leader, pauseUntilMs);
    else this.#accepted(own, index, outcome);
    this.#cameBack();
  }

  /** Settles what is past its deadline. Returns the next deadline. */
  expire(nowMs: number): number {
    let next = this.#feed.expire(nowMs);
    // What is on its way stays until it comes back: only then is it clear what the leader has.
    for (const batch of this.#inFlight) {
      if (batch.deadlineMs <= nowMs) batch.settle(this.#timedOut(batch));
      else next = Math.min(next, batch.deadlineMs);
    }
    for (const batch of [...this.#resend]) {
      if (batch.deadlineMs > nowMs) {
        next = Math.min(next, batch.deadlineMs);
        continue;
      }
      this.#resend.splice(this.#resend.indexOf(batch), 1);
      batch.settle(this.#timedOut(batch));
      this.#feed.failed(batch);
    }
    this.#trimWindow();
    if (this.#inFlight.length === 0) this.#feed.drained(this.#resend);
    return next;
  }

  /** Settles everything that was taken from the feed. Answers that still come are ignored. */
  abort(error: BarnabasError): void {
    for (const batch of this.#inFlight) batch.settle(error);
    for (const batch of this.#resend.splice(0)) batch.settle(error);
  }

  /** What would be sent next. */
  #peek(): BatchSize | undefined {
    if (this.#resend.length > 0) return this.#resend[0];
    return this.#window.length < this.#maxBatches ? this.#feed.peek() : undefined;
  }

  #cameBack(): void {
    this.#trimWindow();
    if (this.#inFlight.length > 0) return;
    this.#isMuted = false;
    this.#feed.drained(this.#resend);
  }

  #maySendBeside(next: BatchSize): boolean {
    return this.#inFlight.length === 0 || (next.isIdempotent && this.#plainInFlight === 0);
  }

  #take(): B {
    let batch = this.#resend.shift();
    if (batch === undefined) {
      batch = this.#feed.next();
      batch.ordinal = this.#nextOrdinal++;
      if (batch.isIdempotent) this.#window.push(batch);
    }
    batch.attempts++;
    if (!batch.isIdempotent) this.#plainInFlight++;
    this.#inFlight.push(batch);
    return batch;
  }

  #leaveFlight(batch: B, index: number): void {
    this.#inFlight.splice(index, 1);
    if (!batch.isIdempotent) this.#plainInFlight--;
  }

  #accepted(batch: B, index: number, result: AppendResult): void {
    this.#leaveFlight(batch, index);
    this.#failures = 0;
    this.#lastRefusal = undefined;
    this.#feed.accepted(batch);
    batch.settle(result);
  }

  #refused(batch: B, index: number, error: BarnabasError, leader: string, pauseUntilMs: number): void {
    const isOldest = this.#isOldest(batch);
    if (mayHaveBeenAppended(error)) batch.isUncertain = true;
    const isGivenUp = batch.isSettled;
    const verdict = this.#feed.judge(batch, error, isOldest);
    if (verdict.kind === 'accept') {
      this.#accepted(batch, index, verdict.result);
      return;
    }
    this.#leaveFlight(batch, index);
    if (verdict.kind === 'fail' || isGivenUp) {
      batch.settle(verdict.kind === 'fail' ? verdict.error : error);
      this.#feed.failed(batch);
      // Those after it on their way will be refused for the gap; nothing new before they are back.
      this.#isMuted = this.#inFlight.length > 0;
      return;
    }
    this.#failures++;
    this.#lastRefusal = error;
    this.#notBeforeMs = verdict.kind === 'retry' ? pauseUntilMs : 0;
    this.#failedLeader = leader;
    this.#isMuted = true;
    if (verdict.kind === 'retry') this.#putBack(batch);
    else this.#replace(batch, verdict.batches);
  }

  #isOldest(batch: B): boolean {
    const isBefore = (other: B): boolean => other.ordinal < batch.ordinal;
    return !this.#inFlight.some(isBefore) && !this.#resend.some(isBefore);
  }

  #putBack(batch: B): void {
    const at = this.#resend.findIndex((other) => other.ordinal > batch.ordinal);
    this.#resend.splice(at === -1 ? this.#resend.length : at, 0, batch);
  }

  /**
   * Each part gets a place of its own between its predecessor and whatever is open behind the whole: one
   * of two that shared a place would come to stand behind the other when it is sent again.
   */
  #replace(batch: B, parts: readonly B[]): void {
    const behind = [...this.#inFlight, ...this.#resend].map(({ ordinal }) => ordinal);
    const end = Math.min(this.#nextOrdinal, ...behind.filter((ordinal) => ordinal > batch.ordinal));
    parts.forEach((part, index) => {
      part.ordinal = batch.ordinal + ((end - batch.ordinal) * index) / parts.length;
      this.#putBack(part);
    });
    const at = this.#window.indexOf(batch);
    if (at !== -1) this.#window.splice(at, 1, ...parts);
  }

  #trimWindow(): void {
    const isOpen = (batch: B): boolean => this.#inFlight.includes(batch) || this.#resend.includes(batch);
    let closed = 0;
    for (let oldest = this.#window[0]; oldest !== undefined && !isOpen(oldest); oldest = this.#window[closed]) closed++;
    this.#window.splice(0, closed);
  }

  #timedOut(batch: B): BarnabasError {
    const outcome = batch.attempts === 0 ? 'It was not sent.' : 'Whether it was appended is unknown.';
    const last = this.#lastRefusal;
    const reason = last === undefined ? '' : ` The last answer was ${last.errorName}: ${last.message}`;
    return new BarnabasError(
      'REQUEST_TIMED_OUT',
      `a batch for ${partitionName(this.topic, this.partition)} was not acknowledged in time. ${outcome}${reason}`,
      { topic: this.topic, partition: this.partition, attempts: batch.attempts },
    );
  }
}
