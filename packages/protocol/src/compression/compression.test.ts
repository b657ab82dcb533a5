import { deflateRawSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { compressFrameSync } from 'lz4-napi';
import { compressSync as snappyBlock } from 'snappy';
import { crc32c } from '../crc32c.js';
import type { ErrorName } from '../error-table.js';
import { COMPRESSION_TYPES, compress, decompress } from './index.js';
import type { CompressionType } from './index.js';
import { walkZstdFrame } from './zstd-frame.js';
import { zstdCompressByWasm, zstdDecompressByWasm } from './zstd-wasm.js';

const COMPRESSED = COMPRESSION_TYPES.filter((type) => type !== 'none');
const TEXT = Buffer.from('The Castle hill was hidden, veiled in mist and darkness. '.repeat(400));

function named(name: ErrorName): Error {
  return expect.objectContaining({ errorName: name }) as Error;
}

test.each(COMPRESSION_TYPES)('%s round-trips any bytes', (type) => {
  const runs = fc
    .array(fc.tuple(fc.nat(255), fc.nat(300)))
    .map((parts) => Buffer.concat(parts.map(([byte, length]) => Buffer.alloc(length, byte))));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 5000 }), runs), (bytes) => {
      expect(decompress(type, compress(type, bytes), bytes.length)).toEqual(Buffer.from(bytes));
    }),
  );
});

test.each(COMPRESSION_TYPES)('%s round-trips more than one block of its framing', (type) => {
  const noise = Buffer.alloc(300_000);
  for (let at = 0; at < noise.length; at += 4)
    noise.writeUInt32BE(crc32c(noise.subarray(Math.max(0, at - 8), at), at), at);
  expect(decompress(type, compress(type, noise)).equals(noise)).toBe(true);
  const long = Buffer.concat([TEXT, TEXT, TEXT, TEXT, noise, TEXT]);
  expect(decompress(type, compress(type, long)).equals(long)).toBe(true);
});

test.each(COMPRESSION_TYPES)('%s yields exactly the cap, and nothing beyond it', (type) => {
  const data = compress(type, TEXT);
  expect(decompress(type, data, TEXT.length)).toEqual(TEXT);
  expect(() => decompress(type, data, TEXT.length - 1)).toThrow(named('MESSAGE_TOO_LARGE'));
  expect(() => decompress(type, data, 0)).toThrow(named('MESSAGE_TOO_LARGE'));
});

test.each(COMPRESSED)('a %s bomb is refused before it takes memory', (type) => {
  const bomb = compress(type, Buffer.alloc(200 * 1024 * 1024));
  const before = process.memoryUsage();
  expect(() => decompress(type, bomb, 1024 * 1024)).toThrow(named('MESSAGE_TOO_LARGE'));
  const after = process.memoryUsage();
  const growth = after.arrayBuffers + after.external - before.arrayBuffers - before.external;
  expect(growth).toBeLessThan(16 * 1024 * 1024);
});

test.each(COMPRESSED)('%s data cut at any byte, or with a byte too many, is refused', (type) => {
  const data = compress(type, TEXT.subarray(0, 700));
  for (let length = 0; length < data.length; length++) {
    // A header of xerial without blocks is whole; a batch with records refuses what is in it, nothing.
    if (type === 'snappy' && length === 16) continue;
    expect(() => decompress(type, data.subarray(0, length))).toThrow(named('CORRUPT_MESSAGE'));
  }
  expect(() => decompress(type, Buffer.concat([data, Buffer.from([0x55])]))).toThrow(named('CORRUPT_MESSAGE'));
});

test.each(COMPRESSED)('%s data with any byte changed throws a typed error or stays within the cap', (type) => {
  const data = compress(type, TEXT.subarray(0, 700));
  for (let at = 0; at < data.length; at++) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const changed = Buffer.from(data);
      changed.writeUInt8(changed.readUInt8(at) ^ flip, at);
      try {
        expect(decompress(type, changed, 4096).length).toBeLessThanOrEqual(4096);
      } catch (error) {
        expect(['CORRUPT_MESSAGE', 'MESSAGE_TOO_LARGE']).toContain((error as { errorName?: string }).errorName);
      }
    }
  }
});

describe('levels', () => {
  test('a higher level of gzip or zstd compresses better', () => {
    const data = Buffer.from(Array.from({ length: 20_000 }, (_, index) => `${index * 7919} `).join(''));
    for (const type of ['gzip', 'zstd'] as const) {
      expect(compress(type, data, 9).length).toBeLessThan(compress(type, data, 1).length);
      expect(decompress(type, compress(type, data, 9)).equals(data)).toBe(true);
    }
  });

  test('gzip without a level is level 1', () => {
    expect(compress('gzip', TEXT)).toEqual(compress('gzip', TEXT, 1));
  });

  test.each<[CompressionType, number]>([
    ['gzip', 0],
    ['gzip', 10],
    ['zstd', 23],
    ['zstd', 1.5],
    ['snappy', 1],
    ['lz4', 1],
    ['none', 1],
  ])('%s has no level %d', (type, level) => {
    expect(() => compress(type, TEXT, level)).toThrow(named('INVALID_CONFIG'));
  });
});

describe('snappy', () => {
  test('is written in blocks of 32 KiB behind the header of xerial, as Java does', () => {
    const data = compress('snappy', Buffer.alloc(40_000, 'x'));
    expect(data.toString('hex', 0, 16)).toBe('82534e41505059000000000100000001');
    const first = data.readUInt32BE(16);
    expect(data.readUInt32BE(20 + first)).toBe(data.length - 16 - 4 - first - 4);
  });

  test('is read without framing, as other clients write it', () => {
    expect(decompress('snappy', snappyBlock(TEXT))).toEqual(TEXT);
  });

  test('a few bytes that declare much reserve nothing', () => {
    // The varint of 60 MiB, below the cap, and three bytes of data.
    expect(() => decompress('snappy', Buffer.from('8080801e000000', 'hex'))).toThrow(/more than it can hold/);
  });

  test('a size of more than 32 bits is refused', () => {
    expect(() => decompress('snappy', Buffer.from('ffffffffff7f00', 'hex'))).toThrow(named('CORRUPT_MESSAGE'));
  });
});

describe('lz4', () => {
  test('checksums are read and checked', () => {
    const data = compressFrameSync(TEXT, { contentChecksum: true, blockChecksums: true });
    expect(decompress('lz4', data)).toEqual(TEXT);
    for (const at of [6, data.length - 1]) {
      const changed = Buffer.from(data);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      expect(() => decompress('lz4', changed)).toThrow(named('CORRUPT_MESSAGE'));
    }
  });

  test('two frames are refused: a batch has one', () => {
    const frame = compress('lz4', TEXT);
    expect(() => decompress('lz4', Buffer.concat([frame, frame]))).toThrow(named('CORRUPT_MESSAGE'));
  });
});

describe('gzip', () => {
  test('a wrong checksum and bare deflate are refused', () => {
    const data = gzipSync(TEXT);
    data.writeUInt8(data.readUInt8(data.length - 8) ^ 1, data.length - 8);
    expect(() => decompress('gzip', data)).toThrow(named('CORRUPT_MESSAGE'));
    expect(() => decompress('gzip', deflateRawSync(TEXT))).toThrow(named('CORRUPT_MESSAGE'));
  });
});

describe('zstd', () => {
  test('a frame that declares more than its blocks can make is refused before anything is allocated', () => {
    // Single segment, eight-byte size of 60 MiB, one raw block of one byte.
    const frame = Buffer.from('28b52ffde0' + '0000c00300000000' + '090000' + '61', 'hex');
    expect(() => decompress('zstd', frame)).toThrow(/declares more than it holds/);
  });

  test('a dictionary and a window beyond 128 MiB are refused', () => {
    expect(() => decompress('zstd', Buffer.from('28b52ffd2105000000', 'hex'))).toThrow(/dictionary/);
    expect(() => decompress('zstd', Buffer.from('28b52ffd0098010000', 'hex'))).toThrow(/window/);
  });

  /** A frame as streaming writers make it: what it holds is not declared. */
  function undeclared(data: Uint8Array): Buffer {
    const frame = compress('zstd', data);
    // Single segment with a four-byte size, as one-shot compression writes it here.
    expect(frame.readUInt8(4) & 0xe0).toBe(0xa0);
    const header = Buffer.from('28b52ffd0038', 'hex'); // window of 128 KiB
    header.writeUInt8(frame.readUInt8(4) & 0x04, 4);
    return Buffer.concat([header, frame.subarray(9)]);
  }

  test('a frame that declares no size is bounded by its blocks, and by the cap', () => {
    const data = Buffer.alloc(1_000_000, 'zstd');
    const frame = undeclared(data);
    expect(walkZstdFrame(frame, 64 << 20)).toEqual({ contentBound: 8 * 128 * 1024, contentSize: undefined });
    expect(walkZstdFrame(frame, 300_000)).toEqual({ contentBound: 300_000, contentSize: undefined });
    expect(decompress('zstd', frame).equals(data)).toBe(true);
    expect(decompress('zstd', frame, data.length).equals(data)).toBe(true);
    expect(() => decompress('zstd', frame, data.length - 1)).toThrow(named('MESSAGE_TOO_LARGE'));
    expect(() => decompress('zstd', frame, 300_000)).toThrow(named('MESSAGE_TOO_LARGE'));
  });

  test('WebAssembly, which Node before 22.15 uses, reads and writes the same', () => {
    const frame = zstdCompressByWasm(TEXT, 3);
    expect(zstdDecompressByWasm(frame, walkZstdFrame(frame, TEXT.length), TEXT.length)).toEqual(TEXT);
    expect(decompress('zstd', frame)).toEqual(TEXT);
    const short = { contentBound: 1000, contentSize: undefined };
    expect(() => zstdDecompressByWasm(frame, short, 1000)).toThrow(named('MESSAGE_TOO_LARGE'));
  });

  test('WebAssembly gives its memory back, even when it fails', () => {
    // It has 2 GiB: were one of these kept, the last ones could not be allocated.
    for (let round = 0; round < 40; round++) {
      const frame = { contentBound: 64 << 20, contentSize: undefined };
      expect(() => zstdDecompressByWasm(TEXT, frame, 64 << 20)).toThrow(named('CORRUPT_MESSAGE'));
    }
  });
});
