import { decodeGroupRecord, encodeGroupRecord } from './record-codec.js';
import type { GroupRecord } from './record.js';

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));
const hex = (of: Uint8Array | null) => (of === null ? null : Buffer.from(of).toString('hex'));

test('keys are a type number and fields in order: what compaction compares', () => {
  const record: GroupRecord = {
    type: 'offsetCommit',
    key: { groupId: 'g', topicId: 't', partition: 2 },
    value: { offset: 300, leaderEpoch: -1, metadata: '', commitTimestampMs: 1, topic: 'x', rewinds: 3 },
  };
  const encoded = encodeGroupRecord(record);
  expect(hex(encoded.key)).toBe('0001' + '0a0167' + '120174' + '1802');
  expect(hex(encoded.value)).toBe('08ac02' + '10ffffffffffffffffff01' + '2001' + '2a0178' + '3003');
  expect(decodeGroupRecord(encoded)).toEqual(record);
});

test('a tombstone has no value', () => {
  const encoded = encodeGroupRecord({ type: 'group', key: { groupId: 'g' }, value: undefined });
  expect([hex(encoded.key), encoded.value]).toEqual(['00030a0167', null]);
  expect(decodeGroupRecord(encoded).value).toBeUndefined();
});

test.each([
  ['of a type to come', '00630a0167', 'type 99'],
  ['of none', '00', 'type -1'],
  ['cut off', '00030a05', 'does not decode'],
])('a key %s is refused', (_name, key, why) => {
  expect(() => decodeGroupRecord({ key: bytes(key), value: null })).toThrow(why);
});

test('a value that does not decode is refused', () => {
  expect(() => decodeGroupRecord({ key: bytes('00030a0167'), value: bytes('08') })).toThrow('does not decode');
});
