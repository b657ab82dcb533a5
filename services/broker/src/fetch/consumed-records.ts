/** Decodes what a fetch session sends, a few records at a time, so that a large batch never becomes one large message. */
import { RecordReader, forEachBatch } from '@barnabas/protocol';
import type { StoredRecord, v1 } from '@barnabas/protocol';

/** Key, value and header bytes gathered into one message. */
const CHUNK_BYTES = 256 * 1024;
const CHUNK_RECORDS = 5_000;

/** Which records of which partition are wanted. */
export interface Wanted {
  readonly topic: string;
  readonly partition: number;
  /** First offset. */
  readonly from: number;
  /** Exclusive. */
  readonly until: number;
}

/** The wanted records in chunks that are small enough to send. Control batches are left out. */
export function* consumedRecords(
  { topic, partition, from, until }: Wanted,
  batches: Buffer,
): Generator<v1.ConsumedRecord[], void, undefined> {
  let chunk: v1.ConsumedRecord[] = [];
  let bytes = 0;
  for (const at of recordBatchesOf(batches)) {
    const reader = new RecordReader(batches, at);
    while (reader.remaining > 0) {
      const record = reader.read();
      if (record.offset < from || record.offset >= until) continue;
      chunk.push(toConsumed(topic, partition, record));
      bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0) + record.headers.length * 16;
      if (bytes < CHUNK_BYTES && chunk.length < CHUNK_RECORDS) continue;
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    reader.finish();
  }
  if (chunk.length > 0) yield chunk;
}

function recordBatchesOf(batches: Buffer): number[] {
  const places: number[] = [];
  forEachBatch(batches, (header, at) => {
    if (!header.isControl) places.push(at);
  });
  return places;
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
