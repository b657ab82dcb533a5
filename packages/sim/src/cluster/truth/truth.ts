/** All that is known of all partitions and of each replica's log, from outside. */
import type { LogManager, PartitionLog, TopicPartition } from '@barnabas/log';
import { withOverrides } from '../../kernel/overrides.js';
import { Violation } from '../../kernel/violation.js';
import { PartitionTruth } from './partition-truth.js';
import { ReplicaLog } from './replica-log.js';

export class Truth {
  readonly #partitions = new Map<string, PartitionTruth>();
  readonly #byName = new Map<string, PartitionTruth[]>();
  readonly #replicas = new Map<string, ReplicaLog>();

  constructor(private readonly onLoss: () => void) {}

  partition(topic: string, topicId: string, partition: number): PartitionTruth {
    const key = `${topicId}-${partition}`;
    const known = this.#partitions.get(key);
    if (known !== undefined) return known;
    const truth = new PartitionTruth(topic, topicId, partition, this.onLoss);
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
    const key = `${brokerId}/${topicId}-${partition}`;
    const replica = this.#replicas.get(key) ?? new ReplicaLog();
    this.#replicas.set(key, replica);
    return replica;
  }

  /** Somebody was told that the record stands there and is committed. */
  told(check: string, name: string, offset: number, mark: string): void {
    const truths = this.#byName.get(name) ?? [];
    if (truths.some((truth) => truth.markAt(offset) === mark || truth.mayHaveLost)) return;
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

  #watch(brokerId: number, log: PartitionLog, { topicId, partition }: TopicPartition): PartitionLog {
    const replica = this.replica(brokerId, topicId, partition);
    if (log.logEndOffset > replica.endOffset) {
      throw new Violation('durable', 'a log holds more than was ever written to it', {
        ...{ brokerId, topicId, partition, logEndOffset: log.logEndOffset, written: replica.endOffset },
      });
    }
    replica.cutTo(log.logEndOffset);
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
        replica.followedBatches(before);
        return result;
      },
      truncateTo: async (offset) => {
        await log.truncateTo(offset);
        replica.cutTo(log.logEndOffset);
      },
      truncateFullyAndStartAt: async (offset) => {
        await log.truncateFullyAndStartAt(offset);
        replica.beginAt(offset);
      },
    });
  }
}
