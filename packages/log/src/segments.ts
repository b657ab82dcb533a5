/**
 * The segments of a log: runs of batches that retention deletes whole and between whose ends recovery
 * has nothing to read. Pure. A segment is no file; it is closed by a segment end among the keys.
 *
 * Invariants: segments are contiguous; a closed segment is not empty; the last one is active.
 */
import { assert } from '@barnabas/common';
import type { BatchHeader } from '@barnabas/protocol';
import { TimeIndex } from './time-index.js';

/**
 * A segment is closed at this size even where segment.bytes is larger (Kafka's default is 1 GiB):
 * recovery after a crash reads the active segment, and retention is as exact as segments are small.
 * 64 MiB are checked in well under a second, and a segment end of a few hundred bytes costs nothing beside it.
 */
export const MAX_SEGMENT_BYTES = 64 * 1024 * 1024;

/** And at this many batches, for logs of tiny ones: recovery time goes by batches there. */
export const MAX_SEGMENT_BATCHES = 65_536;

export interface SegmentSummary {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly sizeInBytes: number;
  /** Largest timestamp of its first batch that has one, -1 without: what segment.ms counts from. */
  readonly firstTimestamp: number;
  /** -1 when no record has one; control batches do not count. */
  readonly maxTimestamp: number;
  /** Base offset of the first batch that holds maxTimestamp; baseOffset when there is none. */
  readonly maxTimestampBatch: number;
}

export class ActiveSegment {
  sizeInBytes = 0;
  batches = 0;
  firstTimestamp = -1;
  maxTimestamp = -1;
  maxTimestampBatch: number;
  endOffset: number;
  readonly timeIndex = new TimeIndex();

  constructor(readonly baseOffset: number) {
    this.endOffset = baseOffset;
    this.maxTimestampBatch = baseOffset;
  }

  get isEmpty(): boolean {
    return this.batches === 0;
  }

  appended(header: BatchHeader): void {
    this.endOffset = header.lastOffset + 1;
    this.sizeInBytes += header.sizeInBytes;
    this.batches++;
    if (header.isControl || header.maxTimestamp === -1) return;
    if (this.firstTimestamp === -1) this.firstTimestamp = header.maxTimestamp;
    if (header.maxTimestamp <= this.maxTimestamp) return;
    this.maxTimestamp = header.maxTimestamp;
    this.maxTimestampBatch = header.baseOffset;
    this.timeIndex.offer(header.maxTimestamp, header.baseOffset, this.sizeInBytes);
  }

  /** Whether a batch must go to the next segment. */
  isFull(next: BatchHeader, limits: { readonly segmentBytes: number; readonly segmentMs: number }): boolean {
    if (this.isEmpty) return false;
    const bytes = Math.min(limits.segmentBytes, MAX_SEGMENT_BYTES);
    if (this.sizeInBytes + next.sizeInBytes > bytes || this.batches >= MAX_SEGMENT_BATCHES) return true;
    return this.firstTimestamp !== -1 && next.maxTimestamp - this.firstTimestamp > limits.segmentMs;
  }

  summary(): SegmentSummary {
    const { baseOffset, endOffset, sizeInBytes, firstTimestamp, maxTimestamp, maxTimestampBatch } = this;
    return { baseOffset, endOffset, sizeInBytes, firstTimestamp, maxTimestamp, maxTimestampBatch };
  }
}

export class Segments {
  #closed: SegmentSummary[];
  #closedBytes: number;
  active: ActiveSegment;

  constructor(closed: readonly SegmentSummary[], activeBaseOffset: number) {
    this.#closed = [...closed];
    this.#closedBytes = bytesOf(closed);
    this.active = new ActiveSegment(activeBaseOffset);
  }

  /** Oldest first. */
  get closed(): readonly SegmentSummary[] {
    return this.#closed;
  }

  get sizeInBytes(): number {
    return this.#closedBytes + this.active.sizeInBytes;
  }

  /** Closes the active segment and begins the next. */
  roll(): SegmentSummary {
    assert(!this.active.isEmpty, 'an empty segment is not closed', { baseOffset: this.active.baseOffset });
    const summary = this.active.summary();
    this.#closed.push(summary);
    this.#closedBytes += summary.sizeInBytes;
    this.active = new ActiveSegment(summary.endOffset);
    return summary;
  }

  /** Forgets closed segments that end at or below the offset, and returns them. */
  dropBelow(offset: number): SegmentSummary[] {
    const firstKept = this.#closed.findIndex((segment) => segment.endOffset > offset);
    const dropped = this.#closed.splice(0, firstKept === -1 ? this.#closed.length : firstKept);
    this.#closedBytes -= bytesOf(dropped);
    return dropped;
  }

  /** A closed segment has lost records; where it begins and ends does not change. */
  replace(before: SegmentSummary, after: SegmentSummary): void {
    const index = this.#closed.findIndex(({ baseOffset }) => baseOffset === before.baseOffset);
    const known = this.#closed[index];
    if (known === undefined) return;
    assert(known.endOffset === after.endOffset, 'a segment keeps its end', { endOffset: after.endOffset });
    this.#closedBytes += after.sizeInBytes - known.sizeInBytes;
    this.#closed[index] = after;
  }

  /** All segments, the active one last. */
  all(): SegmentSummary[] {
    return [...this.#closed, this.active.summary()];
  }
}

function bytesOf(segments: readonly SegmentSummary[]): number {
  return segments.reduce((sum, segment) => sum + segment.sizeInBytes, 0);
}
