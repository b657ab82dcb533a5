/**
 * What the broker has told anybody: by acknowledging a batch or by handing it out. From then on it
 * must stay true, crashes included. The checkers compare the broker with this and with nothing else.
 */
import { present } from '@barnabas/common';
import { Violation } from '../kernel/violation.js';
import { nameOf } from './batches.js';
import type { Mark } from './batches.js';
import { PartitionHistory } from './partition-history.js';
import type { TopicPlan } from './topics.js';

/** One producer under one producer id. */
export interface Session {
  readonly id: number;
  readonly isIdempotent: boolean;
  /** By lane: how many records it has made for it. */
  readonly made: Map<string, number>;
}

export class History {
  readonly #sessions = new Map<number, Session>();
  readonly #partitions = new Map<string, PartitionHistory>();
  /** Topics that are gone: nothing is expected of them, and nothing may be heard of them. */
  readonly #removed = new Set<string>();

  newSession(isIdempotent: boolean): Session {
    const session = { id: this.#sessions.size, isIdempotent, made: new Map<string, number>() };
    this.#sessions.set(session.id, session);
    return session;
  }

  session(id: number): Session | undefined {
    return this.#sessions.get(id);
  }

  partition(topicId: string, partition: number): PartitionHistory | undefined {
    return this.#partitions.get(`${topicId}-${partition}`);
  }

  partitions(): Iterable<PartitionHistory> {
    return this.#partitions.values();
  }

  created(plan: TopicPlan, topicId: string): void {
    for (let partition = 0; partition < plan.partitions; partition++) {
      const history = new PartitionHistory(plan, topicId, partition);
      this.#partitions.set(`${topicId}-${partition}`, history);
    }
  }

  removed(topicId: string): void {
    this.#removed.add(topicId);
    for (const [key, history] of this.#partitions) if (history.topicId === topicId) this.#partitions.delete(key);
  }

  /** The partition that the broker speaks of. Undefined: it has not heard yet that the topic is gone. */
  spokenOf(topicId: string, partition: number): PartitionHistory | undefined {
    if (this.#removed.has(topicId)) return undefined;
    return present(this.partition(topicId, partition), 'the partition that the broker speaks of', { topicId });
  }

  /** The broker has told somebody that the record stands there. */
  told(partition: PartitionHistory, offset: number, mark: Mark): void {
    const session = this.#sessions.get(mark.session);
    const made = session?.made.get(mark.lane) ?? 0;
    if (session === undefined || mark.lane !== partition.lane || mark.number >= made) {
      throw new Violation('contents', 'a record was never sent to this partition', {
        partition: partition.lane,
        offset,
        record: nameOf(mark),
      });
    }
    partition.told(offset, mark, session.isIdempotent);
  }

  /** The machine has lost its power. */
  powerLost(): void {
    for (const partition of this.#partitions.values()) partition.powerLost();
  }
}
