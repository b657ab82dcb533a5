/**
 * GroupService/DeleteOffsets: see core/group/offsets.ts.
 *
 * Every error travels in the answer: of the whole request in `error` (INVALID_GROUP_ID, INVALID_REQUEST,
 * GROUP_ID_NOT_FOUND, and those of shard-runner.ts and group-coordinator.ts), of a partition beside it
 * (GROUP_SUBSCRIBED_TO_TOPIC, and those of group-partitions.ts).
 */
import { errorToProto } from '@barnabas/protocol';
import type { BarnabasError, v1 } from '@barnabas/protocol';
import { checkGroupId, refusalOf } from '../../core/group/index.js';
import type { TopicPartitionId } from '../../core/group/index.js';
import type { GroupCoordinator } from '../group-coordinator.js';
import { completed, identified } from '../group-partitions.js';
import { errorOf } from './errors.js';
import { checkPartitionCount } from './limits.js';

export async function deleteOffsets(
  { groupId, partitions }: v1.DeleteOffsetsRequest,
  coordinator: GroupCoordinator,
): Promise<v1.DeleteOffsetsResponse> {
  try {
    checkGroupId(groupId);
    checkPartitionCount(partitions.length, 1);
    const runner = await coordinator.runnerFor(groupId);
    const { image } = coordinator;
    const ids: TopicPartitionId[] = [];
    const errors = new Map<number, BarnabasError>();
    for (const [index, partition] of partitions.entries()) {
      try {
        ids.push(identified(partition, image));
      } catch (error) {
        errors.set(index, refusalOf(error));
      }
    }
    const outcomes = await runner.request((shard, _now, newest) => shard.deleteOffsets(groupId, ids, newest));
    let next = 0;
    const results = partitions.map((partition, index): v1.CommittedOffsetResult => {
      const error = errors.get(index) ?? outcomes[next++]?.error;
      return { partition: completed(partition, image), error: error && errorToProto(error) };
    });
    return { results, error: undefined };
  } catch (error) {
    return { results: [], error: errorOf(error) };
  }
}
