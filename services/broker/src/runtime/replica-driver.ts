/**
 * Runs the replica manager on real logs. A turn is: one event in, its effects carried out in order.
 * Turns are synchronous and never overlap, so what the core decides is what the disk gets.
 *
 * Owns: the logs that are open, who listens to a partition, the timer of the purgatory. Does not
 * decide anything: that is the core's part.
 *
 * Rules:
 *   T1  an append is carried out, and reported back, inside the turn that ordered it
 *   T2  an event that comes up while a turn runs waits for its end
 *   T3  a broken invariant ends the driver: it takes no more events and tells `onFault` once
 */
import { InvariantError, deferred, present, unreachable } from '@barnabas/common';
import type { Clock, Deferred, Logger, Timer, Timers } from '@barnabas/common';
import type { AppendResult, LogManager, PartitionLog } from '@barnabas/log';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import { ReplicaManager } from '../core/index.js';
import type { AssignmentChange, Partition, PendingProduce, ProduceInput, ProduceOutcome } from '../core/index.js';
import type { ReplicaEffect, ReplicaEvent } from '../core/index.js';
import type { BrokerMetrics } from './metrics.js';
import type { TopicConfigs } from './topic-configs.js';

/** Who sent a produce entry. */
export interface ProduceToken {
  /** The entry's one answer. */
  answer(outcome: ProduceOutcome): void;
  /** The log has taken the batches; `written` will follow. */
  appended(): void;
  /** The batches no longer wait for the disk. */
  written(): void;
}

export type ReplicaPartition = Partition<ProduceToken>;

/** Somebody who reads a partition here. */
export interface PartitionListener {
  /** The high watermark has moved. */
  onHighWatermark(): void;
  /** This broker cannot serve the partition any more; nothing follows. */
  onUnavailable(error: BarnabasError): void;
}

export interface ReplicaDriverOptions {
  readonly nodeId: number;
  readonly logs: LogManager;
  readonly configs: TopicConfigs;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly metrics: BrokerMetrics;
  readonly onFault: (fault: Error) => void;
}

type Event = ReplicaEvent<ProduceToken>;
type Effect = ReplicaEffect<ProduceToken>;

export class ReplicaDriver {
  readonly #manager: ReplicaManager<ProduceToken>;
  readonly #logs = new Map<ReplicaPartition, PartitionLog>();
  readonly #openings = new Map<ReplicaPartition, Deferred<PartitionLog>>();
  readonly #listeners = new Map<ReplicaPartition, Set<PartitionListener>>();
  /** What is being done to a replica's files, so that a later step waits for it. */
  readonly #fileWork = new Map<string, Promise<void>>();
  readonly #events: Event[] = [];
  #inTurn = false;
  #over = false;
  #refusing = false;
  #timer: Timer | undefined;

  constructor(private readonly options: ReplicaDriverOptions) {
    this.#manager = new ReplicaManager(options.nodeId);
  }

  get purgatorySize(): number {
    return this.#manager.purgatorySize;
  }

  partitions(): Iterable<ReplicaPartition> {
    return this.#manager.partitions();
  }

  find(topic: string, partition: number): ReplicaPartition | undefined {
    return this.#manager.find(topic, partition);
  }

  assigned(changes: readonly AssignmentChange[]): void {
    this.#dispatch({ type: 'assigned', changes });
  }

  produce(partition: ReplicaPartition, input: ProduceInput<ProduceToken>): void {
    if (this.#over || this.#refusing) input.token.answer({ kind: 'refused', error: notServing() });
    else this.#dispatch({ type: 'produce', partition, input });
  }

  logStartMoved(partition: ReplicaPartition, logStartOffset: number): void {
    this.#dispatch({ type: 'logStartMoved', partition, logStartOffset });
  }

  /** The log manager has found a log to be unusable. */
  logFailed(topicId: string, partition: number, error: BarnabasError): void {
    const replica = this.#manager.findById(topicId, partition);
    if (replica !== undefined) this.#dispatch({ type: 'logFailed', partition: replica, reason: error.message });
  }

  /** The open log of a partition that this broker leads; rejects with what its refusal says. */
  openLog(partition: ReplicaPartition): Promise<PartitionLog> {
    // A log that opens now is never reported to the core: its offsets there would be those of no log.
    if (this.#over) return Promise.reject(notServing());
    const log = this.#logs.get(partition);
    const refusal = partition.refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    if (log !== undefined) return Promise.resolve(log);
    let opening = this.#openings.get(partition);
    if (opening === undefined) {
      opening = deferred<PartitionLog>();
      // Whoever asked may be gone by the time it fails.
      opening.promise.catch(() => {});
      this.#openings.set(partition, opening);
    }
    this.#dispatch({ type: 'wanted', partition });
    return opening.promise;
  }

  /** The log, if it is open. */
  openedLog(partition: ReplicaPartition): PartitionLog | undefined {
    return this.#logs.get(partition);
  }

  /** Tells the listener of changes from now on, until the returned function is called. */
  listen(partition: ReplicaPartition, listener: PartitionListener): () => void {
    const listeners = this.#listeners.get(partition) ?? new Set();
    this.#listeners.set(partition, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(partition) === listeners) this.#listeners.delete(partition);
    };
  }

  /** Refuses new entries from now on; those on their way are still answered. */
  refuseProduce(): void {
    this.#refusing = true;
  }

  /** Takes no more events; what was appended stays with the log manager, which is closed by its owner. */
  async stop(): Promise<void> {
    this.#over = true;
    this.#timer?.cancel();
    const error = notServing();
    for (const partition of [...this.#openings.keys()]) this.#refuseOpening(partition, error);
    for (const listeners of [...this.#listeners.values()]) for (const one of [...listeners]) one.onUnavailable(error);
    this.#listeners.clear();
    await Promise.all(this.#fileWork.values());
  }

  // --- turns ---

  #dispatch(event: Event): void {
    if (this.#over) return;
    this.#events.push(event);
    if (this.#inTurn) return;
    this.#inTurn = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) this.#turn(next);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#inTurn = false;
    }
  }

  #turn(event: Event): void {
    for (const effect of this.#manager.handle(event)) this.#execute(effect);
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    this.options.onFault(error instanceof Error ? error : new InvariantError(String(error)));
  }

  #execute(effect: Effect): void {
    switch (effect.type) {
      case 'append':
        this.#append(effect.partition, effect.produce, effect.leaderEpoch);
        return;
      case 'respond':
        effect.token.answer(effect.outcome);
        return;
      case 'highWatermark':
        this.#highWatermark(effect.partition);
        return;
      case 'wakeAt':
        this.#wakeAt(effect.at);
        return;
      case 'openLog':
        this.#open(effect.partition);
        return;
      case 'online':
        this.#online(effect.partition);
        return;
      case 'unavailable':
        this.#unavailable(effect.partition, effect.error);
        return;
      case 'closeLog':
        this.#close(effect.partition);
        return;
      case 'deleteLog':
        this.#delete(effect.partition);
        return;
      default:
        unreachable(effect);
    }
  }

  // --- appends ---

  #append(partition: ReplicaPartition, produce: PendingProduce<ProduceToken>, leaderEpoch: number): void {
    const log = present(this.#logs.get(partition), 'the log of an online partition');
    const { token } = produce;
    let result;
    try {
      const { handedOver } = produce;
      const now = this.options.clock.now();
      result = log.appendAsLeader(produce.takeBatches() as Buffer, { leaderEpoch, now, handedOver });
    } catch (caught) {
      if (caught instanceof InvariantError) throw caught;
      const error = toBarnabasError(caught);
      this.#turn({ type: 'refused', partition, produce, error });
      if (error.errorName === 'KAFKA_STORAGE_ERROR') this.logFailed(partition.topicId, partition.partition, error);
      return;
    }
    token.appended();
    const { baseOffset, lastOffset, logAppendTime: logAppendTimeMs, duplicate } = result;
    const endOffset = lastOffset + 1;
    this.#turn({ type: 'appended', partition, produce, baseOffset, endOffset, logAppendTimeMs, duplicate });
    if (!duplicate) this.options.metrics.appended(partition.topic, endOffset - baseOffset, produce.sizeInBytes);
    this.#awaitStable(partition, log, token, result);
  }

  #awaitStable(partition: ReplicaPartition, log: PartitionLog, token: ProduceToken, append: AppendResult): void {
    append.stable
      .then(
        () => {
          token.written();
          // One coalesced write makes many appends stable; the first of them reports for all.
          const endOffset = log.stableEndOffset;
          if (endOffset > partition.stableEndOffset) this.#dispatch({ type: 'stable', partition, endOffset });
        },
        (error: unknown) => {
          token.written();
          this.logFailed(partition.topicId, partition.partition, toBarnabasError(error));
        },
      )
      .catch((fault: unknown) => this.#fail(fault));
  }

  #highWatermark(partition: ReplicaPartition): void {
    this.#logs.get(partition)?.noteHighWatermark(partition.highWatermark);
    const listeners = this.#listeners.get(partition);
    if (listeners !== undefined) for (const listener of listeners) listener.onHighWatermark();
  }

  #wakeAt(at: number): void {
    this.#timer?.cancel();
    const { clock, timers } = this.options;
    this.#timer = timers.after(Math.max(0, at - clock.monotonic()), () => {
      this.#timer = undefined;
      this.#dispatch({ type: 'tick', now: clock.monotonic() });
    });
  }

  // --- logs ---

  #open(partition: ReplicaPartition): void {
    const { logs, configs } = this.options;
    this.#afterFileWork(partition, async () => {
      if (partition.log.kind !== 'opening') return;
      try {
        const log = await logs.openLog(partition, configs.logConfig(partition.topic));
        mustFit(log, partition);
        this.#logs.set(partition, log);
        const { logStartOffset, stableEndOffset: logEndOffset, highWatermark } = log;
        this.#dispatch({ type: 'opened', partition, logStartOffset, logEndOffset, highWatermark });
      } catch (error) {
        if (error instanceof InvariantError) return this.#fail(error);
        this.#dispatch({ type: 'logFailed', partition, reason: toBarnabasError(error).message });
      }
    });
  }

  #online(partition: ReplicaPartition): void {
    const log = this.#logs.get(partition);
    const opening = this.#openings.get(partition);
    this.#openings.delete(partition);
    if (log !== undefined) opening?.resolve(log);
  }

  #unavailable(partition: ReplicaPartition, error: BarnabasError): void {
    this.#refuseOpening(partition, error);
    const listeners = this.#listeners.get(partition);
    this.#listeners.delete(partition);
    if (listeners !== undefined) for (const listener of [...listeners]) listener.onUnavailable(error);
  }

  #refuseOpening(partition: ReplicaPartition, error: BarnabasError): void {
    this.#openings.get(partition)?.reject(error);
    this.#openings.delete(partition);
  }

  /** The partition is offline; its files stay for a person to look at. */
  #close(partition: ReplicaPartition): void {
    const { log } = partition;
    this.options.logger.error('A partition is offline', {
      action: 'look at its disk; restart the broker when it is sound. Other partitions go on',
      topic: partition.topic,
      partition: partition.partition,
      reason: log.kind === 'offline' ? log.reason : log.kind,
    });
    this.#afterFileWork(partition, () => this.#forget(partition, (logs) => logs.closeLog));
  }

  #delete(partition: ReplicaPartition): void {
    this.#afterFileWork(partition, () => this.#forget(partition, (logs) => logs.deleteLog));
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

function notServing(): BarnabasError {
  return new BarnabasError('BROKER_NOT_AVAILABLE', 'the broker is stopping: ask another node for metadata');
}
