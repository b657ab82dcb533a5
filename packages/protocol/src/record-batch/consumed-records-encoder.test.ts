import fc from 'fast-check';
import * as v1 from '../messages/v1.js';
import type { CompressionType } from '../compression/index.js';
import { BatchBuilder, buildTransactionMarker, consumedRecords, ConsumedRecordsEncoder, patchBatch } from './index.js';
import type { EncodedSource, EncodeLimits, Record } from './index.js';

const NO_LIMITS: EncodeLimits = { maxRecords: Infinity, maxBytes: Infinity };
const FRAME = { tag: (3 << 3) | 2, headBytes: 7, tailBytes: 5 };

function batch(baseOffset: number, records: readonly Record[], compression: CompressionType = 'none'): Buffer {
  const builder = new BatchBuilder({ compression, maxBytes: 4 << 20, maxBatchBytes: 4 << 20 });
  for (const each of records) expect(builder.tryAppend(each)).toBe(true);
  const built = builder.build();
  patchBatch(built, 0, { baseOffset, partitionLeaderEpoch: 4 });
  return built;
}

function numbered(baseOffset: number, count: number, compression: CompressionType = 'none'): Buffer {
  const records = Array.from({ length: count }, (_, index) => plain(Buffer.from(`value ${baseOffset + index}`)));
  return batch(baseOffset, records, compression);
}

function plain(value: Buffer | null): Record {
  return { key: null, value, headers: [], timestamp: 1_000 };
}

function marker(baseOffset: number): Buffer {
  const built = buildTransactionMarker({
    outcome: 'commit',
    producerId: 1,
    producerEpoch: 0,
    coordinatorEpoch: 0,
    timestamp: 1_000,
  });
  patchBatch(built, 0, { baseOffset, partitionLeaderEpoch: 4 });
  return built;
}

interface Chunk {
  readonly records: readonly v1.ConsumedRecord[];
  readonly bytes: number;
  readonly nextOffset: number;
}

/** All that an encoder gives, decoded by the generated code. */
function read(source: EncodedSource, limits: EncodeLimits = NO_LIMITS): Chunk[] {
  const encoder = new ConsumedRecordsEncoder(source);
  const chunks: Chunk[] = [];
  do {
    const { buffer, start, end, records, bytes, nextOffset } = encoder.next(FRAME, limits);
    expect(start).toBe(FRAME.headBytes);
    expect(buffer.length - end).toBeGreaterThanOrEqual(FRAME.tailBytes);
    const message = v1.SubscribeRecords.decode(buffer.subarray(start, end));
    expect(message.records).toHaveLength(records);
    chunks.push({ records: message.records, bytes, nextOffset });
  } while (!encoder.isDone);
  return chunks;
}

function offsets(chunks: readonly Chunk[]): number[] {
  return chunks.flatMap(({ records }) => records.map(({ offset }) => offset));
}

const bytes = fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value));
const record: fc.Arbitrary<Record> = fc.record({
  key: fc.option(bytes),
  value: fc.option(bytes),
  timestamp: fc.oneof(fc.constant(-1), fc.constant(0), fc.integer({ min: 1, max: 2 ** 45 })),
  headers: fc.array(fc.record({ key: fc.string({ maxLength: 20 }), value: fc.option(bytes) }), { maxLength: 3 }),
});

describe('records encoded from batches', () => {
  it('are what the generated code would have written', () => {
    const batches = fc.array(
      fc.record({
        records: fc.array(record, { minLength: 1, maxLength: 8 }),
        gap: fc.constantFrom(0, 1, 2 ** 33),
        compression: fc.constantFrom<CompressionType>('none', 'gzip'),
      }),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(batches, fc.nat(30), fc.integer({ min: 1, max: 9 }), (parts, from, maxRecords) => {
        let nextOffset = 0;
        const built = parts.map((part) => {
          const baseOffset = nextOffset + part.gap;
          nextOffset = baseOffset + part.records.length;
          return batch(baseOffset, part.records, part.compression);
        });
        const source = { batches: Buffer.concat(built), from, nextOffset };
        const wanted = { topic: '', partition: 0, from, until: Infinity };
        const expected = [...consumedRecords(wanted, source.batches, { checkCrcs: true })];
        const chunks = read(source, { maxRecords, maxBytes: Infinity });
        expect(chunks.flatMap(({ records }) => records)).toEqual(expected.flatMap(({ records }) => records));
        expect(chunks.at(-1)?.nextOffset).toBe(Math.max(from, nextOffset));
        for (const { records } of chunks) expect(records.length).toBeLessThanOrEqual(maxRecords);
      }),
    );
  });

  it('leave control batches out, and go on behind them', () => {
    const batches = Buffer.concat([numbered(0, 2), marker(2), numbered(3, 1), marker(4)]);
    const chunks = read({ batches, from: 0, nextOffset: 5 }, { maxRecords: 2, maxBytes: Infinity });
    expect(offsets(chunks)).toEqual([0, 1, 3]);
    expect(chunks.map(({ nextOffset }) => nextOffset)).toEqual([2, 5]);
    expect(read({ batches: marker(7), from: 7, nextOffset: 8 })).toEqual([{ records: [], bytes: 0, nextOffset: 8 }]);
  });

  it('stop with the record that reaches the bytes', () => {
    const batches = batch(
      0,
      Array.from({ length: 5 }, () => plain(Buffer.alloc(100, 1))),
    );
    const chunks = read({ batches, from: 0, nextOffset: 5 }, { maxRecords: Infinity, maxBytes: 101 });
    expect(chunks.map(({ bytes: weight }) => weight)).toEqual([200, 200, 100]);
  });

  it('come in messages of so many bytes, one record beyond it at most', () => {
    const value = Buffer.alloc(100_000, 1);
    const batches = batch(
      0,
      Array.from({ length: 8 }, () => plain(value)),
    );
    expect(read({ batches, from: 0, nextOffset: 8 }).map(({ records }) => records.length)).toEqual([3, 3, 2]);
  });

  it('come first, and then what a later batch is refused with', () => {
    const rotten = numbered(3, 2);
    rotten.writeUInt8(rotten.readUInt8(rotten.length - 2) ^ 1, rotten.length - 2);
    const encoder = new ConsumedRecordsEncoder({
      batches: Buffer.concat([numbered(0, 3), rotten]),
      from: 0,
      nextOffset: 5,
    });
    const first = encoder.next(FRAME, NO_LIMITS);
    expect(first).toMatchObject({ records: 3, nextOffset: 3, leaderEpoch: 4 });
    expect(encoder.isDone).toBe(false);
    expect(() => encoder.next(FRAME, NO_LIMITS)).toThrow(expect.objectContaining({ errorName: 'CORRUPT_MESSAGE' }));
  });
});
