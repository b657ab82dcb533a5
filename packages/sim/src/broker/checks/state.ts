/**
 * Looks at every partition of the broker after every event, from outside:
 *
 *   watermark   it never goes back within a leader epoch, not by a restart either
 *   bounds      log start <= high watermark <= what is stable <= log end
 *   durable     what was told is in the log, and on open what a sync had covered
 *   log-start   it never goes back in one life, and what was deleted on request stays deleted
 *   fresh       a topic made anew is empty when its log is first opened
 */
import type { ReplicaPartition } from '@barnabas/broker/parts';
import type { PartitionLog } from '@barnabas/log';
import { Violation } from '../../kernel/violation.js';
import type { BrokerProcess } from '../broker-process.js';
import type { PartitionHistory } from '../partition-history.js';
import type { World } from '../world.js';

/** What was seen of a partition last. */
interface Seen {
  readonly broker: BrokerProcess;
  readonly leaderEpoch: number;
  readonly highWatermark: number;
  readonly logStartOffset: number;
}

export class StateCheck {
  readonly #openedBy = new Map<PartitionHistory, BrokerProcess>();
  readonly #seen = new Map<PartitionHistory, Seen>();

  constructor(private readonly world: World) {}

  run(): void {
    const { broker, history, plant } = this.world;
    const driver = broker?.node?.driver;
    if (broker === undefined || driver === undefined) return;
    for (const replica of driver.partitions()) {
      plant.partition?.(replica, this.world);
      const partition = history.partition(replica.topicId, replica.partition);
      const log = driver.openedLog(replica);
      if (partition === undefined || log === undefined) continue;
      if (this.#openedBy.get(partition) !== broker) this.#opened(broker, replica, log, partition);
      // A driver that has stopped follows its logs no more, and without a leader nobody could be told anything.
      if (broker.serves && replica.log.kind === 'online' && replica.isLeader) {
        this.#look(broker, replica, log, partition);
      }
    }
  }

  #look(broker: BrokerProcess, replica: ReplicaPartition, log: PartitionLog, partition: PartitionHistory): void {
    const before = this.#seen.get(partition);
    if (before !== undefined) this.#checkMoves(broker, replica, partition, before);
    this.#checkBounds(replica, log, partition);
    partition.recoveryPoint = Math.max(partition.recoveryPoint, log.recoveryPoint);
    const { leaderEpoch, highWatermark, logStartOffset } = replica;
    this.#seen.set(partition, { broker, leaderEpoch, highWatermark, logStartOffset });
  }

  /** The first look at a log in this life of the broker, whether it serves already or not. */
  #opened(broker: BrokerProcess, replica: ReplicaPartition, log: PartitionLog, partition: PartitionHistory): void {
    const isNew = !this.#openedBy.has(partition);
    this.#openedBy.set(partition, broker);
    // What was appended since, in the same event, is not on disk yet: this is where the log was found to end.
    const endedAt = log.recoveryPoint;
    if (isNew && endedAt > 0) throw violation('fresh', 'the log of a new topic is not empty', partition, replica);
    if (!partition.mayHaveLost) return;
    if (endedAt < partition.recoveryPoint) {
      throw violation('durable', 'the log ends below what was synced before the power went', partition, replica);
    }
    this.world.tally.count('losses that are allowed', endedAt < partition.toldEndOffset ? 1 : 0);
    partition.forgetFrom(endedAt);
    this.#seen.delete(partition);
  }

  #checkBounds(replica: ReplicaPartition, log: PartitionLog, partition: PartitionHistory): void {
    const { logStartOffset, highWatermark, stableEndOffset } = replica;
    const inOrder =
      logStartOffset <= highWatermark &&
      highWatermark <= stableEndOffset &&
      stableEndOffset <= log.stableEndOffset &&
      log.stableEndOffset <= log.logEndOffset;
    if (!inOrder) throw violation('bounds', 'the offsets of a partition are out of order', partition, replica);
    if (partition.isRotten) return;
    if (highWatermark < partition.toldEndOffset) {
      throw violation('durable', 'what was told is no longer below the high watermark', partition, replica);
    }
    if (logStartOffset < partition.deletedBefore) {
      throw violation('log-start', 'deleted records are back', partition, replica);
    }
    if (!partition.plan.hasRetention && logStartOffset > partition.deletionAsked) {
      throw violation('log-start', 'records are gone that nobody has deleted', partition, replica);
    }
  }

  #checkMoves(broker: BrokerProcess, replica: ReplicaPartition, partition: PartitionHistory, before: Seen): void {
    const wentBack = before.leaderEpoch === replica.leaderEpoch && replica.highWatermark < before.highWatermark;
    if (wentBack && !partition.isRotten && !partition.hasLost) {
      throw violation('watermark', `the high watermark was ${before.highWatermark} in this epoch`, partition, replica);
    }
    if (before.broker === broker && replica.logStartOffset < before.logStartOffset) {
      throw violation('log-start', `the log start was ${before.logStartOffset}`, partition, replica);
    }
  }
}

function violation(check: string, what: string, partition: PartitionHistory, replica: ReplicaPartition): Violation {
  return new Violation(check, what, {
    partition: partition.lane,
    leaderEpoch: replica.leaderEpoch,
    logStartOffset: replica.logStartOffset,
    highWatermark: replica.highWatermark,
    stableEndOffset: replica.stableEndOffset,
    logEndOffset: replica.logEndOffset,
    toldEndOffset: partition.toldEndOffset,
    deletedBefore: partition.deletedBefore,
    recoveryPoint: partition.recoveryPoint,
  });
}
