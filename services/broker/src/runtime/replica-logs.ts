/**
 * The logs that are open on this broker, and what is being done to their files: one step after the
 * other for each replica, so that nothing is opened while it is being deleted. What is appended is
 * replica-appends.ts.
 *
 * Decides nothing: the core says what is to be done, and is told what came of it.
 */
import { InvariantError, deferred, present } from '@barnabas/common';
import type { Deferred, Logger } from '@barnabas/common';
import type { LogManager, PartitionLog } from '@barnabas/log';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import type { GatheredLog } from './gathered-log.js';
import type { ReplicaPartition } from './replica-partition.js';
import type { TopicConfigs } from './topic-configs.js';

export interface ReplicaLogsOptions {
  readonly logs: LogManager;
  readonly configs: TopicConfigs;
  readonly logger: Logger;
  readonly gathered: GatheredLog;
  /** The log is open, truncated or made anew: its offsets are known, and all of it is stable. */
  readonly onOpened: (partition: ReplicaPartition, log: PartitionLog) => void;
  /** Records below are gone. */
  readonly onLogStart: (partition: ReplicaPartition, logStartOffset: number) => void;
  readonly onFailed: (partition: ReplicaPartition, error: BarnabasError) => void;
  readonly onFault: (fault: Error) => void;
}

export class ReplicaLogs {
  readonly #logs = new Map<ReplicaPartition, PartitionLog>();
  readonly #openings = new Map<ReplicaPartition, Deferred<PartitionLog>>();
  /** What is being done to a replica's files, so that a later step waits for it. */
  readonly #fileWork = new Map<string, Promise<void>>();

  constructor(private readonly options: ReplicaLogsOptions) {}

  /** The log, if it is open. */
  get(partition: ReplicaPartition): PartitionLog | undefined {
    return this.#logs.get(partition);
  }

  ofOnline(partition: ReplicaPartition): PartitionLog {
    return present(this.#logs.get(partition), 'the log of an online partition');
  }

  /** Resolves with the log once `online` is called for it; rejects with what `refuse` says. */
  whenOnline(partition: ReplicaPartition): Promise<PartitionLog> {
    let opening = this.#openings.get(partition);
    if (opening === undefined) {
      opening = deferred<PartitionLog>();
      // Whoever asked may be gone by the time it fails.
      opening.promise.catch(() => {});
      this.#openings.set(partition, opening);
    }
    return opening.promise;
  }

  online(partition: ReplicaPartition): void {
    const log = this.#logs.get(partition);
    const opening = this.#openings.get(partition);
    this.#openings.delete(partition);
    if (log !== undefined) opening?.resolve(log);
  }

  refuse(partition: ReplicaPartition, error: BarnabasError): void {
    this.#openings.get(partition)?.reject(error);
    this.#openings.delete(partition);
  }

  refuseAll(error: BarnabasError): void {
    for (const partition of [...this.#openings.keys()]) this.refuse(partition, error);
  }

  open(partition: ReplicaPartition): void {
    const { logs, configs, onOpened } = this.options;
    this.#afterFileWork(partition, async () => {
      if (partition.log.kind !== 'opening') return;
      await this.#orFail(partition, async () => {
        const log = await logs.openLog(partition, configs.logConfig(partition.topic));
        mustFit(log, partition);
        mustBeWhole(log, partition);
        this.#logs.set(partition, log);
        onOpened(partition, log);
      });
    });
  }

  truncate(partition: ReplicaPartition, to: number): void {
    const { topic, partition: number, leader, leaderEpoch, logEndOffset } = partition;
    this.options.gathered.info('A follower truncates its log to where it agrees with its leader', {
      topic,
      partition: number,
      leader,
      leaderEpoch,
      from: logEndOffset,
      to,
    });
    this.#reshape(partition, (log) => log.truncateTo(to));
  }

  /** Begins the log anew. */
  restart(partition: ReplicaPartition, at: number): void {
    const { topic, partition: number, leader, leaderEpoch, logStartOffset, logEndOffset } = partition;
    if (logEndOffset > logStartOffset) {
      this.options.logger.warn('Nothing in the log of a follower is of use to its leader: it begins anew', {
        action: 'nothing; if it recurs, look for unclean elections and for brokers that lose their disks',
        topic,
        partition: number,
        leader,
        leaderEpoch,
        held: `${logStartOffset} to ${logEndOffset}`,
        at,
      });
    }
    this.#reshape(partition, (log) => log.truncateFullyAndStartAt(at));
  }

  /** Cuts off what is below. The log takes this while it is in use, so it is no step on its files. */
  followLogStart(partition: ReplicaPartition, logStartOffset: number): void {
    const { onLogStart, onFault } = this.options;
    const log = this.#logs.get(partition);
    log?.deleteRecordsBefore(logStartOffset).then(
      () => onLogStart(partition, log.logStartOffset),
      // A failure of the disk takes the log offline, which is reported; a truncation in between asks anew.
      (error: unknown) => {
        if (error instanceof InvariantError) onFault(error);
      },
    );
  }

  /** Closes a log that cannot be used; its files stay until somebody else is known to have what they hold. */
  takeOffline(partition: ReplicaPartition): void {
    const { log } = partition;
    this.options.logger.error('A partition is offline', {
      action:
        partition.replicas.length > 1
          ? 'look at its disk. The replica comes back by itself once others have all that it held; other partitions go on'
          : 'look at its disk; restart the broker when it is sound. Other partitions go on',
      topic: partition.topic,
      partition: partition.partition,
      reason: log.kind === 'offline' ? log.reason : log.kind,
    });
    this.#afterFileWork(partition, () => this.#forget(partition, (logs) => logs.closeLog));
  }

  delete(partition: ReplicaPartition): void {
    this.#afterFileWork(partition, () => this.#forget(partition, (logs) => logs.deleteLog));
  }

  /** Resolves when nothing is being done to files. */
  async settled(): Promise<void> {
    await Promise.all(this.#fileWork.values());
  }

  #reshape(partition: ReplicaPartition, how: (log: PartitionLog) => Promise<void>): void {
    this.#afterFileWork(partition, async () => {
      const log = this.#logs.get(partition);
      if (log === undefined || partition.log.kind !== 'opening') return;
      await this.#orFail(partition, async () => {
        await how(log);
        this.options.onOpened(partition, log);
      });
    });
  }

  async #orFail(partition: ReplicaPartition, step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (error instanceof InvariantError) this.options.onFault(error);
      else this.options.onFailed(partition, toBarnabasError(error));
    }
  }

  async #forget(
    partition: ReplicaPartition,
    how: (logs: LogManager) => (topicId: string, partition: number) => Promise<void>,
  ): Promise<void> {
    this.#logs.delete(partition);
    const { logs, logger } = this.options;
    try {
      await how(logs).call(logs, partition.topicId, partition.partition);
    } catch (error) {
      logger.warn('The files of a partition could not be closed or removed', {
        action: 'look at the disk; files of a deleted topic are removed at the next start',
        topic: partition.topic,
        partition: partition.partition,
        error,
      });
    }
  }

  /** Steps on the files of one replica come one after the other. */
  #afterFileWork(partition: ReplicaPartition, step: () => Promise<void>): void {
    const key = `${partition.topicId}-${partition.partition}`;
    const work: Promise<void> = (this.#fileWork.get(key) ?? Promise.resolve()).then(step).finally(() => {
      if (this.#fileWork.get(key) === work) this.#fileWork.delete(key);
    });
    this.#fileWork.set(key, work);
  }
}

/**
 * A log whose every write was synced cannot end below what was committed of it: its directory was lost, or
 * another one is in its place. Others may count on it for what it does not have any more.
 */
function mustBeWhole(log: PartitionLog, { replicas }: ReplicaPartition): void {
  const { checkpointedHighWatermark, logEndOffset } = log;
  if (replicas.length === 1 || log.config.flushMessages !== 1 || checkpointedHighWatermark <= logEndOffset) return;
  throw new BarnabasError(
    'KAFKA_STORAGE_ERROR',
    `its log ends at ${logEndOffset}, and everything below ${checkpointedHighWatermark} was committed: files are missing`,
    { checkpointedHighWatermark, logEndOffset, corrupt: true },
  );
}

/**
 * The CRC of a batch does not cover its leader epoch, and the controller has given out no epoch above
 * the partition's. An append would find the log ahead of it, which is a fault of the broker; this is
 * one of the disk, and takes only the partition offline.
 */
function mustFit(log: PartitionLog, { leaderEpoch }: ReplicaPartition): void {
  if (log.latestEpoch <= leaderEpoch) return;
  throw new BarnabasError(
    'KAFKA_STORAGE_ERROR',
    `its batches bear leader epoch ${log.latestEpoch}, and there has been none above ${leaderEpoch}: the disk is damaged, or the directory is another cluster's`,
  );
}
