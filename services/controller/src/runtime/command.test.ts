import type { internal } from '@barnabas/protocol';
import { RAFT_DEFAULTS } from '@barnabas/raft';
import { decodeCommand, encodeCommand, packUnits } from './command.js';

const unit = (size: number, name: string) =>
  Array.from({ length: size }, (_, index): internal.MetadataRecord => {
    return { record: { $case: 'topic', topic: { name: `${name}${index}`, topicId: name } } };
  });

test('units are packed together, never divided, in order', () => {
  const units = [unit(3_000, 'a'), unit(2_000, 'b'), unit(1, 'c'), unit(12_000, 'd'), unit(0, 'e'), unit(4_999, 'f')];
  const packed = packUnits(units);
  expect(packed.map(({ length }) => length)).toEqual([5_000, 1, 12_000, 4_999]);
  expect(packed.flat()).toEqual(units.flat());
  expect(packUnits([])).toEqual([]);
});

test('a command is not larger than Raft takes, however large its records', () => {
  const config = (key: string): internal.MetadataRecord => ({
    record: { $case: 'config', config: { resourceType: 2, resourceName: '', key, value: 'v'.repeat(30_000) } },
  });
  const units = Array.from({ length: 200 }, (_, index) => [config(`key-${index}`)]);
  const packed = packUnits(units);
  expect(packed.flat()).toEqual(units.flat());
  for (const records of packed) {
    const command = encodeCommand({ baseOffset: 0, endOffset: records.length, term: 1, records: [...records] });
    expect(command.length).toBeLessThan(RAFT_DEFAULTS.maxCommandBytes);
  }
});

test('a command is its batch', () => {
  const batch = { baseOffset: 7, endOffset: 9, term: 3, records: unit(2, 'a') };
  expect(decodeCommand(encodeCommand(batch))).toEqual(batch);
});
