/**
 * Runs the replica manager on real logs and streams. A turn is: one event in, its effects carried out
 * in order. Turns are synchronous and never overlap, so what the core decides is what the disk gets.
 *
 * Owns: who listens to a partition, timers of the core. Does not decide anything: that is the core's
 * part. Files are replica-logs.ts, streams are replication/.
 *
 * Rules:
 *   T1  an append is carried out, and reported back, inside the turn that ordered it
 *   T2  an event that comes up while a turn runs waits for its end
 *   T3  a broken invariant ends the driver: it takes no more events and tells `onFault` once
 */
import { InvariantError, deferred, present, unreachable } from '@barnabas/common';
import type { Clock, Logger, Timer, Timers } from '@barnabas/common';
import type { AppendResult, LogManager, PartitionLog } from '@barnabas/log';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import { ReplicaManager, positionOf, refusals } from '../core/index.js';
import type {
  AssignmentChange,
  BrokerView,
  Follow,
  FollowPosition,
  FollowSink,
  IsrAnswer,
  IsrProposal,
  LeaderMark,
  PendingProduce,
  ProduceInput,
  ReplicaEffect,
  ReplicaEvent,
} from '../core/index.js';
import { GatheredLog } from './gathered-log.js';
import type { BrokerMetrics } from './metrics.js';
import { ReplicaLogs } from './replica-logs.js';
import type { ProduceToken, ReplicaPartition } from './replica-partition.js';
import type { TopicConfigs } from './topic-configs.js';

export type { ProduceToken, ReplicaPartition } from './replica-partition.js';

/** Somebody who reads a partition here. */
export interface PartitionListener {
  /** The high watermark has moved. */
  onHighWatermark(): void;
  /** This broker cannot serve the partition any more; nothing follows. */
  onUnavailable(error: BarnabasError): void;
}

/** Where a follower's log ends, for its leader. */
export type Question = Omit<Follow, 'brokerId' | 'brokerEpoch'>;

/** The streams to leaders, and the way to the controller. */
export interface ReplicationPort {
  attach(partition: ReplicaPartition, leader: number): void;
  detach(partition: ReplicaPartition, leader: number): void;
  ask(partition: ReplicaPartition, handle: number, question: Question): void;
  acknowledge(partition: ReplicaPartition, handle: number): void;
  /** Tells the controller that a replica cannot be used. */
  reportOffline(partition: ReplicaPartition, leaderEpoch: number): void;
  /** `again`: not at once. */
  propose(partition: ReplicaPartition, proposal: IsrProposal, again: boolean): void;
}

/** A leader's batches on their way into the log; `release` when they no longer take memory. */
export interface InboundBatches {
  readonly bytes: Uint8Array;
  /** The log has them: `release` follows. */
  taken: boolean;
  release(): void;
}

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

type Event = ReplicaEvent<ProduceToken>;
type Effect = ReplicaEffect<ProduceToken>;

/** Pauses of a follower that is refused: the first, and the longest. */
const SHORTEST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1_000;
/** Before a failed log is opened again. */
const SHORTEST_REVIVAL_MS = 1_000;
const LONGEST_REVIVAL_MS = 60_000;

export class ReplicaDriver {
  readonly #manager: ReplicaManager<ProduceToken>;
  readonly #logs: ReplicaLogs;
  readonly #listeners = new Map<ReplicaPartition, Set<PartitionListener>>();
  /** Told when replicas of a partition have moved, until they say that they are content. */
  readonly #waiters = new Map<ReplicaPartition, Set<() => void>>();
  readonly #pauses = new Set<Timer>();
  readonly #events: Event[] = [];
  readonly #gathered: GatheredLog;
  #replication: ReplicationPort | undefined;
  #inTurn = false;
  #over = false;
  #refusing = false;
  #metadataOffset = -1;
  #timer: Timer | undefined;
  #isrTimer: Timer | undefined;

  constructor(private readonly options: ReplicaDriverOptions) {
    const { nodeId, logs, configs, logger, replicaLagTimeMaxMs } = options;
    this.#manager = new ReplicaManager(nodeId, { replicaLagTimeMaxMs });
    this.#gathered = new GatheredLog(logger);
    this.#logs = new ReplicaLogs({
      logs,
      configs,
      logger,
      onOpened: (partition, log) => {
        const { logStartOffset, stableEndOffset: logEndOffset, highWatermark } = log;
        this.#dispatch({ type: 'opened', partition, logStartOffset, logEndOffset, highWatermark });
      },
      onFailed: (partition, error) => this.#failed(partition, error),
      onFault: (fault) => this.#fail(fault),
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
    this.#dispatch({ type: 'assigned', changes, now: this.options.clock.monotonic() });
  }

  brokers(brokers: ReadonlyMap<number, BrokerView>): void {
    this.#dispatch({ type: 'brokers', brokers });
  }

  /** The broker is registered and unfenced: leaders are followed, and in-sync sets changed, from now on. */
  startReplication(replication: ReplicationPort): void {
    this.#replication = replication;
    this.#dispatch({ type: 'caughtUp', metadataOffset: this.#metadataOffset });
    this.#dispatch({ type: 'started' });
    this.#checkIsrLater();
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
    if (this.#over) return Promise.reject(notServing());
    if (refusal !== undefined) return Promise.reject(refusal);
    const log = this.openedLog(partition);
    if (log !== undefined) return Promise.resolve(log);
    const opening = this.#logs.whenOnline(partition);
    this.#dispatch({ type: 'wanted', partition });
    return opening;
  }

  /** The log, if it is open and its offsets are known. */
  openedLog(partition: ReplicaPartition): PartitionLog | undefined {
    return partition.log.kind === 'online' ? this.#logs.get(partition) : undefined;
  }

  /** Tells the listener of changes from now on, until the returned function is called. */
  listen(partition: ReplicaPartition, listener: PartitionListener): () => void {
    return addTo(this.#listeners, partition, listener);
  }

  /** Calls back whenever replicas of a partition led here have moved, until the returned function is called. */
  onReplicasMoved(partition: ReplicaPartition, callback: () => void): () => void {
    return addTo(this.#waiters, partition, callback);
  }

  /**
   * Resolves when every replica whose broker serves has a log start at or above the offset. Rejects with
   * REQUEST_TIMED_OUT, or with why this broker does not lead any more.
   */
  async whenDeletedEverywhere(partition: ReplicaPartition, offset: number, timeoutMs: number): Promise<void> {
    const isDone = (): boolean => {
      const serves = (id: number): boolean => this.#manager.broker(id)?.serves === true;
      return (partition.leading?.lowWatermark(partition.logStartOffset, serves) ?? -1) >= offset;
    };
    if (isDone()) return;
    const refusal = partition.refusal();
    if (refusal !== undefined) throw refusal;
    const done = deferred<void>();
    const timer = this.options.timers.after(timeoutMs, () =>
      done.reject(refusals.notDeletedEverywhere(partition, offset)),
    );
    const unwatch = this.onReplicasMoved(partition, () => {
      if (isDone()) done.resolve();
    });
    const unlisten = this.listen(partition, { onHighWatermark() {}, onUnavailable: (error) => done.reject(error) });
    try {
      await done.promise;
    } finally {
      timer.cancel();
      unwatch();
      unlisten();
    }
  }

  /** Refuses new entries from now on; those on their way are still answered. */
  refuseProduce(): void {
    this.#refusing = true;
  }

  /** The controller knows that the replica is offline; the metadata log shows it at this offset. */
  offlineReported(partition: ReplicaPartition, metadataOffset: number): void {
    this.#dispatch({ type: 'offlineReported', partition, metadataOffset });
  }

  /** The metadata log has been applied up to this offset. */
  caughtUp(metadataOffset: number): void {
    // Nearly always there is nobody to tell.
    this.#metadataOffset = metadataOffset;
    if (this.#manager.hasFailures) this.#dispatch({ type: 'caughtUp', metadataOffset });
  }

  /** Takes no more events; what was appended stays with the log manager, which is closed by its owner. */
  async stop(): Promise<void> {
    this.#end();
    const error = notServing();
    this.#logs.refuseAll(error);
    for (const listeners of [...this.#listeners.values()]) for (const one of [...listeners]) one.onUnavailable(error);
    this.#listeners.clear();
    await this.#logs.settled();
  }

  // --- what followers say to a leader here ---

  followed(partition: ReplicaPartition, follow: Follow, sink: FollowSink): void {
    this.#dispatch({ type: 'followed', partition, follow, sink });
  }

  unfollowed(partition: ReplicaPartition, brokerId: number, sink: FollowSink): void {
    this.#dispatch({ type: 'unfollowed', partition, brokerId, sink });
  }

  acknowledged(
    partition: ReplicaPartition,
    brokerId: number,
    sink: FollowSink,
    ends: { readonly logEndOffset: number; readonly logStartOffset: number },
  ): void {
    const now = this.options.clock.monotonic();
    this.#dispatch({ type: 'followerProgress', partition, brokerId, sink, ...ends, now });
  }

  /** What has become of a proposal. */
  isrAnswered(partition: ReplicaPartition, proposal: IsrProposal, answer: IsrAnswer): void {
    this.#dispatch({ type: 'isrAnswered', partition, proposal, answer, now: this.options.clock.monotonic() });
  }

  // --- what leaders say to a follower here ---

  linked(partition: ReplicaPartition): void {
    this.#dispatch({ type: 'linked', partition });
  }

  unlinked(partition: ReplicaPartition, handle: number): void {
    this.#dispatch({ type: 'unlinked', partition, handle });
  }

  positioned(partition: ReplicaPartition, handle: number, position: FollowPosition, mark: LeaderMark): void {
    const log = this.openedLog(partition);
    const own = position.kind === 'diverging' ? log?.endOffsetForEpoch(position.epoch) : undefined;
    this.#dispatch({ type: 'positioned', partition, handle, position, mark, own });
  }

  batches(partition: ReplicaPartition, handle: number, data: InboundBatches, mark: LeaderMark): void {
    if (this.#over) data.release();
    else this.#dispatch({ type: 'batches', partition, handle, batches: data, mark });
  }

  marked(partition: ReplicaPartition, handle: number, mark: LeaderMark): void {
    this.#dispatch({ type: 'marked', partition, handle, mark });
  }

  followEnded(partition: ReplicaPartition, handle: number): void {
    this.#dispatch({ type: 'followEnded', partition, handle });
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
      this.#gathered.flush();
    }
  }

  #turn(event: Event): void {
    for (const effect of this.#manager.handle(event)) this.#execute(effect);
    if (event.type === 'batches') {
      const data = event.batches as InboundBatches;
      if (!data.taken) data.release();
    }
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#end();
    this.options.onFault(error instanceof Error ? error : new InvariantError(String(error)));
  }

  #end(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#isrTimer?.cancel();
    for (const timer of this.#pauses) timer.cancel();
    this.#pauses.clear();
  }

  #execute(effect: Effect): void {
    switch (effect.type) {
      case 'append':
        return this.#append(effect.partition, effect.produce, effect.leaderEpoch);
      case 'respond':
        return effect.token.answer(effect.outcome);
      case 'highWatermark':
        return this.#highWatermark(effect.partition);
      case 'wakeAt':
        return this.#wakeAt(effect.at);
      case 'openLog':
        return this.#logs.open(effect.partition);
      case 'online':
        return this.#logs.online(effect.partition);
      case 'unavailable':
        return this.#unavailable(effect.partition, effect.error);
      case 'closeLog':
        return this.#close(effect.partition);
      case 'deleteLog':
        return this.#logs.delete(effect.partition);
      case 'reportOffline':
        return this.#replication?.reportOffline(effect.partition, effect.leaderEpoch);
      case 'reviveLog':
        return this.#revive(effect.partition, effect.corrupt, effect.attempt);
      case 'position':
        return this.#position(effect.partition, effect.follow, effect.sink);
      case 'endFollow':
        return effect.sink.ended(effect.error);
      case 'proposeIsr':
        return this.#replication?.propose(effect.partition, effect.proposal, effect.again);
      case 'replicasMoved':
        return this.#replicasMoved(effect.partition);
      case 'isrChanged':
        return this.#isrChanged(effect.partition, effect.from);
      case 'attach':
        return this.#replication?.attach(effect.partition, effect.leader);
      case 'detach':
        return this.#replication?.detach(effect.partition, effect.leader);
      case 'ask':
        return this.#ask(effect.partition, effect.handle);
      case 'truncateLog':
        return this.#truncate(effect.partition, effect.to);
      case 'restartLog':
        return this.#restart(effect.partition, effect.at);
      case 'replicate':
        return this.#replicate(effect.partition, effect.handle, effect.batches as InboundBatches);
      case 'acknowledge':
        return this.#replication?.acknowledge(effect.partition, effect.handle);
      case 'followLogStart':
        return this.#followLogStart(effect.partition, effect.logStartOffset);
      case 'pause':
        return this.#pause(effect.partition, effect.handle, effect.attempt);
      default:
        unreachable(effect);
    }
  }

  // --- appends ---

  #append(partition: ReplicaPartition, produce: PendingProduce<ProduceToken>, leaderEpoch: number): void {
    const log = present(this.#logs.get(partition), 'the log of an online partition');
    const { token, handedOver } = produce;
    let result;
    try {
      const now = this.options.clock.now();
      result = log.appendAsLeader(produce.takeBatches() as Buffer, { leaderEpoch, now, handedOver });
    } catch (caught) {
      if (caught instanceof InvariantError) throw caught;
      const error = toBarnabasError(caught);
      this.#turn({ type: 'refused', partition, produce, error });
      if (error.errorName === 'KAFKA_STORAGE_ERROR') this.#failed(partition, error);
      return;
    }
    token.appended();
    const { baseOffset, lastOffset, logAppendTime: logAppendTimeMs, duplicate } = result;
    const endOffset = lastOffset + 1;
    this.#turn({ type: 'appended', partition, produce, baseOffset, endOffset, logAppendTimeMs, duplicate });
    if (!duplicate) this.options.metrics.appended(partition.topic, endOffset - baseOffset, produce.sizeInBytes);
    this.#tellFollowers(partition);
    this.#awaitStable(partition, log, result, () => token.written());
  }

  /** A leader's batches, as they are. */
  #replicate(partition: ReplicaPartition, handle: number, data: InboundBatches): void {
    const log = present(this.#logs.get(partition), 'the log of an online partition');
    let result;
    try {
      result = log.appendAsFollower(data.bytes as Buffer);
    } catch (caught) {
      if (caught instanceof InvariantError) throw caught;
      const error = toBarnabasError(caught);
      if (error.errorName === 'KAFKA_STORAGE_ERROR') {
        this.#failed(partition, error);
        return;
      }
      this.options.logger.warn('What a leader sent does not fit the log of its follower', {
        action: 'nothing, the follower asks anew; if it recurs, look at network and disk of the leader',
        topic: partition.topic,
        partition: partition.partition,
        leader: partition.leader,
        error: error.message,
      });
      this.#turn({ type: 'followEnded', partition, handle });
      return;
    }
    data.taken = true;
    this.#turn({ type: 'replicated', partition, handle, endOffset: result.lastOffset + 1 });
    this.options.metrics.replicatedIn(data.bytes.length);
    this.#awaitStable(partition, log, result, () => data.release());
  }

  #awaitStable(partition: ReplicaPartition, log: PartitionLog, append: AppendResult, written: () => void): void {
    append.stable
      .then(
        () => {
          written();
          // One coalesced write makes many appends stable; the first of them reports for all.
          const endOffset = log.stableEndOffset;
          if (endOffset > partition.stableEndOffset) this.#dispatch({ type: 'stable', partition, endOffset });
        },
        (error: unknown) => {
          written();
          // Of this partition and no other: one that was taken away and is here again has another log.
          this.#failed(partition, toBarnabasError(error));
        },
      )
      .catch((fault: unknown) => this.#fail(fault));
  }

  #highWatermark(partition: ReplicaPartition): void {
    this.#logs.get(partition)?.noteHighWatermark(partition.highWatermark);
    const listeners = this.#listeners.get(partition);
    if (listeners !== undefined) for (const listener of listeners) listener.onHighWatermark();
    this.#tellFollowers(partition);
  }

  /** The log end, the high watermark or the log start of a partition led here has moved. */
  #tellFollowers(partition: ReplicaPartition): void {
    const { leading } = partition;
    if (leading?.hasFollowers !== true) return;
    for (const { sink } of leading.followers()) sink?.moved();
  }

  #wakeAt(at: number): void {
    this.#timer?.cancel();
    const { clock, timers } = this.options;
    this.#timer = timers.after(Math.max(0, at - clock.monotonic()), () => {
      this.#timer = undefined;
      this.#dispatch({ type: 'tick', now: clock.monotonic() });
    });
  }

  #unavailable(partition: ReplicaPartition, error: BarnabasError): void {
    this.#logs.refuse(partition, error);
    const listeners = this.#listeners.get(partition);
    this.#listeners.delete(partition);
    if (listeners !== undefined) for (const listener of [...listeners]) listener.onUnavailable(error);
  }

  /** The partition is offline; its files stay until somebody else is known to have what they hold. */
  #close(partition: ReplicaPartition): void {
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
    this.#logs.close(partition);
  }

  #failed(partition: ReplicaPartition, error: BarnabasError): void {
    const corrupt = error.facts?.['corrupt'] === true;
    this.#dispatch({ type: 'logFailed', partition, reason: error.message, corrupt });
  }

  /** Nobody counts on what the failed log held. */
  #revive(partition: ReplicaPartition, corrupt: boolean, attempt: number): void {
    const { topic, partition: number, leader } = partition;
    const pauseMs =
      attempt === 1 && corrupt ? 0 : Math.min(LONGEST_REVIVAL_MS, SHORTEST_REVIVAL_MS * 2 ** (attempt - 1));
    const message = corrupt
      ? 'A corrupt replica is fetched again from its leader'
      : 'An offline replica is opened again';
    this.options.logger.warn(message, {
      action: 'nothing, unless it recurs: then replace the disk',
      ...{ topic, partition: number, leader, attempt, pauseMs },
    });
    const timer = this.options.timers.after(pauseMs, () => {
      this.#pauses.delete(timer);
      if (corrupt) this.#logs.delete(partition);
      this.#logs.open(partition);
    });
    this.#pauses.add(timer);
  }

  // --- the leader's part ---

  #replicasMoved(partition: ReplicaPartition): void {
    for (const callback of [...(this.#waiters.get(partition) ?? [])]) callback();
    this.#tellFollowers(partition);
  }

  #position(partition: ReplicaPartition, follow: Follow, sink: FollowSink): void {
    const log = present(this.#logs.get(partition), 'the log of an online partition');
    sink.positioned(positionOf(partition, follow, log.endOffsetForEpoch(follow.lastEpoch)));
  }

  #isrChanged(partition: ReplicaPartition, from: readonly number[]): void {
    const { topic, isr } = partition;
    const left = from.filter((id) => !isr.includes(id));
    const joined = isr.filter((id) => !from.includes(id));
    this.options.metrics.isrChanged(joined.length > 0, left.length > 0);
    this.#gathered.info('The in-sync replicas have changed', {
      topic,
      partition: partition.partition,
      leaderEpoch: partition.leaderEpoch,
      joined: joined.join(','),
      left: left.join(','),
      isr: isr.join(','),
    });
  }

  #checkIsrLater(): void {
    const { timers, clock, replicaLagTimeMaxMs } = this.options;
    if (this.#over) return;
    this.#isrTimer = timers.after(replicaLagTimeMaxMs / 2, () => {
      this.#dispatch({ type: 'isrCheck', now: clock.monotonic() });
      this.#checkIsrLater();
    });
  }

  // --- the follower's part ---

  #ask(partition: ReplicaPartition, handle: number): void {
    const log = present(this.#logs.get(partition), 'the log of an online partition');
    const { leaderEpoch, partitionEpoch, logStartOffset, logEndOffset } = partition;
    const lastEpoch = log.latestEpoch;
    this.#replication?.ask(partition, handle, {
      leaderEpoch,
      partitionEpoch,
      lastEpoch,
      logStartOffset,
      logEndOffset,
    });
  }

  #truncate(partition: ReplicaPartition, to: number): void {
    const { topic, partition: number, leader, leaderEpoch, logEndOffset } = partition;
    this.#gathered.info('A follower truncates its log to where it agrees with its leader', {
      topic,
      partition: number,
      leader,
      leaderEpoch,
      from: logEndOffset,
      to,
    });
    this.#logs.reshape(partition, (log) => log.truncateTo(to));
  }

  #restart(partition: ReplicaPartition, at: number): void {
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
    this.#logs.reshape(partition, (log) => log.truncateFullyAndStartAt(at));
  }

  #followLogStart(partition: ReplicaPartition, logStartOffset: number): void {
    const log = this.#logs.get(partition);
    log?.deleteRecordsBefore(logStartOffset).then(
      () => this.#dispatch({ type: 'logStartMoved', partition, logStartOffset: log.logStartOffset }),
      // A failure of the disk takes the log offline, which is reported; a truncation in between asks anew.
      (error: unknown) => {
        if (error instanceof InvariantError) this.#fail(error);
      },
    );
  }

  #pause(partition: ReplicaPartition, handle: number, attempt: number): void {
    const pauseMs = Math.min(LONGEST_PAUSE_MS, SHORTEST_PAUSE_MS * 2 ** Math.min(attempt - 1, 10));
    const timer = this.options.timers.after(pauseMs, () => {
      this.#pauses.delete(timer);
      this.#dispatch({ type: 'paused', partition, handle });
    });
    this.#pauses.add(timer);
  }
}

function addTo<T>(sets: Map<ReplicaPartition, Set<T>>, partition: ReplicaPartition, member: T): () => void {
  const members = sets.get(partition) ?? new Set();
  sets.set(partition, members.add(member));
  return () => {
    members.delete(member);
    if (members.size === 0 && sets.get(partition) === members) sets.delete(partition);
  };
}

function notServing(): BarnabasError {
  return new BarnabasError('BROKER_NOT_AVAILABLE', 'the broker is stopping: ask another node for metadata');
}
