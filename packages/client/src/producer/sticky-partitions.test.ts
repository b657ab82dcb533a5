import { SeededRandom } from '@barnabas/common';
import { StickyPartitions } from './sticky-partitions.js';

function topic(partitionCount: number, available = (_: number): boolean => true) {
  return { name: 't', partitionCount, isAvailable: available };
}

const never = (): boolean => false;
const always = (): boolean => true;

test('stays until a batch worth of bytes has gone to a partition, and then moves at the end of a batch', () => {
  const sticky = new StickyPartitions(topic(1000), {
    stickyBytes: 100,
    random: new SeededRandom(7),
    queueLength: undefined,
  });
  const first = sticky.choose(never);
  sticky.wrote(99);
  expect(sticky.choose(always)).toBe(first);
  sticky.wrote(1);
  expect(sticky.choose(always)).toBe(first); // its batch is open: fill it
  expect(sticky.choose(never)).not.toBe(first);
});

test('moves at twice the bytes although a batch is open, and when a batch that took most of them is full', () => {
  const options = { stickyBytes: 100, random: new SeededRandom(7), queueLength: undefined };
  const sticky = new StickyPartitions(topic(1000), options);
  const first = sticky.choose(never);
  sticky.wrote(200);
  const second = sticky.choose(always);
  expect(second).not.toBe(first);
  sticky.wrote(60);
  sticky.batchFull();
  expect(sticky.choose(always)).not.toBe(second);
});

test('prefers partitions with a leader, and takes any where none has one', () => {
  const options = { stickyBytes: 1, random: new SeededRandom(7), queueLength: undefined };
  const some = new StickyPartitions(
    topic(10, (partition) => partition === 3),
    options,
  );
  const none = new StickyPartitions(topic(10, never), options);
  for (let round = 0; round < 20; round++) {
    expect(some.choose(never)).toBe(3);
    some.wrote(2);
  }
  expect(none.choose(never)).toBeLessThan(10);
});

test('spreads evenly, and with load away from long queues', () => {
  const count = (queueLength: ((partition: number) => number) | undefined): number[] => {
    const sticky = new StickyPartitions(topic(2), { stickyBytes: 1, random: new SeededRandom(3), queueLength });
    const counts = [0, 0];
    for (let round = 0; round < 4_000; round++) {
      const partition = sticky.choose(never);
      counts[partition] = (counts[partition] ?? 0) + 1;
      sticky.wrote(1);
    }
    return counts;
  };
  const [even = 0] = count(undefined);
  expect(even / 4_000).toBeCloseTo(0.5, 1);
  // Queues of 9 and 0: weights 1 and 10.
  const [loaded = 0] = count((partition) => (partition === 0 ? 9 : 0));
  expect(loaded / 4_000).toBeCloseTo(1 / 11, 1);
});
