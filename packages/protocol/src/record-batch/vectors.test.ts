/**
 * Batches built by Apache Kafka's Java client (vectors/java-client.vec, made by test/interop/vectors):
 * read as Java reads them, and built again, without compression, to the same bytes.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  BatchBuilder,
  decodeRecords,
  patchBatch,
  readControlRecord,
  setLogAppendTime,
  validateBatch,
} from './index.js';
import type { BatchHeader, ControlRecord, StoredRecord } from './index.js';

interface JavaHeader {
  key: string;
  value: string | null;
}

interface JavaRecord {
  offset: number;
  timestamp: number;
  key: string | null;
  value?: string | null;
  /** Instead of a large value. */
  valueSha256?: string;
  headers: JavaHeader[];
  control?: ControlRecord;
}

interface Vector {
  name: string;
  /** In base64, like keys and values. */
  batch: string;
  header: Omit<BatchHeader, 'baseTimestamp'>;
  records: JavaRecord[];
}

const vectors = JSON.parse(readFileSync(join(__dirname, 'vectors', 'java-client.vec'), 'utf8')) as Vector[];
const cases = vectors.map((vector) => [vector.name, vector] as const);

function base64(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString('base64');
}

/** A record in the words of the vectors. */
function asJava(record: StoredRecord, like: JavaRecord | undefined): JavaRecord {
  const { offset, timestamp, key, value, headers } = record;
  const common = { offset, timestamp, key: base64(key) };
  const named = headers.map((header) => ({ key: header.key, value: base64(header.value) }));
  const withValue =
    like?.valueSha256 === undefined
      ? { value: base64(value) }
      : {
          valueSha256: createHash('sha256')
            .update(value ?? '')
            .digest('hex'),
        };
  const control = like?.control === undefined ? {} : { control: readControlRecord(record) };
  return { ...common, ...withValue, headers: named, ...control };
}

test('there is a vector for each compression type and each kind of batch', () => {
  expect(new Set(vectors.map((vector) => vector.header.compression))).toEqual(
    new Set(['none', 'gzip', 'snappy', 'lz4', 'zstd']),
  );
  expect(vectors.some((vector) => vector.header.isTransactional && !vector.header.isControl)).toBe(true);
  expect(vectors.filter((vector) => vector.header.isControl)).toHaveLength(2);
  expect(vectors.length).toBeGreaterThan(40);
});

test.each(cases)('%s: is read as Java reads it', (_name, vector) => {
  const batch = Buffer.from(vector.batch, 'base64');
  const header = validateBatch(batch);
  expect(header).toMatchObject(vector.header);
  const records = decodeRecords(batch);
  expect(records.map((record, index) => asJava(record, vector.records[index]))).toEqual(vector.records);
});

const rebuilt = cases.filter(([, vector]) => vector.header.compression === 'none' && vector.records.length > 0);

test.each(rebuilt)('%s: is built to the same bytes', (_name, vector) => {
  const expected = Buffer.from(vector.batch, 'base64');
  const { header } = vector;
  const builder = new BatchBuilder({ maxBytes: 1 << 20 });
  const isLogAppendTime = header.timestampType === 'LogAppendTime';
  for (const record of decodeRecords(createTime(expected, isLogAppendTime))) builder.tryAppend(record);
  const batch = builder.build(header);
  patchBatch(batch, 0, header);
  if (isLogAppendTime) setLogAppendTime(batch, 0, header.maxTimestamp);
  expect(batch.toString('hex')).toBe(expected.toString('hex'));
});

/** A batch of log append time hides its records' own timestamps; this shows them. */
function createTime(batch: Buffer, isLogAppendTime: boolean): Buffer {
  const copy = Buffer.from(batch);
  if (isLogAppendTime) copy.writeUInt16BE(copy.readUInt16BE(21) & ~0x08, 21);
  return copy;
}
