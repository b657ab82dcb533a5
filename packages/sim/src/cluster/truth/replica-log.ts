/**
 * What one replica's log holds, as told by the calls that were made of it: the simulator's own copy,
 * which costs no reading. It outlives the processes; whoever opens the log says where it ended.
 */
import { decodeRecords, splitBatches } from '@barnabas/protocol';
import type { BatchHeader } from '@barnabas/protocol';

export interface ShadowBatch {
  readonly baseOffset: number;
  /** Exclusive. */
  readonly endOffset: number;
  readonly leaderEpoch: number;
  /** Equal for batches that are equal byte for byte; in a log that is compacted, for those of one place. */
  readonly print: string;
  /** The value of each record, in order. */
  readonly values: readonly string[];
  /** As it was appended: base offset and leader epoch may be missing. */
  readonly bytes: Buffer;
}

export class ReplicaLog {
  #batches: ShadowBatch[] = [];
  #startOffset = 0;
  #hasLostPower = false;
  #cuts = 0;
  #isRotten = false;
  /** Records may be taken out of its batches, whose places stay. Set before it holds any. */
  isCompacted = false;
  /** Where it is being made to begin anew, empty. */
  beginning: number | undefined;
  /** By print. */
  readonly #everHeld = new Set<string>();
  /** Prints of what has gone with the power and has not come back. */
  readonly #taken = new Set<string>();

  get endOffset(): number {
    return this.#batches.at(-1)?.endOffset ?? this.#startOffset;
  }

  get startOffset(): number {
    return this.#startOffset;
  }

  /** Some of what is stored has changed by itself, and the log has not been made anew since. */
  get isRotten(): boolean {
    return this.#isRotten;
  }

  rots(): void {
    this.#isRotten = true;
  }

  /** How often something of it has gone. */
  get cuts(): number {
    return this.#cuts;
  }

  /** A leader has given these batches their places. */
  ledBatches(batches: Buffer, baseOffset: number, leaderEpoch: number): void {
    let next = baseOffset;
    for (const { header, bytes } of splitBatches(batches)) {
      this.#add(this.#shadowOf(header, bytes, next, leaderEpoch));
      next += header.lastOffsetDelta + 1;
    }
  }

  followedBatches(batches: Buffer, judge: (batch: ShadowBatch) => void): void {
    for (const { header, bytes } of splitBatches(batches)) {
      const batch = this.#shadowOf(header, bytes, header.baseOffset, header.partitionLeaderEpoch);
      this.#add(batch);
      judge(batch);
    }
  }

  /** It is here or was, whatever has become of it. */
  hasEverHeld({ print }: ShadowBatch): boolean {
    return this.#everHeld.has(print);
  }

  /** The machine has lost its power: what is missing when the log is opened next has gone with it. */
  lostPower(): void {
    this.#hasLostPower = true;
  }

  /** A process has opened the log, and it ends here. */
  openedAt(endOffset: number): void {
    if (this.#hasLostPower) {
      const from = this.#batches.findIndex((batch) => batch.endOffset > endOffset);
      if (from >= 0) for (const { print } of this.#batches.slice(from)) this.#taken.add(print);
    }
    this.#hasLostPower = false;
    this.beginning = undefined;
    // What is empty has been made anew.
    if (endOffset === 0) this.#isRotten = false;
    this.cutTo(endOffset);
  }

  /** It was here, the power took it, and it has not been written again. */
  wasTaken({ print }: ShadowBatch): boolean {
    return this.#taken.has(print);
  }

  /** Whatever reaches the offset is gone. */
  cutTo(offset: number): void {
    if (this.endOffset > offset) this.#cuts += 1;
    while ((this.#batches.at(-1)?.endOffset ?? 0) > offset) this.#batches.pop();
    this.#startOffset = Math.min(this.#startOffset, offset);
  }

  beginAt(offset: number): void {
    this.beginning = undefined;
    this.#cuts += 1;
    this.#isRotten = false;
    this.#batches = [];
    this.#startOffset = offset;
  }

  /** The batches from one that begins at or after `from` up to `to`. */
  between(from: number, to: number): readonly ShadowBatch[] {
    const first = this.#firstAt(from);
    let last = first;
    while ((this.#batches[last]?.endOffset ?? Infinity) <= to) last += 1;
    return this.#batches.slice(first, last);
  }

  #firstAt(offset: number): number {
    let low = 0;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#batches[middle]?.baseOffset ?? 0) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #shadowOf(header: BatchHeader, bytes: Buffer, baseOffset: number, leaderEpoch: number): ShadowBatch {
    const endOffset = baseOffset + header.lastOffsetDelta + 1;
    const place = `${baseOffset}-${endOffset}@${leaderEpoch}`;
    // The CRC covers everything but base offset and leader epoch.
    const print = this.isCompacted ? place : `${place}:${header.crc}:${header.sizeInBytes}`;
    const values = decodeRecords(bytes).map(({ value }) => (value === null ? '' : markIn(value)));
    return { baseOffset, endOffset, leaderEpoch, print, values, bytes };
  }

  #add(batch: ShadowBatch): void {
    if (this.#batches.length === 0) this.#startOffset = batch.baseOffset;
    this.#batches.push(batch);
    this.#everHeld.add(batch.print);
    this.#taken.delete(batch.print);
  }
}

/** A record's value without its padding. */
export function markIn(value: Uint8Array): string {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
  const at = text.indexOf(' ');
  return at < 0 ? text : text.slice(0, at);
}
