/**
 * Records and batch headers as the rest of Barnabas sees them. The bytes are in
 * docs/protocols/record-batch.md.
 */
import type { CompressionType } from '../compression/types.js';

/** A named value beside a record's own. Names may repeat; order is kept. */
export interface RecordHeader {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** A record as a producer writes it. */
export interface Record {
  readonly key: Uint8Array | null;
  /** null is a tombstone in a compacted topic. */
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
  /** Milliseconds since the Unix epoch; -1 for none. */
  readonly timestamp: number;
}

/** A record as it stands in the log. Key, value and header values are views of the decoded batch. */
export interface StoredRecord extends Record {
  readonly offset: number;
}

/** Whose clock a batch's timestamps come from. */
export type TimestampType = 'CreateTime' | 'LogAppendTime';

/** The 61 bytes in front of a batch's records. */
export interface BatchHeader {
  readonly baseOffset: number;
  /** The whole batch, its header included. */
  readonly sizeInBytes: number;
  /** -1 before a leader has taken the batch in. */
  readonly partitionLeaderEpoch: number;
  /** CRC32C of everything behind the CRC field itself. */
  readonly crc: number;
  readonly compression: CompressionType;
  readonly timestampType: TimestampType;
  readonly isTransactional: boolean;
  /** The batch holds a transaction marker or another control record, not user data. */
  readonly isControl: boolean;
  /** baseTimestamp is the time at which compaction may drop the batch's tombstones. */
  readonly hasDeleteHorizon: boolean;
  readonly lastOffsetDelta: number;
  readonly baseTimestamp: number;
  /** -1 where no record has a timestamp. */
  readonly maxTimestamp: number;
  /** -1 without an idempotent producer; then producerEpoch and baseSequence are -1 too. */
  readonly producerId: number;
  readonly producerEpoch: number;
  /** -1 in control batches as well. */
  readonly baseSequence: number;
  /** May be less than lastOffsetDelta + 1, and 0, once compaction has removed records. */
  readonly recordCount: number;
  /** baseOffset + lastOffsetDelta. */
  readonly lastOffset: number;
}

/** What a producer batch carries about its producer, set when the batch is closed or sent anew. */
export interface ProducerState {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

/** The producer state of a batch whose producer is not idempotent. */
export const NO_PRODUCER: ProducerState = Object.freeze({ producerId: -1, producerEpoch: -1, baseSequence: -1 });
