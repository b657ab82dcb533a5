/** What members, commits and committed offsets of groups look like to whoever uses a Membership. */
import type { BarnabasError } from '@barnabas/protocol';
import type { TopicPartition } from '../records.js';

/** A partition of a topic that a group was told of: by its id a topic is told from one made anew. */
export interface GroupTopicPartition extends TopicPartition {
  readonly topicId: string;
}

/** Topics by name, a pattern (RE2) that whole names match, or both. */
export interface GroupSubscription {
  readonly topics: readonly string[];
  /** Empty: none. */
  readonly pattern: string;
}

/** Who the member is now. */
export interface MemberIdentity {
  readonly memberId: string;
  /** 0 before it has joined. */
  readonly memberEpoch: number;
  /** Counts the member's beginnings, from 1. */
  readonly incarnation: number;
  /** Empty for members that are not static. */
  readonly instanceId: string;
  /** How long the member may be silent, as last told. */
  readonly sessionTimeoutMs: number;
}

/** An offset to commit. */
export interface OffsetToCommit extends TopicPartition {
  /** Of the topic that was read; where it is given, a topic made anew is not taken for it. */
  readonly topicId?: string;
  /** The next offset to read. */
  readonly offset: number;
  /** Of the record before it (KIP-320); -1 or absent if not known. */
  readonly leaderEpoch?: number;
  /** Kept with the offset, at most offset.metadata.max.bytes. */
  readonly metadata?: string;
}

/** An offset that a member commits. */
export interface OffsetOfMember extends OffsetToCommit {
  /**
   * How often the group has gone back in the partition: as FetchedOffset had it when the member was given the
   * partition, and one more for each time since. Only more, or a higher offset with as many, takes the place of
   * what is committed. Absent: as many as are committed.
   */
  readonly rewinds?: number | undefined;
}

export interface CommitOutcome extends TopicPartition {
  /** Undefined: it is committed. */
  readonly error: BarnabasError | undefined;
}

/** How far a partition has been read by its group. */
export interface FetchedOffset extends GroupTopicPartition {
  /** The next offset to read; -1: nothing is committed. */
  readonly offset: number;
  /** -1: not known. */
  readonly leaderEpoch: number;
  readonly metadata: string;
  /** Milliseconds since the Unix epoch; -1: never. */
  readonly commitTimestampMs: number;
  /** How often the group has gone back in it. */
  readonly rewinds: number;
  /** Why it is not known. */
  readonly error: BarnabasError | undefined;
}

/** Key of a partition where topics of one name and different ids must not be mixed up. */
export function groupPartitionKey({ topic, topicId, partition }: GroupTopicPartition): string {
  return `${topicId === '' ? topic : topicId}/${partition}`;
}
