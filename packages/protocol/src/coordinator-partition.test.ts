import { coordinatorPartition } from './coordinator-partition.js';

// From Java: Utils.abs("…".hashCode()) % 50.
test.each([
  ['', 0],
  ['a', 97 % 50],
  ['group', 98_629_247 % 50],
  ['polygenelubricants', 0],
])('%s', (groupId, partition) => {
  expect(coordinatorPartition(groupId, 50)).toBe(partition);
});
