/**
 * What was told of one partition of one incarnation of a topic.
 *
 * Where the topic is synced by number or time only (isRelaxed), a loss of power may take the end of
 * it: from the last known recovery point on, nothing is expected until the log is open again and
 * says where it ends.
 */
import { Violation } from '../kernel/violation.js';
import { nameOf } from './batches.js';
import type { Mark } from './batches.js';
import type { TopicPlan } from './topics.js';

export class PartitionHistory {
  /** `<topic>-<partition>`, as producers call it. */
  readonly lane: string;
  readonly #marks = new Map<number, Mark>();
  /** Where the records of idempotent producers stand. */
  readonly #offsets = new Map<string, number>();
  /** Exclusive end of what was told. */
  #toldEndOffset = 0;
  /** Below it records were deleted on request, and somebody was told so. */
  deletedBefore = 0;
  /** The highest offset that anybody has asked to delete up to, told or not. */
  deletionAsked = 0;
  /** Surely on disk, as the log said last. */
  recoveryPoint = 0;
  /** The end of it may have gone with the power. */
  mayHaveLost = false;
  /** It has: later records may follow a gap in a producer's numbers. */
  hasLost = false;
  /** Stored bytes were damaged: it may go offline for good, but must not serve what nobody has sent. */
  isRotten = false;

  constructor(
    readonly plan: TopicPlan,
    readonly topicId: string,
    readonly partition: number,
  ) {
    this.lane = `${plan.name}-${partition}`;
  }

  get toldEndOffset(): number {
    return this.#toldEndOffset;
  }

  at(offset: number): Mark | undefined {
    return this.#marks.get(offset);
  }

  told(offset: number, mark: Mark, isIdempotent: boolean): void {
    // Damage at the very end is cut off as a torn write is, and other records come in its place.
    if (this.isRotten) return;
    const name = nameOf(mark);
    const known = this.#marks.get(offset);
    const knownName = known === undefined ? name : nameOf(known);
    if (knownName !== name) {
      throw new Violation('one-record-an-offset', 'an offset has another record than before', {
        ...{ partition: this.lane, offset, before: knownName, now: name },
      });
    }
    if (isIdempotent) this.#toldOnce(offset, name);
    this.#marks.set(offset, mark);
    this.#toldEndOffset = Math.max(this.#toldEndOffset, offset + 1);
  }

  /** Nothing can be expected of what it holds any more. */
  get isUnreliable(): boolean {
    return this.isRotten || this.hasLost || this.mayHaveLost;
  }

  powerLost(): void {
    if (this.plan.isRelaxed) this.mayHaveLost = true;
  }

  /** What is from the offset on was lost, as it may be. */
  forgetFrom(offset: number): void {
    this.mayHaveLost = false;
    // What comes in the place of lost records was never deleted.
    this.deletedBefore = Math.min(this.deletedBefore, offset);
    if (offset >= this.#toldEndOffset) return;
    this.hasLost = true;
    for (let at = offset; at < this.#toldEndOffset; at++) {
      const mark = this.#marks.get(at);
      if (mark === undefined) continue;
      this.#marks.delete(at);
      this.#offsets.delete(nameOf(mark));
    }
    this.#toldEndOffset = offset;
  }

  #toldOnce(offset: number, name: string): void {
    const known = this.#offsets.get(name) ?? offset;
    if (known !== offset) {
      throw new Violation('no-duplicates', 'a record of an idempotent producer stands at two offsets', {
        ...{ partition: this.lane, record: name, first: known, second: offset },
      });
    }
    this.#offsets.set(name, offset);
  }
}
