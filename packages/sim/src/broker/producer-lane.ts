/** A producer's way to one partition: batches in order, of which the first few may be in flight. */
import type { v1 } from '@barnabas/protocol';
import { makeBatch } from './batches.js';
import type { BatchPlan } from './batches.js';
import type { Session } from './history.js';
import type { TopicPlan } from './topics.js';

export interface LaneBatch {
  readonly lane: ProducerLane;
  readonly firstNumber: number;
  readonly records: number;
  /** Counts the batches of its lane. */
  readonly index: number;
  readonly bytes: Buffer;
  inFlight: boolean;
}

/** `<session>/<lane>/<first number>+<records>` */
export function describeBatch({ lane, firstNumber, records }: LaneBatch): string {
  return `${lane.session.id}/${lane.name}/${firstNumber}+${records}`;
}

/** What a producer makes its batches like. */
export type BatchStyle = Pick<BatchPlan, 'records' | 'paddingBytes' | 'timestamp' | 'compression'>;

export class ProducerLane {
  readonly name: string;
  /** In the order of their sequences; none of them acknowledged. */
  readonly pending: LaneBatch[] = [];
  #sequence = 0;
  #made = 0;

  constructor(
    readonly topic: TopicPlan,
    readonly partition: number,
    /** The incarnation for which the lane was made. */
    readonly topicId: string,
    readonly session: Session,
    readonly producerId: number | undefined,
  ) {
    this.name = `${topic.name}-${partition}`;
  }

  make(style: BatchStyle): void {
    const firstNumber = this.session.made.get(this.name) ?? 0;
    const producer =
      this.producerId === undefined
        ? undefined
        : { producerId: this.producerId, producerEpoch: 0, baseSequence: this.#sequence };
    const bytes = makeBatch({ ...style, session: this.session.id, lane: this.name, firstNumber, producer });
    this.#sequence += style.records;
    this.session.made.set(this.name, firstNumber + style.records);
    this.pending.push({ lane: this, firstNumber, records: style.records, index: this.#made, bytes, inFlight: false });
    this.#made += 1;
  }

  /**
   * The batches that may be sent now. The window is counted from the oldest that is not acknowledged,
   * whatever was acknowledged behind it: the log remembers five batches, and a sixth would make it
   * forget the first, which could then not be retried.
   */
  sendable(window: number): LaneBatch[] {
    const [oldest] = this.pending;
    if (oldest === undefined) return [];
    return this.pending.filter((batch) => !batch.inFlight && batch.index < oldest.index + window);
  }

  done(batch: LaneBatch): void {
    const at = this.pending.indexOf(batch);
    if (at !== -1) this.pending.splice(at, 1);
  }

  entry(batch: LaneBatch): v1.ProduceEntry {
    const { topic, partition } = this;
    return { topic: topic.name, partition, payload: { $case: 'batch', batch: batch.bytes } };
  }
}
