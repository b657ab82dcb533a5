/**
 * Committed offsets: commit, fetch, delete, expire. Decides; changes nothing.
 *
 * Who may commit: a member, for partitions that it owns, at the epoch at which it was given them or a
 * later one up to its own (KIP-1251); and anybody without a membership, while the group has no members
 * (a reset, or a consumer that assigns partitions to itself). So what a member commits late, after a
 * partition has gone to another, is refused, and offsets do not move back behind the new owner's back.
 *
 * What is committed of a partition only grows: by how often the group has gone back, then by the offset.
 *
 * Errors. The whole request: INVALID_GROUP_ID, INVALID_REQUEST, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID,
 * FENCED_MEMBER_EPOCH (a stream that is over), STALE_MEMBER_EPOCH (an epoch that is not the member's).
 * A partition: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, OFFSET_METADATA_TOO_LARGE, INVALID_REQUEST,
 * STALE_MEMBER_EPOCH (not this member's partition, or not yet at that epoch).
 */
import type { MetadataImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import { stateOf } from './group-image.js';
import type { CommittedOffset, GroupImage, MemberImage } from './group-image.js';
import { checkGroupId, checkPartitionCount, utf8Length } from './limits.js';
import { validMember } from './member-fencing.js';
import { groupTombstones, offsetCommitRecord, offsetTombstone } from './member-records.js';
import { partitionKey } from './partition-key.js';
import type { TopicPartitionId } from './partition-key.js';
import { refusalOf } from './plan.js';
import type { Now, Plan } from './plan.js';
import type { GroupSettings } from './settings.js';
import { subscribesTo } from './subscription.js';
import type { AssignmentContext } from './target-assignment.js';

/** Who asks. Empty member id and an epoch of -1: nobody's member. */
export interface MemberClaim {
  readonly groupId: string;
  readonly memberId: string;
  readonly memberEpoch: number;
  readonly incarnation: number;
  readonly instanceId?: string;
}

export interface OffsetToCommit extends TopicPartitionId {
  readonly offset: number;
  /** Of the last record consumed; -1: not known. */
  readonly leaderEpoch: number;
  readonly metadata: string;
  /** How often the group has gone back in the partition, as the committer counts; undefined: as is committed. */
  readonly rewinds?: number | undefined;
}

export interface CommitRequest extends MemberClaim {
  readonly offsets: readonly OffsetToCommit[];
}

export interface PartitionOutcome extends TopicPartitionId {
  readonly error: BarnabasError | undefined;
}

export interface FetchOffsetsRequest extends MemberClaim {
  /** Absent: everything that the group has committed. */
  readonly partitions?: readonly TopicPartitionId[];
}

export interface FetchedOffset extends TopicPartitionId {
  /** -1: nothing is committed. */
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly commitTimestampMs: number;
  /** How often the group has gone back in the partition; 0 where nothing is committed. */
  readonly rewinds: number;
}

const NOBODY_EPOCH = -1;
const MAX_INT32 = 2 ** 31 - 1;

export function commitOffsets(
  plan: Plan,
  request: CommitRequest,
  now: Now,
  context: AssignmentContext,
): PartitionOutcome[] {
  checkGroupId(request.groupId);
  checkPartitionCount(request.offsets.length);
  const member = committer(plan.find(request.groupId), request);
  return request.offsets.map(({ topicId, partition, ...commit }) => {
    try {
      const topic = existingTopic(context.image, topicId, partition);
      checkCommit(commit, context.settings);
      if (member !== undefined) checkOwnership(member, request, { topicId, partition });
      const before = plan.find(request.groupId)?.offsets.get(partitionKey(topicId, partition));
      const rewinds = member === undefined ? rewindsOfReset(commit, before) : (commit.rewinds ?? before?.rewinds ?? 0);
      const committed = { topicId, partition, topic, ...commit, rewinds, commitTimestampMs: now.wallMs };
      if (before === undefined || !isLate(committed, before)) {
        plan.add(offsetCommitRecord(request.groupId, committed));
      }
      return { topicId, partition, error: undefined };
    } catch (error) {
      return { topicId, partition, error: refusalOf(error) };
    }
  });
}

/**
 * A commit may come after one that its member has sent later: it, or an attempt at it, was held up on the way.
 *   1. M commits 5. The answer does not come, and M goes on; it commits 9, which is answered.
 *   2. The first commit arrives. M owns the partition still and would read 5 to 8 again after a restart.
 * That 5 is below 9 does not tell, since a member may go back on purpose:
 *   1. M has committed 9, seeks to 5 and commits that; the answer does not come, and M commits 5 again.
 *   2. M goes on and commits 7. The first attempt arrives.
 * So members count how often they have gone back, and what is committed only grows: by the count, then by the offset.
 */
function isLate(commit: Place, before: Place): boolean {
  return commit.rewinds < before.rewinds || (commit.rewinds === before.rewinds && commit.offset < before.offset);
}

type Place = Pick<CommittedOffset, 'rewinds' | 'offset'>;

/** Who resets offsets does not know how often others have gone back, and always has its way. */
function rewindsOfReset({ offset }: { readonly offset: number }, before: Place | undefined): number {
  if (before === undefined) return 0;
  return offset < before.offset ? Math.min(MAX_INT32, before.rewinds + 1) : before.rewinds;
}

export function fetchOffsets(group: GroupImage | undefined, request: FetchOffsetsRequest): FetchedOffset[] {
  checkGroupId(request.groupId);
  checkPartitionCount(request.partitions?.length ?? 0);
  if (request.memberId !== '') {
    const member = validMember(group, request);
    if (request.memberEpoch !== member.epoch) throw staleEpoch(member, request.memberEpoch);
  }
  const wanted = request.partitions ?? [...(group?.offsets.values() ?? [])];
  return wanted.map(({ topicId, partition }) => {
    const committed = group?.offsets.get(partitionKey(topicId, partition));
    const { offset, leaderEpoch, metadata, commitTimestampMs, rewinds } = committed ?? NOTHING_COMMITTED;
    return { topicId, partition, offset, leaderEpoch, metadata, commitTimestampMs, rewinds };
  });
}

const NOTHING_COMMITTED = { offset: -1, leaderEpoch: -1, metadata: '', commitTimestampMs: -1, rewinds: 0 } as const;

/** GROUP_ID_NOT_FOUND for the request; GROUP_SUBSCRIBED_TO_TOPIC for a partition that members may be reading. */
export function deleteOffsets(
  plan: Plan,
  groupId: string,
  partitions: readonly TopicPartitionId[],
  context: AssignmentContext,
): PartitionOutcome[] {
  checkGroupId(groupId);
  checkPartitionCount(partitions.length);
  const group = plan.find(groupId);
  if (group === undefined) throw new BarnabasError('GROUP_ID_NOT_FOUND', `there is no group ${groupId}`);
  return partitions.map(({ topicId, partition }) => {
    const committed = group.offsets.get(partitionKey(topicId, partition));
    if (committed === undefined) return { topicId, partition, error: undefined };
    if (isSubscribedTo(group, committed, context)) {
      const why = `group ${groupId} is subscribed to topic ${committed.topic}: stop its members first`;
      return { topicId, partition, error: new BarnabasError('GROUP_SUBSCRIBED_TO_TOPIC', why) };
    }
    plan.add(offsetTombstone(groupId, { topicId, partition }));
    return { topicId, partition, error: undefined };
  });
}

/**
 * Takes away what has been of no use for offsets.retention.minutes: offsets of topics that nobody in the
 * group subscribes to, counted from their commit or from when the last member left, whichever is later;
 * and then the group itself, once it has neither members nor offsets.
 */
export function expireOffsets(plan: Plan, groupId: string, now: Now, context: AssignmentContext): void {
  const group = plan.find(groupId);
  if (group === undefined) return;
  for (const committed of group.offsets.values()) {
    const since = Math.max(committed.commitTimestampMs, group.emptySinceMs);
    if (now.wallMs - since < context.settings.offsetsRetentionMs) continue;
    if (!isSubscribedTo(group, committed, context)) plan.add(offsetTombstone(groupId, committed));
  }
  const left = plan.find(groupId);
  if (left === undefined || left.members.size > 0 || left.offsets.size > 0) return;
  if (now.wallMs - left.emptySinceMs >= context.settings.offsetsRetentionMs) plan.add(...groupTombstones(left));
}

/** Offsets of topics that have been deleted. */
export function forgetTopics(plan: Plan, groupId: string, isDeleted: (topicId: string) => boolean): void {
  for (const committed of plan.group(groupId).offsets.values()) {
    if (isDeleted(committed.topicId)) plan.add(offsetTombstone(groupId, committed));
  }
}

function committer(group: GroupImage | undefined, request: CommitRequest): MemberImage | undefined {
  if (request.memberId === '' && request.memberEpoch === NOBODY_EPOCH) {
    if (group === undefined || group.members.size === 0) return undefined;
    throw new BarnabasError(
      'UNKNOWN_MEMBER_ID',
      `group ${request.groupId} has members (it is ${stateOf(group)}): only they commit. Stop them to set offsets`,
    );
  }
  const member = validMember(group, request);
  if (request.memberEpoch > member.epoch || request.memberEpoch <= 0 || request.incarnation > member.incarnation) {
    throw staleEpoch(member, request.memberEpoch);
  }
  return member;
}

/** A partition that the member owns, or is about to give up, at an epoch at which it was the member's. */
function checkOwnership(member: MemberImage, { memberEpoch }: CommitRequest, at: TopicPartitionId): void {
  const key = partitionKey(at.topicId, at.partition);
  const since = member.assigned.get(key) ?? member.pendingRevocation.get(key);
  if (since !== undefined && memberEpoch >= since) return;
  throw new BarnabasError(
    'STALE_MEMBER_EPOCH',
    since === undefined
      ? `member ${member.id} does not own this partition (any more): its next owner goes on from the last commit`
      : `member ${member.id} has owned this partition since epoch ${since}, not since ${memberEpoch}`,
    { memberEpoch, currentEpoch: member.epoch },
  );
}

function staleEpoch(member: MemberImage, memberEpoch: number): BarnabasError {
  return new BarnabasError(
    'STALE_MEMBER_EPOCH',
    `member ${member.id} is at epoch ${member.epoch}, not ${memberEpoch}: take the epoch from the next heartbeat`,
    { memberEpoch, currentEpoch: member.epoch },
  );
}

function existingTopic(image: MetadataImage, topicId: string, partition: number): string {
  const topic = image.topics.withId(topicId);
  if (topic === undefined) throw new BarnabasError('UNKNOWN_TOPIC_ID', `there is no topic with id ${topicId}`);
  if (topic.partitions[partition] !== undefined) return topic.name;
  throw new BarnabasError(
    'UNKNOWN_TOPIC_OR_PARTITION',
    `topic ${topic.name} has ${topic.partitions.length} partitions, and none with number ${partition}`,
  );
}

function checkCommit(commit: Omit<OffsetToCommit, 'topicId' | 'partition'>, settings: GroupSettings): void {
  if (!Number.isSafeInteger(commit.offset) || commit.offset < 0) {
    throw new BarnabasError('INVALID_REQUEST', `an offset is 0 or greater, not ${commit.offset}`);
  }
  if (!Number.isSafeInteger(commit.leaderEpoch) || commit.leaderEpoch < -1) {
    throw new BarnabasError('INVALID_REQUEST', `a leader epoch is -1 or greater, not ${commit.leaderEpoch}`);
  }
  const { rewinds = 0 } = commit;
  if (!Number.isInteger(rewinds) || rewinds < 0 || rewinds > MAX_INT32) {
    throw new BarnabasError('INVALID_REQUEST', `a group has gone back 0 times or more, not ${rewinds}`);
  }
  const bytes = utf8Length(commit.metadata);
  if (bytes <= settings.offsetMetadataMaxBytes) return;
  throw new BarnabasError(
    'OFFSET_METADATA_TOO_LARGE',
    `the metadata has ${bytes} bytes; offset.metadata.max.bytes allows ${settings.offsetMetadataMaxBytes}`,
  );
}

/** A topic that is deleted is read by nobody. */
function isSubscribedTo(
  group: GroupImage,
  committed: CommittedOffset,
  { image, patterns }: AssignmentContext,
): boolean {
  const name = image.topics.withId(committed.topicId)?.name;
  if (name === undefined) return false;
  for (const member of group.members.values()) if (subscribesTo(member, name, image, patterns)) return true;
  return false;
}
