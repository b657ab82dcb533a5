/**
 * GroupService/DescribeGroups: see core/group/group-admin.ts.
 *
 * The call fails with INVALID_REQUEST for no groups or too many. Each group has its own error:
 * INVALID_GROUP_ID, GROUP_ID_NOT_FOUND, and those of shard-runner.ts and group-coordinator.ts.
 */
import type { MetadataImage } from '@barnabas/metadata';
import { v1 } from '@barnabas/protocol';
import { checkGroupId } from '../../core/group/index.js';
import type { DescribedGroup, DescribedMember } from '../../core/group/index.js';
import type { GroupCoordinator } from '../group-coordinator.js';
import { named } from '../group-partitions.js';
import { errorOf } from './errors.js';
import { stateToProto } from './group-states.js';
import { checkGroupCount } from './limits.js';

export async function describeGroups(
  { groupIds }: v1.DescribeGroupsRequest,
  coordinator: GroupCoordinator,
): Promise<v1.DescribeGroupsResponse> {
  checkGroupCount(groupIds.length);
  return { groups: await Promise.all(groupIds.map((groupId) => describe(groupId, coordinator))) };
}

async function describe(groupId: string, coordinator: GroupCoordinator): Promise<v1.DescribedGroup> {
  try {
    checkGroupId(groupId);
    const runner = await coordinator.runnerFor(groupId);
    const group = await runner.request((shard) => shard.describeGroup(groupId));
    return toMessage(group, coordinator);
  } catch (error) {
    const state = v1.GroupState.UNSPECIFIED;
    const nothing = { epoch: 0, targetEpoch: 0, members: [], coordinatorId: -1, assignor: '' };
    return { groupId, state, ...nothing, error: errorOf(error) };
  }
}

function toMessage(group: DescribedGroup, { nodeId, image }: GroupCoordinator): v1.DescribedGroup {
  const { groupId, epoch, targetEpoch, assignor } = group;
  return {
    ...{ groupId, epoch, targetEpoch, assignor },
    state: stateToProto(group.state),
    members: group.members.map((member) => memberMessage(member, image)),
    coordinatorId: nodeId,
    error: undefined,
  };
}

function memberMessage(member: DescribedMember, image: MetadataImage): v1.DescribedMember {
  const { memberId, instanceId, rackId, clientId, clientHost, epoch } = member;
  return {
    ...{ memberId, instanceId, rackId, clientId, clientHost, epoch },
    subscription: { topics: [...member.topicNames], pattern: member.topicPattern },
    assignment: member.assignment.map((one) => named(one, image)),
    target: member.target.map((one) => named(one, image)),
  };
}
