import fc from 'fast-check';
import type { ErrorName } from '../error-table.js';
import {
  BatchBuilder,
  forEachBatch,
  patchBatch,
  readBatchHeader,
  setLogAppendTime,
  setProducerState,
} from './index.js';
import { decodeRecords, splitBatches, validateBatch, validateProducerBatch } from './index.js';
import type { BatchFields } from './index.js';
import { computeCrc } from './header.js';

const NOW = 1_700_000_000_000;

function named(name: ErrorName): Error {
  return expect.objectContaining({ errorName: name }) as Error;
}

function batchOf(values: readonly string[], fields?: BatchFields): Buffer {
  const builder = new BatchBuilder({ maxBytes: 1 << 20 });
  for (const [index, value] of values.entries()) {
    builder.tryAppend({ key: null, value: Buffer.from(value), headers: [], timestamp: NOW + index });
  }
  return builder.build(fields);
}

/** A batch with some bytes written over and its CRC made right again. */
function patched(write: (batch: Buffer) => void): Buffer {
  const batch = batchOf(['one', 'two', 'three']);
  write(batch);
  batch.writeUInt32BE(computeCrc(batch, 0, batch.length), 17);
  return batch;
}

test('every field is read where Kafka writes it', () => {
  const batch = batchOf(['a', 'b'], { producerId: 9, producerEpoch: 3, baseSequence: 17, isTransactional: true });
  patchBatch(batch, 0, { baseOffset: 1000, partitionLeaderEpoch: 6 });
  expect(validateBatch(batch)).toEqual({
    baseOffset: 1000,
    sizeInBytes: batch.length,
    partitionLeaderEpoch: 6,
    crc: batch.readUInt32BE(17),
    compression: 'none',
    timestampType: 'CreateTime',
    isTransactional: true,
    isControl: false,
    hasDeleteHorizon: false,
    lastOffsetDelta: 1,
    baseTimestamp: NOW,
    maxTimestamp: NOW + 1,
    producerId: 9,
    producerEpoch: 3,
    baseSequence: 17,
    recordCount: 2,
    lastOffset: 1001,
  });
});

describe('malformed headers', () => {
  const MAX_INT64 = Buffer.from('7fffffffffffffff', 'hex');
  test.each<[string, ErrorName, (batch: Buffer) => void]>([
    ['a negative base offset', 'CORRUPT_MESSAGE', (batch) => batch.writeBigInt64BE(-1n, 0)],
    ['a base offset beyond 2^53', 'CORRUPT_MESSAGE', (batch) => MAX_INT64.copy(batch, 0)],
    ['a last offset beyond 2^53', 'CORRUPT_MESSAGE', (batch) => batch.writeBigInt64BE(2n ** 53n - 1n, 0)],
    ['a length below the header', 'CORRUPT_MESSAGE', (batch) => batch.writeInt32BE(48, 8)],
    ['a length of 0', 'CORRUPT_MESSAGE', (batch) => batch.writeInt32BE(0, 8)],
    ['a negative length', 'CORRUPT_MESSAGE', (batch) => batch.writeInt32BE(-1, 8)],
    ['the lowest length', 'CORRUPT_MESSAGE', (batch) => batch.writeInt32BE(-(2 ** 31), 8)],
    ['a length beyond the data', 'CORRUPT_MESSAGE', (batch) => batch.writeInt32BE(batch.length - 11, 8)],
    ['the highest length', 'CORRUPT_MESSAGE', (batch) => batch.writeInt32BE(2 ** 31 - 1, 8)],
    ['a leader epoch below -1', 'CORRUPT_MESSAGE', (batch) => batch.writeInt32BE(-2, 12)],
    ['magic 0', 'UNSUPPORTED_FOR_MESSAGE_FORMAT', (batch) => batch.writeInt8(0, 16)],
    ['magic 1', 'UNSUPPORTED_FOR_MESSAGE_FORMAT', (batch) => batch.writeInt8(1, 16)],
    ['magic 3', 'CORRUPT_MESSAGE', (batch) => batch.writeInt8(3, 16)],
    ['magic -1', 'CORRUPT_MESSAGE', (batch) => batch.writeInt8(-1, 16)],
    ['compression type 5', 'UNSUPPORTED_COMPRESSION_TYPE', (batch) => batch.writeInt16BE(5, 21)],
    ['compression type 7', 'UNSUPPORTED_COMPRESSION_TYPE', (batch) => batch.writeInt16BE(7, 21)],
    ['an unknown attribute', 'UNSUPPORTED_FOR_MESSAGE_FORMAT', (batch) => batch.writeInt16BE(0x80, 21)],
    ['the highest attribute', 'UNSUPPORTED_FOR_MESSAGE_FORMAT', (batch) => batch.writeUInt16BE(0x8000, 21)],
    ['a negative last offset delta', 'CORRUPT_MESSAGE', (batch) => batch.writeInt32BE(-1, 23)],
    ['a base timestamp below -1', 'CORRUPT_MESSAGE', (batch) => batch.writeBigInt64BE(-2n, 27)],
    ['a max timestamp beyond 2^53', 'CORRUPT_MESSAGE', (batch) => MAX_INT64.copy(batch, 35)],
    ['a producer id below -1', 'CORRUPT_MESSAGE', (batch) => batch.writeBigInt64BE(-2n, 43)],
    ['a producer id beyond 2^53', 'CORRUPT_MESSAGE', (batch) => MAX_INT64.copy(batch, 43)],
    ['a producer epoch below -1', 'CORRUPT_MESSAGE', (batch) => batch.writeInt16BE(-2, 51)],
    ['a base sequence below -1', 'CORRUPT_MESSAGE', (batch) => batch.writeInt32BE(-2, 53)],
    ['a negative record count', 'CORRUPT_MESSAGE', (batch) => batch.writeInt32BE(-1, 57)],
    ['the highest record count', 'CORRUPT_MESSAGE', (batch) => batch.writeInt32BE(2 ** 31 - 1, 57)],
    ['more records than offsets', 'CORRUPT_MESSAGE', (batch) => batch.writeInt32BE(4, 57)],
    ['no records but bytes', 'CORRUPT_MESSAGE', (batch) => batch.writeInt32BE(0, 57)],
    [
      'more records than bytes can hold',
      'CORRUPT_MESSAGE',
      (batch) => {
        batch.writeInt32BE(999_999, 23);
        batch.writeInt32BE(1_000_000, 57);
      },
    ],
  ])('%s: %s', (_what, name, write) => {
    const batch = patched(write);
    expect(() => readBatchHeader(batch)).toThrow(named(name));
    expect(() => validateBatch(batch)).toThrow(named(name));
    expect(() => decodeRecords(batch)).toThrow(named(name));
  });

  test('a batch cut at any byte', () => {
    const batch = batchOf(['one', 'two', 'three']);
    for (let length = 0; length < batch.length; length++) {
      expect(() => validateBatch(batch.subarray(0, length))).toThrow(named('CORRUPT_MESSAGE'));
    }
  });

  test('a batch behind the end of the buffer', () => {
    const batch = batchOf(['one']);
    expect(() => readBatchHeader(batch, batch.length)).toThrow(named('CORRUPT_MESSAGE'));
    expect(() => readBatchHeader(batch, batch.length + 5)).toThrow(named('CORRUPT_MESSAGE'));
  });
});

test('any bit flipped is refused, save in the two fields outside the CRC', () => {
  const batch = batchOf(['some value', 'another']);
  fc.assert(
    fc.property(fc.integer({ min: 8 * 8, max: batch.length * 8 - 1 }), (bit) => {
      const at = bit >> 3;
      if (at >= 12 && at < 16) return;
      const flipped = Buffer.from(batch);
      flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (bit & 7)), at);
      expect(() => validateBatch(flipped)).toThrow(
        expect.objectContaining({ errorName: expect.stringMatching(/^(CORRUPT_|UNSUPPORTED_)/) as string }) as Error,
      );
    }),
    { numRuns: 2000 },
  );
});

test('a batch above the limit is refused before its CRC is computed', () => {
  const batch = batchOf(['one']);
  expect(validateBatch(batch, 0, { maxBatchBytes: batch.length }).recordCount).toBe(1);
  batch.writeUInt32BE(0, 17);
  expect(() => validateBatch(batch, 0, { maxBatchBytes: batch.length - 1 })).toThrow(named('MESSAGE_TOO_LARGE'));
});

describe('several batches in one buffer', () => {
  const one = batchOf(['a']);
  const two = batchOf(['b', 'c']);
  const both = Buffer.concat([one, two]);

  test('are split and visited in order', () => {
    const slices = [...splitBatches(both)];
    expect(slices.map((slice) => slice.at)).toEqual([0, one.length]);
    expect(slices.map((slice) => slice.bytes)).toEqual([one, two]);
    const visited: [number, number][] = [];
    forEachBatch(both, (header, at) => visited.push([at, header.recordCount]));
    expect(visited).toEqual([
      [0, 1],
      [one.length, 2],
    ]);
    expect([...splitBatches(Buffer.alloc(0))]).toEqual([]);
  });

  test('a rest that is no batch is refused', () => {
    const rest = Buffer.concat([both, Buffer.alloc(1)]);
    expect(() => [...splitBatches(rest)]).toThrow(named('CORRUPT_MESSAGE'));
    expect(() => {
      forEachBatch(rest, () => undefined);
    }).toThrow(named('CORRUPT_MESSAGE'));
  });
});

describe('what a producer may send', () => {
  const check = (write: (batch: Buffer) => void) => () => {
    validateProducerBatch(validateBatch(patched(write)));
  };

  test('its own batches', () => {
    expect(check(() => undefined)).not.toThrow();
    validateProducerBatch(readBatchHeader(batchOf(['a'], { producerId: 1, producerEpoch: 0, baseSequence: 0 })));
  });

  test.each<[string, ErrorName, (batch: Buffer) => void]>([
    ['fewer records than offsets', 'INVALID_RECORD', (batch) => batch.writeInt32BE(5, 23)],
    ['a control batch', 'INVALID_RECORD', (batch) => batch.writeInt16BE(0x20, 21)],
    ['a delete horizon', 'INVALID_RECORD', (batch) => batch.writeInt16BE(0x40, 21)],
    ['log append time', 'INVALID_TIMESTAMP', (batch) => batch.writeInt16BE(0x08, 21)],
    ['a transaction without a producer id', 'INVALID_RECORD', (batch) => batch.writeInt16BE(0x10, 21)],
    ['a producer id without an epoch', 'INVALID_RECORD', (batch) => batch.writeBigInt64BE(5n, 43)],
  ])('not %s', (_what, name, write) => {
    expect(check(write)).toThrow(named(name));
  });

  test('not an empty batch', () => {
    const empty = Buffer.from(batchOf(['a']).subarray(0, 61));
    empty.writeInt32BE(49, 8);
    empty.writeInt32BE(0, 57);
    expect(() => {
      validateProducerBatch(readBatchHeader(empty));
    }).toThrow(named('INVALID_RECORD'));
  });
});

describe('changes in place', () => {
  test('what the leader assigns leaves the CRC right', () => {
    const batch = batchOf(['a', 'b']);
    const behind = Buffer.concat([Buffer.alloc(3), batch]);
    patchBatch(behind, 3, { baseOffset: 2 ** 40 + 5, partitionLeaderEpoch: 2 });
    expect(validateBatch(behind, 3)).toMatchObject({ baseOffset: 2 ** 40 + 5, partitionLeaderEpoch: 2 });
    expect(decodeRecords(behind, 3).map((record) => record.offset)).toEqual([2 ** 40 + 5, 2 ** 40 + 6]);
    expect(behind.subarray(0, 3)).toEqual(Buffer.alloc(3));
  });

  test('log append time is the time of every record', () => {
    const batch = batchOf(['a', 'b']);
    setLogAppendTime(batch, 0, NOW + 999);
    expect(validateBatch(batch)).toMatchObject({ timestampType: 'LogAppendTime', maxTimestamp: NOW + 999 });
    expect(decodeRecords(batch).map((record) => record.timestamp)).toEqual([NOW + 999, NOW + 999]);
  });

  test('another producer state, as after a bumped epoch', () => {
    const batch = batchOf(['a'], { producerId: 4, producerEpoch: 0, baseSequence: 70 });
    setProducerState(batch, 0, { producerId: 4, producerEpoch: 1, baseSequence: 0 });
    expect(validateBatch(batch)).toMatchObject({ producerId: 4, producerEpoch: 1, baseSequence: 0 });
  });

  test('numbers that the format cannot hold are a fault of the caller', () => {
    const batch = batchOf(['a']);
    const assign = (baseOffset: number) => () => {
      patchBatch(batch, 0, { baseOffset, partitionLeaderEpoch: 0 });
    };
    expect(assign(-1)).toThrow(/safe integer/);
    expect(assign(2 ** 53)).toThrow(/safe integer/);
    expect(assign(0.5)).toThrow(/safe integer/);
    expect(() => {
      setProducerState(batch, 0, { producerId: 1, producerEpoch: 32_768, baseSequence: 0 });
    }).toThrow(/16 bits/);
  });
});
