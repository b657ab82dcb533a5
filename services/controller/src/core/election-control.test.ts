import { v1 } from '@barnabas/protocol';
import { CoreCluster } from '../test-kit/core-cluster.js';
import { MAX_REBALANCED_LEADERS, electLeaders, rebalanceLeaders } from './election-control.js';

const { PREFERRED, UNCLEAN, UNSPECIFIED } = v1.ElectionType;

let core: CoreCluster;
beforeEach(() => {
  core = new CoreCluster();
  for (const id of [1, 2, 3]) core.join(id);
});

/** Partition, leader after it and error of each result. */
function elect(type: v1.ElectionType, ...topics: v1.TopicPartitions[]): string[] {
  const results = core.run(electLeaders(core.image, { type, topics }, core.settings.defaults));
  return results.map(
    ({ topic, partition, leader, error }) =>
      `${topic}-${partition} ${leader}${error === undefined ? '' : ` ${v1.ErrorCode[error.code]}`}`,
  );
}

function setPartition(topic: string, partition: number, leader: number, isr: readonly number[]): void {
  const partitionChange = { topicId: `id of ${topic}`, partition, leader, isr: { ids: [...isr] } };
  core.write({ record: { $case: 'partitionChange', partitionChange } });
}

test('preferred leaders lead again where they are in sync', () => {
  core.writeTopic('a', [1, 2], [1, 2], [1, 2]);
  core.writeTopic('b', [3, 1]);
  setPartition('a', 0, 2, [1, 2]);
  setPartition('a', 1, 2, [2]);
  setPartition('b', 0, 1, [1, 3]);
  core.reportOffline(3, 'b');
  const named = [
    { topic: 'a', partitions: [2, 1, 1] },
    { topic: 'x', partitions: [] },
    { topic: 'b', partitions: [] },
    { topic: 'a', partitions: [9] },
  ];
  expect(elect(PREFERRED, ...named)).toEqual([
    'a-2 1 ELECTION_NOT_NEEDED',
    'a-1 2 PREFERRED_LEADER_NOT_AVAILABLE',
    'x-0 -1 UNKNOWN_TOPIC_OR_PARTITION',
    'b-0 1 PREFERRED_LEADER_NOT_AVAILABLE',
    'a-9 -1 UNKNOWN_TOPIC_OR_PARTITION',
  ]);
  // Of all partitions, those that changed or failed.
  expect(elect(UNSPECIFIED)).toEqual([
    'a-0 1',
    'a-1 2 PREFERRED_LEADER_NOT_AVAILABLE',
    'b-0 1 PREFERRED_LEADER_NOT_AVAILABLE',
  ]);
  expect(core.show('a', 0)).toBe('leader 1 at 2, isr 1,2');
});

test('an unclean election only where nobody leads', () => {
  core.writeTopic('a', [1, 2], [1, 2], [4]);
  setPartition('a', 1, -1, [4]);
  setPartition('a', 2, -1, [4]);
  expect(elect(UNCLEAN)).toEqual(['a-1 1', 'a-2 -1 ELIGIBLE_LEADERS_NOT_AVAILABLE']);
  expect(elect(UNCLEAN, { topic: 'a', partitions: [0, 1] })).toEqual([
    'a-0 1 ELECTION_NOT_NEEDED',
    'a-1 1 ELECTION_NOT_NEEDED',
  ]);
  expect(core.show('a', 1)).toBe('leader 1 at 2, isr 1');
});

test('a kind of election that nobody knows is refused', () => {
  expect(() => elect(9 as v1.ElectionType)).toThrow(expect.objectContaining({ errorName: 'INVALID_REQUEST' }));
});

describe('leaderships go back by themselves', () => {
  const rebalance = () => core.run(rebalanceLeaders(core.image, core.settings));
  const leaders = () => core.image.topics.named('a')?.partitions.map(({ leader }) => leader);

  test('when a broker lacks more than its share', () => {
    core.writeTopic('a', ...Array.from({ length: 20 }, () => [1, 2]));
    for (const partition of [0, 1]) setPartition('a', partition, 2, [1, 2]);
    expect(rebalance()).toEqual({ moved: 0, isMore: false });
    setPartition('a', 2, 2, [1, 2]);
    expect(rebalance()).toEqual({ moved: 3, isMore: false });
    expect(new Set(leaders())).toEqual(new Set([1]));
    expect(rebalance()).toEqual({ moved: 0, isMore: false });
  });

  test('not to brokers that cannot take them, nor in a reassignment', () => {
    core.writeTopic('a', [1, 2], [3, 2], [1, 2]);
    setPartition('a', 0, 2, [2]);
    setPartition('a', 1, 2, [2, 3]);
    setPartition('a', 2, 2, [1, 2]);
    core.heartbeat(3, { wantShutDown: true });
    const lists = { addingReplicas: { ids: [1] }, removingReplicas: { ids: [2] } };
    core.write({
      record: { $case: 'partitionChange', partitionChange: { topicId: 'id of a', partition: 2, ...lists } },
    });
    const { image } = core;
    expect(rebalance()).toEqual({ moved: 0, isMore: false });
    expect(core.image).toBe(image);
  });

  test('so many in one decision, the rest in the next', () => {
    core.writeTopic('a', ...Array.from({ length: MAX_REBALANCED_LEADERS + 5 }, () => [1, 2]));
    for (const partition of leaders()?.keys() ?? []) setPartition('a', partition, 2, [1, 2]);
    expect(rebalance()).toEqual({ moved: MAX_REBALANCED_LEADERS, isMore: true });
    // 5 of 1,005 are less than a tenth: they wait for the next time that the broker lacks its share.
    expect(rebalance()).toEqual({ moved: 0, isMore: false });
  });
});
