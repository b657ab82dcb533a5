/**
 * The only way a group changes: one record. Used for planning, for replay after an append and for
 * loading, so that the three cannot disagree. Pure.
 *
 * A log may be compacted: of a fact that changed, only the last record is left. Records may therefore
 * speak of a member or a target whose other records are gone, and a tombstone of what never was. What
 * stands at the end is the same (docs/protocols/groups.md, section 3).
 */
import { unreachable } from '@barnabas/common';
import { internal } from '@barnabas/protocol';
import { emptyGroup } from './group-image.js';
import type { GroupImage, MemberImage, MemberState } from './group-image.js';
import { fromOwnedTopicPartitions, fromTopicPartitions, partitionKey } from './partition-key.js';
import type { OwnedPartitions } from './partition-key.js';
import type { GroupRecord } from './record.js';

type RecordOfType<T extends GroupRecord['type']> = Extract<GroupRecord, { type: T }>;

export function applyRecord(group: GroupImage, record: GroupRecord): GroupImage {
  switch (record.type) {
    case 'offsetCommit':
      return applyOffsetCommit(group, record);
    case 'group':
      return applyGroup(group, record);
    case 'member':
      return applyMember(group, record);
    case 'target':
      return { ...group, targetEpoch: record.value?.assignmentEpoch ?? 0 };
    case 'targetMember':
      return applyTargetMember(group, record);
    case 'currentAssignment':
      return applyCurrentAssignment(group, record);
    default:
      return unreachable(record);
  }
}

function applyOffsetCommit(group: GroupImage, { key, value }: RecordOfType<'offsetCommit'>): GroupImage {
  const { topicId, partition } = key;
  const id = partitionKey(topicId, partition);
  if (value === undefined) return { ...group, offsets: group.offsets.delete(id) };
  return { ...group, offsets: group.offsets.set(id, { topicId, partition, ...value }) };
}

function applyGroup(group: GroupImage, { value }: RecordOfType<'group'>): GroupImage {
  if (value === undefined) return { ...group, isRecorded: false, epoch: 0, metadataHash: 0, emptySinceMs: -1 };
  return { ...group, isRecorded: true, ...value };
}

function applyMember(group: GroupImage, { key, value }: RecordOfType<'member'>): GroupImage {
  const before = group.members.get(key.memberId);
  if (value === undefined) return before === undefined ? group : withoutMember(group, before);
  const member: MemberImage = { ...(before ?? unassigned(key.memberId)), ...value };
  let { staticMembers } = group;
  if (value.instanceId !== '') staticMembers = staticMembers.set(value.instanceId, key.memberId);
  return { ...group, staticMembers, members: group.members.set(key.memberId, member) };
}

function withoutMember(group: GroupImage, member: MemberImage): GroupImage {
  const holdsInstance = member.instanceId !== '' && group.staticMembers.get(member.instanceId) === member.id;
  return {
    ...group,
    members: group.members.delete(member.id),
    staticMembers: holdsInstance ? group.staticMembers.delete(member.instanceId) : group.staticMembers,
    owners: withoutOwner(group.owners, member),
  };
}

function applyTargetMember(group: GroupImage, { key, value }: RecordOfType<'targetMember'>): GroupImage {
  if (value === undefined) return { ...group, targets: group.targets.delete(key.memberId) };
  return { ...group, targets: group.targets.set(key.memberId, fromTopicPartitions(value.topics)) };
}

function applyCurrentAssignment(group: GroupImage, { key, value }: RecordOfType<'currentAssignment'>): GroupImage {
  const before = group.members.get(key.memberId);
  if (value === undefined) {
    if (before === undefined) return group;
    const after = { ...unassigned(key.memberId), ...describedBy(before) };
    return { ...group, members: group.members.set(key.memberId, after), owners: withoutOwner(group.owners, before) };
  }
  const member: MemberImage = {
    ...(before ?? unassigned(key.memberId)),
    epoch: value.memberEpoch,
    previousEpoch: value.previousMemberEpoch,
    state: stateFrom(value.state),
    assigned: fromOwnedTopicPartitions(value.assigned),
    pendingRevocation: fromOwnedTopicPartitions(value.pendingRevocation),
    assignmentVersion: value.assignmentVersion,
  };
  let owners = before === undefined ? group.owners : withoutOwner(group.owners, before);
  for (const owned of ownedBy(member)) for (const partition of owned.keys()) owners = owners.set(partition, member.id);
  return { ...group, members: group.members.set(member.id, member), owners };
}

function withoutOwner(owners: GroupImage['owners'], member: MemberImage): GroupImage['owners'] {
  let left = owners;
  for (const owned of ownedBy(member)) {
    for (const partition of owned.keys()) if (left.get(partition) === member.id) left = left.delete(partition);
  }
  return left;
}

function ownedBy(member: MemberImage): readonly OwnedPartitions[] {
  return [member.assigned, member.pendingRevocation];
}

/** A member of whom no record has told anything. */
function unassigned(id: string): MemberImage {
  return {
    id,
    instanceId: '',
    rackId: '',
    clientId: '',
    clientHost: '',
    topicNames: [],
    topicPattern: '',
    rebalanceTimeoutMs: 0,
    serverAssignor: '',
    incarnation: 0,
    epoch: 0,
    previousEpoch: 0,
    state: 'stable',
    assigned: new Map(),
    pendingRevocation: new Map(),
    assignmentVersion: 0,
  };
}

function describedBy(member: MemberImage): internal.GroupMemberValue {
  const { instanceId, rackId, clientId, clientHost, topicNames, topicPattern } = member;
  const { rebalanceTimeoutMs, serverAssignor, incarnation } = member;
  return {
    ...{ instanceId, rackId, clientId, clientHost, topicNames: [...topicNames], topicPattern },
    ...{ rebalanceTimeoutMs, serverAssignor, incarnation },
  };
}

function stateFrom(state: internal.GroupMemberState): MemberState {
  switch (state) {
    case internal.GroupMemberState.UNREVOKED_PARTITIONS:
      return 'unrevoked';
    case internal.GroupMemberState.UNRELEASED_PARTITIONS:
      return 'unreleased';
    case internal.GroupMemberState.STABLE:
    case internal.GroupMemberState.UNSPECIFIED:
    default:
      return 'stable';
  }
}

/** The group that a record speaks of. */
export function groupIdOf(record: GroupRecord): string {
  return record.key.groupId;
}

/** What a record makes of a group that may not exist. */
export function applyTo(group: GroupImage | undefined, record: GroupRecord): GroupImage {
  return applyRecord(group ?? emptyGroup(groupIdOf(record)), record);
}
