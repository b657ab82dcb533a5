/**
 * Batches as records for thin clients: decoded, and cut into messages small enough to send, so that a
 * large batch never becomes one large message. Control batches are left out.
 */
import type * as v1 from '../messages/v1.js';
import { splitBatches, validateBatch } from './header.js';
import { RecordReader } from './records.js';
import type { StoredRecord } from './types.js';

/** Key, value and header bytes gathered into one message. */
const CHUNK_BYTES = 256 * 1024;
const CHUNK_RECORDS = 5_000;
/** What a record weighs beside its bytes. */
const RECORD_OVERHEAD_BYTES = 24;

/** Which records of which partition are wanted. */
export interface WantedRecords {
  readonly topic: string;
  readonly partition: number;
  /** First offset. */
  readonly from: number;
  /** Exclusive. */
  readonly until: number;
}

export interface ConsumedRecordsOptions {
  /** Off where the batches were checked when they were read. */
  readonly checkCrcs: boolean;
}

/** Records for one message. */
export interface ConsumedChunk {
  readonly records: v1.ConsumedRecord[];
  /** What they weigh. */
  readonly bytes: number;
}

/** The wanted records in offset order, in chunks. Throws what a batch is refused with, after the chunks before it. */
export function* consumedRecords(
  { topic, partition, from, until }: WantedRecords,
  batches: Buffer,
  { checkCrcs }: ConsumedRecordsOptions,
): Generator<ConsumedChunk, void, undefined> {
  let records: v1.ConsumedRecord[] = [];
  let bytes = 0;
  for (const { header, at } of splitBatches(batches)) {
    if (header.isControl) continue;
    if (checkCrcs) validateBatch(batches, at);
    const reader = new RecordReader(batches, at);
    while (reader.remaining > 0) {
      const record = reader.read();
      if (record.offset < from || record.offset >= until) continue;
      records.push(toConsumed(topic, partition, record));
      bytes += weight(record);
      if (bytes < CHUNK_BYTES && records.length < CHUNK_RECORDS) continue;
      yield { records, bytes };
      records = [];
      bytes = 0;
    }
    reader.finish();
  }
  if (records.length > 0) yield { records, bytes };
}

function weight({ key, value, headers }: StoredRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) bytes += header.key.length + (header.value?.length ?? 0);
  return bytes;
}

/** Values are views of the fetched batches, which live as long as they do. */
function toConsumed(topic: string, partition: number, record: StoredRecord): v1.ConsumedRecord {
  return {
    topic,
    partition,
    offset: record.offset,
    timestampMs: record.timestamp,
    key: asBuffer(record.key),
    value: asBuffer(record.value),
    headers: record.headers.map(({ key, value }) => ({ key, value: asBuffer(value) })),
  };
}

function asBuffer(bytes: Uint8Array | null): Buffer | undefined {
  if (bytes === null) return undefined;
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
