/**
 * Runs the replica manager on real logs and streams: the one door to the replicas of this broker. What
 * others say or have found out becomes an event of the core; what the core orders is carried out. Does
 * not decide anything: that is the core's part.
 *
 *   turns                one event in, its effects out; the rules T1 to T3
 *   replica-effects      carries them out, with the help of
 *     replica-appends, replica-logs, replica-timers, partition-listeners
 *   replication-port.ts  what streams between brokers (replication/) are for it
 */
import type { Clock, Logger, Timers } from '@barnabas/common';
import type { LogManager, PartitionLog } from '@barnabas/log';
import { BarnabasError } from '@barnabas/protocol';
import { ReplicaManager } from '../core/index.js';
import type {
  AssignmentChange,
  BrokerView,
  Follow,
  FollowPosition,
  FollowSink,
  IsrAnswer,
  IsrProposal,
  LeaderMark,
  ProduceInput,
} from '../core/index.js';
import { GatheredLog } from './gathered-log.js';
import type { BrokerMetrics } from './metrics.js';
import { PartitionListeners } from './partition-listeners.js';
import type { PartitionListener } from './partition-listeners.js';
import { ReplicaEffects } from './replica-effects.js';
import { ReplicaLogs } from './replica-logs.js';
import type { ProduceToken, ReplicaPartition } from './replica-partition.js';
import { ReplicaTimers } from './replica-timers.js';
import type { InboundBatches, ReplicationPort } from './replication-port.js';
import type { TopicConfigs } from './topic-configs.js';
import { Turns } from './turns.js';

export type { ProduceToken, ReplicaPartition } from './replica-partition.js';

export interface ReplicaDriverOptions {
  readonly nodeId: number;
  readonly logs: LogManager;
  readonly configs: TopicConfigs;
  /** Kafka's replica.lag.time.max.ms. */
  readonly replicaLagTimeMaxMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly metrics: BrokerMetrics;
  readonly onFault: (fault: Error) => void;
}

export class ReplicaDriver {
  readonly #manager: ReplicaManager<ProduceToken>;
  readonly #turns: Turns;
  readonly #logs: ReplicaLogs;
  readonly #timers: ReplicaTimers;
  readonly #listeners = new PartitionListeners();
  readonly #effects: ReplicaEffects;
  #refusing = false;
  #metadataOffset = -1;

  constructor(private readonly options: ReplicaDriverOptions) {
    const { nodeId, logs, configs, clock, timers, logger, metrics, replicaLagTimeMaxMs, onFault } = options;
    const gathered = new GatheredLog(logger);
    const onFailed = (partition: ReplicaPartition, error: BarnabasError): void => this.#failed(partition, error);
    this.#manager = new ReplicaManager(nodeId, { replicaLagTimeMaxMs });
    this.#turns = new Turns({
      manager: this.#manager,
      carryOut: (effect) => this.#effects.carryOut(effect),
      onRest: () => gathered.flush(),
      onEnd: () => this.#timers.stop(),
      onFault,
    });
    this.#timers = new ReplicaTimers({
      ...{ clock, timers, replicaLagTimeMaxMs },
      take: (event) => this.#turns.take(event),
    });
    this.#logs = new ReplicaLogs({
      ...{ logs, configs, logger, gathered, onFailed },
      onOpened: (partition, log) => {
        const { logStartOffset, stableEndOffset: logEndOffset, highWatermark } = log;
        this.#turns.take({ type: 'opened', partition, logStartOffset, logEndOffset, highWatermark });
      },
      onLogStart: (partition, logStartOffset) => this.logStartMoved(partition, logStartOffset),
      onFault: (fault) => this.#turns.fail(fault),
    });
    this.#effects = new ReplicaEffects({
      ...{ turns: this.#turns, logs: this.#logs, timers: this.#timers, listeners: this.#listeners },
      ...{ clock, logger, gathered, metrics, onFailed },
    });
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

  findById(topicId: string, partition: number): ReplicaPartition | undefined {
    return this.#manager.findById(topicId, partition);
  }

  /** What the metadata log says of a broker. */
  broker(id: number): BrokerView | undefined {
    return this.#manager.broker(id);
  }

  assigned(changes: readonly AssignmentChange[]): void {
    this.#turns.take({ type: 'assigned', changes, now: this.options.clock.monotonic() });
  }

  brokers(brokers: ReadonlyMap<number, BrokerView>): void {
    this.#turns.take({ type: 'brokers', brokers });
  }

  /** The broker is registered and unfenced: leaders are followed, and in-sync sets changed, from now on. */
  startReplication(replication: ReplicationPort): void {
    this.#effects.startReplication(replication);
    this.#turns.take({ type: 'caughtUp', metadataOffset: this.#metadataOffset });
    this.#turns.take({ type: 'started' });
    this.#timers.checkIsr();
  }

  produce(partition: ReplicaPartition, input: ProduceInput<ProduceToken>): void {
    if (this.#turns.areOver || this.#refusing) input.token.answer({ kind: 'refused', error: notServing() });
    else this.#turns.take({ type: 'produce', partition, input });
  }

  logStartMoved(partition: ReplicaPartition, logStartOffset: number): void {
    this.#turns.take({ type: 'logStartMoved', partition, logStartOffset });
  }

  /** The log manager has found a log to be unusable. */
  logFailed(topicId: string, partition: number, error: BarnabasError): void {
    const replica = this.#manager.findById(topicId, partition);
    if (replica !== undefined) this.#failed(replica, error);
  }

  /** The open log of a partition that this broker leads; rejects with what its refusal says. */
  openLog(partition: ReplicaPartition): Promise<PartitionLog> {
    return this.#whenOpen(partition, partition.refusal());
  }

  /** The open log of a partition that this broker leads or follows. */
  openForReading(partition: ReplicaPartition): Promise<PartitionLog> {
    return this.#whenOpen(partition, partition.readRefusal());
  }

  #whenOpen(partition: ReplicaPartition, refusal: BarnabasError | undefined): Promise<PartitionLog> {
    // A log that opens now is never reported to the core: its offsets there would be those of no log.
    if (this.#turns.areOver) return Promise.reject(notServing());
    if (refusal !== undefined) return Promise.reject(refusal);
    const log = this.openedLog(partition);
    if (log !== undefined) return Promise.resolve(log);
    const opening = this.#logs.whenOnline(partition);
    this.#turns.take({ type: 'wanted', partition });
    return opening;
  }

  /** The log, if it is open and its offsets are known. */
  openedLog(partition: ReplicaPartition): PartitionLog | undefined {
    return partition.log.kind === 'online' ? this.#logs.get(partition) : undefined;
  }

  /** Tells the listener of changes from now on, until the returned function is called. */
  listen(partition: ReplicaPartition, listener: PartitionListener): () => void {
    return this.#listeners.listen(partition, listener);
  }

  /** Refuses new entries from now on; those on their way are still answered. */
  refuseProduce(): void {
    this.#refusing = true;
  }

  /** The controller knows that the replica is offline; the metadata log shows it at this offset. */
  offlineReported(partition: ReplicaPartition, metadataOffset: number): void {
    this.#turns.take({ type: 'offlineReported', partition, metadataOffset });
  }

  /** The metadata log has been applied up to this offset. */
  caughtUp(metadataOffset: number): void {
    // Nearly always there is nobody to tell.
    this.#metadataOffset = metadataOffset;
    if (this.#manager.hasFailures) this.#turns.take({ type: 'caughtUp', metadataOffset });
  }

  /** Takes no more events; what was appended stays with the log manager, which is closed by its owner. */
  async stop(): Promise<void> {
    this.#turns.end();
    const error = notServing();
    this.#logs.refuseAll(error);
    this.#listeners.allUnavailable(error);
    await this.#logs.settled();
  }

  // --- what followers say to a leader here ---

  followed(partition: ReplicaPartition, follow: Follow, sink: FollowSink): void {
    this.#turns.take({ type: 'followed', partition, follow, sink });
  }

  unfollowed(partition: ReplicaPartition, brokerId: number, sink: FollowSink): void {
    this.#turns.take({ type: 'unfollowed', partition, brokerId, sink });
  }

  acknowledged(
    partition: ReplicaPartition,
    brokerId: number,
    sink: FollowSink,
    ends: { readonly logEndOffset: number; readonly logStartOffset: number },
  ): void {
    const now = this.options.clock.monotonic();
    this.#turns.take({ type: 'followerProgress', partition, brokerId, sink, ...ends, now });
  }

  /** What has become of a proposal. */
  isrAnswered(partition: ReplicaPartition, proposal: IsrProposal, answer: IsrAnswer): void {
    this.#turns.take({ type: 'isrAnswered', partition, proposal, answer, now: this.options.clock.monotonic() });
  }

  // --- what leaders say to a follower here ---

  linked(partition: ReplicaPartition): void {
    this.#turns.take({ type: 'linked', partition });
  }

  unlinked(partition: ReplicaPartition, handle: number): void {
    this.#turns.take({ type: 'unlinked', partition, handle });
  }

  positioned(partition: ReplicaPartition, handle: number, position: FollowPosition, mark: LeaderMark): void {
    const log = this.openedLog(partition);
    const own = position.kind === 'diverging' ? log?.endOffsetForEpoch(position.epoch) : undefined;
    this.#turns.take({ type: 'positioned', partition, handle, position, mark, own });
  }

  batches(partition: ReplicaPartition, handle: number, data: InboundBatches, mark: LeaderMark): void {
    if (this.#turns.areOver) data.release();
    else this.#turns.take({ type: 'batches', partition, handle, batches: data, mark });
  }

  marked(partition: ReplicaPartition, handle: number, mark: LeaderMark): void {
    this.#turns.take({ type: 'marked', partition, handle, mark });
  }

  followEnded(partition: ReplicaPartition, handle: number): void {
    this.#turns.take({ type: 'followEnded', partition, handle });
  }

  #failed(partition: ReplicaPartition, error: BarnabasError): void {
    const corrupt = error.facts?.['corrupt'] === true;
    this.#turns.take({ type: 'logFailed', partition, reason: error.message, corrupt });
  }
}

function notServing(): BarnabasError {
  return new BarnabasError('BROKER_NOT_AVAILABLE', 'the broker is stopping: ask another node for metadata');
}
