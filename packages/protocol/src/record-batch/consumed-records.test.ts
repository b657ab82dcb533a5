import type { ErrorName } from '../error-table.js';
import { BatchBuilder, buildTransactionMarker, consumedRecords, patchBatch, splitBatches } from './index.js';
import type { CompressionType } from '../compression/index.js';
import type { ConsumedChunk, Record, WantedRecords } from './index.js';

const EVERYTHING: WantedRecords = { topic: 'orders', partition: 3, from: 0, until: Infinity };
const CHUNK_BYTES = 256 * 1024;

function named(name: ErrorName): Error {
  return expect.objectContaining({ errorName: name }) as Error;
}

function record(value: Buffer | null, rest: Partial<Record> = {}): Record {
  return { key: null, value, headers: [], timestamp: 1_000, ...rest };
}

function batch(baseOffset: number, records: readonly Record[], compression: CompressionType = 'none'): Buffer {
  const builder = new BatchBuilder({ compression, maxBytes: 4 << 20, maxBatchBytes: 4 << 20 });
  for (const each of records) expect(builder.tryAppend(each)).toBe(true);
  const built = builder.build();
  patchBatch(built, 0, { baseOffset, partitionLeaderEpoch: 0 });
  return built;
}

function numbered(baseOffset: number, count: number, compression: CompressionType = 'none'): Buffer {
  const records = Array.from({ length: count }, (_, index) => record(Buffer.from(String(baseOffset + index))));
  return batch(baseOffset, records, compression);
}

function chunks(batches: Buffer, wanted: Partial<WantedRecords> = {}, checkCrcs = true): ConsumedChunk[] {
  return [...consumedRecords({ ...EVERYTHING, ...wanted }, batches, { checkCrcs })];
}

function offsets(of: readonly ConsumedChunk[]): number[] {
  return of.flatMap(({ records }) => records.map(({ offset }) => offset));
}

function corrupted(batches: Buffer, batchIndex: number): Buffer {
  const copy = Buffer.from(batches);
  const hit = [...splitBatches(copy)][batchIndex];
  if (hit === undefined) throw new Error(`there is no batch ${batchIndex}`);
  // The last byte of the last record is its count of headers; the one before it is of its value.
  const place = hit.bytes.length - 2;
  hit.bytes.writeUInt8(hit.bytes.readUInt8(place) ^ 1, place);
  return copy;
}

describe('consumed records', () => {
  it('carry all of a record, with what is null left out', () => {
    const headers = [
      { key: 'trace', value: Buffer.from('ab') },
      { key: 'none', value: null },
    ];
    const batches = batch(7, [record(Buffer.from('paid'), { key: Buffer.from('k'), headers }), record(null)]);
    const common = { topic: 'orders', partition: 3, timestampMs: 1_000 };
    const [chunk, ...more] = chunks(batches);
    expect(more).toEqual([]);
    expect(chunk?.records).toEqual([
      {
        ...common,
        offset: 7,
        key: Buffer.from('k'),
        value: Buffer.from('paid'),
        headers: [
          { key: 'trace', value: Buffer.from('ab') },
          { key: 'none', value: undefined },
        ],
      },
      { ...common, offset: 8, key: undefined, value: undefined, headers: [] },
    ]);
    // Two records at 24, 'k', 'paid', and 'trace', 'ab', 'none'.
    expect(chunk?.bytes).toBe(2 * 24 + 1 + 4 + 5 + 2 + 4);
  });

  it.each(['none', 'zstd'] as const)(
    'are those from the first offset wanted and below the last (%s)',
    (compression) => {
      const batches = Buffer.concat([numbered(0, 5, compression), numbered(5, 5, compression)]);
      expect(offsets(chunks(batches, { from: 3, until: 8 }))).toEqual([3, 4, 5, 6, 7]);
      expect(chunks(batches, { from: 10 })).toEqual([]);
      expect(chunks(batches, { until: 0 })).toEqual([]);
    },
  );

  it('do not tell of control batches', () => {
    const marker = buildTransactionMarker({
      outcome: 'commit',
      producerId: 1,
      producerEpoch: 0,
      coordinatorEpoch: 0,
      timestamp: 1_000,
    });
    patchBatch(marker, 0, { baseOffset: 2, partitionLeaderEpoch: 0 });
    expect(offsets(chunks(Buffer.concat([numbered(0, 2), marker, numbered(3, 1)])))).toEqual([0, 1, 3]);
  });

  it('come in chunks of so many bytes, one record beyond it at most', () => {
    const value = Buffer.alloc(100_000, 1);
    const large = chunks(
      batch(
        0,
        Array.from({ length: 8 }, () => record(value)),
      ),
    );
    expect(large.map(({ records }) => records.length)).toEqual([3, 3, 2]);
    for (const { bytes, records } of large) {
      expect(bytes).toBe(records.length * 100_024);
      expect(bytes).toBeLessThan(CHUNK_BYTES + 100_024);
    }
  });

  it('weigh their headers too', () => {
    const headers = [{ key: 'h', value: Buffer.alloc(200_000) }];
    const heavy = chunks(
      batch(
        0,
        Array.from({ length: 4 }, () => record(null, { headers })),
      ),
    );
    expect(heavy.map(({ records }) => records.length)).toEqual([2, 2]);
  });

  it('come in chunks of so many records, over batches', () => {
    const small = chunks(Buffer.concat([numbered(0, 4_000), numbered(4_000, 4_000)]));
    expect(small.map(({ records }) => records.length)).toEqual([5_000, 3_000]);
    expect(offsets(small)).toEqual(Array.from({ length: 8_000 }, (_, offset) => offset));
  });

  it('are refused where a batch fails its CRC, if CRCs are to be checked', () => {
    const batches = corrupted(Buffer.concat([numbered(0, 5_000), numbered(5_000, 1)]), 1);
    const checked = consumedRecords(EVERYTHING, batches, { checkCrcs: true });
    expect(checked.next().value?.records).toHaveLength(5_000);
    expect(() => checked.next()).toThrow(named('CORRUPT_MESSAGE'));
    expect(offsets(chunks(batches, {}, false))).toHaveLength(5_001);
  });

  it('are refused where a batch is cut short, whether CRCs are checked or not', () => {
    const cut = numbered(0, 3).subarray(0, -1);
    for (const checkCrcs of [true, false]) expect(() => chunks(cut, {}, checkCrcs)).toThrow(named('CORRUPT_MESSAGE'));
  });
});
