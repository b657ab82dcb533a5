/**
 * GroupService/DeleteGroups: see core/group/group-admin.ts.
 *
 * The call fails with INVALID_REQUEST for no groups or too many. Each group has its own error:
 * INVALID_GROUP_ID, GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP, and those of shard-runner.ts and group-coordinator.ts.
 */
import type { v1 } from '@barnabas/protocol';
import { checkGroupId } from '../../core/group/index.js';
import type { GroupCoordinator } from '../group-coordinator.js';
import { errorOf } from './errors.js';
import { checkGroupCount } from './limits.js';

export async function deleteGroups(
  { groupIds }: v1.DeleteGroupsRequest,
  coordinator: GroupCoordinator,
): Promise<v1.DeleteGroupsResponse> {
  checkGroupCount(groupIds.length);
  return { results: await Promise.all(groupIds.map((groupId) => deleteGroup(groupId, coordinator))) };
}

async function deleteGroup(groupId: string, coordinator: GroupCoordinator): Promise<v1.DeletedGroup> {
  try {
    checkGroupId(groupId);
    const runner = await coordinator.runnerFor(groupId);
    await runner.request((shard) => shard.deleteGroup(groupId));
    return { groupId, error: undefined };
  } catch (error) {
    return { groupId, error: errorOf(error) };
  }
}
