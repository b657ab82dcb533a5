import { crc32c, crc32cByTable } from './crc32c.js';

// RFC 3720, B.4, and the check value of the algorithm.
test.each<[string, Uint8Array, number]>([
  ['nothing', new Uint8Array(0), 0],
  ['32 bytes of 0', new Uint8Array(32), 0x8a9136aa],
  ['32 bytes of 0xff', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['0 to 31', Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
  ['31 to 0', Uint8Array.from({ length: 32 }, (_, index) => 31 - index), 0x113fdb5c],
  ['the check value', Buffer.from('123456789'), 0xe3069283],
])('%s', (_name, bytes, expected) => {
  expect(crc32c(bytes)).toBe(expected);
  expect(crc32cByTable(bytes)).toBe(expected);
});

test('the table and the native code agree at every length, and on parts', () => {
  const bytes = Buffer.from(Array.from({ length: 600 }, (_, index) => (index * index * 31) & 0xff));
  for (let length = 0; length <= bytes.length; length++) {
    const part = bytes.subarray(0, length);
    const whole = crc32cByTable(part);
    expect(crc32c(part)).toBe(whole);
    const middle = length >> 1;
    expect(crc32c(part.subarray(middle), crc32c(part.subarray(0, middle)))).toBe(whole);
  }
});
