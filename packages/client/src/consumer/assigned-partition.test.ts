import { AssignedPartition } from './assigned-partition.js';

const partition = () => new AssignedPartition({ topic: 't', partition: 0 }, 5);

test('a partition that was revoked before it had been begun is not begun any more', () => {
  const assigned = partition();
  assigned.suspend();
  assigned.giveUp();
  assigned.unsuspend();
  expect(assigned.isSuspended).toBe(true);
  expect(assigned.wantsFetching).toBe(false);
});

test('a partition hands out nothing until it has been begun', () => {
  const assigned = partition();
  assigned.suspend();
  expect(assigned.wantsFetching).toBe(false);
  assigned.unsuspend();
  expect(assigned.wantsFetching).toBe(true);
});
