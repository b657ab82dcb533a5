/** Members, assignments and offsets as GroupService has them. */
import { BarnabasError, errorFromProto, v1 } from '@barnabas/protocol';
import type { TopicPartition } from '../records.js';
import { partitionName } from '../records.js';
import type { Answer, Heartbeat } from './core/member-rules.js';
import type {
  CommitOutcome,
  FetchedOffset,
  GroupTopicPartition,
  MemberIdentity,
  OffsetOfMember,
} from './group-types.js';

/** What a member says of itself. */
export interface MemberDescription {
  readonly groupId: string;
  readonly instanceId: string;
  readonly rackId: string;
  readonly clientId: string;
  readonly clientHost?: string;
  readonly assignor: string;
  readonly rebalanceTimeoutMs: number;
}

export function heartbeatRequest(member: MemberDescription, heartbeat: Heartbeat): v1.ConsumerGroupHeartbeatRequest {
  const { subscription, owned, describes, maxWaitMs, enforceRebalance } = heartbeat;
  const { memberId, memberEpoch, incarnation } = heartbeat;
  const { groupId, instanceId, clientId, clientHost } = member;
  return v1.ConsumerGroupHeartbeatRequest.create({
    ...{ groupId, memberId, memberEpoch, incarnation, enforceRebalance, maxWaitMs },
    // Also later: a member whose place another has taken is told so.
    instanceId: instanceId === '' ? undefined : instanceId,
    clientId: clientId === '' ? undefined : clientId,
    clientHost,
    ...(describes ? descriptionOf(member) : {}),
    subscription: subscription && { topics: [...subscription.topics], pattern: subscription.pattern },
    owned: owned && {
      appliedVersion: owned.appliedVersion,
      partitions: owned.partitions.map(toGroupPartition),
    },
  });
}

function descriptionOf({ rackId, assignor, rebalanceTimeoutMs }: MemberDescription) {
  return { rackId, assignor, rebalanceTimeoutMs };
}

export function toAnswer(response: v1.ConsumerGroupHeartbeatResponse): Answer {
  const { memberEpoch, heartbeatIntervalMs, sessionTimeoutMs, assignment } = response;
  return {
    ...{ memberEpoch, heartbeatIntervalMs, sessionTimeoutMs },
    assignment: assignment && {
      version: assignment.version,
      partitions: assignment.partitions.map(fromGroupPartition),
    },
  };
}

export function commitRequest(
  groupId: string,
  { memberId, memberEpoch, incarnation, instanceId }: MemberIdentity,
  offsets: readonly OffsetOfMember[],
): v1.CommitOffsetsRequest {
  return {
    ...{ groupId, memberId, memberEpoch, incarnation, instanceId },
    offsets: offsets.map(({ offset, leaderEpoch = -1, metadata = '', rewinds, ...partition }) => ({
      partition: toGroupPartition(partition),
      offset,
      leaderEpoch: leaderEpoch < 0 ? undefined : leaderEpoch,
      metadata,
      rewinds,
    })),
  };
}

export function fetchRequest(
  groupId: string,
  { memberId, memberEpoch, incarnation }: MemberIdentity,
  partitions: readonly (TopicPartition & { readonly topicId?: string })[],
): v1.FetchOffsetsRequest {
  return { groupId, memberId, memberEpoch, incarnation, partitions: partitions.map(toGroupPartition) };
}

/** What became of the commit of this offset. */
export function fromOutcome(
  { topic, partition }: TopicPartition,
  result: v1.CommittedOffsetResult | undefined,
): CommitOutcome {
  if (result !== undefined) return { topic, partition, error: result.error && errorFromProto(result.error) };
  const message = `the coordinator left ${partitionName(topic, partition)} out of its answer`;
  return { topic, partition, error: new BarnabasError('UNKNOWN_SERVER_ERROR', message) };
}

export function fromWireOffset({ partition, error, ...offset }: v1.FetchedOffset): FetchedOffset {
  const { leaderEpoch, metadata, commitTimestampMs, rewinds } = offset;
  return {
    ...fromGroupPartition(partition ?? v1.GroupPartition.create()),
    ...{ offset: offset.offset, leaderEpoch, metadata, commitTimestampMs, rewinds },
    error: error && errorFromProto(error),
  };
}

function toGroupPartition({ topic, topicId = '', partition }: TopicPartition & { readonly topicId?: string }) {
  return { topic, topicId, partition };
}

function fromGroupPartition({ topic, topicId, partition }: v1.GroupPartition): GroupTopicPartition {
  return { topic, topicId, partition };
}
