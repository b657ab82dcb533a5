import { internal, v1 } from '@barnabas/protocol';
import { plainImage } from '../test-kit/plain-image.js';
import { CoreCluster } from '../test-kit/core-cluster.js';
import { allocateProducerIds } from './producer-id-control.js';

const { ErrorCode } = v1;

let core: CoreCluster;
beforeEach(() => {
  core = new CoreCluster();
  core.join(1);
});

function create(request: Partial<v1.CreateTopicsRequest>) {
  return core.run(core.topics.createTopics(core.image, v1.CreateTopicsRequest.create(request)));
}

function addPartitions(name: string, totalCount: number, assignments: number[][] = [], validateOnly = false) {
  const topics = [{ name, totalCount, assignments: assignments.map((replicas) => ({ replicas })) }];
  const request = v1.CreatePartitionsRequest.create({ topics, validateOnly });
  return core.run(core.topics.createPartitions(core.image, request));
}

test('a topic gets the defaults of the cluster, or what it asks for', () => {
  core = new CoreCluster({ numPartitions: 3 });
  core.join(1);
  expect(core.createTopic('a')).toMatchObject({ name: 'a', partitions: 3, replicationFactor: 1, error: undefined });
  expect(core.createTopic('b', { partitions: 5, replicationFactor: 1 })).toMatchObject({ partitions: 5 });
  expect(core.createTopic('c', { configs: { 'retention.ms': '010' } }).error).toBeUndefined();
  expect(core.image.configs.of({ type: 'topic', name: 'c' })).toEqual(new Map([['retention.ms', '10']]));
  expect(core.image.topics.named('b')?.partitions).toHaveLength(5);
});

test('partitions are spread over the brokers that serve', () => {
  for (const id of [2, 3]) core.join(id);
  core.register(core.registration(4));
  core.createTopic('a', { partitions: 9 });
  const leaders = core.image.topics
    .named('a')
    ?.partitions.map(({ leader }) => leader)
    .sort();
  expect(leaders).toEqual([1, 1, 1, 2, 2, 2, 3, 3, 3]);
});

test('a topic has as many replicas as it asks for, or the default, all of them in sync while they serve', () => {
  core = new CoreCluster({ defaultReplicationFactor: 2 });
  for (const id of [1, 2]) core.join(id);
  core.register(core.registration(3));
  expect(core.createTopic('a')).toMatchObject({ replicationFactor: 2 });
  expect([...core.partition('a', 0).isr].sort()).toEqual([1, 2]);
  expect(core.run(core.topics.autoCreateTopics(core.image, ['b']))).toMatchObject([{ replicationFactor: 2 }]);
  expect(core.createTopic('c', { replicationFactor: 3, configs: { 'min.insync.replicas': '3' } })).toMatchObject({
    replicationFactor: 3,
    error: undefined,
  });
  const { replicas, isr, leader, eligibleLeaderReplicas } = core.partition('c', 0);
  expect([[...replicas].sort(), [...isr].sort()]).toEqual([
    [1, 2, 3],
    [1, 2],
  ]);
  expect([isr.includes(leader), eligibleLeaderReplicas]).toEqual([true, []]);
  addPartitions('c', 2);
  expect(core.partition('c', 1).replicas).toHaveLength(3);
});

test('a cluster that may still have nodes of the first release in it has no more than one replica', () => {
  for (const id of [2, 3]) core.join(id);
  core.write({ record: { $case: 'featureLevel', featureLevel: { name: 'metadata.version', level: 1 } } });
  const refused = { code: ErrorCode.INVALID_REPLICATION_FACTOR, message: expect.stringMatching(/metadata.version 2/) };
  expect(core.createTopic('a', { replicationFactor: 2 }).error).toEqual(refused);
  expect(core.createTopic('a', { assignments: [{ replicas: [1, 2] }] }).error).toEqual(refused);
  expect(core.createTopic('a', { replicationFactor: 1 }).error).toBeUndefined();
});

test('a broker that is being decommissioned gets no replicas', () => {
  for (const id of [2, 3]) core.join(id);
  const brokerEpoch = core.image.brokers.get(2)?.epoch ?? -1;
  const change = { brokerId: 2, brokerEpoch, decommissioning: true };
  core.write({ record: { $case: 'brokerRegistrationChange', brokerRegistrationChange: change } });
  core.createTopic('a', { partitions: 10, replicationFactor: 2 });
  const placed = core.image.topics.named('a')?.partitions.flatMap(({ replicas }) => replicas);
  expect([...new Set(placed)].sort()).toEqual([1, 3]);
  expect(core.createTopic('b', { replicationFactor: 3 }).error?.code).toBe(ErrorCode.INVALID_REPLICATION_FACTOR);
  expect(core.createTopic('b', { assignments: [{ replicas: [2] }] }).error?.message).toMatch(/being decommissioned/);
});

test.each([
  ['', {}, ErrorCode.INVALID_TOPIC_EXCEPTION],
  ['..', {}, ErrorCode.INVALID_TOPIC_EXCEPTION],
  ['a b', {}, ErrorCode.INVALID_TOPIC_EXCEPTION],
  ['x'.repeat(250), {}, ErrorCode.INVALID_TOPIC_EXCEPTION],
  ['a', { partitions: 0 }, ErrorCode.INVALID_PARTITIONS],
  ['a', { partitions: -1 }, ErrorCode.INVALID_PARTITIONS],
  ['a', { partitions: 10_001 }, ErrorCode.INVALID_PARTITIONS],
  ['a', { replicationFactor: 0 }, ErrorCode.INVALID_REPLICATION_FACTOR],
  ['a', { replicationFactor: 2 }, ErrorCode.INVALID_REPLICATION_FACTOR],
  ['a', { partitions: 1, assignments: [{ replicas: [1] }] }, ErrorCode.INVALID_REQUEST],
  ['a', { assignments: [{ replicas: [9] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
  ['a', { assignments: [{ replicas: [] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
  ['a', { assignments: [{ replicas: [1] }, { replicas: [1, 2] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
  ['a', { assignments: [{ replicas: [1, 2] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
  ['a', { assignments: [{ replicas: [1, 1] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
  ['a', { configs: { 'retention.mss': '1' } }, ErrorCode.INVALID_CONFIG],
  ['a', { configs: { 'retention.ms': 'x' } }, ErrorCode.INVALID_CONFIG],
  ['a', { configs: { 'cleanup.policy': 'shred' } }, ErrorCode.INVALID_CONFIG],
  ['a', { configs: { 'retention.ms': ' '.repeat(32_768) } }, ErrorCode.INVALID_CONFIG],
])('topic %j with %j is refused and leaves nothing behind', (name, change, code) => {
  const before = core.image;
  expect(core.createTopic(name, change).error?.code).toBe(code);
  expect(core.image).toBe(before);
});

test('errors name what to do', () => {
  expect(core.createTopic('a', { replicationFactor: 3 }).error?.message).toMatch(
    /3 is larger than the number of brokers that may take replicas, 1/,
  );
  expect(core.createTopic('a', { configs: { retention_ms: '1' } }).error?.message).toMatch(
    /nearest known key is retention.ms/,
  );
});

test('each topic of a request stands or falls alone, but names must not be repeated', () => {
  const names = ['good', 'twice', '/', 'twice', 'also-good'];
  const results = create({ topics: names.map((name) => v1.NewTopic.create({ name })) });
  expect(results.map(({ name, error }) => [name, error?.code ?? 0])).toEqual([
    ['good', 0],
    ['twice', ErrorCode.INVALID_REQUEST],
    ['/', ErrorCode.INVALID_TOPIC_EXCEPTION],
    ['twice', ErrorCode.INVALID_REQUEST],
    ['also-good', 0],
  ]);
  expect([...core.image.topics.idsByName.keys()].sort()).toEqual(['also-good', 'good']);
});

test("names that differ only in '.' and '_' collide, in one request and over time", () => {
  const results = create({ topics: ['a.b', 'a_b'].map((name) => v1.NewTopic.create({ name })) });
  expect(results.map(({ error }) => error?.code ?? 0)).toEqual([0, ErrorCode.INVALID_TOPIC_EXCEPTION]);
  expect(core.createTopic('a_b').error?.message).toMatch(/collides with topic a.b/);
  core.run(core.topics.deleteTopics(core.image, ['a.b']));
  expect(core.createTopic('a_b').error).toBeUndefined();
});

test('a topic that exists is refused, one that was deleted may be created again with a new id', () => {
  const { topicId } = core.createTopic('a', { configs: { 'retention.ms': '1' } });
  expect(core.createTopic('a').error?.code).toBe(ErrorCode.TOPIC_ALREADY_EXISTS);
  expect(core.run(core.topics.deleteTopics(core.image, ['a', 'b']))).toMatchObject([
    { name: 'a', topicId, error: undefined },
    { name: 'b', error: { code: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION } },
  ]);
  expect(core.createTopic('a').topicId).not.toBe(topicId);
  expect(core.image.configs.of({ type: 'topic', name: 'a' }).size).toBe(0);
});

test('deletion names topics once, and can be switched off', () => {
  core.createTopic('a');
  const twice = core.run(core.topics.deleteTopics(core.image, ['a', 'a']));
  expect(twice.map(({ error }) => error?.code)).toEqual([ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_REQUEST]);
  const off = new CoreCluster({ deleteTopics: false });
  expect(() => off.topics.deleteTopics(off.image, ['a'])).toThrow(
    expect.objectContaining({ errorName: 'TOPIC_DELETION_DISABLED' }),
  );
});

test('one request creates at most 10,000 partitions', () => {
  const topics = ['a', 'b', 'c'].map((name) => v1.NewTopic.create({ name, partitions: 5_000 }));
  expect(create({ topics }).map(({ error }) => error?.code ?? 0)).toEqual([0, 0, ErrorCode.POLICY_VIOLATION]);
  expect(create({ topics: topics.slice(2) })[0]?.error).toBeUndefined();
});

test('replicas may be placed by hand, on brokers of which one serves', () => {
  core.register(core.registration(2));
  const refused = core.createTopic('a', { assignments: [{ replicas: [2] }] });
  expect(refused.error?.code).toBe(ErrorCode.INVALID_REPLICA_ASSIGNMENT);
  core.heartbeat(2);
  expect(core.createTopic('a', { assignments: [{ replicas: [2] }, { replicas: [1] }] })).toMatchObject({
    partitions: 2,
  });
  expect([core.partition('a', 0).leader, core.partition('a', 1).leader]).toEqual([2, 1]);
});

test('without a broker that serves there is nowhere to put a topic', () => {
  const empty = new CoreCluster();
  empty.register(empty.registration(1));
  expect(empty.createTopic('a').error).toMatchObject({
    code: ErrorCode.INVALID_REPLICATION_FACTOR,
    message: expect.stringMatching(/none of the 1 brokers that may take replicas serves/),
  });
});

test('validation alone answers the same and changes nothing', () => {
  const topics = [v1.NewTopic.create({ name: 'a', partitions: 2 }), v1.NewTopic.create({ name: '' })];
  const before = core.image;
  expect(create({ topics, validateOnly: true })).toMatchObject([
    { name: 'a', topicId: '', partitions: 2, replicationFactor: 1, error: undefined },
    { error: { code: ErrorCode.INVALID_TOPIC_EXCEPTION } },
  ]);
  expect(core.image).toBe(before);
});

test('partitions can be added, never taken away', () => {
  core.join(2);
  core.createTopic('a', { partitions: 2 });
  const code = (results: v1.CreatePartitionsResult[]) => results[0]?.error?.code ?? 0;
  expect(code(addPartitions('a', 2))).toBe(ErrorCode.INVALID_PARTITIONS);
  expect(code(addPartitions('a', 10_001))).toBe(ErrorCode.INVALID_PARTITIONS);
  expect(code(addPartitions('b', 2))).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  expect(code(addPartitions('a', 4, [[1]]))).toBe(ErrorCode.INVALID_REPLICA_ASSIGNMENT);
  expect(code(addPartitions('a', 3, [[7]]))).toBe(ErrorCode.INVALID_REPLICA_ASSIGNMENT);
  expect(code(addPartitions('a', 4, [], true))).toBe(0);
  expect(core.image.topics.named('a')?.partitions).toHaveLength(2);
  const [first] = core.image.topics.named('a')?.partitions ?? [];

  expect(code(addPartitions('a', 4))).toBe(0);
  const partitions = core.image.topics.named('a')?.partitions ?? [];
  expect(partitions.map(({ leader }) => leader).sort()).toEqual([1, 1, 2, 2]);
  expect(partitions[0]).toBe(first);
  expect(code(addPartitions('a', 5, [[2]]))).toBe(0);
  expect(core.partition('a', 4)).toMatchObject({ leader: 2, replicas: [2] });
});

test('topics that are asked about are created once, where that is allowed', () => {
  const results = core.run(core.topics.autoCreateTopics(core.image, ['a', '..', 'a']));
  expect(results.map(({ name, error }) => [name, error?.code ?? 0])).toEqual([
    ['a', 0],
    ['..', ErrorCode.INVALID_TOPIC_EXCEPTION],
  ]);
  const decision = core.topics.autoCreateTopics(core.image, ['a']);
  expect(decision).toMatchObject({ units: [], response: [{ name: 'a', partitions: 1, error: undefined }] });

  const off = new CoreCluster({ autoCreateTopics: false });
  off.join(1);
  expect(off.run(off.topics.autoCreateTopics(off.image, ['a']))[0]?.error).toMatchObject({
    code: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    message: expect.stringMatching(/auto.create.topics.enable is false/),
  });
});

describe('internal topics', () => {
  const request = internal.CreateInternalTopicRequest.create({
    name: '__consumer_offsets',
    partitions: 5,
    replicationFactor: 3,
    configs: { 'cleanup.policy': 'compact' },
  });

  test('are made once, with as many replicas as there are brokers that serve', () => {
    core.join(2);
    core.register(core.registration(3));
    const made = core.run(core.topics.createInternalTopic(core.image, request));
    expect(made).toMatchObject({ created: true, result: { partitions: 5, replicationFactor: 2, error: undefined } });
    expect([...core.partition('__consumer_offsets', 4).isr].sort()).toEqual([1, 2]);
    expect(core.image.configs.of({ type: 'topic', name: '__consumer_offsets' }).get('cleanup.policy')).toBe('compact');
    const again = core.topics.createInternalTopic(core.image, { ...request, partitions: 7 });
    expect(again).toMatchObject({ units: [], response: { created: false, result: { partitions: 5 } } });
  });

  test('wait for a broker that serves, and are no other topics', () => {
    const nobody = new CoreCluster();
    const refused = nobody.topics.createInternalTopic(nobody.image, request).response;
    expect(refused.result.error?.code).toBe(ErrorCode.INVALID_REPLICATION_FACTOR);
    const other = core.topics.createInternalTopic(core.image, { ...request, name: 'orders' });
    expect(other).toMatchObject({ units: [], response: { created: false } });
    expect(other.response.result.error?.code).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION);
  });

  test('are nobody else’s to make, to delete or to grow', () => {
    const refused = { code: ErrorCode.INVALID_TOPIC_EXCEPTION, message: expect.stringMatching(/internal/) };
    const { name } = request;
    expect(core.createTopic(name).error).toMatchObject(refused);
    expect(core.run(core.topics.autoCreateTopics(core.image, [name]))[0]?.error).toMatchObject(refused);
    core.run(core.topics.createInternalTopic(core.image, request));
    expect(core.run(core.topics.deleteTopics(core.image, [name]))[0]?.error).toMatchObject(refused);
    expect(addPartitions(name, 9)[0]?.error).toMatchObject(refused);
    expect(core.run(core.topics.autoCreateTopics(core.image, [name]))[0]?.error).toBeUndefined();
  });
});

test('producer ids end where numbers do', () => {
  const broker = core.cluster.registered(core.image, 1, core.image.brokers.get(1)?.epoch ?? -1);
  const nextProducerId = Number.MAX_SAFE_INTEGER - 500;
  core.write({ record: { $case: 'producerIds', producerIds: { brokerId: 1, brokerEpoch: 1, nextProducerId } } });
  expect(() => allocateProducerIds(core.image, broker)).toThrow(/have been handed out/);
});

test('deciding changes nothing; replaying the records alone gives what was decided', () => {
  core.createTopic('a', { partitions: 3 });
  const topics = [v1.NewTopic.create({ name: 'b', partitions: 4 }), v1.NewTopic.create({ name: 'c' })];
  const { image } = core;
  const before = structuredClone(plainImage(image));
  const decisions = [
    core.topics.createTopics(image, v1.CreateTopicsRequest.create({ topics })),
    core.topics.deleteTopics(image, ['a']),
    core.cluster.register(image, core.registration(5), 0),
    core.cluster.expireSessions(image, 10_000),
    core.cluster.repair(image),
  ];
  expect(decisions.map(({ units }) => units.length > 0)).toEqual([true, true, true, true, false]);
  expect(core.image).toBe(image);
  expect(plainImage(image)).toEqual(before);
});
