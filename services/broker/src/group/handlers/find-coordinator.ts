/**
 * GroupService/FindCoordinator: from the metadata that this node follows. Makes __consumer_offsets where it
 * is missing.
 *
 * The call fails with INVALID_REQUEST for no groups or too many. Each group has its own error: INVALID_GROUP_ID;
 * COORDINATOR_NOT_AVAILABLE (the topic could not be made, the partition has no leader, or its leader is
 * nowhere to be reached).
 */
import { formatAddress } from '@barnabas/common/config';
import { CLIENT_LISTENER, endpointOf } from '@barnabas/metadata';
import type { TopicImage } from '@barnabas/metadata';
import { BarnabasError, coordinatorPartition } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { checkGroupId } from '../../core/group/index.js';
import type { GroupCoordinator } from '../group-coordinator.js';
import { errorOf } from './errors.js';
import { checkGroupCount } from './limits.js';

export async function findCoordinator(
  { groupIds }: v1.FindCoordinatorRequest,
  coordinator: GroupCoordinator,
): Promise<v1.FindCoordinatorResponse> {
  checkGroupCount(groupIds.length);
  let topic: TopicImage;
  try {
    topic = await coordinator.topic();
  } catch (error) {
    return { coordinators: groupIds.map((groupId) => ({ ...nowhere(groupId), error: errorOf(error) })) };
  }
  return { coordinators: groupIds.map((groupId) => find(groupId, topic, coordinator)) };
}

function find(groupId: string, topic: TopicImage, { image }: GroupCoordinator): v1.GroupCoordinator {
  try {
    checkGroupId(groupId);
    const partition = coordinatorPartition(groupId, topic.partitions.length);
    const { leader = -1 } = topic.partitions[partition] ?? {};
    const broker = image.brokers.get(leader);
    const endpoint = broker === undefined ? undefined : endpointOf(broker, CLIENT_LISTENER);
    if (endpoint === undefined) {
      const why = `partition ${partition} of ${topic.name} has no leader now: wait and retry`;
      throw new BarnabasError('COORDINATOR_NOT_AVAILABLE', why, { partition });
    }
    return { groupId, brokerId: leader, address: formatAddress(endpoint), partition, error: undefined };
  } catch (error) {
    return { ...nowhere(groupId), error: errorOf(error) };
  }
}

function nowhere(groupId: string): Omit<v1.GroupCoordinator, 'error'> {
  return { groupId, brokerId: -1, address: '', partition: -1 };
}
