import fc from 'fast-check';
import { VarintReader, sizeOfVarint, sizeOfVarlong, writeVarint, writeVarlong } from './varint.js';

const INT32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const SAFE = fc.maxSafeInteger();
const INVALID = expect.objectContaining({ errorName: 'INVALID_RECORD' }) as Error;

function reader(...bytes: number[]): VarintReader {
  return new VarintReader(Uint8Array.from(bytes), 0, bytes.length);
}

test.each([
  [0, '00'],
  [-1, '01'],
  [1, '02'],
  [63, '7e'],
  [-64, '7f'],
  [64, '8001'],
  [8191, 'fe7f'],
  [-8192, 'ff7f'],
  [8192, '808001'],
  [2 ** 31 - 1, 'feffffff0f'],
  [-(2 ** 31), 'ffffffff0f'],
])('%d is %s, as in Kafka', (value, hex) => {
  const bytes = Buffer.alloc(10);
  expect(bytes.toString('hex', 0, writeVarint(bytes, 0, value))).toBe(hex);
  expect(bytes.toString('hex', 0, writeVarlong(bytes, 0, value))).toBe(hex);
});

test('32-bit values round-trip in the size foretold', () => {
  fc.assert(
    fc.property(INT32, (value) => {
      const bytes = Buffer.alloc(5);
      const end = writeVarint(bytes, 0, value);
      const read = new VarintReader(bytes, 0, end);
      expect(end).toBe(sizeOfVarint(value));
      expect(read.readVarint()).toBe(value);
      expect(read.position).toBe(end);
    }),
  );
});

test('64-bit values round-trip in the size foretold, as BigInt arithmetic encodes them', () => {
  const nearPowers = fc
    .tuple(fc.integer({ min: 0, max: 52 }), fc.integer({ min: -2, max: 2 }), fc.constantFrom(1, -1))
    .map(([power, delta, sign]) => sign * (2 ** power + delta) + 0);
  fc.assert(
    fc.property(fc.oneof(SAFE, nearPowers), (value) => {
      const bytes = Buffer.alloc(10);
      const end = writeVarlong(bytes, 0, value);
      const read = new VarintReader(bytes, 0, end);
      expect(end).toBe(sizeOfVarlong(value));
      expect(read.readVarlong()).toBe(value);
      expect(read.position).toBe(end);
      expect([...bytes.subarray(0, end)]).toEqual(encodeWithBigInt(value));
    }),
    { numRuns: 1000 },
  );
});

function encodeWithBigInt(value: number): number[] {
  const wide = BigInt(value);
  let zigzag = BigInt.asUintN(64, (wide << 1n) ^ (wide >> 63n));
  const bytes: number[] = [];
  while (zigzag >= 0x80n) {
    bytes.push(Number(zigzag & 0x7fn) | 0x80);
    zigzag >>= 7n;
  }
  return [...bytes, Number(zigzag)];
}

test.each([
  ['one byte too many for 0', [0x80, 0x00]],
  ['one byte too many for 64', [0x80, 0x81, 0x00]],
  ['five bytes for less', [0x80, 0x80, 0x80, 0x80, 0x00]],
  ['cut short', [0x80]],
  ['cut short in the fifth byte', [0xff, 0xff, 0xff, 0xff]],
  ['nothing', []],
])('%s is refused', (_name, bytes) => {
  expect(() => reader(...bytes).readVarint()).toThrow(INVALID);
  expect(() => reader(...bytes).readVarlong()).toThrow(INVALID);
});

test('33 bits overflow 32', () => {
  expect(() => reader(0xff, 0xff, 0xff, 0xff, 0x1f).readVarint()).toThrow(INVALID);
  expect(() => reader(0xff, 0xff, 0xff, 0xff, 0xff, 0x01).readVarint()).toThrow(INVALID);
  expect(reader(0xff, 0xff, 0xff, 0xff, 0x1f).readVarlong()).toBe(-(2 ** 32));
});

test('values beyond 2^53 are refused, and so are encodings that never end', () => {
  expect(reader(...encodeWithBigInt(Number.MAX_SAFE_INTEGER)).readVarlong()).toBe(Number.MAX_SAFE_INTEGER);
  expect(reader(...encodeWithBigInt(Number.MIN_SAFE_INTEGER)).readVarlong()).toBe(Number.MIN_SAFE_INTEGER);
  expect(() => reader(...encodeWithBigInt(2 ** 53)).readVarlong()).toThrow(INVALID);
  expect(() => reader(...encodeWithBigInt(-(2 ** 53))).readVarlong()).toThrow(INVALID);
  expect(() => reader(...encodeWithBigInt(2 ** 62)).readVarlong()).toThrow(INVALID);
  expect(() => reader(...new Array<number>(20).fill(0xff)).readVarlong()).toThrow(INVALID);
});

test('nothing at or behind the end is read', () => {
  const bytes = Uint8Array.from([0x80, 0x01, 0x00]);
  expect(() => new VarintReader(bytes, 0, 1).readVarint()).toThrow(INVALID);
  expect(() => new VarintReader(bytes, 0, 1).readVarlong()).toThrow(INVALID);
  expect(() => new VarintReader(bytes, 3, 3).readVarint()).toThrow(INVALID);
});
