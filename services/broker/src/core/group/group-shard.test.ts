/** The rules of membership and of offsets, one by one. */
import { BarnabasError } from '@barnabas/protocol';
import type { ErrorName } from '@barnabas/protocol';
import { stateOf } from './group-image.js';
import { partitionKey } from './partition-key.js';
import { TestCoordinator } from './test-kit/coordinator.js';
import { TestMember, converge } from './test-kit/member.js';
import { TestMetadata } from './test-kit/metadata.js';

function coordinator(partitions = 4, settings: ConstructorParameters<typeof TestCoordinator>[0] = {}): TestCoordinator {
  const made = new TestCoordinator({ metadata: new TestMetadata(['a', 'b', 'c']), ...settings });
  if (made.metadata.image.topics.named('orders') === undefined) made.metadata.addTopic('orders', partitions);
  return made;
}

function refused(call: () => unknown): ErrorName | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (error instanceof BarnabasError) return error.errorName;
    throw error;
  }
}

const state = (at: TestCoordinator) => {
  const group = at.shard.group('g');
  return group === undefined ? 'Dead' : stateOf(group);
};

const orders = (at: TestCoordinator, ...partitions: number[]) =>
  partitions.map((partition) => partitionKey(at.metadata.topicId('orders'), partition));

describe('joining and leaving', () => {
  test('the first member gets everything at once', () => {
    const at = coordinator();
    const one = new TestMember(at, 'one');
    expect(one.beat()).toMatchObject({ memberEpoch: 1, heartbeatIntervalMs: 5_000 });
    expect(one.partitions).toEqual(orders(at, 0, 1, 2, 3));
    expect(state(at)).toBe('Stable');
  });

  test('a second one gets only what the first has confirmed to have given up, and only that stops', () => {
    const at = coordinator();
    const [one, two] = [new TestMember(at, 'one'), new TestMember(at, 'two')];
    one.beat();
    two.beat();
    expect(two.partitions).toEqual([]);
    expect(state(at)).toBe('Reconciling');
    expect(at.nudges.at(-1)).toEqual({ groupId: 'g', memberIds: ['one'] });

    // Told to give two up, it says that it still has all four: nothing moves, and its epoch stays.
    const before = one.owned;
    expect(one.beat().assignment?.partitions).toHaveLength(2);
    one.beat({ owned: before });
    two.beat();
    expect([one.epoch, two.partitions]).toEqual([1, []]);

    one.beat();
    expect(at.nudges.at(-1)).toEqual({ groupId: 'g', memberIds: ['two'] });
    two.beat();
    expect([one.epoch, two.epoch]).toEqual([2, 2]);
    expect([...one.partitions, ...two.partitions].sort()).toEqual(orders(at, 0, 1, 2, 3));
    expect(state(at)).toBe('Stable');
  });

  test('what is heard late of an older assignment confirms nothing', () => {
    const at = coordinator(2);
    const [one, two] = [new TestMember(at, 'one'), new TestMember(at, 'two')];
    one.beat();
    const late = one.request({ owned: [] });
    two.beat();
    one.beat();
    at.heartbeat({ ...late, appliedVersion: one.version - 1 });
    two.beat();
    expect(two.partitions).toEqual([]);
    // The same without a version is a Kafka client's, whose heartbeats come in order.
    at.heartbeat({ ...late, appliedVersion: one.version });
    two.beat();
    expect(two.partitions).toHaveLength(1);
  });

  test('a join that comes once more does not confirm that partitions are given up', () => {
    const at = coordinator(2);
    const [one, two] = [new TestMember(at, 'one'), new TestMember(at, 'two')];
    const join = one.request();
    one.beat();
    two.beat();
    one.beat();
    at.heartbeat(join);
    two.beat();
    expect(two.partitions).toEqual([]);
    // A later stream of the member does: it has begun anew.
    at.heartbeat({ ...join, incarnation: 1 });
    two.beat();
    expect(two.partitions).toHaveLength(1);
  });

  test('one that leaves makes room at once', () => {
    const at = coordinator();
    const [one, two] = [new TestMember(at, 'one'), new TestMember(at, 'two')];
    converge(one, two);
    two.leave();
    one.beat();
    expect(one.partitions).toHaveLength(4);
    one.leave();
    expect(state(at)).toBe('Empty');
    expect(refused(() => one.beat({ memberEpoch: 3 }))).toBe('UNKNOWN_MEMBER_ID');
  });

  test('group.consumer.max.size is kept', () => {
    const at = coordinator(4, { settings: { maxSize: 1 } });
    new TestMember(at, 'one').beat();
    expect(refused(() => new TestMember(at, 'two').beat())).toBe('GROUP_MAX_SIZE_REACHED');
    new TestMember(at, 'one').beat();
  });

  test.each<[ErrorName, Parameters<TestMember['beat']>[0]]>([
    ['INVALID_GROUP_ID', { groupId: '' }],
    ['INVALID_GROUP_ID', { groupId: 'x'.repeat(256) }],
    ['INVALID_REQUEST', { memberId: '' }],
    ['INVALID_REQUEST', { memberEpoch: -3 }],
    ['INVALID_REQUEST', { incarnation: -1 }],
    ['INVALID_REQUEST', { rebalanceTimeoutMs: 0 }],
    ['INVALID_REQUEST', { owned: [{ topicId: 'x', partition: 0 }] }],
    ['INVALID_TOPIC_EXCEPTION', { topicNames: ['no/topic'] }],
    ['INVALID_REGULAR_EXPRESSION', { topicPattern: '(' }],
    ['UNSUPPORTED_ASSIGNOR', { serverAssignor: 'best' }],
  ])('%s for %j', (error, change) => {
    const at = coordinator();
    expect(refused(() => new TestMember(at, 'one').beat(change))).toBe(error);
    expect(at.log).toEqual([]);
  });
});

describe('epochs', () => {
  test('the epoch before is accepted once more, of a member that owns no more than it should', () => {
    const at = coordinator();
    const [one, two] = [new TestMember(at, 'one'), new TestMember(at, 'two')];
    converge(one, two);
    expect(one.epoch).toBe(2);
    expect(at.heartbeat(one.request({ memberEpoch: 1 })).memberEpoch).toBe(2);
    const tooMuch = [...one.owned, ...two.owned];
    expect(refused(() => one.beat({ memberEpoch: 1, owned: tooMuch }))).toBe('FENCED_MEMBER_EPOCH');
    expect(refused(() => one.beat({ memberEpoch: 3 }))).toBe('FENCED_MEMBER_EPOCH');
  });

  test('an answer that was lost comes again', () => {
    const at = coordinator();
    const one = new TestMember(at, 'one');
    at.heartbeat(one.request());
    one.epoch = 1;
    expect(one.beat().assignment?.partitions).toHaveLength(4);
    expect(one.beat().assignment).toBeUndefined();
  });

  test('a stream that the member has left behind is fenced, and the new one goes on without a rebalance', () => {
    const at = coordinator();
    const one = new TestMember(at, 'one');
    one.beat();
    const groupEpoch = at.shard.group('g')?.epoch;
    const resumed = new TestMember(at, 'one', { incarnation: 1 });
    resumed.epoch = one.epoch;
    expect(resumed.beat().assignment?.partitions).toHaveLength(4);
    expect(at.shard.group('g')?.epoch).toBe(groupEpoch);
    expect(refused(() => one.beat())).toBe('FENCED_MEMBER_EPOCH');
    expect(refused(() => one.leave())).toBe('FENCED_MEMBER_EPOCH');
    at.move();
    expect(refused(() => one.beat())).toBe('FENCED_MEMBER_EPOCH');
    resumed.beat();
  });
});

describe('time', () => {
  test('a silent member is removed, and its partitions go to the others', () => {
    const at = coordinator();
    const [one, two] = [new TestMember(at, 'one'), new TestMember(at, 'two')];
    converge(one, two);
    for (let beats = 0; beats < 5; beats++) {
      at.passAwake(10_000);
      two.beat();
    }
    expect(two.partitions).toHaveLength(4);
    expect(refused(() => one.beat())).toBe('UNKNOWN_MEMBER_ID');
  });

  test('one that does not give up in time is removed, though it is heard from', () => {
    const at = coordinator(2);
    const one = new TestMember(at, 'one', { rebalanceTimeoutMs: 20_000 });
    const two = new TestMember(at, 'two');
    one.beat();
    const all = one.owned;
    two.beat();
    one.beat();
    for (let beats = 0; beats < 3; beats++) {
      at.passAwake(5_000);
      one.beat({ owned: all });
      two.beat();
    }
    expect(two.partitions).toEqual([]);
    at.passAwake(6_000);
    expect(refused(() => one.beat({ owned: all }))).toBe('UNKNOWN_MEMBER_ID');
    two.beat();
    expect(two.partitions).toHaveLength(2);
  });

  test('a coordinator that stood still forgives half a session', () => {
    const at = coordinator();
    const one = new TestMember(at, 'one');
    one.beat();
    at.tick();
    at.pass(60_000);
    at.tick();
    one.beat();
    at.passAwake(50_000);
    expect(refused(() => one.beat())).toBe('UNKNOWN_MEMBER_ID');
  });

  test('a member stays due until its removal is in the log', () => {
    const at = coordinator();
    new TestMember(at, 'one').beat();
    at.tick();
    at.pass(20_000);
    at.tick();
    at.pass(22_000);
    at.tick();
    at.pass(5_000);
    // The append is refused: nothing has happened.
    expect(at.shard.tick(at.now, at.metadata.image)).toHaveLength(1);
    expect(state(at)).toBe('Stable');
    expect(at.shard.wakeAt - at.now.monotonicMs).toBeLessThanOrEqual(520);
    at.pass(520);
    at.tick();
    expect(state(at)).toBe('Empty');
  });

  test('a new coordinator gives everybody the whole time', () => {
    const at = coordinator();
    const one = new TestMember(at, 'one');
    one.beat();
    at.passAwake(40_000);
    at.move();
    at.passAwake(40_000);
    one.beat();
    expect(one.partitions).toHaveLength(4);
  });
});

describe('static members', () => {
  const member = (at: TestCoordinator, id: string) => new TestMember(at, id, { instanceId: 'i1' });

  test('one that leaves for a moment comes back under another id, and nothing moves', () => {
    const at = coordinator();
    const [one, other] = [member(at, 'one'), new TestMember(at, 'other')];
    converge(one, other);
    const [owned, epoch] = [one.partitions, at.shard.group('g')?.epoch];
    one.beat({ memberEpoch: -2 });
    other.beat();
    const again = member(at, 'again');
    again.beat();
    expect(again.partitions).toEqual(owned);
    expect(at.shard.group('g')?.epoch).toBe(epoch);
    expect(refused(() => member(at, 'one').beat({ memberEpoch: 2 }))).toBe('FENCED_INSTANCE_ID');
  });

  test('one that does not come back is removed when its session is over', () => {
    const at = coordinator();
    const [one, other] = [member(at, 'one'), new TestMember(at, 'other')];
    converge(one, other);
    one.beat({ memberEpoch: -2 });
    for (let beats = 0; beats < 5; beats++) {
      expect(other.partitions).toHaveLength(2);
      at.passAwake(10_000);
      other.beat();
    }
    expect(other.partitions).toHaveLength(4);
  });

  test('the instance id of a living member is not to be had', () => {
    const at = coordinator();
    member(at, 'one').beat();
    expect(refused(() => member(at, 'two').beat())).toBe('UNRELEASED_INSTANCE_ID');
    at.passAwake(50_000);
    member(at, 'two').beat();
  });

  test('what it was giving up is given up when it leaves for a moment', () => {
    const at = coordinator();
    const [one, two] = [member(at, 'one'), new TestMember(at, 'two')];
    one.beat();
    two.beat();
    one.beat();
    one.beat({ memberEpoch: -2 });
    two.beat();
    expect(two.partitions).toHaveLength(2);
  });

  test('a dynamic member cannot leave for a moment, nor change into a static one', () => {
    const at = coordinator();
    const one = new TestMember(at, 'one');
    one.beat();
    expect(refused(() => one.beat({ memberEpoch: -2 }))).toBe('INVALID_REQUEST');
    expect(refused(() => member(at, 'one').beat())).toBe('INVALID_REQUEST');
  });

  test('coming back under the same id and stream begins anew', () => {
    const at = coordinator();
    const [one, two] = [member(at, 'one'), new TestMember(at, 'two')];
    one.beat();
    one.beat({ memberEpoch: -2 });
    two.beat();
    one.forget();
    one.beat();
    two.beat();
    expect([one.epoch, one.partitions.length, two.partitions.length]).toEqual([2, 2, 2]);
  });
});

describe('topics', () => {
  test('a topic that grows, appears or goes makes a new target', () => {
    const at = coordinator(2);
    const one = new TestMember(at, 'one', { topicNames: ['orders', 'later'] });
    one.beat();
    at.follow(at.metadata.grow('orders', 5));
    expect(at.nudges.at(-1)).toEqual({ groupId: 'g', memberIds: ['one'] });
    one.beat();
    expect(one.partitions).toHaveLength(5);
    at.follow(at.metadata.addTopic('later', 1));
    one.beat();
    expect(one.partitions).toHaveLength(6);
    at.follow(at.metadata.remove('orders'));
    converge(one);
    expect(one.partitions).toHaveLength(1);
    const epoch = at.shard.group('g')?.epoch;
    at.follow(at.metadata.addTopic('unrelated', 3));
    expect(at.shard.group('g')?.epoch).toBe(epoch);
  });

  test('a pattern takes in topics as they come', () => {
    const at = coordinator(2);
    const one = new TestMember(at, 'one', { topicNames: [], topicPattern: 'or.*' });
    at.metadata.addTopic('__consumer_offsets', 3);
    one.beat();
    expect(one.partitions).toHaveLength(2);
    at.follow(at.metadata.addTopic('orion', 1));
    at.follow(at.metadata.addTopic('other', 1));
    one.beat();
    expect(one.partitions).toHaveLength(3);
    one.beat({ topicPattern: '', topicNames: ['other'] });
    converge(one);
    expect(one.partitions).toHaveLength(1);
  });

  test('a coordinator that has seen other metadata than the last assigns anew', () => {
    const at = coordinator(2);
    const one = new TestMember(at, 'one');
    one.beat();
    at.metadata.grow('orders', 3);
    at.move();
    one.beat();
    expect(one.partitions).toHaveLength(3);
  });

  test('members get what is in their rack', () => {
    const metadata = new TestMetadata(['a', 'b', 'c']);
    metadata.addTopic('orders', 6, (partition) => [1 + (partition % 3)]);
    const at = coordinator(6, { metadata });
    const members = ['c', 'b', 'a'].map((rackId) => new TestMember(at, `in-${rackId}`, { rackId }));
    // All there before the first target: what is placed at once is placed well.
    for (const one of members) one.beat({ topicNames: ['none'] });
    for (const one of members) one.beat({ topicNames: ['orders'] });
    converge(...members);
    expect(members.map((one) => one.partitions.length)).toEqual([2, 2, 2]);
  });

  test('the assignor that most prefer is used', () => {
    const at = coordinator(4);
    const members = ['one', 'two'].map((id) => new TestMember(at, id, { serverAssignor: 'range' }));
    converge(...members);
    expect(members.map((one) => one.partitions)).toEqual([orders(at, 0, 1), orders(at, 2, 3)]);
  });
});

describe('a decision that is cut off', () => {
  test.each([1, 2, 3, 4, 5, 6])('after %i records leaves a group that goes on', (keep) => {
    const at = coordinator();
    const [one, two] = [new TestMember(at, 'one'), new TestMember(at, 'two')];
    one.beat();
    at.take(at.shard.heartbeat(two.request(), at.now, at.metadata.image), keep);
    at.move();
    converge(one, two);
    expect([...one.partitions, ...two.partitions].sort()).toEqual(orders(at, 0, 1, 2, 3));
    expect(state(at)).toBe('Stable');
  });
});

describe('offsets', () => {
  const commit = (at: TestCoordinator, member: TestMember, partition: number, offset: number, change = {}) => {
    const { groupId, memberId, memberEpoch, incarnation, rewinds } = {
      ...member.request(),
      ...change,
    } as ReturnType<TestMember['request']> & { rewinds?: number };
    const topicId = at.metadata.topicId('orders');
    const offsets = [{ topicId, partition, offset, leaderEpoch: 3, metadata: 'm', rewinds }];
    return at.commit({ groupId, memberId, memberEpoch, incarnation, offsets })[0];
  };
  const committed = (at: TestCoordinator, partition: number) => {
    const topicId = at.metadata.topicId('orders');
    const nobody = { groupId: 'g', memberId: '', memberEpoch: -1, incarnation: 0 };
    return at.take(at.shard.fetchOffsets({ ...nobody, partitions: [{ topicId, partition }] }))[0]?.offset;
  };
  const nobody = { memberId: '', memberEpoch: -1, incarnation: 0 };

  test('outlive the coordinator, with all that was committed', () => {
    const at = coordinator();
    const one = new TestMember(at, 'one');
    one.beat();
    expect(commit(at, one, 0, 17)).toBeUndefined();
    at.move({ compacted: true });
    const fetched = at.take(at.shard.fetchOffsets({ groupId: 'g', ...nobody }));
    expect(fetched).toEqual([
      {
        topicId: at.metadata.topicId('orders'),
        partition: 0,
        offset: 17,
        leaderEpoch: 3,
        metadata: 'm',
        commitTimestampMs: at.now.wallMs,
        rewinds: 0,
      },
    ]);
    expect(committed(at, 1)).toBe(-1);
  });

  test('are committed by the owner, at the epoch of the partition or a later one', () => {
    const at = coordinator(2);
    const [one, two] = [new TestMember(at, 'one'), new TestMember(at, 'two')];
    one.beat();
    two.beat();
    one.beat();
    // One is at epoch 1 still and gives a partition up; it may commit both until it has.
    const [kept, moved] = [one.owned[0]?.partition ?? -1, 1 - (one.owned[0]?.partition ?? -1)];
    expect([commit(at, one, kept, 1), commit(at, one, moved, 5)]).toEqual([undefined, undefined]);
    expect(commit(at, two, moved, 4)).toBe('STALE_MEMBER_EPOCH');
    one.beat();
    two.beat();
    // The commit was on its way when the partition moved on.
    expect(commit(at, one, moved, 3)).toBe('STALE_MEMBER_EPOCH');
    expect(committed(at, moved)).toBe(5);
    expect(commit(at, two, moved, 6)).toBeUndefined();
    // What one kept it may commit with the epoch it knew; two has had its partition since epoch 2 only.
    expect(commit(at, one, kept, 7, { memberEpoch: 1 })).toBeUndefined();
    expect(commit(at, two, moved, 8, { memberEpoch: 1 })).toBe('STALE_MEMBER_EPOCH');
  });

  test('are refused of whoever is not a member as it says', () => {
    const at = coordinator();
    const one = new TestMember(at, 'one', { incarnation: 1 });
    one.beat();
    expect(refused(() => commit(at, one, 0, 1, { memberId: 'two' }))).toBe('UNKNOWN_MEMBER_ID');
    expect(refused(() => commit(at, one, 0, 1, { incarnation: 0 }))).toBe('FENCED_MEMBER_EPOCH');
    expect(refused(() => commit(at, one, 0, 1, { memberEpoch: 9 }))).toBe('STALE_MEMBER_EPOCH');
    expect(refused(() => commit(at, one, 0, 1, { memberEpoch: 0 }))).toBe('STALE_MEMBER_EPOCH');
    expect(refused(() => commit(at, one, 0, 1, nobody))).toBe('UNKNOWN_MEMBER_ID');
    const fetch = (change: object) => () => at.shard.fetchOffsets({ ...one.request(), ...change });
    expect(refused(fetch({ memberEpoch: 9 }))).toBe('STALE_MEMBER_EPOCH');
    expect(refused(fetch({ memberId: 'two' }))).toBe('UNKNOWN_MEMBER_ID');
    expect(refused(fetch({}))).toBeUndefined();
  });

  test('do not go back by a commit that was late, but by one that says so', () => {
    const at = coordinator();
    const one = new TestMember(at, 'one');
    one.beat();
    expect(commit(at, one, 0, 9)).toBeUndefined();
    const records = at.log.length;
    expect(commit(at, one, 0, 4)).toBeUndefined();
    expect([committed(at, 0), at.log.length]).toEqual([9, records]);
    expect(commit(at, one, 0, 4, { rewinds: 1 })).toBeUndefined();
    expect(committed(at, 0)).toBe(4);
  });

  test('do not go back by a commit that went back and is late, also after the coordinator has moved', () => {
    const at = coordinator();
    const one = new TestMember(at, 'one');
    one.beat();
    const steps = [
      [9, 0, 9],
      [4, 1, 4],
      [6, 1, 6],
      // Another attempt at what was committed before.
      [4, 1, 6],
      [9, 0, 6],
      // Back again, and the same once more.
      [2, 2, 2],
      [3, 2, 3],
      [6, 1, 3],
      [2, 2, 3],
      // Forward on purpose, and back, without a commit in between.
      [1, 4, 1],
      [8, 3, 1],
    ] as const;
    for (const [offset, rewinds, expected] of steps) {
      expect(commit(at, one, 0, offset, { rewinds })).toBeUndefined();
      expect([offset, rewinds, committed(at, 0)]).toEqual([offset, rewinds, expected]);
      at.move({ compacted: true });
    }
    // Who does not count goes on from what is committed.
    expect(commit(at, one, 0, 0)).toBeUndefined();
    expect(commit(at, one, 0, 5)).toBeUndefined();
    expect(committed(at, 0)).toBe(5);
    for (const rewinds of [-1, 0.5, 2 ** 31]) expect(commit(at, one, 0, 6, { rewinds })).toBe('INVALID_REQUEST');
  });

  test('are counted by a reset, so that the next owner goes on behind it', () => {
    const at = coordinator();
    const [one, two] = [new TestMember(at, 'one'), new TestMember(at, 'two')];
    expect(commit(at, one, 0, 9, nobody)).toBeUndefined();
    expect(commit(at, one, 0, 3, { ...nobody, rewinds: 7 })).toBeUndefined();
    expect(commit(at, one, 0, 5, nobody)).toBeUndefined();
    two.beat();
    const topicId = at.metadata.topicId('orders');
    const fetched = at.take(at.shard.fetchOffsets({ ...two.request(), partitions: [{ topicId, partition: 0 }] }));
    expect(fetched).toMatchObject([{ offset: 5, rewinds: 1 }]);
    expect(commit(at, two, 0, 6, { rewinds: 1 })).toBeUndefined();
    expect(committed(at, 0)).toBe(6);
  });

  test('are reset by anybody while there are no members', () => {
    const at = coordinator();
    const one = new TestMember(at, 'one');
    expect(commit(at, one, 0, 9, nobody)).toBeUndefined();
    expect(commit(at, one, 0, 3, nobody)).toBeUndefined();
    expect(committed(at, 0)).toBe(3);
    expect(state(at)).toBe('Empty');
  });

  test('stand or fall one by one', () => {
    const at = coordinator(2);
    const one = new TestMember(at, 'one');
    one.beat();
    const topicId = at.metadata.topicId('orders');
    const offset = { topicId, partition: 0, offset: 1, leaderEpoch: -1, metadata: '' };
    const offsets = [
      offset,
      { ...offset, partition: 2 },
      { ...offset, topicId: 'nowhere' },
      { ...offset, offset: -1 },
      { ...offset, leaderEpoch: -2 },
      { ...offset, metadata: 'ü'.repeat(2_049) },
      { ...offset, partition: 1, metadata: 'ü'.repeat(2_048) },
    ];
    expect(at.commit({ ...one.request(), offsets })).toEqual([
      undefined,
      'UNKNOWN_TOPIC_OR_PARTITION',
      'UNKNOWN_TOPIC_ID',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
      'OFFSET_METADATA_TOO_LARGE',
      undefined,
    ]);
  });

  test('are deleted where nobody subscribes to their topic', () => {
    const at = coordinator();
    const one = new TestMember(at, 'one');
    one.beat();
    commit(at, one, 0, 9);
    const topicId = at.metadata.topicId('orders');
    const remove = () =>
      at
        .take(at.shard.deleteOffsets('g', [{ topicId, partition: 0 }], at.metadata.image))
        .map(({ error }) => error?.errorName);
    expect(remove()).toEqual(['GROUP_SUBSCRIBED_TO_TOPIC']);
    one.leave();
    expect(remove()).toEqual([undefined]);
    expect(committed(at, 0)).toBe(-1);
    expect(refused(() => at.shard.deleteOffsets('h', [], at.metadata.image))).toBe('GROUP_ID_NOT_FOUND');
  });

  test('go with their topic, seen to be deleted, and not with one that this broker has not heard of', () => {
    const at = coordinator();
    commit(at, new TestMember(at, 'one'), 0, 9, nobody);
    const behind = new TestMetadata();
    at.take(at.shard.metadataChanged(behind.image));
    expect(committed(at, 0)).toBe(9);
    const topicId = at.metadata.topicId('orders');
    at.follow(at.metadata.remove('orders'));
    expect(at.shard.group('g')?.offsets.get(partitionKey(topicId, 0))).toBeUndefined();
  });

  test('expire, and then the group; not while its topic is subscribed to', () => {
    const at = coordinator(1, { settings: { offsetsRetentionMs: 3_600_000 } });
    const one = new TestMember(at, 'one');
    one.beat();
    commit(at, one, 0, 9);
    const stay = (ms: number) => {
      for (let left = ms; left > 0; left -= 30_000) {
        at.pass(30_000);
        one.beat();
        at.tick();
      }
    };
    stay(8_000_000);
    expect(committed(at, 0)).toBe(9);
    one.leave();
    at.passAwake(3_000_000);
    expect(committed(at, 0)).toBe(9);
    at.passAwake(1_300_000);
    expect(at.shard.group('g')).toBeUndefined();
    at.move({ compacted: true });
    expect(at.shard.size).toBe(0);
  });
});

describe('administration', () => {
  test('lists, describes and deletes', () => {
    const at = coordinator(1);
    const one = new TestMember(at, 'one');
    one.beat();
    new TestMember(at, 'x', { groupId: 'h' }).beat();
    new TestMember(at, 'x', { groupId: 'h' }).beat({ memberEpoch: -1 });
    const list = (...states: ('Empty' | 'Stable')[]) =>
      at.take(at.shard.listGroups(new Set(states))).map(({ groupId, state: is, members }) => [groupId, is, members]);
    expect(list()).toEqual([
      ['g', 'Stable', 1],
      ['h', 'Empty', 0],
    ]);
    expect(list('Empty')).toEqual([['h', 'Empty', 0]]);
    const topicId = at.metadata.topicId('orders');
    expect(at.take(at.shard.describeGroup('g'))).toMatchObject({
      state: 'Stable',
      epoch: 1,
      members: [{ memberId: 'one', assignment: [{ topicId, partition: 0 }], target: [{ topicId, partition: 0 }] }],
    });
    expect(refused(() => at.shard.deleteGroup('g'))).toBe('NON_EMPTY_GROUP');
    expect(refused(() => at.shard.deleteGroup('nobody'))).toBe('GROUP_ID_NOT_FOUND');
    expect(refused(() => at.shard.describeGroup('nobody'))).toBe('GROUP_ID_NOT_FOUND');
    one.leave();
    at.take(at.shard.deleteGroup('g'));
    expect(list()).toEqual([['h', 'Empty', 0]]);
    at.move({ compacted: true });
    expect(list()).toEqual([['h', 'Empty', 0]]);
  });
});
