/** Groups between the application's words and the wire's. */
import { v1 } from '@barnabas/protocol';
import type { GroupTopicPartition } from '../group/group-types.js';
import type { GroupDescription, GroupListing, GroupMemberDescription, GroupState } from './group-admin-types.js';

const STATES: ReadonlyMap<v1.GroupState, GroupState> = new Map([
  [v1.GroupState.EMPTY, 'Empty'],
  [v1.GroupState.ASSIGNING, 'Assigning'],
  [v1.GroupState.RECONCILING, 'Reconciling'],
  [v1.GroupState.STABLE, 'Stable'],
  [v1.GroupState.DEAD, 'Dead'],
]);

export function toWireStates(states: readonly GroupState[]): v1.GroupState[] {
  return [...STATES].filter(([, name]) => states.includes(name)).map(([state]) => state);
}

export function fromWireListing({ groupId, state, members, coordinatorId }: v1.ListedGroup): GroupListing {
  return { groupId, state: fromWireState(state), members, coordinatorId };
}

export function fromWireGroup(group: v1.DescribedGroup): GroupDescription {
  const { groupId, epoch, targetEpoch, assignor, coordinatorId } = group;
  const members = group.members.map(fromWireMember);
  return { groupId, state: fromWireState(group.state), epoch, targetEpoch, assignor, coordinatorId, members };
}

function fromWireMember({ subscription, assignment, target, ...member }: v1.DescribedMember): GroupMemberDescription {
  const { topics = [], pattern = '' } = subscription ?? {};
  return {
    ...member,
    subscription: { topics, pattern },
    assignment: assignment.map(fromWirePartition),
    target: target.map(fromWirePartition),
  };
}

function fromWireState(state: v1.GroupState): GroupState {
  return STATES.get(state) ?? 'Unknown';
}

function fromWirePartition({ topic, topicId, partition }: v1.GroupPartition): GroupTopicPartition {
  return { topic, topicId, partition };
}
