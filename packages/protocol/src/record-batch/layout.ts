/**
 * Where everything stands in a RecordBatch of magic 2. Offsets count from the start of the batch;
 * integers are big-endian. The table with prose is docs/protocols/record-batch.md.
 */

export const BASE_OFFSET_AT = 0; // int64
/** Bytes after this field: the batch's size less 12. */
export const BATCH_LENGTH_AT = 8; // int32
export const PARTITION_LEADER_EPOCH_AT = 12; // int32
export const MAGIC_AT = 16; // int8
export const CRC_AT = 17; // uint32
/** The CRC covers everything from here to the end. */
export const ATTRIBUTES_AT = 21; // int16
export const LAST_OFFSET_DELTA_AT = 23; // int32
export const BASE_TIMESTAMP_AT = 27; // int64
export const MAX_TIMESTAMP_AT = 35; // int64
export const PRODUCER_ID_AT = 43; // int64
export const PRODUCER_EPOCH_AT = 51; // int16
export const BASE_SEQUENCE_AT = 53; // int32
export const RECORD_COUNT_AT = 57; // int32
export const RECORDS_AT = 61;

/** Base offset and batch length: what the batch length does not count. */
export const LENGTH_OVERHEAD_BYTES = 12;
export const MAGIC = 2;

/** Attribute bits; the lowest three hold the compression type. */
export const COMPRESSION_MASK = 0x07;
export const LOG_APPEND_TIME_BIT = 0x08;
export const TRANSACTIONAL_BIT = 0x10;
export const CONTROL_BIT = 0x20;
export const DELETE_HORIZON_BIT = 0x40;
export const KNOWN_ATTRIBUTES = 0x7f;

/** Length, attributes, two deltas, two lengths and a header count of one byte each. */
export const SMALLEST_RECORD_BYTES = 7;

/** Reads a big-endian int64; what lies beyond 2^53 comes back rounded, and so no safe integer. */
export function readInt64(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
}

/** Writes a safe integer as a big-endian int64. */
export function writeInt64(bytes: Buffer, value: number, at: number): void {
  const high = Math.floor(value / 0x1_0000_0000);
  bytes.writeInt32BE(high, at);
  bytes.writeUInt32BE(value - high * 0x1_0000_0000, at + 4);
}
