/** Subscribe streams in front of a cluster in memory: real memberships and fetches, virtual time. */
import type { ErrorName } from '@barnabas/protocol';
import { errorNameOf, v1 } from '@barnabas/protocol';
import { FAKE_SESSION_MS } from '@barnabas/client/testing';
import { Nodes } from './test-kit/test-member.js';
import type { TestMember } from './test-kit/test-member.js';

let nodes: Nodes;
beforeEach(() => {
  nodes = new Nodes();
});
afterEach(() => nodes.close());

function numbers(from: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) => String(from + index));
}

function owners(group = 'g'): Record<string, string> {
  return Object.fromEntries(nodes.harness.cluster.groups.group(group).owners());
}

function memberCount(): number {
  return nodes.harness.cluster.groups.group('g').members.size;
}

/** All that one member may own. */
async function joined(member: TestMember, partitions = 4): Promise<void> {
  await nodes.until(() => member.positions.size === partitions);
}

async function leave(...members: readonly TestMember[]): Promise<void> {
  for (const { stream } of members) stream.end();
  await nodes.until(() => members.every(({ isOver }) => isOver));
}

test('a member joins, reads, acknowledges, and leaves with all of it committed', async () => {
  nodes.produce(0, numbers(0, 3));
  nodes.produce(1, numbers(10, 2));
  const member = nodes.open();
  await nodes.until(() => member.values.length === 5);
  expect(member.joined).toMatchObject({ incarnation: 1, sessionTimeoutMs: FAKE_SESSION_MS });
  const [records] = member.of('records').filter(({ records: { partition } }) => partition === 0);
  expect(records?.records).toMatchObject({
    topic: 't',
    nextOffset: 3,
    highWatermark: 3,
    logStartOffset: 0,
    leaderEpoch: 0,
  });
  expect(records?.records.records.map(({ offset, timestampMs }) => [offset, timestampMs])).toEqual([
    [0, 1_000],
    [1, 1_000],
    [2, 1_000],
  ]);
  member.ack(0, 2, 'so far');
  member.ack(1, 2);
  await leave(member);
  expect(member.error).toBeUndefined();
  expect([nodes.committed(0), nodes.committed(1)]).toEqual([2, 2]);
  expect(memberCount()).toBe(0);
});

test('what is acknowledged is committed from time to time', async () => {
  const member = nodes.open({ autoCommitIntervalMs: 1_000 });
  await joined(member);
  nodes.produce(2, numbers(0, 4));
  await nodes.until(() => member.values.length === 4);
  member.ack(2, 4);
  const ms = await nodes.until(() => nodes.committed(2) === 4);
  expect(ms).toBeLessThanOrEqual(1_500);
});

test('a client that commits itself is answered, and nothing else commits', async () => {
  nodes.produce(0, numbers(0, 4));
  const member = nodes.open({ autoCommitIntervalMs: -1 });
  await nodes.until(() => member.values.length === 4);
  member.ack(0, 3);
  await nodes.pass(20_000);
  expect(nodes.committed(0)).toBeUndefined();
  member.say({ $case: 'commit', commit: { correlationId: 7, positions: [] } });
  const positions = [
    { topic: 't', partition: 0, offset: 4, leaderEpoch: -1, metadata: '' },
    { topic: 'other', partition: 0, offset: 1, leaderEpoch: -1, metadata: '' },
  ];
  member.say({ $case: 'commit', commit: { correlationId: 8, positions } });
  await nodes.until(() => member.of('committed').length === 2);
  const outcomes = member
    .of('committed')
    .map(({ committed: { correlationId, results } }) => [
      correlationId,
      results.map(({ partition, error }) => [partition?.topic, partition?.partition, error && errorNameOf(error.code)]),
    ]);
  expect(outcomes).toEqual([
    // Those that nothing was read of are committed where reading began.
    [7, [0, 1, 2, 3].map((partition) => ['t', partition, undefined])],
    [
      8,
      [
        ['t', 0, undefined],
        ['other', 0, 'STALE_MEMBER_EPOCH'],
      ],
    ],
  ]);
  expect(nodes.committed(0)).toBe(4);
  await leave(member);
});

describe('a client that falls silent while its connection stands', () => {
  test('is spoken for no more, until it is heard of again', async () => {
    let isSilent = false;
    const waiting: (() => void)[] = [];
    nodes.onPing = () => (isSilent ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve());
    let heartbeats = 0;
    nodes.harness.cluster.intercept(({ method }) => {
      if (method === 'ConsumerGroupHeartbeat') heartbeats += 1;
      return undefined;
    });
    const member = nodes.open();
    await joined(member);
    await nodes.pass(FAKE_SESSION_MS);
    expect(heartbeats).toBeGreaterThan(5);
    isSilent = true;
    // The one that is on its way when the client falls silent.
    await nodes.pass(6_000);
    const before = heartbeats;
    await nodes.pass(FAKE_SESSION_MS);
    expect(heartbeats).toBe(before);
    expect(memberCount()).toBe(1);
    isSilent = false;
    for (const resolve of waiting.splice(0)) resolve();
    await nodes.pass(10_000);
    expect(heartbeats).toBeGreaterThan(before);
    expect([member.of('lost').length, member.isOver]).toEqual([0, false]);
    await leave(member);
    expect(memberCount()).toBe(0);
  });

  test('need not be asked while it speaks', async () => {
    let pings = 0;
    nodes.onPing = () => {
      pings += 1;
      return Promise.resolve();
    };
    const member = nodes.open();
    await joined(member);
    for (let passedMs = 0; passedMs < FAKE_SESSION_MS; passedMs += 900) {
      member.say({ $case: 'alive', alive: {} });
      await nodes.pass(900);
    }
    expect(pings).toBe(0);
    await leave(member);
  });
});

describe('a stream that breaks', () => {
  test('is resumed at another node, and nothing moves', async () => {
    const [one, two] = [nodes.open(), nodes.open({}, 2)];
    await nodes.until(() => one.positions.size === 2 && two.positions.size === 2);
    const before = owners();
    const heard = two.heard.length;
    const [partition = -1] = [...one.positions.keys()];
    nodes.produce(partition, numbers(0, 5));
    await nodes.until(() => one.values.length === 5);
    // Done with three of them, uncommitted.
    one.positions.set(partition, 3);
    one.stream.cancel();
    await nodes.pass(FAKE_SESSION_MS / 2);
    const again = nodes.open({ resume: one.resumption() }, 2);
    await nodes.until(() => again.values.length === 2);
    expect(again.values).toEqual(['3', '4']);
    expect(again.joined).toMatchObject({ memberId: one.joined?.memberId, incarnation: 2 });
    expect([...again.positions.keys()].sort()).toEqual([...one.positions.keys()].sort());
    expect(owners()).toEqual(before);
    expect(two.heard).toHaveLength(heard);
    await leave(again, two);
  });

  test('says nothing to the coordinator', async () => {
    const member = nodes.open();
    await joined(member);
    member.stream.cancel();
    await nodes.pass(20_000);
    expect(memberCount()).toBe(1);
  });

  test('is not taken up with an incarnation that has been used', async () => {
    const one = nodes.open();
    await joined(one);
    one.stream.cancel();
    const two = nodes.open({ resume: one.resumption() });
    await joined(two);
    const late = nodes.open({ resume: { ...one.resumption(), incarnation: 1 } }, 2);
    await nodes.until(() => late.isOver);
    expect(late.error?.errorName).toBe('INVALID_REQUEST');
    expect(two.of('lost')).toEqual([]);
    await leave(two);
  });

  test('and was forgotten meanwhile begins anew: all is lost, and comes again', async () => {
    const one = nodes.open();
    await joined(one);
    one.stream.cancel();
    nodes.harness.cluster.groups.remove('g', one.joined?.memberId ?? '');
    const again = nodes.open({ resume: one.resumption() });
    await joined(again);
    expect(again.of('assigned').map(({ assigned }) => assigned.positions.length)).toEqual([0, 4]);
    const [lost] = again.of('lost');
    expect(lost?.lost.partitions).toHaveLength(4);
    expect(errorNameOf(lost?.lost.error?.code ?? 0)).toBe('UNKNOWN_MEMBER_ID');
    expect(again.joined?.memberId).not.toBe(one.joined?.memberId);
    await leave(again);
  });
});

describe('a revocation', () => {
  test('waits for the client, commits what it acknowledged, and gives it to the other', async () => {
    const one = nodes.open({ autoCommitIntervalMs: 60_000 });
    one.releases = false;
    await joined(one);
    for (const partition of [0, 1, 2, 3]) nodes.produce(partition, numbers(partition * 10, 3));
    await nodes.until(() => one.values.length === 12);
    const two = nodes.open({}, 2);
    await nodes.until(() => one.of('revoked').length === 1);
    const revoked = one.of('revoked')[0]?.revoked;
    const given = revoked?.partitions.map(({ partition }) => partition) ?? [];
    expect(given).toHaveLength(2);
    expect(revoked?.graceMs).toBeGreaterThan(200_000);
    for (const partition of given) nodes.produce(partition, ['late']);
    await nodes.pass(30_000);
    // Whatever is produced now is the other's.
    expect(one.values).not.toContain('late');
    expect(two.positions.size).toBe(0);
    for (const partition of given) one.ack(partition, 2);
    one.release(...given);
    await nodes.until(() => two.values.length === 4);
    expect(two.values.sort()).toEqual([...given.map((partition) => String(partition * 10 + 2)), 'late', 'late'].sort());
    await leave(one, two);
  });

  test('of what is all acknowledged needs no word of the client', async () => {
    const one = nodes.open();
    one.releases = false;
    one.acknowledges = true;
    await joined(one);
    nodes.produce(0, numbers(0, 3));
    await nodes.until(() => one.values.length === 3);
    const two = nodes.open({}, 2);
    expect(await nodes.until(() => two.positions.size === 2)).toBeLessThan(12_000);
    await leave(one, two);
  });

  test('does not wait for ever', async () => {
    const one = nodes.open({ maxPollIntervalMs: 20_000, autoCommitIntervalMs: -1 });
    one.releases = false;
    await joined(one);
    const two = nodes.open({}, 2);
    expect(await nodes.until(() => two.positions.size === 2)).toBeLessThan(25_000);
    expect(one.isOver).toBe(false);
    await leave(one, two);
  });
});

test('at most once: what is pushed has been committed, and is not pushed again', async () => {
  nodes.produce(0, numbers(0, 3));
  const member = nodes.open({ delivery: v1.DeliveryMode.AT_MOST_ONCE });
  let committedFirst = true;
  const check = nodes.harness.cluster.intercept(() => undefined);
  await nodes.until(() => {
    if (member.values.length > 0 && (nodes.committed(0) ?? 0) < member.values.length) committedFirst = false;
    return member.values.length === 3;
  });
  check();
  expect(committedFirst).toBe(true);
  expect(nodes.committed(0)).toBe(3);
  // It dies without a word about them.
  member.stream.cancel();
  nodes.harness.cluster.groups.remove('g', member.joined?.memberId ?? '');
  const next = nodes.open({ delivery: v1.DeliveryMode.AT_MOST_ONCE });
  await joined(next);
  nodes.produce(0, ['new']);
  await nodes.until(() => next.values.length > 0);
  expect(next.values).toEqual(['new']);
  await leave(next);
});

describe('credit', () => {
  test('by acknowledgement is a window', async () => {
    nodes.produce(0, numbers(0, 10));
    const member = nodes.open({ credit: { records: 3, bytes: 1_000 } });
    await nodes.until(() => member.values.length === 3);
    await nodes.pass(1_000);
    expect(member.values).toHaveLength(3);
    member.ack(0, 2);
    await nodes.until(() => member.values.length === 5);
    await nodes.pass(1_000);
    expect(member.values).toEqual(numbers(0, 5));
    await leave(member);
  });

  test('that is explicit is all that counts', async () => {
    nodes.produce(0, numbers(0, 10));
    const member = nodes.open({ creditMode: v1.CreditMode.EXPLICIT });
    await joined(member);
    await nodes.pass(1_000);
    expect(member.values).toEqual([]);
    member.say({ $case: 'credit', credit: { records: 4, bytes: 1_000_000 } });
    await nodes.until(() => member.values.length === 4);
    member.ack(0, 4);
    await nodes.pass(1_000);
    expect(member.values).toHaveLength(4);
    await leave(member);
  });
});

test('a seek goes on elsewhere: what comes behind sought is new', async () => {
  nodes.produce(0, numbers(0, 5));
  const member = nodes.open();
  await nodes.until(() => member.values.length === 5);
  member.ack(0, 5);
  member.say({ $case: 'commit', commit: { correlationId: 1, positions: [] } });
  await nodes.until(() => nodes.committed(0) === 5);
  member.seek(9, 0, 1);
  await nodes.until(() => member.values.length === 9);
  const places = member.heard.flatMap((message, index) => (message.$case === 'sought' ? [index] : []));
  expect(member.of('sought')[0]?.sought).toMatchObject({ correlationId: 9, positions: [{ partition: 0, offset: 1 }] });
  const after = member.heard.slice(places[0]).filter((message) => message.$case === 'records');
  expect(after.flatMap(({ records }) => records.records.map(({ offset }) => offset))).toEqual([1, 2, 3, 4]);
  member.ack(0, 2);
  await nodes.until(() => nodes.committed(0) === 2);
  member.seek(10, 0, -1);
  member.seek(11, 0, -2);
  await nodes.until(() => member.of('sought').length === 3);
  expect(
    member
      .of('sought')
      .slice(1)
      .map(({ sought }) => sought.positions.map(({ offset }) => offset)),
  ).toEqual([[], [0]]);
  await leave(member);
});

test('a pause holds a partition back, and the others go on', async () => {
  const member = nodes.open();
  await joined(member);
  const paused = [{ topic: 't', topicId: '', partition: 0 }];
  member.say({ $case: 'pause', pause: { paused, resumed: [] } });
  await nodes.pass(100);
  nodes.produce(0, ['held']);
  nodes.produce(1, ['free']);
  await nodes.until(() => member.values.length === 1);
  await nodes.pass(2_000);
  expect(member.values).toEqual(['free']);
  member.say({ $case: 'pause', pause: { paused: [], resumed: paused } });
  await nodes.until(() => member.values.length === 2);
  expect(member.values).toEqual(['free', 'held']);
  await leave(member);
});

test('a pattern, and another subscription later', async () => {
  nodes.harness.cluster.createTopic('u1', 1);
  nodes.harness.cluster.createTopic('v', 1);
  const member = nodes.open({ topics: [], pattern: 'u.*' });
  await nodes.until(() => member.positions.size === 1);
  nodes.produce(0, ['a'], 'u1');
  await nodes.until(() => member.values.length === 1);
  member.say({ $case: 'change', change: { topics: ['v'], pattern: '' } });
  nodes.produce(0, ['b'], 'v');
  await nodes.until(() => member.values.length === 2, 60_000);
  expect(member.values).toEqual(['a', 'b']);
  await leave(member);
});

test('a client that does not read costs what the transport holds, and is not read from', async () => {
  const value = Buffer.alloc(100_000, 1);
  const credit = { records: 1_000_000, bytes: 1_000_000_000 };
  const member = nodes.open({ creditMode: v1.CreditMode.EXPLICIT, credit });
  await joined(member);
  member.stream.pause();
  for (let batch = 0; batch < 30; batch += 1) nodes.produce(0, [value, value, value]);
  await nodes.pass(1_000);
  const pushed = nodes.counted('pushed_bytes_total');
  // The transport's buffer, and a message.
  expect(pushed).toBeGreaterThanOrEqual(1024 * 1024);
  expect(pushed).toBeLessThan(1024 * 1024 + 400_000);
  // It is heard, and its member lives, though it does not read.
  await nodes.pass(FAKE_SESSION_MS * 2);
  expect(memberCount()).toBe(1);
  expect(nodes.counted('pushed_bytes_total')).toBe(pushed);
  member.stream.resume();
  await nodes.until(() => member.values.length === 90);
  await leave(member);
});

test('a node that stops ends its streams at once, and their members live on', async () => {
  const member = nodes.open();
  await joined(member);
  nodes.stop(1);
  await nodes.until(() => member.isOver, 100);
  expect(member.error?.errorName).toBe('BROKER_NOT_AVAILABLE');
  expect(memberCount()).toBe(1);
  const refused = nodes.open();
  await nodes.until(() => refused.isOver, 100);
  expect(refused.error?.errorName).toBe('BROKER_NOT_AVAILABLE');
  const again = nodes.open({ resume: member.resumption() }, 2);
  await joined(again);
  expect(again.joined?.memberId).toBe(member.joined?.memberId);
  await leave(again);
});

test('a static member leaves for a moment only', async () => {
  const one = nodes.open({ instanceId: 'i' });
  await joined(one);
  await leave(one);
  expect(memberCount()).toBe(1);
  const two = nodes.open({ instanceId: 'i' });
  await joined(two);
  expect(two.joined?.memberId).not.toBe(one.joined?.memberId);
  expect(memberCount()).toBe(1);
  await leave(two);
});

test('a client that makes no progress leaves, and hears why', async () => {
  nodes.produce(0, numbers(0, 2));
  const member = nodes.open({ maxPollIntervalMs: 10_000 });
  await nodes.until(() => member.values.length === 2);
  await nodes.pass(8_000);
  member.say({ $case: 'alive', alive: {} });
  await nodes.pass(8_000);
  expect(member.isOver).toBe(false);
  await nodes.until(() => member.isOver, 3_000);
  expect(member.error).toMatchObject({ errorName: 'UNKNOWN_MEMBER_ID' });
  expect(member.error?.message).toContain('max_poll_interval_ms');
  expect(memberCount()).toBe(0);
});

test('a client without records may be silent for as long as it likes', async () => {
  const member = nodes.open({ maxPollIntervalMs: 10_000 });
  await joined(member);
  await nodes.pass(60_000);
  expect(member.isOver).toBe(false);
  await leave(member);
});

describe('a log', () => {
  test('that has no more what was committed is read from where the client says', async () => {
    nodes.produce(0, numbers(0, 5));
    const one = nodes.open();
    await nodes.until(() => one.values.length === 5);
    one.ack(0, 1);
    await leave(one);
    nodes.harness.cluster.partition('t', 0).deleteRecordsBefore(3);
    const two = nodes.open();
    await nodes.until(() => two.values.length === 2);
    expect(two.values).toEqual(['3', '4']);
    expect(two.of('sought')[0]?.sought).toMatchObject({ correlationId: 0, positions: [{ partition: 0, offset: 3 }] });
    await leave(two);
    const three = nodes.open({ groupId: 'h', autoOffsetReset: v1.AutoOffsetReset.NONE });
    await nodes.until(() => three.of('partitionError').length === 4);
    expect(errorNameOf(three.of('partitionError')[0]?.partitionError.error?.code ?? 0)).toBe('OFFSET_OUT_OF_RANGE');
    three.seek(1, 0, -2);
    await nodes.until(() => three.values.length === 2);
    await leave(three);
  });

  test('that moves to another leader is read on', async () => {
    nodes.produce(0, numbers(0, 2));
    const member = nodes.open();
    await nodes.until(() => member.values.length === 2);
    nodes.harness.cluster.moveLeader('t', 0, 2);
    nodes.produce(0, numbers(2, 2));
    await nodes.until(() => member.values.length === 4);
    expect(member.values).toEqual(numbers(0, 4));
    await leave(member);
  });
});

describe('bad input', () => {
  const start = (fields: Partial<v1.SubscribeStart>): Partial<v1.SubscribeStart> => fields;
  const long = 'x'.repeat(256);
  const resume = { memberId: 'm', memberEpoch: 1, incarnation: 2, owned: [] };
  test.each<[string, Partial<v1.SubscribeStart>, ErrorName, string]>([
    ['no group', start({ groupId: '' }), 'INVALID_GROUP_ID', 'group_id'],
    ['a long group', start({ groupId: long }), 'INVALID_GROUP_ID', '255'],
    ['nothing to subscribe to', start({ topics: [] }), 'INVALID_REQUEST', 'topic'],
    ['a bad topic name', start({ topics: ['a b'] }), 'INVALID_TOPIC_EXCEPTION', 'a b'],
    [
      'too many topics',
      start({ topics: Array.from({ length: 10_001 }, (_, i) => `t${i}`) }),
      'INVALID_REQUEST',
      'pattern',
    ],
    ['a long pattern', start({ pattern: 'x'.repeat(1_001) }), 'INVALID_REQUEST', 'pattern'],
    ['a long instance id', start({ instanceId: long }), 'INVALID_REQUEST', 'instance_id'],
    ['a long rack', start({ rackId: long }), 'INVALID_REQUEST', 'rack_id'],
    ['a negative interval', start({ maxPollIntervalMs: -1 }), 'INVALID_REQUEST', 'max_poll_interval_ms'],
    ['a commit interval of -2', start({ autoCommitIntervalMs: -2 }), 'INVALID_REQUEST', 'auto_commit_interval_ms'],
    ['negative credit', start({ credit: { records: -1, bytes: 1 } }), 'INVALID_REQUEST', 'credit'],
    ['a window of nothing', start({ credit: { records: 0, bytes: 1 } }), 'INVALID_REQUEST', 'window'],
    ['a delivery of tomorrow', start({ delivery: 9 as v1.DeliveryMode }), 'INVALID_REQUEST', 'AT_MOST_ONCE'],
    ['a credit mode of tomorrow', start({ creditMode: 9 as v1.CreditMode }), 'INVALID_REQUEST', 'credit_mode 9'],
    [
      'an isolation of tomorrow',
      start({ isolationLevel: 5 as v1.IsolationLevel }),
      'INVALID_REQUEST',
      'isolation_level',
    ],
    [
      'a reset of tomorrow',
      start({ autoOffsetReset: 7 as v1.AutoOffsetReset }),
      'INVALID_REQUEST',
      'auto_offset_reset',
    ],
    ['resuming nobody', start({ resume: { ...resume, memberId: '' } }), 'INVALID_REQUEST', 'member_id'],
    ['resuming at epoch 0', start({ resume: { ...resume, memberEpoch: 0 } }), 'INVALID_REQUEST', 'member_epoch'],
    ['resuming in the first life', start({ resume: { ...resume, incarnation: 1 } }), 'INVALID_REQUEST', 'incarnation'],
  ])('%s', async (_name, fields, errorName, text) => {
    const member = nodes.open(fields);
    await nodes.until(() => member.isOver, 1_000);
    expect(member.error?.errorName).toBe(errorName);
    expect(member.error?.message).toContain(text);
    expect(memberCount()).toBe(0);
  });

  test.each<[string, v1.SubscribeRequest['request'], string]>([
    ['a second start', { $case: 'start', start: v1.SubscribeStart.create() }, 'start'],
    ['a message that says nothing', undefined, 'nothing'],
    ['credit beyond all bounds', { $case: 'credit', credit: { records: 2 ** 31 - 1, bytes: 0 } }, 'credit'],
    ['credit taken back', { $case: 'credit', credit: { records: -1, bytes: 0 } }, 'credit'],
    ['a change to nothing', { $case: 'change', change: { topics: [], pattern: '' } }, 'topic'],
    [
      'a seek to nowhere',
      {
        $case: 'seek',
        seek: {
          correlationId: 1,
          positions: [{ topic: 't', partition: 0, offset: -3, leaderEpoch: -1, metadata: '' }],
        },
      },
      '-2',
    ],
  ])('%s ends the stream', async (_name, request, text) => {
    const member = nodes.open();
    await joined(member);
    member.say(request);
    await nodes.until(() => member.isOver, 1_000);
    expect(member.error?.errorName).toBe('INVALID_REQUEST');
    expect(member.error?.message).toContain(text);
  });

  test('a position that was not pushed is refused, and the stream goes on', async () => {
    nodes.produce(0, numbers(0, 2));
    const member = nodes.open();
    await nodes.until(() => member.values.length === 2);
    member.ack(0, 3);
    await nodes.until(() => member.of('partitionError').length === 1);
    const [refused] = member.of('partitionError');
    expect(refused?.partitionError.partition).toMatchObject({ topic: 't', partition: 0 });
    expect(refused?.partitionError.error?.message).toContain('below 2');
    member.ack(0, 2);
    await leave(member);
    expect(nodes.committed(0)).toBe(2);
  });
});
