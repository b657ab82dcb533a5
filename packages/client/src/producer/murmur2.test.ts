import fc from 'fast-check';
import { murmur2, partitionForKey, toPositive } from './murmur2.js';

// Vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
const VECTORS: readonly (readonly [key: string, hash: number])[] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
];

test.each(VECTORS)('murmur2 of %j is what the Java client computes', (key, hash) => {
  expect(murmur2(Buffer.from(key))).toBe(hash);
});

test('toPositive clears the sign bit and is not the absolute value', () => {
  expect(toPositive(-1)).toBe(2147483647);
  expect(toPositive(-2147483648)).toBe(0);
  expect(toPositive(7)).toBe(7);
  expect(partitionForKey(Buffer.from('21'), 100)).toBe((-973932308 & 0x7fffffff) % 100);
});

test('agrees with kafkajs on keys of every length', () => {
  // A module of kafkajs without types.
  const other = require('kafkajs/src/producer/partitioners/default/murmur2') as (key: Buffer) => number;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      expect(murmur2(bytes)).toBe(other(Buffer.from(bytes)));
    }),
  );
});
