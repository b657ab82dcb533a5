/**
 * Carries out what the replica manager orders, each effect inside the turn that ordered it. Decides
 * nothing: that is the core's part.
 *
 * Owns the way to leaders and to the controller; until there is one, what is meant for them is dropped,
 * and the core begins anew when it comes. The rest goes to
 *   replica-appends      what is appended
 *   replica-logs         files
 *   replica-timers       what is to happen later
 *   partition-listeners  who reads a partition here
 */
import { unreachable } from '@barnabas/common';
import type { Clock, Logger } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';
import { positionOf } from '../core/index.js';
import type { Follow, FollowSink } from '../core/index.js';
import type { GatheredLog } from './gathered-log.js';
import { growingPauseMs } from './growing-pause.js';
import type { BrokerMetrics } from './metrics.js';
import type { PartitionListeners } from './partition-listeners.js';
import { ReplicaAppends } from './replica-appends.js';
import type { ReplicaLogs } from './replica-logs.js';
import type { ReplicaPartition } from './replica-partition.js';
import type { ReplicaTimers } from './replica-timers.js';
import type { InboundBatches, ReplicationPort } from './replication-port.js';
import type { Effect, Turns } from './turns.js';

export interface ReplicaEffectsOptions {
  readonly turns: Turns;
  readonly logs: ReplicaLogs;
  readonly timers: ReplicaTimers;
  readonly listeners: PartitionListeners;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly gathered: GatheredLog;
  readonly metrics: BrokerMetrics;
  readonly onFailed: (partition: ReplicaPartition, error: BarnabasError) => void;
}

/** Of a follower that is refused. */
const PAUSE = { firstMs: 20, longestMs: 1_000 };
/** Before a failed log is opened again. */
const REVIVAL = { firstMs: 1_000, longestMs: 60_000 };

export class ReplicaEffects {
  readonly #appends: ReplicaAppends;
  #replication: ReplicationPort | undefined;

  constructor(private readonly options: ReplicaEffectsOptions) {
    this.#appends = new ReplicaAppends({ ...options, onLed: tellFollowers });
  }

  startReplication(replication: ReplicationPort): void {
    this.#replication = replication;
  }

  carryOut(effect: Effect): void {
    const { logs, timers } = this.options;
    switch (effect.type) {
      case 'append':
        return this.#appends.asLeader(effect.partition, effect.produce, effect.leaderEpoch);
      case 'respond':
        return effect.token.answer(effect.outcome);
      case 'highWatermark':
        return this.#highWatermark(effect.partition);
      case 'wakeAt':
        return timers.wakeAt(effect.at);
      case 'openLog':
        return logs.open(effect.partition);
      case 'online':
        return logs.online(effect.partition);
      case 'unavailable':
        return this.#unavailable(effect.partition, effect.error);
      case 'closeLog':
        return logs.takeOffline(effect.partition);
      case 'deleteLog':
        return logs.delete(effect.partition);
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
        return logs.truncate(effect.partition, effect.to);
      case 'restartLog':
        return logs.restart(effect.partition, effect.at);
      case 'replicate':
        return this.#appends.asFollower(effect.partition, effect.handle, effect.batches as InboundBatches);
      case 'acknowledge':
        return this.#replication?.acknowledge(effect.partition, effect.handle);
      case 'followLogStart':
        return logs.followLogStart(effect.partition, effect.logStartOffset);
      case 'pause':
        return this.#pause(effect.partition, effect.handle, effect.attempt);
      default:
        unreachable(effect);
    }
  }

  #highWatermark(partition: ReplicaPartition): void {
    const { logs, listeners } = this.options;
    logs.get(partition)?.noteHighWatermark(partition.highWatermark);
    listeners.highWatermarkMoved(partition);
    tellFollowers(partition);
  }

  #unavailable(partition: ReplicaPartition, error: BarnabasError): void {
    const { logs, listeners } = this.options;
    logs.refuse(partition, error);
    listeners.unavailable(partition, error);
  }

  /** Nobody counts on what the failed log held. */
  #revive(partition: ReplicaPartition, corrupt: boolean, attempt: number): void {
    const { logs, timers, logger } = this.options;
    const { topic, partition: number, leader } = partition;
    const pauseMs = attempt === 1 && corrupt ? 0 : growingPauseMs(REVIVAL, attempt);
    const message = corrupt
      ? 'A corrupt replica is fetched again from its leader'
      : 'An offline replica is opened again';
    logger.warn(message, {
      action: 'nothing, unless it recurs: then replace the disk',
      ...{ topic, partition: number, leader, attempt, pauseMs },
    });
    timers.afterPause(pauseMs, () => {
      if (corrupt) logs.delete(partition);
      logs.open(partition);
    });
  }

  // --- the leader's part ---

  #replicasMoved(partition: ReplicaPartition): void {
    this.options.listeners.replicasMoved(partition);
    tellFollowers(partition);
  }

  #position(partition: ReplicaPartition, follow: Follow, sink: FollowSink): void {
    const log = this.options.logs.ofOnline(partition);
    sink.positioned(positionOf(partition, follow, log.endOffsetForEpoch(follow.lastEpoch)));
  }

  #isrChanged(partition: ReplicaPartition, from: readonly number[]): void {
    const { metrics, gathered } = this.options;
    const { topic, isr } = partition;
    const left = from.filter((id) => !isr.includes(id));
    const joined = isr.filter((id) => !from.includes(id));
    metrics.isrChanged(joined.length > 0, left.length > 0);
    gathered.info('The in-sync replicas have changed', {
      topic,
      partition: partition.partition,
      leaderEpoch: partition.leaderEpoch,
      joined: joined.join(','),
      left: left.join(','),
      isr: isr.join(','),
    });
  }

  // --- the follower's part ---

  #ask(partition: ReplicaPartition, handle: number): void {
    const { latestEpoch: lastEpoch } = this.options.logs.ofOnline(partition);
    const { leaderEpoch, partitionEpoch, logStartOffset, logEndOffset } = partition;
    const question = { leaderEpoch, partitionEpoch, lastEpoch, logStartOffset, logEndOffset };
    this.#replication?.ask(partition, handle, question);
  }

  #pause(partition: ReplicaPartition, handle: number, attempt: number): void {
    const { timers, turns } = this.options;
    timers.afterPause(growingPauseMs(PAUSE, attempt), () => turns.take({ type: 'paused', partition, handle }));
  }
}

/** The log end, the high watermark or the log start of a partition led here has moved. */
function tellFollowers({ leading }: ReplicaPartition): void {
  if (leading?.hasFollowers !== true) return;
  for (const { sink } of leading.followers()) sink?.moved();
}
