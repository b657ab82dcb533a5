/**
 * Where each leader epoch began in a log (Kafka's leader epoch cache). Pure.
 *
 * Invariants (checked when they could break):
 *   epochs and their start offsets both grow strictly;
 *   no start offset lies above the log end offset.
 */
import { assert } from '@barnabas/common';
import type { EpochEndOffset } from './types.js';

export interface EpochStart {
  readonly leaderEpoch: number;
  readonly startOffset: number;
}

export class LeaderEpochs {
  #starts: EpochStart[];

  constructor(starts: readonly EpochStart[] = []) {
    this.#starts = [...starts];
  }

  /** -1 while there is none. */
  get latest(): number {
    return this.#starts.at(-1)?.leaderEpoch ?? -1;
  }

  get starts(): readonly EpochStart[] {
    return this.#starts;
  }

  /** A batch of this epoch was appended at the offset. */
  appended(leaderEpoch: number, baseOffset: number): void {
    if (leaderEpoch === this.latest) return;
    const last = this.#starts.at(-1);
    assert(leaderEpoch > this.latest, 'leader epochs never go back in a log', { leaderEpoch, latest: this.latest });
    assert(last === undefined || baseOffset >= last.startOffset, 'a new epoch starts behind the one before', {
      leaderEpoch,
      baseOffset,
      lastStart: last?.startOffset,
    });
    // Every record of the last epoch was deleted and the log start moved up to the log end: it has none.
    if (last?.startOffset === baseOffset) this.#starts.pop();
    this.#starts.push({ leaderEpoch, startOffset: baseOffset });
  }

  /**
   * The largest epoch that is not above the given one, and where it ends: at the start of the next
   * epoch, or at the log end. Undefined when every epoch here is above it, or there is none.
   */
  endOffsetFor(leaderEpoch: number, logEndOffset: number): EpochEndOffset | undefined {
    let found = -1;
    while (found + 1 < this.#starts.length && (this.#starts[found + 1]?.leaderEpoch ?? 0) <= leaderEpoch) found++;
    const start = this.#starts[found];
    if (start === undefined) return undefined;
    return { leaderEpoch: start.leaderEpoch, endOffset: this.#starts[found + 1]?.startOffset ?? logEndOffset };
  }

  /** The epoch that the record at the offset was written in; undefined below the first. */
  epochAt(offset: number): number | undefined {
    return this.#starts.findLast((start) => start.startOffset <= offset)?.leaderEpoch;
  }

  /** The log starts at this offset now: epochs that end at or below it are forgotten. */
  logStartMoved(logStartOffset: number): void {
    const first = this.#starts.findLastIndex((start) => start.startOffset <= logStartOffset);
    if (first === -1) return;
    const [kept, ...later] = this.#starts.slice(first);
    if (kept === undefined) return;
    this.#starts = [{ leaderEpoch: kept.leaderEpoch, startOffset: logStartOffset }, ...later];
  }
}
