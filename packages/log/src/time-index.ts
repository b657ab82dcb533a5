/**
 * A sparse index from timestamps to batches within one segment (Kafka's time index). Pure.
 *
 * An entry (t, b) says: the batch at b was the first to bring a timestamp t larger than every one
 * before. So a search for the first record at or after some time may begin at the last entry that
 * is earlier: everything before it is earlier too.
 */

export interface TimeIndexEntry {
  readonly timestamp: number;
  readonly baseOffset: number;
}

/** Kafka's index.interval.bytes is 4 KiB; a search reads this much of one segment at most, from memory mostly. */
const INTERVAL_BYTES = 1024 * 1024;

export class TimeIndex {
  readonly #entries: TimeIndexEntry[] = [];
  #lastPosition = 0;

  get entries(): readonly TimeIndexEntry[] {
    return this.#entries;
  }

  /** A batch raised the segment's largest timestamp; `position` is the segment's size with it. */
  offer(timestamp: number, baseOffset: number, position: number): void {
    if (this.#entries.length > 0 && position - this.#lastPosition < INTERVAL_BYTES) return;
    this.#entries.push({ timestamp, baseOffset });
    this.#lastPosition = position;
  }
}

/** Where to begin looking for the first record at or after the timestamp. */
export function searchFrom(entries: readonly TimeIndexEntry[], timestamp: number, segmentBaseOffset: number): number {
  return entries.findLast((entry) => entry.timestamp < timestamp)?.baseOffset ?? segmentBaseOffset;
}
