/**
 * GroupService/ConsumerGroupHeartbeat: see core/group/heartbeat.ts.
 *
 * Every error travels in the answer: those of core/group/heartbeat.ts, INVALID_REQUEST (a negative wait), and
 * those of shard-runner.ts and group-coordinator.ts: NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS,
 * COORDINATOR_NOT_AVAILABLE, REQUEST_TIMED_OUT.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { peerHost } from '@barnabas/rpc';
import type { CallContext } from '@barnabas/rpc';
import { JOINING_EPOCH, checkGroupId } from '../../core/group/index.js';
import type { HeartbeatRequest, TopicPartitionId } from '../../core/group/index.js';
import type { MetadataImage } from '@barnabas/metadata';
import type { GroupCoordinator } from '../group-coordinator.js';
import { identified, named } from '../group-partitions.js';
import { errorOf } from './errors.js';
import { checkPartitionCount } from './limits.js';

export async function consumerGroupHeartbeat(
  request: v1.ConsumerGroupHeartbeatRequest,
  coordinator: GroupCoordinator,
  context: CallContext,
): Promise<v1.ConsumerGroupHeartbeatResponse> {
  const { sessionTimeoutMs, heartbeatIntervalMs } = coordinator.settings;
  try {
    checkGroupId(request.groupId);
    const { maxWaitMs } = request;
    if (maxWaitMs < 0) throw new BarnabasError('INVALID_REQUEST', 'max_wait_ms must not be negative');
    const runner = await coordinator.runnerFor(request.groupId);
    const waitMs = Math.min(maxWaitMs, heartbeatIntervalMs);
    const beat = toHeartbeat(request, coordinator.image, context);
    const response = await runner.heartbeat(beat, { waitMs, signal: () => context.signal });
    const { assignment } = response;
    return {
      memberEpoch: response.memberEpoch,
      heartbeatIntervalMs: response.heartbeatIntervalMs,
      sessionTimeoutMs,
      assignment: assignment && {
        version: assignment.version,
        partitions: assignment.partitions.map((one) => named(one, coordinator.image)),
      },
      error: undefined,
    };
  } catch (error) {
    const nothing = { heartbeatIntervalMs, sessionTimeoutMs, assignment: undefined };
    return { memberEpoch: request.memberEpoch, ...nothing, error: errorOf(error) };
  }
}

function toHeartbeat(
  request: v1.ConsumerGroupHeartbeatRequest,
  image: MetadataImage,
  { peer, clientId }: CallContext,
): HeartbeatRequest {
  const { groupId, memberId, memberEpoch, incarnation, enforceRebalance, subscription, owned } = request;
  const { instanceId, rackId, rebalanceTimeoutMs, assignor } = request;
  const isJoining = memberEpoch === JOINING_EPOCH;
  const client = request.clientId ?? (isJoining ? clientId : undefined);
  // A member that reconnects comes from another port, and is described anew only when it joins.
  const host = request.clientHost ?? (isJoining ? peerHost(peer) : undefined);
  return {
    ...{ groupId, memberId, memberEpoch, incarnation, enforceRebalance },
    ...(client === undefined ? {} : { clientId: client }),
    ...(host === undefined ? {} : { clientHost: host }),
    ...(instanceId === undefined ? {} : { instanceId }),
    ...(rackId === undefined ? {} : { rackId }),
    ...(rebalanceTimeoutMs === undefined ? {} : { rebalanceTimeoutMs }),
    ...(assignor === undefined ? {} : { serverAssignor: assignor }),
    ...(subscription === undefined ? {} : { topicNames: subscription.topics, topicPattern: subscription.pattern }),
    ...(owned === undefined ? {} : { owned: ownedOf(owned, image), appliedVersion: owned.appliedVersion }),
  };
}

/** A topic that is gone is owned by nobody. */
function ownedOf({ partitions }: v1.OwnedPartitions, image: MetadataImage): TopicPartitionId[] {
  checkPartitionCount(partitions.length, 0);
  return partitions.flatMap((one) => {
    try {
      return [identified(one, image)];
    } catch (error) {
      if (error instanceof BarnabasError && error.errorName === 'UNKNOWN_TOPIC_OR_PARTITION') return [];
      throw error;
    }
  });
}
