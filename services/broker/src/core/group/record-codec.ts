/**
 * Records of __consumer_offsets as bytes: a type number (2 bytes, big-endian) and a protobuf message
 * as key, a protobuf message or null as value. Keys are what compaction compares, so equal facts must
 * have equal bytes: fields are written in order of their numbers, and none twice.
 *
 * A type or a message that does not decode is refused (CORRUPT_MESSAGE): a coordinator that guessed
 * would forget commits. Type numbers are in group_record.proto.
 */
import { BarnabasError, internal } from '@barnabas/protocol';
import type { GroupRecord, GroupRecordType } from './record.js';

/** As in the log. */
export interface EncodedGroupRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

interface Codec<M> {
  encode(message: M): { finish(): Uint8Array };
  decode(bytes: Uint8Array): M;
}

interface Row {
  readonly number: number;
  readonly key: Codec<never>;
  readonly value: Codec<never>;
}

function row<K, V>(number: number, key: Codec<K>, value: Codec<V>): Row {
  return { number, key: key as unknown as Codec<never>, value: value as unknown as Codec<never> };
}

const ROWS: Readonly<Record<GroupRecordType, Row>> = {
  offsetCommit: row(1, internal.OffsetCommitKey, internal.OffsetCommitValue),
  group: row(3, internal.GroupKey, internal.GroupValue),
  member: row(5, internal.GroupMemberKey, internal.GroupMemberValue),
  target: row(6, internal.GroupTargetKey, internal.GroupTargetValue),
  targetMember: row(7, internal.GroupTargetMemberKey, internal.GroupTargetMemberValue),
  currentAssignment: row(8, internal.GroupCurrentAssignmentKey, internal.GroupCurrentAssignmentValue),
};

const TYPES = new Map(Object.entries(ROWS).map(([type, { number }]) => [number, type as GroupRecordType]));
const TYPE_BYTES = 2;

export function encodeGroupRecord(record: GroupRecord): EncodedGroupRecord {
  const { number, key, value } = ROWS[record.type];
  const body = key.encode(record.key as never).finish();
  const bytes = new Uint8Array(TYPE_BYTES + body.length);
  bytes[0] = number >>> 8;
  bytes[1] = number & 0xff;
  bytes.set(body, TYPE_BYTES);
  return { key: bytes, value: record.value === undefined ? null : value.encode(record.value as never).finish() };
}

export function decodeGroupRecord({ key, value }: EncodedGroupRecord): GroupRecord {
  const number = key.length < TYPE_BYTES ? -1 : ((key[0] ?? 0) << 8) | (key[1] ?? 0);
  const type = TYPES.get(number);
  if (type === undefined) {
    throw new BarnabasError(
      'CORRUPT_MESSAGE',
      `a record of __consumer_offsets has type ${number}, which this version does not know: run the version that wrote it`,
      { type: number },
    );
  }
  try {
    return {
      type,
      key: ROWS[type].key.decode(key.subarray(TYPE_BYTES)),
      value: value === null ? undefined : ROWS[type].value.decode(value),
    } as GroupRecord;
  } catch (error) {
    throw new BarnabasError('CORRUPT_MESSAGE', `a record of __consumer_offsets (${type}) does not decode`, undefined, {
      cause: error,
    });
  }
}
