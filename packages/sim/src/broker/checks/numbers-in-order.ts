/**
 * The records of an idempotent producer stand in the order in which it made them, without gaps: a
 * producer that gives a batch up goes on as somebody new. After records were lost, as they may be
 * where a topic is not synced, there may be gaps.
 */
import { Violation } from '../../kernel/violation.js';
import { nameOf } from '../batches.js';
import type { Mark } from '../batches.js';
import type { History } from '../history.js';
import type { PartitionHistory } from '../partition-history.js';

export class NumbersInOrder {
  readonly #last = new Map<number, number>();

  constructor(private readonly history: History) {}

  /** Records of one partition, in the order of their offsets. */
  take(partition: PartitionHistory, offset: number, mark: Mark): void {
    if (this.history.session(mark.session)?.isIdempotent !== true) return;
    const last = this.#last.get(mark.session);
    this.#last.set(mark.session, mark.number);
    if (last === undefined || mark.number === last + 1) return;
    if (partition.isRotten || (partition.hasLost && mark.number > last)) return;
    throw new Violation('order', 'the records of a producer do not stand in its order', {
      ...{ partition: partition.lane, offset, after: last, record: nameOf(mark) },
    });
  }
}
