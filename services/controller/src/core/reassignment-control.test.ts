import { v1 } from '@barnabas/protocol';
import { CoreCluster, SESSION_TIMEOUT_MS } from '../test-kit/core-cluster.js';
import { alterReassignments, listReassignments } from './reassignment-control.js';

const { ErrorCode } = v1;

let core: CoreCluster;
beforeEach(() => {
  core = new CoreCluster();
  for (const id of [1, 2, 3, 4, 5]) core.join(id);
  core.writeTopic('a', [1, 2], [2, 3]);
});

type Move = readonly [partition: number, replicas: readonly number[]];

function reassign(moves: readonly Move[], forbidReplicationFactorChange = false, topic = 'a'): (number | string)[] {
  const partitions = moves.map(([partition, replicas]) => ({ topic, partition, replicas: [...replicas] }));
  const request = { partitions, forbidReplicationFactorChange };
  const results = core.run(alterReassignments(core.image, request, core.settings.defaults));
  return results.map(({ error }) => (error === undefined ? 0 : (v1.ErrorCode[error.code] ?? error.code)));
}

const move = (...replicas: number[]) => reassign([[0, replicas]])[0];
const cancel = () => move();

/** Replicas, and which of them come and go. */
function placement(partition = 0): string {
  const { replicas, addingReplicas, removingReplicas } = core.partition('a', partition);
  return `${replicas.join()} +${addingReplicas.join()} -${removingReplicas.join()}`;
}

function lose(id: number): void {
  core.now += SESSION_TIMEOUT_MS - 1;
  for (const broker of core.image.brokers.values()) if (broker.id !== id && !broker.fenced) core.heartbeat(broker.id);
  core.now += 1;
  core.expire();
}

test('new replicas are added, and when they are in sync the old ones go', () => {
  expect(move(3, 4)).toBe(0);
  expect([placement(), core.show('a')]).toEqual(['3,4,1,2 +3,4 -1,2', 'leader 1 at 0, isr 1,2']);
  core.alterPartition('a', 0, [1, 2, 3]);
  expect(placement()).toBe('3,4,1,2 +3,4 -1,2');
  expect(core.alterPartition('a', 0, [1, 2, 3, 4]).error?.code).toBe(ErrorCode.NEW_LEADER_ELECTED);
  expect([placement(), core.show('a')]).toEqual(['3,4 + -', 'leader 3 at 1, isr 3,4']);
  expect(move(3, 4)).toBe(0);
  expect(placement()).toBe('3,4 + -');
});

test('replicas may become more or fewer, unless the request forbids it', () => {
  expect(reassign([[0, [1, 2, 3]]], true)).toEqual(['INVALID_REPLICATION_FACTOR']);
  expect(reassign([[0, [3, 2]]], true)).toEqual([0]);
  expect(placement()).toBe('3,2,1 +3 -1');
  // The factor is that of before, also in the middle of a reassignment.
  expect(reassign([[0, [3, 4, 5]]], true)).toEqual(['INVALID_REPLICATION_FACTOR']);
  expect(reassign([[0, [4, 5]]], true)).toEqual([0]);
  expect(placement()).toBe('4,5,2,1 +4,5 -2,1');
  expect(move(1, 2, 3)).toBe(0);
  core.alterPartition('a', 0, [1, 2, 3]);
  expect(placement()).toBe('1,2,3 + -');
  // Nothing has to be copied: done at once.
  expect(move(2)).toBe(0);
  expect([placement(), core.show('a')]).toEqual(['2 + -', expect.stringMatching(/^leader 2 at \d, isr 2$/)]);
});

test('the order may change alone: it says who is preferred', () => {
  expect(move(2, 1)).toBe(0);
  expect([placement(), core.show('a')]).toEqual(['2,1 + -', 'leader 1 at 0, isr 1,2']);
});

test('another target starts from the original again', () => {
  move(3, 4);
  core.alterPartition('a', 0, [1, 2, 3]);
  expect(move(4, 5)).toBe(0);
  // 3 goes at once, in a new leader epoch.
  expect([placement(), core.show('a')]).toEqual(['4,5,1,2 +4,5 -1,2', 'leader 1 at 1, isr 1,2']);
  // Its own original ends it.
  expect(move(2, 1)).toBe(0);
  expect([placement(), core.show('a')]).toEqual(['2,1 + -', 'leader 1 at 2, isr 1,2']);
});

test('a reassignment can be cancelled', () => {
  expect(cancel()).toBe('NO_REASSIGNMENT_IN_PROGRESS');
  move(3, 4);
  core.alterPartition('a', 0, [1, 2, 3]);
  expect(cancel()).toBe(0);
  expect([placement(), core.show('a')]).toEqual(['1,2 + -', 'leader 1 at 1, isr 1,2']);
  move(1, 2, 3);
  expect(cancel()).toBe(0);
  expect(placement()).toBe('1,2 + -');
});

test('it cannot be cancelled into nobody who holds everything, unless that is allowed', () => {
  move(3, 4);
  core.alterPartition('a', 0, [1, 3]);
  lose(1);
  expect(core.show('a')).toBe('leader 3 at 1, isr 3');
  expect(cancel()).toBe('INVALID_REPLICA_ASSIGNMENT');
  expect(move(4, 5)).toBe('INVALID_REPLICA_ASSIGNMENT');
  expect(placement()).toBe('3,4,1,2 +3,4 -1,2');
  const config = { resourceType: 1, resourceName: 'a', key: 'unclean.leader.election.enable', value: 'true' };
  core.write({ record: { $case: 'config', config } });
  expect(cancel()).toBe(0);
  expect([placement(), core.show('a')]).toEqual(['1,2 + -', 'leader 2 at 2, isr 2']);
});

test('a broker that dies in the middle holds it up until it is back or replaced', () => {
  move(3, 4);
  core.alterPartition('a', 0, [1, 2, 3]);
  lose(4);
  lose(3);
  expect([placement(), core.show('a')]).toEqual(['3,4,1,2 +3,4 -1,2', 'leader 1 at 0, isr 1,2']);
  // What was chosen before may stay chosen, new choices must serve.
  expect(move(3, 5)).toBe(0);
  expect(move(4, 5)).toBe('INVALID_REPLICA_ASSIGNMENT');
  core.join(3);
  core.alterPartition('a', 0, [1, 2, 3, 5]);
  expect(placement()).toBe('3,5 + -');
});

test.each([
  ['a broker twice', [3, 3], 'INVALID_REPLICA_ASSIGNMENT'],
  ['an unknown broker', [1, 9], 'INVALID_REPLICA_ASSIGNMENT'],
  ['a negative broker', [1, -1], 'INVALID_REPLICA_ASSIGNMENT'],
  ['a fenced broker', [1, 6], 'INVALID_REPLICA_ASSIGNMENT'],
  ['a broker that shuts down', [1, 5], 'INVALID_REPLICA_ASSIGNMENT'],
  ['a broker that is being decommissioned', [1, 4], 'INVALID_REPLICA_ASSIGNMENT'],
])('%s is refused', (_name, replicas, code) => {
  core.register(core.registration(6));
  const change = { brokerId: 4, brokerEpoch: core.broker(4).epoch, decommissioning: true };
  core.write({ record: { $case: 'brokerRegistrationChange', brokerRegistrationChange: change } });
  core.heartbeat(5, { wantShutDown: true });
  const { image } = core;
  expect(move(...replicas)).toBe(code);
  expect(core.image).toBe(image);
});

test('each partition stands or falls alone, and none is named twice', () => {
  expect(
    reassign([
      [0, [3]],
      [1, [3]],
      [1, [4]],
      [7, [3]],
    ]),
  ).toEqual([0, 'INVALID_REQUEST', 'INVALID_REQUEST', 'UNKNOWN_TOPIC_OR_PARTITION']);
  expect(reassign([[0, [3]]], false, 'x')).toEqual(['UNKNOWN_TOPIC_OR_PARTITION']);
  core.write({ record: { $case: 'featureLevel', featureLevel: { name: 'metadata.version', level: 1 } } });
  expect(() => move(3)).toThrow(expect.objectContaining({ errorName: 'UNSUPPORTED_VERSION' }));
});

test('those under way are listed, of all partitions or of some', () => {
  core.writeTopic('b', [1], [1]);
  move(3, 4);
  reassign([[1, [2]]], false, 'b');
  const first = { topic: 'a', partition: 0, replicas: [3, 4, 1, 2], addingReplicas: [3, 4], removingReplicas: [1, 2] };
  const second = { topic: 'b', partition: 1, replicas: [2, 1], addingReplicas: [2], removingReplicas: [1] };
  expect(listReassignments(core.image, [])).toEqual([first, second]);
  const named = (topic: string, ...partitions: number[]) => listReassignments(core.image, [{ topic, partitions }]);
  expect([named('b'), named('b', 0), named('b', 1), named('x')]).toEqual([[second], [], [second], []]);
});

test('partitions that are added meanwhile have as many replicas as the target', () => {
  move(1, 2, 3);
  const topics = [{ name: 'a', totalCount: 3, assignments: [] }];
  core.run(core.topics.createPartitions(core.image, v1.CreatePartitionsRequest.create({ topics })));
  expect(core.partition('a', 2).replicas).toHaveLength(3);
  core.run(core.topics.deleteTopics(core.image, ['a']));
  expect(listReassignments(core.image, [])).toEqual([]);
});
