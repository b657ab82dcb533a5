/**
 * What is committed of one partition: what some leader's high watermark has covered. From then on it
 * must stay true of every leader, every replica below its high watermark, and everything that clients
 * are told. Crashes and elections included; unless this partition has been promised less.
 */
import { isInternalTopic } from '@barnabas/metadata';
import { Violation } from '../../kernel/violation.js';
import { Marks } from './marks.js';
import type { ReplicaLog, ShadowBatch } from './replica-log.js';

export interface TruthParts {
  /** Below it, a log need not have what was committed. */
  readonly deletable: () => number;
  readonly onLoss: () => void;
  readonly onCommitted: (partition: PartitionTruth, batch: ShadowBatch) => void;
  /** The broker may lead without what its machine's power has taken. */
  readonly isExcused: (brokerId: number) => boolean;
}

interface Leader {
  readonly id: number;
  readonly epoch: number;
  readonly log: ReplicaLog;
}

interface Parting {
  /** Of the batch among the committed ones. */
  readonly index: number;
  readonly expected: ShadowBatch | undefined;
  readonly found: ShadowBatch | undefined;
}

export class PartitionTruth {
  readonly #batches: ShadowBatch[] = [];
  readonly #marks = new Marks();
  #endOffset = 0;
  #highestEndOffset = 0;
  /** Whatever is elected here is believed: the topic allows unclean elections. */
  mayHaveLost = false;
  /** Of the highest epoch in which somebody led. */
  #leader: Leader | undefined;
  /** What was committed and is lost, as it was allowed, by print. */
  readonly #lost = new Map<string, ShadowBatch>();

  constructor(
    readonly topic: string,
    readonly topicId: string,
    readonly partition: number,
    private readonly parts: TruthParts,
  ) {}

  get name(): string {
    return `${this.topic}-${this.partition}`;
  }

  get endOffset(): number {
    return this.#endOffset;
  }

  /** The highest end that it ever had: above it only after a loss that was allowed. */
  get highestEndOffset(): number {
    return this.#highestEndOffset;
  }

  get hasLost(): boolean {
    return this.mayHaveLost || this.#lost.size > 0;
  }

  /** The mark of a committed record; undefined if none is at the offset. */
  markAt(offset: number): string | undefined {
    const batch = this.#batchAt(offset);
    return batch?.values[offset - batch.baseOffset];
  }

  /** The record is committed there, or was and is lost as it was allowed. */
  hasHeld(offset: number, mark: string): boolean {
    if (this.markAt(offset) === mark) return true;
    for (const { baseOffset, values } of this.#lost.values()) if (values[offset - baseOffset] === mark) return true;
    return false;
  }

  /** A broker leads in this epoch, with this log. Everything committed must be in it. */
  led(brokerId: number, epoch: number, log: ReplicaLog): void {
    if (this.#leader !== undefined && this.#leader.epoch >= epoch) return;
    this.#leader = { id: brokerId, epoch, log };
    this.#compareLeader(this.#leader, 0, this.#endOffset);
  }

  /** A leader's high watermark has risen. */
  committed(brokerId: number, epoch: number, log: ReplicaLog, highWatermark: number): void {
    if (highWatermark <= this.#endOffset) return;
    const added = log.between(this.#endOffset, highWatermark);
    const later = this.#leader;
    const isPast = later !== undefined && later.epoch > epoch;
    // Behind what is lost already, as it was allowed, a leader of the past adds to what is lost.
    if (isPast && this.mayHaveLost && this.#partingOf(log, 0, this.#endOffset) !== undefined) {
      for (const batch of added) this.#lost.set(batch.print, batch);
      return;
    }
    if (added[0]?.baseOffset !== this.#endOffset || added.at(-1)?.endOffset !== highWatermark) {
      throw this.#violation('committed', 'a high watermark is not where a batch ends', brokerId, {
        ...{ epoch, highWatermark, logEndOffset: log.endOffset },
      });
    }
    for (const batch of added) {
      this.#batches.push(batch);
      if (!isInternalTopic(this.topic)) this.#marks.add(this, batch);
      this.parts.onCommitted(this, batch);
    }
    const from = this.#endOffset;
    this.#endOffset = highWatermark;
    this.#highestEndOffset = Math.max(this.#highestEndOffset, highWatermark);
    // What a leader of the past commits, its successor must have.
    if (isPast) this.#compareLeader(later, from, highWatermark);
  }

  /** The first batch committed from that offset on that is not in the log. */
  firstLacking(log: ReplicaLog, from: number): ShadowBatch | undefined {
    return this.#partingOf(log, from, this.#endOffset)?.expected;
  }

  /** Below its high watermark the log must have what is committed between the two offsets. */
  compareFollower(brokerId: number, log: ReplicaLog, from: number, to: number): void {
    const parting = this.#partingOf(log, from, to);
    if (parting === undefined) return;
    const { index, found } = parting;
    // It knows of what is lost, and not yet of the loss.
    if (found !== undefined && this.#lost.has(found.print)) return;
    if (this.mayHaveLost) this.#forgetFrom(index);
    else throw this.#lacking('committed-prefix', brokerId, log, parting);
  }

  #compareLeader({ id, log }: Leader, from: number, to: number): void {
    const parting = this.#partingOf(log, from, to);
    if (parting === undefined) return;
    const lacking = this.#batches.slice(parting.index);
    const isTaken = this.parts.isExcused(id) && lacking.every((batch) => log.wasTaken(batch));
    if (!isTaken && !this.mayHaveLost) throw this.#lacking('leader-completeness', id, log, parting);
    this.#forgetFrom(parting.index);
    for (const batch of lacking) this.#lost.set(batch.print, batch);
  }

  /** The first committed batch between the two offsets that is not in the log, and what is there. */
  #partingOf(log: ReplicaLog, from: number, to: number): Parting | undefined {
    // A replica that was made anew begins where its leader's log did then.
    const first = this.#indexAt(Math.max(from, Math.min(log.startOffset, this.parts.deletable())));
    const expected = this.#batches.slice(first).filter(({ endOffset }) => endOffset <= to);
    const [head] = expected;
    if (head === undefined) return undefined;
    const found = log.between(head.baseOffset, to);
    const at = expected.findIndex((batch, index) => batch.print !== found[index]?.print);
    return at < 0 ? undefined : { index: first + at, expected: expected[at], found: found[at] };
  }

  #forgetFrom(index: number): void {
    const gone = this.#batches.splice(index);
    if (gone.length === 0) return;
    this.#endOffset = gone[0]?.baseOffset ?? 0;
    for (const batch of gone) this.#marks.remove(batch);
    this.parts.onLoss();
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

  #lacking(check: string, brokerId: number, log: ReplicaLog, { expected, found }: Parting): Violation {
    return this.#violation(check, 'a replica lacks what was committed', brokerId, {
      ...{ expected: expected?.print, found: found?.print, logEndOffset: log.endOffset },
    });
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
