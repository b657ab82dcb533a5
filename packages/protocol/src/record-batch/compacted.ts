/**
 * What compaction leaves of a batch. Offsets never change: a batch keeps its base and last offset
 * whatever it loses, as in Kafka, and a run of batches that have lost everything becomes one batch
 * without records over the same offsets, so that a log never has a hole.
 *
 * A batch whose records all stay is not touched. One that loses some keeps their bytes as they are
 * (deltas count from the base offset and base timestamp, which stay), its compression, and what it says
 * of its producer.
 */
import { assert } from '@barnabas/common';
import { compress } from '../compression/index.js';
import { computeCrc } from './header.js';
import * as layout from './layout.js';
import { patchBatch, writeProducerState } from './patch.js';
import { RecordReader } from './records.js';
import type { DecodeOptions } from './records.js';
import { NO_PRODUCER } from './types.js';
import type { BatchHeader, StoredRecord } from './types.js';

/** The batch with those of its records that are to stay: itself if all are, undefined if none is. */
export function retainRecords(
  batch: Buffer,
  isRetained: (record: StoredRecord) => boolean,
  options: DecodeOptions = {},
): Buffer | undefined {
  const reader = new RecordReader(batch, 0, options);
  const { header } = reader;
  const kept: Buffer[] = [];
  let maxTimestamp = -1;
  while (reader.remaining > 0) {
    const from = reader.position;
    const record = reader.read();
    if (!isRetained(record)) continue;
    kept.push(reader.content.subarray(from, reader.position));
    maxTimestamp = Math.max(maxTimestamp, record.timestamp);
  }
  reader.finish();
  if (kept.length === header.recordCount) return batch;
  if (kept.length === 0) return undefined;
  const records = Buffer.concat(kept);
  const stored = header.compression === 'none' ? records : compress(header.compression, records);
  const rest = Buffer.concat([batch.subarray(0, layout.RECORDS_AT), stored]);
  layout.writeInt64(rest, maxTimestamp, layout.MAX_TIMESTAMP_AT);
  rest.writeInt32BE(kept.length, layout.RECORD_COUNT_AT);
  return sealed(rest);
}

/** The batch without its records: what it says of its producer and of offsets is all that is left. */
export function emptyBatch(batch: Buffer): Buffer {
  const empty = Buffer.from(batch.subarray(0, layout.RECORDS_AT));
  const attributes = empty.readUInt16BE(layout.ATTRIBUTES_AT) & ~layout.COMPRESSION_MASK;
  empty.writeUInt16BE(attributes, layout.ATTRIBUTES_AT);
  layout.writeInt64(empty, -1, layout.BASE_TIMESTAMP_AT);
  layout.writeInt64(empty, -1, layout.MAX_TIMESTAMP_AT);
  empty.writeInt32BE(0, layout.RECORD_COUNT_AT);
  return sealed(empty);
}

/** A batch of nobody's without records, in place of all that stood from the first to the last offset. */
export function fillerBatch(at: {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly partitionLeaderEpoch: number;
}): Buffer {
  assert(at.lastOffset - at.baseOffset <= MAX_OFFSET_DELTA, 'the offsets of a batch differ by 31 bits', at);
  const filler = Buffer.alloc(layout.RECORDS_AT);
  patchBatch(filler, 0, at);
  filler.writeInt8(layout.MAGIC, layout.MAGIC_AT);
  filler.writeInt32BE(at.lastOffset - at.baseOffset, layout.LAST_OFFSET_DELTA_AT);
  layout.writeInt64(filler, -1, layout.BASE_TIMESTAMP_AT);
  layout.writeInt64(filler, -1, layout.MAX_TIMESTAMP_AT);
  writeProducerState(filler, 0, NO_PRODUCER);
  return sealed(filler);
}

/** Offsets that one batch can span, less one. */
export const MAX_OFFSET_DELTA = 2 ** 31 - 1;

/** Whether there is nothing in the batch but its offsets. */
export function isFiller(header: BatchHeader): boolean {
  return header.recordCount === 0 && header.producerId === -1 && !header.isControl;
}

function sealed(batch: Buffer): Buffer {
  batch.writeInt32BE(batch.length - layout.LENGTH_OVERHEAD_BYTES, layout.BATCH_LENGTH_AT);
  batch.writeUInt32BE(computeCrc(batch, 0, batch.length), layout.CRC_AT);
  return batch;
}
