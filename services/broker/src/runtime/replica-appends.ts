/**
 * Appends to the logs of replicas: what producers send to a leader here, and what leaders send to a
 * follower here. Whether the log has taken it is told inside the turn that ordered it (T1 of turns.ts);
 * that it is stable, or that the disk has failed, once the disk has spoken.
 *
 * What becomes of an append is told of the partition that made it: one that was taken away and is here
 * again has another log.
 */
import { InvariantError } from '@barnabas/common';
import type { Clock, Logger } from '@barnabas/common';
import type { AppendResult, PartitionLog } from '@barnabas/log';
import { toBarnabasError } from '@barnabas/protocol';
import type { BarnabasError } from '@barnabas/protocol';
import type { PendingProduce } from '../core/index.js';
import type { BrokerMetrics } from './metrics.js';
import type { ReplicaLogs } from './replica-logs.js';
import type { ProduceToken, ReplicaPartition } from './replica-partition.js';
import type { InboundBatches } from './replication-port.js';
import type { Turns } from './turns.js';

export interface ReplicaAppendsOptions {
  readonly turns: Turns;
  readonly logs: ReplicaLogs;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: BrokerMetrics;
  /** The log end of a partition led here has moved. */
  readonly onLed: (partition: ReplicaPartition) => void;
  readonly onFailed: (partition: ReplicaPartition, error: BarnabasError) => void;
}

export class ReplicaAppends {
  constructor(private readonly options: ReplicaAppendsOptions) {}

  asLeader(partition: ReplicaPartition, produce: PendingProduce<ProduceToken>, leaderEpoch: number): void {
    const { turns, clock, metrics, onLed, onFailed } = this.options;
    const log = this.options.logs.ofOnline(partition);
    const { token, handedOver } = produce;
    let result;
    try {
      result = log.appendAsLeader(produce.takeBatches() as Buffer, { leaderEpoch, now: clock.now(), handedOver });
    } catch (caught) {
      if (caught instanceof InvariantError) throw caught;
      const error = toBarnabasError(caught);
      turns.within({ type: 'refused', partition, produce, error });
      if (error.errorName === 'KAFKA_STORAGE_ERROR') onFailed(partition, error);
      return;
    }
    token.appended();
    const { baseOffset, lastOffset, logAppendTime: logAppendTimeMs, duplicate } = result;
    const endOffset = lastOffset + 1;
    turns.within({ type: 'appended', partition, produce, baseOffset, endOffset, logAppendTimeMs, duplicate });
    if (!duplicate) metrics.appended(partition.topic, endOffset - baseOffset, produce.sizeInBytes);
    onLed(partition);
    this.#awaitStable(partition, log, result, () => token.written());
  }

  /** A leader's batches, as they are. */
  asFollower(partition: ReplicaPartition, handle: number, data: InboundBatches): void {
    const { turns, logger, metrics, onFailed } = this.options;
    const log = this.options.logs.ofOnline(partition);
    let result;
    try {
      result = log.appendAsFollower(data.bytes as Buffer);
    } catch (caught) {
      if (caught instanceof InvariantError) throw caught;
      const error = toBarnabasError(caught);
      if (error.errorName === 'KAFKA_STORAGE_ERROR') {
        onFailed(partition, error);
        return;
      }
      logger.warn('What a leader sent does not fit the log of its follower', {
        action: 'nothing, the follower asks anew; if it recurs, look at network and disk of the leader',
        topic: partition.topic,
        partition: partition.partition,
        leader: partition.leader,
        error: error.message,
      });
      turns.within({ type: 'followEnded', partition, handle });
      return;
    }
    data.taken = true;
    turns.within({ type: 'replicated', partition, handle, endOffset: result.lastOffset + 1 });
    metrics.replicatedIn(data.bytes.length);
    this.#awaitStable(partition, log, result, () => data.release());
  }

  #awaitStable(partition: ReplicaPartition, log: PartitionLog, append: AppendResult, written: () => void): void {
    const { turns, onFailed } = this.options;
    append.stable
      .then(
        () => {
          written();
          // One coalesced write makes many appends stable; the first of them reports for all.
          const endOffset = log.stableEndOffset;
          if (endOffset > partition.stableEndOffset) turns.take({ type: 'stable', partition, endOffset });
        },
        (error: unknown) => {
          written();
          onFailed(partition, toBarnabasError(error));
        },
      )
      .catch((fault: unknown) => turns.fail(fault));
  }
}
