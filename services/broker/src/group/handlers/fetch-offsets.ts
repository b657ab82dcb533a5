/**
 * GroupService/FetchOffsets: see core/group/offsets.ts.
 *
 * Every error travels in the answer: of the whole request in `error` (INVALID_GROUP_ID, INVALID_REQUEST,
 * UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, STALE_MEMBER_EPOCH, and those of shard-runner.ts and
 * group-coordinator.ts), of a partition beside it (those of group-partitions.ts).
 */
import type { MetadataImage } from '@barnabas/metadata';
import { errorToProto } from '@barnabas/protocol';
import type { BarnabasError, v1 } from '@barnabas/protocol';
import { checkGroupId, refusalOf } from '../../core/group/index.js';
import type { FetchedOffset, TopicPartitionId } from '../../core/group/index.js';
import type { GroupCoordinator } from '../group-coordinator.js';
import { completed, identified, named } from '../group-partitions.js';
import { errorOf } from './errors.js';
import { checkPartitionCount } from './limits.js';

const NOBODY_EPOCH = -1;

export async function fetchOffsets(
  request: v1.FetchOffsetsRequest,
  coordinator: GroupCoordinator,
): Promise<v1.FetchOffsetsResponse> {
  const { groupId, memberId, memberEpoch = NOBODY_EPOCH, incarnation } = request;
  try {
    checkGroupId(groupId);
    checkPartitionCount(request.partitions.length, 0);
    const runner = await coordinator.runnerFor(groupId);
    const { image } = coordinator;
    const claim = { groupId, memberId, memberEpoch, incarnation };
    if (request.partitions.length === 0) {
      const all = await runner.request((shard) => shard.fetchOffsets(claim));
      const offsets = all.map((one) => toMessage(named(one, image), one)).sort(byTopicAndPartition);
      return { offsets, error: undefined };
    }
    const asked = request.partitions.map((partition) => asIdentified(partition, image));
    const partitions = asked.flatMap(({ id }) => (id === undefined ? [] : [id]));
    const found = await runner.request((shard) => shard.fetchOffsets({ ...claim, partitions }));
    let next = 0;
    const offsets = asked.map(({ partition, error }) =>
      error === undefined ? toMessage(partition, found[next++]) : toMessage(partition, undefined, error),
    );
    return { offsets, error: undefined };
  } catch (error) {
    return { offsets: [], error: errorOf(error) };
  }
}

interface Asked {
  readonly partition: v1.GroupPartition;
  readonly id?: TopicPartitionId;
  readonly error?: BarnabasError;
}

function asIdentified(partition: v1.GroupPartition, image: MetadataImage): Asked {
  try {
    return { partition: completed(partition, image), id: identified(partition, image) };
  } catch (error) {
    return { partition, error: refusalOf(error) };
  }
}

function toMessage(
  partition: v1.GroupPartition,
  found: FetchedOffset | undefined,
  error?: BarnabasError,
): v1.FetchedOffset {
  const { offset = -1, leaderEpoch = -1, metadata = '', commitTimestampMs = -1, rewinds = 0 } = found ?? {};
  const committed = { offset, leaderEpoch, metadata, commitTimestampMs, rewinds };
  return { partition, ...committed, error: error && errorToProto(error) };
}

function byTopicAndPartition(one: v1.FetchedOffset, other: v1.FetchedOffset): number {
  const [a, b] = [one.partition?.topic ?? '', other.partition?.topic ?? ''];
  if (a !== b) return a < b ? -1 : 1;
  return (one.partition?.partition ?? 0) - (other.partition?.partition ?? 0);
}
