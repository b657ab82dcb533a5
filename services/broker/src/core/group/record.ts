/**
 * Records of __consumer_offsets: one type for each fact. A record without a value is a tombstone.
 * What each does to a group: apply-record.ts. Bytes: record-codec.ts.
 */
import type { internal } from '@barnabas/protocol';

interface RecordOf<Type extends string, Key, Value> {
  readonly type: Type;
  readonly key: Readonly<Key>;
  readonly value: Readonly<Value> | undefined;
}

export type GroupRecord =
  | RecordOf<'offsetCommit', internal.OffsetCommitKey, internal.OffsetCommitValue>
  | RecordOf<'group', internal.GroupKey, internal.GroupValue>
  | RecordOf<'member', internal.GroupMemberKey, internal.GroupMemberValue>
  | RecordOf<'target', internal.GroupTargetKey, internal.GroupTargetValue>
  | RecordOf<'targetMember', internal.GroupTargetMemberKey, internal.GroupTargetMemberValue>
  | RecordOf<'currentAssignment', internal.GroupCurrentAssignmentKey, internal.GroupCurrentAssignmentValue>;

export type GroupRecordType = GroupRecord['type'];
