/**
 * Everything that a log knows in memory, changed by one event: a batch stands behind the log end.
 * Appends and recovery both go through it, so they cannot disagree. Pure.
 *
 * Invariants (L1 and L2 of docs/protocols/partition-log.md), checked at every change:
 *   logStartOffset <= logEndOffset;
 *   a batch begins at the log end, and its epoch is not below the latest.
 */
import { assert } from '@barnabas/common';
import type { BatchHeader } from '@barnabas/protocol';
import { LeaderEpochs } from './leader-epochs.js';
import { ProducerStates } from './producer-states.js';
import type { SegmentEnd } from './segment-end.js';
import { SUMMARIES } from './segment-end.js';
import { Segments } from './segments.js';
import type { SegmentSummary } from './segments.js';

export class LogState {
  #logStartOffset: number;

  constructor(
    logStartOffset: number,
    readonly segments: Segments,
    readonly epochs: LeaderEpochs,
    readonly producers: ProducerStates,
  ) {
    this.#logStartOffset = logStartOffset;
    this.#check();
  }

  /** The state at a segment end. `closed` are all segments still there, this one last. */
  static at(offset: number, end: SegmentEnd | undefined, closed: readonly SegmentSummary[]): LogState {
    return new LogState(
      closed[0]?.baseOffset ?? offset,
      new Segments(closed, offset),
      new LeaderEpochs(end?.epochs),
      new ProducerStates(end?.producers),
    );
  }

  get logStartOffset(): number {
    return this.#logStartOffset;
  }

  get logEndOffset(): number {
    return this.segments.active.endOffset;
  }

  appended(header: BatchHeader, now: number): void {
    assert(header.baseOffset === this.logEndOffset, 'a batch begins at the log end', {
      baseOffset: header.baseOffset,
      logEndOffset: this.logEndOffset,
    });
    this.epochs.appended(header.partitionLeaderEpoch, header.baseOffset);
    this.segments.active.appended(header);
    this.producers.appended(header, now);
  }

  /** Closes the active segment; the answer is to be stored at the log end. */
  closeSegment(): SegmentEnd {
    const timeIndex = [...this.segments.active.timeIndex.entries];
    this.segments.roll();
    return {
      segments: this.segments.closed.slice(-SUMMARIES),
      timeIndex,
      epochs: [...this.epochs.starts],
      producers: [...this.producers.entries()],
    };
  }

  /** Moves the log start up; never down. */
  moveLogStart(offset: number): void {
    if (offset <= this.#logStartOffset) return;
    this.#logStartOffset = offset;
    this.#check();
    this.epochs.logStartMoved(offset);
  }

  #check(): void {
    assert(this.#logStartOffset <= this.logEndOffset, 'the log start is not above the log end', {
      logStartOffset: this.#logStartOffset,
      logEndOffset: this.logEndOffset,
    });
  }
}
