/**
 * Keys of a partition's database: 8 bytes of offset, big-endian, then 1 byte of kind.
 * They sort by offset; at one offset the end of a segment comes before the batch that follows it.
 * Table and reasons: docs/protocols/partition-log.md, section 2.
 */
import { assert } from '@barnabas/common';

export type EntryKind =
  /** A segment ends below this offset; holds what recovery and retention need to know of it. */
  | 'segmentEnd'
  /** A batch, by its base offset. */
  | 'batch'
  /** A batch at whose writing everything before it was already synced to disk. */
  | 'batchAfterSync';

export interface LogKey {
  readonly offset: number;
  readonly kind: EntryKind;
}

const KEY_BYTES = 9;

const BYTE_OF: Readonly<Record<EntryKind, number>> = { segmentEnd: 0x00, batch: 0x10, batchAfterSync: 0x11 };
const KIND_OF = new Map<number, EntryKind>([
  [0x00, 'segmentEnd'],
  [0x10, 'batch'],
  [0x11, 'batchAfterSync'],
]);

export function encodeKey(offset: number, kind: EntryKind): Buffer {
  assert(Number.isSafeInteger(offset) && offset >= 0, 'an offset is a safe integer from 0', { offset });
  const key = Buffer.allocUnsafe(KEY_BYTES);
  const high = Math.floor(offset / 0x1_0000_0000);
  key.writeUInt32BE(high, 0);
  key.writeUInt32BE(offset - high * 0x1_0000_0000, 4);
  key.writeUInt8(BYTE_OF[kind], 8);
  return key;
}

/** Undefined for what this version does not know. */
export function decodeKey(key: Buffer): LogKey | undefined {
  if (key.length !== KEY_BYTES) return undefined;
  const kind = KIND_OF.get(key.readUInt8(8));
  const offset = key.readUInt32BE(0) * 0x1_0000_0000 + key.readUInt32BE(4);
  return kind === undefined || !Number.isSafeInteger(offset) ? undefined : { offset, kind };
}

/** The lowest key of an offset: where the entries at and after it begin. */
export function keyAt(offset: number): Buffer {
  return encodeKey(offset, 'segmentEnd');
}

/** Behind the end of a segment, if one is there, and before the batch at this offset. */
export function keyBehindSegmentEnd(offset: number): Buffer {
  const key = keyAt(offset);
  key.writeUInt8(BYTE_OF.segmentEnd + 1, 8);
  return key;
}
