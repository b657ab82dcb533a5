/**
 * Finds records by timestamp: the segment by its summary, the place in it by its time index, the
 * batch by its header, the record by decoding that one batch; and the record at an offset, or the next
 * where compaction has left none. Control batches are passed over.
 */
import { readBatchHeader, RecordReader } from '@barnabas/protocol';
import type { StoredRecord } from '@barnabas/protocol';
import { searchFrom } from './time-index.js';
import type { TimeIndexEntry } from './time-index.js';
import type { SegmentSummary } from './segments.js';
import type { ReadRequest, ReadResult, TimestampAndOffset } from './types.js';

/** What a lookup needs of the log. */
export interface LookupSource {
  readonly logStartOffset: number;
  /** All segments, the active one last. */
  readonly segments: readonly SegmentSummary[];
  timeIndexOf(segment: SegmentSummary): Promise<readonly TimeIndexEntry[]>;
  read(request: ReadRequest): Promise<ReadResult>;
}

const READ_BYTES = 1024 * 1024;
/** The first batch has the record, but for what compaction and transactions leave behind. */
const NEAR_READ_BYTES = 16 * 1024;

/** The first record at or after the timestamp. */
export async function findTimestamp(
  log: LookupSource,
  timestamp: number,
  maxOffset: number,
): Promise<TimestampAndOffset | undefined> {
  for (const segment of log.segments) {
    if (segment.endOffset <= log.logStartOffset || segment.maxTimestamp < timestamp) continue;
    const indexed = searchFrom(await log.timeIndexOf(segment), timestamp, segment.baseOffset);
    const from = Math.max(indexed, log.logStartOffset);
    const found = await scan(log, from, Math.min(segment.endOffset, maxOffset), timestamp);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The first record at or after the offset, which is not below the log start. */
export function findAtOrAfter(
  log: Pick<LookupSource, 'read'>,
  offset: number,
  maxOffset: number,
): Promise<TimestampAndOffset | undefined> {
  return scan(log, offset, maxOffset, Number.NEGATIVE_INFINITY, NEAR_READ_BYTES);
}

/** The first of the records with the largest timestamp. */
export async function findMaxTimestamp(log: LookupSource): Promise<TimestampAndOffset | undefined> {
  const alive = log.segments.filter((segment) => segment.endOffset > log.logStartOffset && segment.maxTimestamp !== -1);
  let best: TimestampAndOffset | undefined;
  for (const segment of alive.sort((a, b) => b.maxTimestamp - a.maxTimestamp || a.baseOffset - b.baseOffset)) {
    // Only a segment whose beginning is deleted can have less than its summary says.
    if (best !== undefined && best.timestamp >= segment.maxTimestamp) break;
    const found = await maxOfSegment(log, segment);
    if (found !== undefined && (best === undefined || found.timestamp > best.timestamp)) best = found;
  }
  return best;
}

async function maxOfSegment(log: LookupSource, segment: SegmentSummary): Promise<TimestampAndOffset | undefined> {
  if (segment.maxTimestampBatch >= log.logStartOffset) {
    return scan(log, segment.maxTimestampBatch, segment.endOffset, segment.maxTimestamp);
  }
  let best: TimestampAndOffset | undefined;
  for (let from = log.logStartOffset; ; ) {
    const next = await scan(log, from, segment.endOffset, best === undefined ? 0 : best.timestamp + 1);
    if (next === undefined) return best;
    best = next;
    from = next.offset + 1;
  }
}

async function scan(
  log: Pick<LookupSource, 'read'>,
  from: number,
  maxOffset: number,
  timestamp: number,
  maxBytes = READ_BYTES,
): Promise<TimestampAndOffset | undefined> {
  for (let offset = from; offset < maxOffset; ) {
    const { batches, nextOffset } = await log.read({ offset, maxOffset, maxBytes, minOneBatch: true });
    for (const batch of batches) {
      const found = findInBatch(batch, from, timestamp);
      if (found !== undefined) return found;
    }
    if (nextOffset === offset) return undefined;
    offset = nextOffset;
  }
  return undefined;
}

function findInBatch(batch: Buffer, from: number, timestamp: number): TimestampAndOffset | undefined {
  const header = readBatchHeader(batch);
  if (header.isControl || header.maxTimestamp < timestamp) return undefined;
  const reader = new RecordReader(batch);
  while (reader.remaining > 0) {
    const record: StoredRecord = reader.read();
    if (record.offset >= from && record.timestamp >= timestamp) {
      return { timestamp: record.timestamp, offset: record.offset, leaderEpoch: header.partitionLeaderEpoch };
    }
  }
  return undefined;
}
