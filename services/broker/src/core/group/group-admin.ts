/**
 * What administrators ask of groups: list, describe, delete.
 *
 * Errors, each for its group: INVALID_GROUP_ID, GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP.
 */
import { BarnabasError } from '@barnabas/protocol';
import { sortedMembers, stateOf, targetOf } from './group-image.js';
import type { GroupImage, GroupState } from './group-image.js';
import { checkGroupId } from './limits.js';
import { groupTombstones } from './member-records.js';
import { parsePartitionKey } from './partition-key.js';
import type { TopicPartitionId } from './partition-key.js';
import type { Groups, Plan } from './plan.js';
import type { GroupSettings } from './settings.js';
import { assignorOf } from './target-assignment.js';

export interface ListedGroup {
  readonly groupId: string;
  readonly state: GroupState;
  readonly members: number;
}

export interface DescribedMember {
  readonly memberId: string;
  readonly instanceId: string;
  readonly rackId: string;
  readonly clientId: string;
  readonly clientHost: string;
  readonly topicNames: readonly string[];
  readonly topicPattern: string;
  readonly epoch: number;
  /** Owned, including what is being given up. */
  readonly assignment: readonly TopicPartitionId[];
  readonly target: readonly TopicPartitionId[];
}

export interface DescribedGroup {
  readonly groupId: string;
  readonly state: GroupState;
  readonly epoch: number;
  readonly targetEpoch: number;
  /** Which its next target is made by; empty without members. */
  readonly assignor: string;
  readonly members: readonly DescribedMember[];
}

/** In order of group ids. Without states: all. */
export function listGroups(groups: Groups, states: ReadonlySet<GroupState>): ListedGroup[] {
  return [...groups.values()]
    .map((group) => ({ groupId: group.id, state: stateOf(group), members: group.members.size }))
    .filter(({ state }) => state !== 'Dead' && (states.size === 0 || states.has(state)))
    .sort((one, other) => (one.groupId < other.groupId ? -1 : 1));
}

export function describeGroup(group: GroupImage | undefined, groupId: string, settings: GroupSettings): DescribedGroup {
  checkGroupId(groupId);
  if (group === undefined) throw notFound(groupId);
  const sorted = sortedMembers(group);
  const members = sorted.map(
    (member): DescribedMember => ({
      memberId: member.id,
      instanceId: member.instanceId,
      rackId: member.rackId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      topicNames: member.topicNames,
      topicPattern: member.topicPattern,
      epoch: member.epoch,
      assignment: [...member.assigned.keys(), ...member.pendingRevocation.keys()].map(parsePartitionKey),
      target: [...targetOf(group, member.id)].map(parsePartitionKey),
    }),
  );
  const assignor = sorted.length === 0 ? '' : assignorOf(sorted, settings).name;
  const { epoch, targetEpoch } = group;
  return { groupId, state: stateOf(group), epoch, targetEpoch, assignor, members };
}

export function deleteGroup(plan: Plan, groupId: string): void {
  checkGroupId(groupId);
  const group = plan.find(groupId);
  if (group === undefined) throw notFound(groupId);
  if (group.members.size > 0) {
    throw new BarnabasError(
      'NON_EMPTY_GROUP',
      `group ${groupId} has ${group.members.size} members: stop them before you delete it`,
    );
  }
  plan.add(...groupTombstones(group));
}

function notFound(groupId: string): BarnabasError {
  return new BarnabasError('GROUP_ID_NOT_FOUND', `there is no group ${groupId}`);
}
