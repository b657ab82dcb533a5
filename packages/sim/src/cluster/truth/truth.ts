/** All that is known of all partitions and of each replica's log, from outside. */
import type { LogManager, PartitionLog, TopicPartition } from '@barnabas/log';
import { isInternalTopic } from '@barnabas/metadata';
import { withOverrides } from '../../kernel/overrides.js';
import { Violation } from '../../kernel/violation.js';
import { PartitionTruth } from './partition-truth.js';
import { ReplicaLog } from './replica-log.js';
import type { ShadowBatch } from './replica-log.js';

export interface TruthParts {
  readonly onLoss: () => void;
  readonly onCommitted: (partition: PartitionTruth, batch: ShadowBatch) => void;
  /** The broker may lead without what its machine's power has taken. */
  readonly isExcused: (brokerId: number, topicId: string, partition: number) => boolean;
  /** Whom the broker follows there. */
  readonly leaderOf: (brokerId: number, topicId: string, partition: number) => number | undefined;
  /** A finding in the midst of a call of those under test, who must not get to see it. */
  readonly fail: (violation: Violation) => void;
}

export class Truth {
  readonly #partitions = new Map<string, PartitionTruth>();
  readonly #byName = new Map<string, PartitionTruth[]>();
  /** `<topic>-<partition>`: what lies below may have been deleted by a client. */
  readonly #deletable = new Map<string, number>();
  /** By broker, and by `<topic id>-<partition>`. */
  readonly #replicas = new Map<number, Map<string, ReplicaLog>>();

  constructor(private readonly parts: TruthParts) {}

  partition(topic: string, topicId: string, partition: number): PartitionTruth {
    const key = `${topicId}-${partition}`;
    const known = this.#partitions.get(key);
    if (known !== undefined) return known;
    const truth = new PartitionTruth(topic, topicId, partition, {
      onLoss: this.parts.onLoss,
      onCommitted: this.parts.onCommitted,
      deletable: () => this.deletable(`${topic}-${partition}`),
      isExcused: (brokerId) => this.parts.isExcused(brokerId, topicId, partition),
    });
    this.#partitions.set(key, truth);
    this.#byName.set(truth.name, [...(this.#byName.get(truth.name) ?? []), truth]);
    return truth;
  }

  find(topicId: string, partition: number): PartitionTruth | undefined {
    return this.#partitions.get(`${topicId}-${partition}`);
  }

  partitions(): Iterable<PartitionTruth> {
    return this.#partitions.values();
  }

  replica(brokerId: number, topicId: string, partition: number): ReplicaLog {
    const logs = this.#replicas.get(brokerId) ?? new Map<string, ReplicaLog>();
    this.#replicas.set(brokerId, logs);
    const key = `${topicId}-${partition}`;
    const replica = logs.get(key) ?? new ReplicaLog();
    logs.set(key, replica);
    return replica;
  }

  /** A replica of the partition, or of any, has rotted, and has not been made anew. */
  isAnyRotten(topicId?: string, partition?: number): boolean {
    const isMeant = (key: string) => topicId === undefined || key === `${topicId}-${partition}`;
    return [...this.#replicas.values()].some((logs) => [...logs].some(([key, log]) => log.isRotten && isMeant(key)));
  }

  /** Something of it was lost, as it was allowed, or may be: an operator has had a leader elected uncleanly, for example. */
  hasLost(name: string): boolean {
    return (this.#byName.get(name) ?? []).some((truth) => truth.hasLost);
  }

  lostPower(brokerId: number): void {
    for (const replica of this.#replicas.get(brokerId)?.values() ?? []) replica.lostPower();
  }

  /** A client is about to ask for that. */
  mayDelete(name: string, beforeOffset: number): void {
    this.#deletable.set(name, Math.max(this.deletable(name), beforeOffset));
  }

  /** Up to where a client has asked for records to be deleted. */
  deletable(name: string): number {
    return this.#deletable.get(name) ?? 0;
  }

  /** A client was told that what it asked for is done. */
  deleted(name: string, beforeOffset: number, logStartOffset: number): void {
    if (logStartOffset >= beforeOffset && logStartOffset <= this.deletable(name)) return;
    throw new Violation('log-start', 'an answer to a deletion of records does not fit what was asked for', {
      ...{ partition: name, beforeOffset, logStartOffset, asked: this.deletable(name) },
    });
  }

  /** Somebody was told that the record stands there and is committed. */
  told(check: string, name: string, offset: number, mark: string): void {
    const truths = this.#byName.get(name) ?? [];
    if (truths.some((truth) => truth.hasHeld(offset, mark) || truth.mayHaveLost)) return;
    const committed = truths.map((truth) => `${truth.markAt(offset)} of ${truth.endOffset}`).join(', ');
    throw new Violation(check, 'a record is not committed where it was said to stand', {
      ...{ partition: name, offset, mark, committed },
    });
  }

  /** Logs that tell what is done with them. */
  watching(brokerId: number, logs: LogManager): LogManager {
    const wrapped = new WeakMap<PartitionLog, PartitionLog>();
    const known = (log: PartitionLog): PartitionLog => wrapped.get(log) ?? log;
    return withOverrides(logs, {
      openLog: async (at, config) => {
        const log = await logs.openLog(at, config);
        if (!wrapped.has(log)) wrapped.set(log, this.#watch(brokerId, log, at));
        return known(log);
      },
      log: (topicId, partition) => {
        const log = logs.log(topicId, partition);
        return log === undefined ? undefined : known(log);
      },
      logs: () => logs.logs().map(known),
    });
  }

  #watch(brokerId: number, log: PartitionLog, { topic, topicId, partition }: TopicPartition): PartitionLog {
    const replica = this.replica(brokerId, topicId, partition);
    // Of the topics of a run only the cluster's own are compacted.
    replica.isCompacted = isInternalTopic(topic);
    // A process may end between what the disk does and what it hears of it.
    if (replica.beginning === log.logEndOffset && log.logStartOffset === log.logEndOffset) {
      replica.beginAt(log.logEndOffset);
    }
    if (log.logEndOffset > replica.endOffset) {
      const facts = { brokerId, topicId, partition, logEndOffset: log.logEndOffset, written: replica.endOffset };
      this.parts.fail(new Violation('durable', 'a log holds more than was ever written to it', facts));
    }
    replica.openedAt(log.logEndOffset);
    return withOverrides(log, {
      appendAsLeader: (batches, options) => {
        const before = Buffer.from(batches);
        const result = log.appendAsLeader(batches, options);
        if (!result.duplicate) replica.ledBatches(before, result.baseOffset, options.leaderEpoch);
        return result;
      },
      appendAsFollower: (batches, options) => {
        const before = Buffer.from(batches);
        const result = log.appendAsFollower(batches, options);
        const leader = this.parts.leaderOf(brokerId, topicId, partition);
        const source = leader === undefined ? undefined : this.replica(leader, topicId, partition);
        replica.followedBatches(before, (batch) => {
          if (source?.hasEverHeld(batch) !== false) return;
          const facts = { brokerId, leader, topicId, partition, batch: batch.print };
          this.parts.fail(new Violation('replicated', 'a follower has appended what its leader has never had', facts));
        });
        return result;
      },
      truncateTo: async (offset) => {
        await log.truncateTo(offset);
        replica.cutTo(log.logEndOffset);
      },
      truncateFullyAndStartAt: async (offset) => {
        replica.beginning = offset;
        await log.truncateFullyAndStartAt(offset);
        replica.beginAt(offset);
      },
    });
  }
}
