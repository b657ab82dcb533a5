/**
 * Produce entries on their way through their partitions: taken in, appended, answered when their acks
 * are satisfied, when the partition cannot satisfy them any more, or at their deadline.
 *
 * Does not own: the high watermark (leader-control.ts says when it has moved).
 * Protocol: docs/protocols/produce.md.
 */
import type { BarnabasError } from '@barnabas/protocol';
import type { Emit, EventOf } from './events.js';
import type { Partition } from './partition.js';
import { PendingProduce } from './pending-produce.js';
import type { ProduceOutcome } from './pending-produce.js';
import { Purgatory } from './purgatory.js';
import * as refusals from './refusals.js';

export class ProduceControl<Token> {
  readonly #purgatory = new Purgatory<PendingProduce<Token>>();
  #wakeAt = Infinity;

  constructor(
    private readonly emit: Emit<Token>,
    private readonly openLog: (partition: Partition<Token>) => void,
  ) {}

  /** Produce entries that wait for their acks. */
  get purgatorySize(): number {
    return this.#purgatory.size;
  }

  produce(event: EventOf<Token, 'produce'>): void {
    const { partition } = event;
    const produce = new PendingProduce<Token>(partition, event.input);
    const error = partition.refusal() ?? tooFewReplicas(partition, produce);
    if (error !== undefined) {
      this.refuse(produce, error);
      return;
    }
    if (partition.log.kind === 'online') {
      this.#append(partition, produce);
      return;
    }
    partition.waitingForLog.push(produce);
    this.#wait(produce);
    this.openLog(partition);
  }

  /** The log that entries waited for is open. */
  opened(partition: Partition<Token>): void {
    for (const produce of partition.waitingForLog.drain()) {
      if (produce.answered) continue;
      const error = tooFewReplicas(partition, produce);
      if (error === undefined) this.#append(partition, produce);
      else this.refuse(produce, error);
    }
  }

  appended(event: EventOf<Token, 'appended'>): void {
    const { partition, produce } = event;
    produce.placed(event.baseOffset, event.endOffset, event.logAppendTimeMs);
    if (event.duplicate) {
      this.#appendedBefore(partition, produce);
      return;
    }
    partition.appended(produce);
    if (produce.acks === 'none') this.#succeed(partition, produce);
    else this.#wait(produce);
  }

  /** The leader's disk has more. */
  stable(partition: Partition<Token>): void {
    for (const produce of partition.appends.stable(partition.stableEndOffset)) this.#succeed(partition, produce);
  }

  /** The high watermark has moved. */
  committed(partition: Partition<Token>): void {
    for (const produce of partition.appends.commit(partition.highWatermark)) this.#succeed(partition, produce);
  }

  /**
   * This broker can no longer decide about the partition: nobody waits here any longer. `error` is for
   * entries of which nothing is written, `ofWritten` for the others.
   */
  abandon(partition: Partition<Token>, error: BarnabasError, ofWritten: () => BarnabasError): void {
    for (const produce of partition.waitingForLog.drain()) if (!produce.answered) this.refuse(produce, error);
    const written = partition.appends.abandon();
    if (written.length === 0) return;
    const ofThese = ofWritten();
    for (const produce of written) this.refuse(produce, ofThese);
  }

  refuse(produce: PendingProduce<Token>, error: BarnabasError): void {
    this.#answer(produce, { kind: 'refused', error });
  }

  expire(now: number): void {
    for (const produce of this.#purgatory.expire(now)) this.refuse(produce, lateness(produce));
    this.#wakeAt = Infinity;
    this.#wake();
  }

  #append(partition: Partition<Token>, produce: PendingProduce<Token>): void {
    const { leaderEpoch } = partition;
    this.emit({ type: 'append', partition, produce, leaderEpoch });
  }

  /** A retry: its first append is on its way, or long done. */
  #appendedBefore(partition: Partition<Token>, produce: PendingProduce<Token>): void {
    const reached = produce.acks === 'all' ? partition.highWatermark : partition.stableEndOffset;
    if (produce.acks === 'none' || produce.endOffset <= reached) {
      this.#succeed(partition, produce);
      return;
    }
    partition.appends.pushDuplicate(produce);
    this.#wait(produce);
  }

  #succeed(partition: Partition<Token>, produce: PendingProduce<Token>): void {
    const quiet = produce.acks === 'none';
    this.#answer(produce, {
      kind: 'appended',
      baseOffset: quiet ? -1 : produce.baseOffset,
      logAppendTimeMs: produce.logAppendTimeMs,
      logStartOffset: quiet ? -1 : partition.logStartOffset,
    });
  }

  #answer(produce: PendingProduce<Token>, outcome: ProduceOutcome): void {
    produce.markAnswered();
    this.#purgatory.remove(produce);
    this.emit({ type: 'respond', token: produce.token, outcome });
  }

  #wait(produce: PendingProduce<Token>): void {
    this.#purgatory.add(produce);
    if (produce.deadline < this.#wakeAt) this.#wake();
  }

  #wake(): void {
    const at = this.#purgatory.nextDeadline();
    if (at === undefined || at >= this.#wakeAt) return;
    this.#wakeAt = at;
    this.emit({ type: 'wakeAt', at });
  }
}

function tooFewReplicas<Token>(partition: Partition<Token>, produce: PendingProduce<Token>): BarnabasError | undefined {
  if (produce.acks !== 'all' || !partition.isUnderMinIsr) return undefined;
  return refusals.notEnoughReplicas(partition, partition.isr.length, partition.requiredIsr);
}

/** What became of the records is unknown either way; why they wait is not. */
function lateness<Token>({ at, acks, endOffset }: PendingProduce<Token>): BarnabasError {
  if (acks !== 'all' || endOffset < 0 || !at.isUnderMinIsr) return refusals.timedOut(at);
  return refusals.notEnoughReplicasAfterAppend(at, at.isr.length, at.requiredIsr);
}
