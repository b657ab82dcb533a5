import { BatchBuilder } from './builder.js';
import { MAX_OFFSET_DELTA, emptyBatch, fillerBatch, isFiller, retainRecords } from './compacted.js';
import { validateBatch } from './header.js';
import { patchBatch } from './patch.js';
import { decodeRecords } from './records.js';

function batchOf(keys: readonly string[], compression: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd' = 'none'): Buffer {
  const builder = new BatchBuilder({ compression, maxBytes: 1 << 20 });
  keys.forEach((key, index) => {
    const headers = [{ key: 'h', value: Buffer.from('v') }];
    builder.tryAppend({ key: Buffer.from(key), value: Buffer.from(`${key}!`), headers, timestamp: 1000 + index });
  });
  const batch = builder.build({ producerId: 7, producerEpoch: 2, baseSequence: 40 });
  patchBatch(batch, 0, { baseOffset: 100, partitionLeaderEpoch: 5 });
  return batch;
}

test.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)('what stays is what it was (%s)', (compression) => {
  const batch = batchOf(['a', 'b', 'c', 'd'], compression);
  const rest = retainRecords(batch, ({ key }) => ['b', 'c'].includes(String(key)));
  if (rest === undefined) throw new Error('two records stay');
  const before = validateBatch(batch);
  expect(validateBatch(rest)).toMatchObject({
    ...{ baseOffset: 100, lastOffset: 103, partitionLeaderEpoch: 5, compression, recordCount: 2 },
    ...{ producerId: 7, producerEpoch: 2, baseSequence: 40, baseTimestamp: before.baseTimestamp, maxTimestamp: 1002 },
  });
  expect(decodeRecords(rest)).toEqual(decodeRecords(batch).slice(1, 3));
  expect(decodeRecords(rest).map(({ offset }) => offset)).toEqual([101, 102]);
});

test('a batch that loses nothing is not touched, and of one that loses all nothing is left', () => {
  const batch = batchOf(['a', 'b']);
  expect(retainRecords(batch, () => true)).toBe(batch);
  expect(retainRecords(batch, () => false)).toBeUndefined();
});

test('a batch without records keeps its producer and its offsets', () => {
  const empty = emptyBatch(batchOf(['a', 'b'], 'gzip'));
  const header = validateBatch(empty);
  expect(header).toMatchObject({
    ...{ baseOffset: 100, lastOffset: 101, recordCount: 0, compression: 'none', sizeInBytes: 61 },
    ...{ producerId: 7, producerEpoch: 2, baseSequence: 40, maxTimestamp: -1, partitionLeaderEpoch: 5 },
  });
  expect(decodeRecords(empty)).toEqual([]);
  expect(isFiller(header)).toBe(false);
});

test('a filler stands for offsets and nothing else', () => {
  const filler = fillerBatch({ baseOffset: 2 ** 40, lastOffset: 2 ** 40 + MAX_OFFSET_DELTA, partitionLeaderEpoch: 3 });
  const header = validateBatch(filler);
  expect(header).toMatchObject({ lastOffset: 2 ** 40 + MAX_OFFSET_DELTA, partitionLeaderEpoch: 3, recordCount: 0 });
  expect(isFiller(header)).toBe(true);
  expect(() => fillerBatch({ baseOffset: 0, lastOffset: 2 ** 31, partitionLeaderEpoch: 0 })).toThrow('31 bits');
});
