/**
 * Decisions as record batches, and back. A decision that is larger than a batch may be is cut into
 * several; every prefix of its records is sound (core/group/plan.ts).
 */
import { BarnabasError, BatchBuilder, RecordReader, forEachBatch } from '@barnabas/protocol';
import type { RecordHeader } from '@barnabas/protocol';
import { decodeGroupRecord, encodeGroupRecord } from '../core/group/index.js';
import type { GroupRecord } from '../core/group/index.js';

/** One batch, and the records that are in it. */
export interface DecisionBatch {
  readonly bytes: Buffer;
  readonly records: readonly GroupRecord[];
}

/** A batch is closed at this size, so that a large decision does not hold up what is behind it. */
const USUAL_BATCH_BYTES = 256 * 1024;
const NO_HEADERS: readonly RecordHeader[] = Object.freeze([]);

export interface EncodeOptions {
  readonly maxBatchBytes: number;
  readonly timestamp: number;
  /** Memory for the first batch, which is mostly the only one: nobody may use it until the batch is done with. */
  readonly scratch: Buffer;
}

/** Throws RECORD_LIST_TOO_LARGE for a record that no batch can hold: then nothing is to be appended. */
export function encodeDecision(records: readonly GroupRecord[], options: EncodeOptions): DecisionBatch[] {
  const { maxBatchBytes, timestamp, scratch } = options;
  const batches: DecisionBatch[] = [];
  let builder = new BatchBuilder({ maxBytes: USUAL_BATCH_BYTES, maxBatchBytes, buffer: scratch });
  let first = 0;
  const close = (end: number): void => {
    batches.push({ bytes: builder.build(), records: records.slice(first, end) });
    first = end;
  };
  try {
    for (const [index, record] of records.entries()) {
      const input = { ...encodeGroupRecord(record), headers: NO_HEADERS, timestamp };
      if (builder.tryAppend(input)) continue;
      close(index);
      builder = new BatchBuilder({ maxBytes: USUAL_BATCH_BYTES, maxBatchBytes });
      builder.tryAppend(input);
    }
  } catch (error) {
    if (!(error instanceof BarnabasError) || error.errorName !== 'MESSAGE_TOO_LARGE') throw error;
    throw new BarnabasError(
      'RECORD_LIST_TOO_LARGE',
      `what the coordinator would have to remember of this does not fit max.message.bytes of __consumer_offsets (${maxBatchBytes}): name fewer topics, or raise it`,
      { maxBatchBytes },
      { cause: error },
    );
  }
  if (first < records.length) close(records.length);
  return batches;
}

/** The records of stored batches, in order. Throws CORRUPT_MESSAGE for what this version does not know. */
export function* decodeBatches(batches: readonly Buffer[]): Generator<GroupRecord> {
  for (const bytes of batches) {
    const places: number[] = [];
    forEachBatch(bytes, (_header, at) => void places.push(at));
    for (const at of places) yield* decodeBatch(bytes, at);
  }
}

function* decodeBatch(bytes: Buffer, at: number): Generator<GroupRecord> {
  const reader = new RecordReader(bytes, at, {});
  // A batch of which compaction has left nothing, and one that says where a transaction ends.
  if (reader.header.isControl) return;
  for (let left = reader.header.recordCount; left > 0; left--) {
    const { key, value } = reader.read();
    if (key === null) throw new BarnabasError('CORRUPT_MESSAGE', 'a record of __consumer_offsets has no key');
    yield decodeGroupRecord({ key, value });
  }
  reader.finish();
}
