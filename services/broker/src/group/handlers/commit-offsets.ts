/**
 * GroupService/CommitOffsets: see core/group/offsets.ts.
 *
 * Every error travels in the answer: of the whole request in `error` (those of core/group/offsets.ts,
 * shard-runner.ts and group-coordinator.ts; INVALID_REQUEST for no offsets or too many), of a partition beside
 * it (those of group-partitions.ts too).
 */
import type { MetadataImage } from '@barnabas/metadata';
import { errorToProto } from '@barnabas/protocol';
import type { BarnabasError, v1 } from '@barnabas/protocol';
import { checkGroupId, refusalOf } from '../../core/group/index.js';
import type { CommitRequest, OffsetToCommit } from '../../core/group/index.js';
import type { GroupCoordinator } from '../group-coordinator.js';
import { completed, identified } from '../group-partitions.js';
import { errorOf } from './errors.js';
import { checkPartitionCount } from './limits.js';

const NOBODY_EPOCH = -1;

export async function commitOffsets(
  request: v1.CommitOffsetsRequest,
  coordinator: GroupCoordinator,
): Promise<v1.CommitOffsetsResponse> {
  try {
    checkGroupId(request.groupId);
    checkPartitionCount(request.offsets.length, 1);
    const runner = await coordinator.runnerFor(request.groupId);
    const { image } = coordinator;
    const { offsets, errors } = toCommit(request.offsets, image);
    const commit = toRequest(request, offsets);
    const outcomes = await runner.request((shard, now, newest) => shard.commitOffsets(commit, now, newest));
    let next = 0;
    const results = request.offsets.map(({ partition }, index): v1.CommittedOffsetResult => {
      const error = errors.get(index) ?? outcomes[next++]?.error;
      return { partition: partition && completed(partition, image), error: error && errorToProto(error) };
    });
    return { results, error: undefined };
  } catch (error) {
    return { results: [], error: errorOf(error) };
  }
}

/** Those that can be understood, and by index what is wrong with the others. */
function toCommit(
  asked: readonly v1.OffsetToCommit[],
  image: MetadataImage,
): { offsets: OffsetToCommit[]; errors: ReadonlyMap<number, BarnabasError> } {
  const offsets: OffsetToCommit[] = [];
  const errors = new Map<number, BarnabasError>();
  for (const [index, { partition, offset, leaderEpoch = -1, metadata, rewinds }] of asked.entries()) {
    try {
      offsets.push({ ...identified(partition ?? NOWHERE, image), offset, leaderEpoch, metadata, rewinds });
    } catch (error) {
      errors.set(index, refusalOf(error));
    }
  }
  return { offsets, errors };
}

const NOWHERE: v1.GroupPartition = { topic: '', topicId: '', partition: 0 };

function toRequest(request: v1.CommitOffsetsRequest, offsets: readonly OffsetToCommit[]): CommitRequest {
  const { groupId, memberId, memberEpoch = NOBODY_EPOCH, incarnation, instanceId } = request;
  return { groupId, memberId, memberEpoch, incarnation, instanceId, offsets };
}
