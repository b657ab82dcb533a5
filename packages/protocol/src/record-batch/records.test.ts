import fc from 'fast-check';
import { COMPRESSION_TYPES, compress } from '../compression/index.js';
import type { CompressionType } from '../compression/index.js';
import type { ErrorName } from '../error-table.js';
import { writeVarint, writeVarlong } from '../varint.js';
import { BatchBuilder, RecordReader, buildTransactionMarker, decodeRecords, iterateRecords } from './index.js';
import { readControlRecord, validateBatch } from './index.js';
import type { Record } from './index.js';
import { computeCrc } from './header.js';

const NOW = 1_700_000_000_000;
/** From -1 to here is just a safe integer. */
const MAX_TIMESTAMP = Number.MAX_SAFE_INTEGER - 1;

function named(name: ErrorName): Error {
  return expect.objectContaining({ errorName: name }) as Error;
}

function record(value: string | null, timestamp = NOW): Record {
  return { key: null, value: value === null ? null : Buffer.from(value), headers: [], timestamp };
}

function build(records: readonly Record[], compression: CompressionType = 'none'): Buffer {
  const builder = new BatchBuilder({ compression, maxBytes: 1 << 20 });
  for (const each of records) expect(builder.tryAppend(each)).toBe(true);
  return builder.build();
}

const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
const arbitraryRecord = fc.record({
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.array(fc.record({ key: fc.string({ unit: 'binary' }), value: fc.option(bytes) }), { maxLength: 4 }),
  timestamp: fc.oneof(
    fc.constantFrom(-1, MAX_TIMESTAMP),
    fc.maxSafeNat().map((timestamp) => Math.min(timestamp, MAX_TIMESTAMP)),
    fc.integer({ min: 0, max: 5000 }).map((delta) => NOW + delta),
  ),
});
const arbitraryRecords = fc.array(arbitraryRecord, { minLength: 1, maxLength: 30 });

test.each(COMPRESSION_TYPES)('what is built with %s is decoded', (compression) => {
  fc.assert(
    fc.property(arbitraryRecords, fc.nat(50), (records, prefix) => {
      const batch = build(records, compression);
      const within = Buffer.concat([Buffer.alloc(prefix, 0xaa), batch, Buffer.alloc(9, 0xbb)]);
      const header = validateBatch(within, prefix);
      expect(header.recordCount).toBe(records.length);
      expect(header.maxTimestamp).toBe(Math.max(...records.map((each) => each.timestamp)));
      const expected = records.map((each, offset) => ({ offset, ...each }));
      expect(decodeRecords(within, prefix)).toEqual(expected);
      expect([...iterateRecords(within, prefix)]).toEqual(expected);
    }),
  );
});

test.each(COMPRESSION_TYPES)('a %s batch cut at any byte is refused', (compression) => {
  const batch = build(
    [record('one'), record('two'), { ...record('three'), headers: [{ key: 'k', value: null }] }],
    compression,
  );
  for (let length = 0; length < batch.length; length++) {
    expect(() => decodeRecords(batch.subarray(0, length))).toThrow(named('CORRUPT_MESSAGE'));
  }
});

test.each(COMPRESSION_TYPES)('any bit of a %s batch flipped is refused, save outside the CRC', (compression) => {
  const batch = build([record('one'.repeat(20)), record('two'), record(null)], compression);
  for (let bit = 16 * 8; bit < batch.length * 8; bit++) {
    const flipped = Buffer.from(batch);
    flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    expect(() => validateBatch(flipped)).toThrow(/refused|CRC/);
  }
});

test('a reader that stops early has decoded no more', () => {
  const records = iterateRecords(build([record('one'), record('two')]));
  expect(records.next().value).toMatchObject({ offset: 0, value: Buffer.from('one') });
  records.return();
  const reader = new RecordReader(build([record('one'), record('two')]));
  reader.read();
  expect(reader.remaining).toBe(1);
  reader.read();
  expect(() => reader.read()).toThrow(named('INVALID_RECORD'));
});

test('a decompression bomb is refused by name', () => {
  const large = { key: null, value: Buffer.alloc(900_000), headers: [], timestamp: NOW };
  for (const compression of COMPRESSION_TYPES.filter((type) => type !== 'none')) {
    const batch = build([large], compression);
    expect(() => decodeRecords(batch, 0, { maxDecompressedBytes: 100_000 })).toThrow(named('MESSAGE_TOO_LARGE'));
    expect(decodeRecords(batch, 0, { maxDecompressedBytes: 1_000_000 })).toHaveLength(1);
  }
});

/** Bytes of one record's body, field by field, so that each can be wrong on its own. */
interface Fields {
  length?: number;
  timestampDelta?: number;
  offsetDelta?: number;
  keyLength?: number;
  valueLength?: number;
  headerCount?: number;
  tail?: readonly number[];
}

function encode(fields: Fields): Buffer {
  const body = Buffer.alloc(100);
  let at = 1;
  at = writeVarlong(body, at, fields.timestampDelta ?? 0);
  at = writeVarint(body, at, fields.offsetDelta ?? 0);
  at = writeVarint(body, at, fields.keyLength ?? 1);
  if ((fields.keyLength ?? 1) > 0) body[at++] = 0x6b;
  at = writeVarint(body, at, fields.valueLength ?? 1);
  if ((fields.valueLength ?? 1) > 0) body[at++] = 0x76;
  at = writeVarint(body, at, fields.headerCount ?? 0);
  for (const byte of fields.tail ?? []) body[at++] = byte;
  const length = Buffer.alloc(5);
  const lengthBytes = writeVarint(length, 0, fields.length ?? at);
  return Buffer.concat([length.subarray(0, lengthBytes), body.subarray(0, at)]);
}

/** A batch around records made by hand, with a right CRC. */
function around(records: readonly Buffer[], compression: CompressionType = 'none', trailing = Buffer.alloc(0)): Buffer {
  const template = build(
    records.map(() => record('x')),
    compression,
  );
  const payload = compress(compression, Buffer.concat([...records, trailing]));
  const batch = Buffer.concat([template.subarray(0, 61), payload]);
  batch.writeInt32BE(batch.length - 12, 8);
  batch.writeUInt32BE(computeCrc(batch, 0, batch.length), 17);
  validateBatch(batch);
  return batch;
}

describe.each(COMPRESSION_TYPES)('malformed records in a valid %s batch', (compression) => {
  test('the frame of these tests is right', () => {
    expect(decodeRecords(around([encode({}), encode({ offsetDelta: 1 })], compression))).toMatchObject([
      { offset: 0, timestamp: NOW, key: Buffer.from('k'), value: Buffer.from('v') },
      { offset: 1 },
    ]);
  });

  test.each<[string, Fields]>([
    ['a negative length', { length: -1 }],
    ['a length of 0', { length: 0 }],
    ['a length one too small', { length: 7 }],
    ['a length one too large', { length: 9 }],
    ['the highest length', { length: 2 ** 31 - 1 }],
    ['a key length below -1', { keyLength: -2 }],
    ['a key beyond the record', { keyLength: 50 }],
    ['the highest key length', { keyLength: 2 ** 31 - 1 }],
    ['the lowest value length', { valueLength: -(2 ** 31) }],
    ['a value beyond the record', { valueLength: 40 }],
    ['a negative header count', { headerCount: -1 }],
    ['a header count beyond the record', { headerCount: 1 }],
    ['the highest header count', { headerCount: 2 ** 31 - 1 }],
    ['a header without a name', { headerCount: 1, tail: [0x01, 0x01] }],
    ['a header name beyond the record', { headerCount: 1, tail: [0x7e, 0x61] }],
    ['a header value beyond the record', { headerCount: 1, tail: [0x02, 0x61, 0x7e] }],
    ['bytes behind the headers', { tail: [0] }],
    ['a timestamp below -1', { timestampDelta: -NOW - 2 }],
    ['a timestamp beyond 2^53', { timestampDelta: Number.MAX_SAFE_INTEGER }],
    ['a first offset delta above the last', { offsetDelta: 1 }],
    ['a negative offset delta', { offsetDelta: -1 }],
  ])('%s', (_what, fields) => {
    const batch = around([encode(fields)], compression);
    expect(() => decodeRecords(batch)).toThrow(named('INVALID_RECORD'));
    expect(() => [...iterateRecords(batch)]).toThrow(named('INVALID_RECORD'));
  });

  test('offset deltas that repeat, fall back or jump', () => {
    for (const deltas of [
      [0, 0, 1],
      [1, 0, 2],
      [0, 2, 1],
      [0, 1, 3],
      [1, 2, 3],
    ]) {
      const batch = around(
        deltas.map((offsetDelta) => encode({ offsetDelta })),
        compression,
      );
      expect(() => decodeRecords(batch)).toThrow(named('INVALID_RECORD'));
    }
  });

  test('bytes behind the last record', () => {
    const batch = around([encode({})], compression, Buffer.alloc(1));
    expect(() => decodeRecords(batch)).toThrow(named('INVALID_RECORD'));
    expect(() => [...iterateRecords(batch)]).toThrow(named('INVALID_RECORD'));
  });

  test('an overlong varint', () => {
    const body = encode({});
    body[0] = ((body[0] as number) + 2) | 0;
    const overlong = Buffer.concat([body.subarray(0, 2), Buffer.from([0x80, 0x00]), body.subarray(3)]);
    expect(() => decodeRecords(around([overlong], compression))).toThrow(/longer than its value needs/);
  });
});

test('a count that compressed bytes cannot hold is refused before an array of it is made', () => {
  const batch = around([encode({})], 'gzip');
  batch.writeInt32BE(2 ** 31 - 2, 23);
  batch.writeInt32BE(2 ** 31 - 1, 57);
  expect(() => decodeRecords(batch)).toThrow(named('CORRUPT_MESSAGE'));
});

test('gaps of compaction are read', () => {
  const batch = around([encode({ offsetDelta: 2 }), encode({ offsetDelta: 7 })]);
  batch.writeInt32BE(9, 23);
  expect(decodeRecords(batch).map((each) => each.offset)).toEqual([2, 7]);
});

describe('builder', () => {
  test('is full at maxBytes, to the byte', () => {
    const size = build([record('one'), record('two')]).length;
    const exact = new BatchBuilder({ maxBytes: size });
    expect([exact.tryAppend(record('one')), exact.tryAppend(record('two'))]).toEqual([true, true]);
    expect(exact.sizeInBytes).toBe(size);
    const tight = new BatchBuilder({ maxBytes: size - 1 });
    expect([tight.tryAppend(record('one')), tight.tryAppend(record('two'))]).toEqual([true, false]);
    expect(tight.recordCount).toBe(1);
    expect(decodeRecords(tight.build())).toHaveLength(1);
  });

  test('takes one record beyond maxBytes, never one beyond maxBatchBytes', () => {
    const builder = new BatchBuilder({ maxBytes: 100, maxBatchBytes: 1000 });
    expect(() => builder.tryAppend(record('x'.repeat(1000)))).toThrow(named('MESSAGE_TOO_LARGE'));
    expect(builder.tryAppend(record('x'.repeat(500)))).toBe(true);
    expect(builder.tryAppend(record('y'))).toBe(false);
    expect(() => builder.tryAppend(record('x'.repeat(1000)))).toThrow(named('MESSAGE_TOO_LARGE'));
    expect(decodeRecords(builder.build())).toHaveLength(1);
  });

  test('refuses timestamps that are none', () => {
    const builder = new BatchBuilder({ maxBytes: 100 });
    for (const timestamp of [-2, 0.5, NaN, MAX_TIMESTAMP + 1, 2 ** 53, Infinity]) {
      expect(() => builder.tryAppend(record('x', timestamp))).toThrow(named('INVALID_TIMESTAMP'));
    }
    expect(builder.recordCount).toBe(0);
  });

  test('makes one batch, and none without records', () => {
    const builder = new BatchBuilder({ maxBytes: 100 });
    expect(() => builder.build()).toThrow(/has records/);
    builder.tryAppend(record('x'));
    builder.build();
    expect(() => builder.build()).toThrow(/one batch/);
    expect(() => builder.tryAppend(record('x'))).toThrow(/one batch/);
  });

  test('refuses a level when it is made, not when it sends', () => {
    expect(() => new BatchBuilder({ compression: 'gzip', compressionLevel: 42, maxBytes: 100 })).toThrow(
      named('INVALID_CONFIG'),
    );
  });
});

describe('transaction markers', () => {
  test.each(['commit', 'abort'] as const)('%s', (outcome) => {
    const batch = buildTransactionMarker({
      outcome,
      coordinatorEpoch: 12,
      producerId: 5,
      producerEpoch: 2,
      timestamp: NOW,
      baseOffset: 40,
    });
    expect(validateBatch(batch)).toMatchObject({
      isControl: true,
      isTransactional: true,
      baseSequence: -1,
      baseOffset: 40,
    });
    const [marker] = decodeRecords(batch);
    expect(readControlRecord(marker as Record)).toEqual({ kind: outcome, coordinatorEpoch: 12 });
  });

  test('other control records are told apart, short ones refused', () => {
    const key = (hex: string) => Buffer.from(hex, 'hex');
    expect(readControlRecord({ key: key('00000002'), value: null })).toEqual({ kind: 'other', type: 2 });
    expect(readControlRecord({ key: key('0000000100'), value: key('0001000000070000') })).toEqual({
      kind: 'commit',
      coordinatorEpoch: 7,
    });
    for (const [keyHex, valueHex] of [
      ['000000', '000000000007'],
      ['00000001', '0000000007'],
      ['ffff0001', '000000000007'],
      ['00000001', 'ffff00000007'],
    ] as const) {
      expect(() => readControlRecord({ key: key(keyHex), value: key(valueHex) })).toThrow(named('INVALID_RECORD'));
    }
    expect(() => readControlRecord({ key: null, value: null })).toThrow(named('INVALID_RECORD'));
    expect(() => readControlRecord({ key: key('00000001'), value: null })).toThrow(named('INVALID_RECORD'));
  });
});
