/** Batches of kafkajs read by us, and ours read by kafkajs, so that both directions are checked without Java. */
import fc from 'fast-check';
import { BatchBuilder, decodeRecords, validateBatch } from './index.js';

interface KafkaJsRecord {
  offset: string;
  timestamp: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: { [key: string]: Buffer };
}

interface KafkaJsBatch {
  firstOffset: string;
  maxTimestamp: string;
  partitionLeaderEpoch: number;
  producerId: string;
  producerEpoch: number;
  inTransaction: boolean;
  isControlBatch: boolean;
  lastOffsetDelta: number;
  records: KafkaJsRecord[];
}

interface KafkaJsEncoder {
  buffer: Buffer;
}

// kafkajs types none of its internals.
const Decoder = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => object;
const decodeByKafkaJs = require('kafkajs/src/protocol/recordBatch/v0/decoder') as (
  decoder: object,
) => Promise<KafkaJsBatch>;
const { RecordBatch: encodeByKafkaJs } = require('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch: (fields: object) => Promise<KafkaJsEncoder>;
};
const encodeRecordByKafkaJs = require('kafkajs/src/protocol/recordBatch/record/v0') as (fields: object) => object;

const NOW = 1_700_000_000_000;
const bytes = fc.uint8Array({ maxLength: 100 }).map((array) => Buffer.from(array));
const records = fc
  .array(
    fc.record({
      key: fc.option(bytes),
      value: fc.option(bytes),
      // kafkajs keeps headers in an object: distinct names, no nulls.
      headers: fc.uniqueArray(fc.record({ key: fc.stringMatching(/^[a-z]{1,8}$/), value: bytes }), {
        maxLength: 3,
        selector: (header) => header.key,
      }),
      timestamp: fc.integer({ min: 0, max: 100_000 }).map((delta) => NOW + delta),
    }),
    { minLength: 1, maxLength: 20 },
  )
  .map((list) => list.map((record, offset) => ({ offset, ...record })));

test.each(['none', 'gzip'] as const)('kafkajs reads our %s batches', async (compression) => {
  await fc.assert(
    fc.asyncProperty(records, async (list) => {
      const builder = new BatchBuilder({ compression, maxBytes: 1 << 20 });
      for (const record of list) expect(builder.tryAppend(record)).toBe(true);
      const batch = builder.build({
        producerId: 123_456_789_012,
        producerEpoch: 7,
        baseSequence: 3,
        isTransactional: true,
      });
      const read = await decodeByKafkaJs(new Decoder(batch));
      expect(read).toMatchObject({
        maxTimestamp: String(Math.max(...list.map((record) => record.timestamp))),
        partitionLeaderEpoch: -1,
        producerId: '123456789012',
        producerEpoch: 7,
        inTransaction: true,
        isControlBatch: false,
        lastOffsetDelta: list.length - 1,
      });
      expect(read.records.map((record) => ({ ...record, headers: Object.entries(record.headers) }))).toMatchObject(
        list.map((record) => ({
          offset: String(record.offset),
          timestamp: String(record.timestamp),
          key: record.key,
          value: record.value,
          headers: record.headers.map((header) => [header.key, header.value]),
        })),
      );
    }),
    { numRuns: 50 },
  );
});

test.each([
  ['none', 0],
  ['gzip', 1],
] as const)('we read %s batches of kafkajs', async (compression, code) => {
  await fc.assert(
    fc.asyncProperty(records, async (list) => {
      const encoded = await encodeByKafkaJs({
        compression: code,
        firstTimestamp: NOW,
        maxTimestamp: NOW + 100_000,
        lastOffsetDelta: list.length - 1,
        records: list.map(({ offset, key, value, headers, timestamp }) =>
          encodeRecordByKafkaJs({
            offsetDelta: offset,
            timestampDelta: timestamp - NOW,
            key,
            value,
            headers: Object.fromEntries(headers.map((header) => [header.key, header.value])),
          }),
        ),
      });
      const batch = Buffer.from(encoded.buffer);
      expect(validateBatch(batch)).toMatchObject({ compression, recordCount: list.length, producerId: -1 });
      expect(decodeRecords(batch)).toEqual(list);
    }),
    { numRuns: 50 },
  );
});
