/** Makes batches of the records that a thin client sends: the broker does for it what a producer does for itself. */
import { BatchBuilder, BarnabasError } from '@barnabas/protocol';
import type { CompressionType, Record, RecordHeader, v1 } from '@barnabas/protocol';
import type { TopicConfig } from '@barnabas/metadata';

const NO_HEADERS: readonly RecordHeader[] = Object.freeze([]);

/**
 * One or more batches, none larger than max.message.bytes, one after another. A record without a
 * timestamp gets `now`. Throws MESSAGE_TOO_LARGE, INVALID_TIMESTAMP, INVALID_REQUEST (no records).
 */
export function batchRecords(records: readonly v1.Record[], config: TopicConfig, now: number): Buffer {
  if (records.length === 0) throw new BarnabasError('INVALID_REQUEST', 'an entry has at least one record');
  const batches: Buffer[] = [];
  let builder = newBuilder(config);
  for (const record of records) {
    const input = toRecord(record, now);
    if (builder.tryAppend(input)) continue;
    batches.push(builder.build());
    builder = newBuilder(config);
    builder.tryAppend(input);
  }
  batches.push(builder.build());
  const [only] = batches;
  return batches.length === 1 && only !== undefined ? only : Buffer.concat(batches);
}

function newBuilder(config: TopicConfig): BatchBuilder {
  const maxBytes = config['max.message.bytes'];
  return new BatchBuilder({ compression: compressionOf(config), maxBytes, maxBatchBytes: maxBytes });
}

function compressionOf(config: TopicConfig): CompressionType {
  const type = config['compression.type'];
  return type === 'producer' || type === 'uncompressed' ? 'none' : type;
}

function toRecord(record: v1.Record, now: number): Record {
  const { key, value, headers, timestampMs } = record;
  return {
    key: key ?? null,
    value: value ?? null,
    timestamp: timestampMs ?? now,
    headers: headers.length === 0 ? NO_HEADERS : headers.map(toHeader),
  };
}

function toHeader({ key, value }: v1.Header): RecordHeader {
  return { key, value: value ?? null };
}
