/**
 * GroupService/ListGroups on a broker: the groups that it coordinates.
 *
 * The call fails with INVALID_REQUEST for a state that there is not. What a shard that cannot be asked has is
 * missing, and `errors` says so: COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR.
 */
import type { ErrorMessage, v1 } from '@barnabas/protocol';
import type { ListedGroup } from '../../core/group/index.js';
import type { GroupCoordinator, RunningShard } from '../group-coordinator.js';
import { errorOf } from './errors.js';
import { stateFromProto, stateToProto } from './group-states.js';

export async function listGroups(
  request: v1.ListGroupsRequest,
  coordinator: GroupCoordinator,
): Promise<v1.ListGroupsResponse> {
  const states = new Set(request.states.map(stateFromProto));
  const errors: ErrorMessage[] = [];
  const ask = async (shard: RunningShard): Promise<ListedGroup[]> => {
    try {
      if (shard.kind === 'none') throw shard.error;
      return await shard.runner.request((groups) => groups.listGroups(states));
    } catch (error) {
      errors.push(errorOf(error));
      return [];
    }
  };
  const listed = (await Promise.all(coordinator.runners().map(ask))).flat();
  listed.sort((one, other) => (one.groupId < other.groupId ? -1 : 1));
  const groups = listed.map(({ groupId, state, members }) => ({
    ...{ groupId, members },
    state: stateToProto(state),
    coordinatorId: coordinator.nodeId,
  }));
  return { groups, errors };
}
