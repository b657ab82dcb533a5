/** Makes the records of groups and members, so that each is written in one way. */
import { internal } from '@barnabas/protocol';
import type { CommittedOffset, GroupImage, MemberState } from './group-image.js';
import type { MemberDescription } from './member-description.js';
import { toOwnedTopicPartitions, toTopicPartitions } from './partition-key.js';
import type { PartitionKey, TopicPartitionId } from './partition-key.js';
import type { CurrentAssignment } from './reconciliation.js';
import type { GroupRecord } from './record.js';

export function groupRecord(
  group: GroupImage,
  change: Partial<Pick<GroupImage, 'epoch' | 'metadataHash' | 'emptySinceMs'>>,
): GroupRecord {
  const { epoch, metadataHash, emptySinceMs } = { ...group, ...change };
  return { type: 'group', key: { groupId: group.id }, value: { epoch, metadataHash, emptySinceMs } };
}

export function memberRecord(groupId: string, memberId: string, description: MemberDescription): GroupRecord {
  const { instanceId, rackId, clientId, clientHost, topicNames, topicPattern } = description;
  const { rebalanceTimeoutMs, serverAssignor, incarnation } = description;
  const who = { instanceId, rackId, clientId, clientHost };
  const what = { topicNames: [...topicNames], topicPattern, rebalanceTimeoutMs, serverAssignor, incarnation };
  return { type: 'member', key: { groupId, memberId }, value: { ...who, ...what } };
}

export function targetRecord(groupId: string, assignmentEpoch: number): GroupRecord {
  return { type: 'target', key: { groupId }, value: { assignmentEpoch } };
}

export function targetMemberRecord(groupId: string, memberId: string, target: ReadonlySet<PartitionKey>): GroupRecord {
  return { type: 'targetMember', key: { groupId, memberId }, value: { topics: toTopicPartitions(target) } };
}

const STATES: Readonly<Record<MemberState, internal.GroupMemberState>> = {
  stable: internal.GroupMemberState.STABLE,
  unrevoked: internal.GroupMemberState.UNREVOKED_PARTITIONS,
  unreleased: internal.GroupMemberState.UNRELEASED_PARTITIONS,
};

export function currentAssignmentRecord(groupId: string, memberId: string, current: CurrentAssignment): GroupRecord {
  return {
    type: 'currentAssignment',
    key: { groupId, memberId },
    value: {
      memberEpoch: current.epoch,
      previousMemberEpoch: current.previousEpoch,
      state: STATES[current.state],
      assigned: toOwnedTopicPartitions(current.assigned),
      pendingRevocation: toOwnedTopicPartitions(current.pendingRevocation),
      assignmentVersion: current.assignmentVersion,
    },
  };
}

/** A member is no more. What it owned goes first: nothing is left of it that others could not take. */
export function memberTombstones(groupId: string, memberId: string): GroupRecord[] {
  const key = { groupId, memberId };
  return [
    { type: 'currentAssignment', key, value: undefined },
    { type: 'targetMember', key, value: undefined },
    { type: 'member', key, value: undefined },
  ];
}

export function offsetCommitRecord(groupId: string, offset: CommittedOffset): GroupRecord {
  const { topicId, partition, ...value } = offset;
  return { type: 'offsetCommit', key: { groupId, topicId, partition }, value };
}

export function offsetTombstone(groupId: string, { topicId, partition }: TopicPartitionId): GroupRecord {
  return { type: 'offsetCommit', key: { groupId, topicId, partition }, value: undefined };
}

/** Everything that a group without members has left. */
export function groupTombstones(group: GroupImage): GroupRecord[] {
  return [
    ...[...group.offsets.values()].map((offset) => offsetTombstone(group.id, offset)),
    { type: 'target', key: { groupId: group.id }, value: undefined },
    { type: 'group', key: { groupId: group.id }, value: undefined },
  ];
}
