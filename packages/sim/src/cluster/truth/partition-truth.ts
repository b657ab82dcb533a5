/**
 * What is committed of one partition: what some leader's high watermark has covered. From then on it
 * must stay true of every leader, every replica below its high watermark, and everything that clients
 * are told. Crashes and elections included; unless this partition has been promised less.
 */
import { Violation } from '../../kernel/violation.js';
import { Marks } from './marks.js';
import type { ReplicaLog, ShadowBatch } from './replica-log.js';

export class PartitionTruth {
  readonly #batches: ShadowBatch[] = [];
  readonly #marks = new Marks();
  /** What may be told of it: everything that was ever promised, forgotten losses included. */
  #endOffset = 0;
  /** A loss that was allowed may have happened: what contradicts is believed. */
  mayHaveLost = false;
  /** The highest leader epoch in which somebody led it, and who. */
  #leader: { readonly epoch: number; readonly log: ReplicaLog } | undefined;

  constructor(
    readonly topic: string,
    readonly topicId: string,
    readonly partition: number,
    private readonly onLoss: () => void,
  ) {}

  get name(): string {
    return `${this.topic}-${this.partition}`;
  }

  get endOffset(): number {
    return this.#endOffset;
  }

  /** The mark of a committed record; undefined if none is at the offset. */
  markAt(offset: number): string | undefined {
    const batch = this.#batchAt(offset);
    return batch?.values[offset - batch.baseOffset];
  }

  /** A broker leads in this epoch, with this log. Everything committed must be in it. */
  led(brokerId: number, epoch: number, log: ReplicaLog): void {
    if (this.#leader !== undefined && this.#leader.epoch >= epoch) return;
    this.#leader = { epoch, log };
    this.compare('leader-completeness', brokerId, log, 0, this.#endOffset);
  }

  /** A leader's high watermark has risen. */
  committed(brokerId: number, epoch: number, log: ReplicaLog, highWatermark: number): void {
    if (highWatermark <= this.#endOffset) return;
    const added = log.between(this.#endOffset, highWatermark);
    if (added[0]?.baseOffset !== this.#endOffset || added.at(-1)?.endOffset !== highWatermark) {
      throw this.#violation('committed', 'a high watermark is not where a batch ends', brokerId, {
        ...{ epoch, highWatermark, logEndOffset: log.endOffset },
      });
    }
    for (const batch of added) {
      this.#batches.push(batch);
      this.#marks.add(this, batch);
    }
    const from = this.#endOffset;
    this.#endOffset = highWatermark;
    const later = this.#leader;
    // What a leader of the past commits, its successor must have.
    if (later !== undefined && later.epoch > epoch) {
      this.compare('leader-completeness', brokerId, later.log, from, highWatermark);
    }
  }

  /** The log must have what is committed between the two offsets. */
  compare(check: string, brokerId: number, log: ReplicaLog, from: number, to: number): void {
    const first = this.#indexAt(from);
    const expected = this.#batches.slice(first).filter(({ endOffset }) => endOffset <= to);
    const [head] = expected;
    if (head === undefined) return;
    const found = log.between(head.baseOffset, to);
    const at = expected.findIndex((batch, index) => batch.print !== found[index]?.print);
    if (at < 0) return;
    if (this.mayHaveLost) {
      this.#forgetFrom(first + at);
      return;
    }
    throw this.#violation(check, 'a replica lacks what was committed', brokerId, {
      ...{ expected: expected[at]?.print, found: found[at]?.print, logEndOffset: log.endOffset },
    });
  }

  #forgetFrom(index: number): void {
    const gone = this.#batches.splice(index);
    if (gone.length === 0) return;
    this.#endOffset = gone[0]?.baseOffset ?? 0;
    for (const batch of gone) this.#marks.remove(batch);
    this.onLoss();
  }

  #batchAt(offset: number): ShadowBatch | undefined {
    const batch = this.#batches[this.#indexAt(offset)];
    return batch !== undefined && batch.baseOffset <= offset ? batch : undefined;
  }

  /** The first batch that ends above the offset. */
  #indexAt(offset: number): number {
    let low = 0;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#batches[middle]?.endOffset ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #violation(
    check: string,
    what: string,
    brokerId: number,
    facts: Readonly<Record<string, string | number | undefined>>,
  ): Violation {
    const { name, topicId } = this;
    return new Violation(check, what, {
      partition: name,
      topicId,
      broker: brokerId,
      committed: this.#endOffset,
      ...facts,
    });
  }
}
