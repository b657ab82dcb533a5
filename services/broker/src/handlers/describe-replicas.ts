/**
 * A broker's own part of AdminService/DescribeReplicas: how far the replicas are of the partitions that
 * it leads, as they have told it. Whom to ask is the business of @barnabas/metadata/service.
 *
 * Errors, each for its partition: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER,
 * LEADER_NOT_AVAILABLE, KAFKA_STORAGE_ERROR (the leader's own log is offline).
 */
import type { Clock } from '@barnabas/common';
import type { LocalReplicas } from '@barnabas/metadata/service';
import { errorToProto } from '@barnabas/protocol';
import type { BarnabasError, v1 } from '@barnabas/protocol';
import { refusals } from '../core/index.js';
import type { ReplicaDriver, ReplicaPartition } from '../runtime/replica-driver.js';

export interface DescribeReplicasAccess {
  readonly brokerId: number;
  /** Undefined before the logs are open. */
  readonly driver: () => ReplicaDriver | undefined;
  readonly clock: Pick<Clock, 'monotonic'>;
}

export function localReplicas({ brokerId, driver, clock }: DescribeReplicasAccess): LocalReplicas {
  const one = (topic: string, partition: number): v1.DescribeReplicasResult => {
    const replica = driver()?.find(topic, partition);
    const error = replica === undefined ? refusals.unknownPartition({ topic, partition }) : replica.refusal();
    if (replica === undefined || error !== undefined) return refused(topic, partition, replica, error);
    return described(replica, clock.monotonic());
  };
  return {
    brokerId,
    describe: (topics) => topics.flatMap(({ topic, partitions }) => partitions.map((number) => one(topic, number))),
  };
}

function described(partition: ReplicaPartition, now: number): v1.DescribeReplicasResult {
  const { topic, partition: number, leader, leaderEpoch, logStartOffset, highWatermark, logEndOffset } = partition;
  const isOpen = partition.log.kind === 'online';
  const state = (brokerId: number): v1.ReplicaState => {
    const inSync = partition.isr.includes(brokerId);
    if (brokerId === leader) {
      const { stableEndOffset } = partition;
      return { brokerId, logEndOffset: isOpen ? stableEndOffset : -1, lag: isOpen ? 0 : -1, caughtUpMs: 0, inSync };
    }
    const follower = partition.leading?.follower(brokerId);
    if (follower === undefined || follower.logEndOffset < 0) {
      return { brokerId, logEndOffset: -1, lag: -1, caughtUpMs: -1, inSync };
    }
    const lag = Math.max(0, logEndOffset - follower.logEndOffset);
    const caughtUpMs = lag === 0 ? 0 : Math.max(0, Math.round(now - follower.caughtUpAt));
    return { brokerId, logEndOffset: follower.logEndOffset, lag, caughtUpMs, inSync };
  };
  return {
    ...{ topic, partition: number, leader, leaderEpoch, error: undefined },
    // Nobody has used the log yet: its offsets are on the disk.
    ...(isOpen ? { logStartOffset, highWatermark, logEndOffset } : UNKNOWN_OFFSETS),
    replicas: partition.replicas.map(state),
  };
}

const UNKNOWN_OFFSETS = { logStartOffset: -1, highWatermark: -1, logEndOffset: -1 };

function refused(
  topic: string,
  partition: number,
  replica: ReplicaPartition | undefined,
  error: BarnabasError | undefined,
): v1.DescribeReplicasResult {
  const replicas = (replica?.replicas ?? []).map((brokerId) => {
    const inSync = replica?.isr.includes(brokerId) === true;
    return { brokerId, logEndOffset: -1, lag: -1, caughtUpMs: -1, inSync };
  });
  return {
    ...{ topic, partition, leader: replica?.leader ?? -1, leaderEpoch: replica?.leaderEpoch ?? -1 },
    ...UNKNOWN_OFFSETS,
    replicas,
    error: error === undefined ? undefined : errorToProto(error),
  };
}
