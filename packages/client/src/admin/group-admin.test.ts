import type { BarnabasError } from '@barnabas/protocol';
import { Harness, onMethod, settle, times } from '../testing/index.js';
import type { HarnessOptions } from '../testing/index.js';
import { Membership } from '../group/membership.js';
import type { Admin } from './admin.js';
import { PartialFailureError } from './partial-failure.js';

let harness: Harness;
afterEach(() => harness.close());

async function start(options: HarnessOptions = {}): Promise<Admin> {
  harness = new Harness({ brokers: 3, topics: { t: 2 }, ...options });
  const producer = harness.client.producer({ lingerMs: 0 });
  const timestamp = harness.environment.time.now();
  const records = [0, 1, 2, 3].map((index) => ({
    topic: 't',
    partition: 0,
    value: 'v',
    timestamp: timestamp - 1000 * (4 - index),
  }));
  await harness.run(Promise.all(records.map((record) => producer.send(record))));
  return harness.client.admin();
}

function failureOf(promise: Promise<unknown>): Promise<BarnabasError> {
  return harness.run(
    promise.then(
      () => {
        throw new Error('it did not fail');
      },
      (error: BarnabasError) => error,
    ),
  );
}

const at = (partition: number, offset: number) => ({ topic: 't', partition, offset });

/** A member of the group that owns all of t. */
async function join(groupId: string): Promise<Membership> {
  const membership = new Membership(
    harness.client.router,
    {
      ...{ groupId, topics: ['t'], pattern: '', clientId: 'app', rebalanceTimeoutMs: 60_000 },
      ...{ instanceId: '', rackId: '', assignor: '' },
    },
    { onJoined() {}, onAssigned() {}, onRevoked() {}, onLost() {}, onFatal() {} },
  );
  membership.start();
  const group = harness.cluster.groups.group(groupId);
  await harness.run(until(() => group.owners().size === 2));
  return membership;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => harness.environment.timers.after(10, () => resolve(undefined)));
}

describe.each(['brokers', 'gateway'] as const)('asked of %s', (bootstrap) => {
  const options: HarnessOptions = bootstrap === 'gateway' ? { bootstrap, client: { route: 'bootstrap' } } : {};

  test('a cluster without __consumer_offsets has no groups, and asking makes none', async () => {
    const admin = await start(options);
    expect(await harness.run(admin.listGroups())).toEqual([]);
    expect((await failureOf(admin.describeGroups(['none']))).errorName).toBe('GROUP_ID_NOT_FOUND');
    expect((await failureOf(admin.deleteGroups(['none']))).errorName).toBe('GROUP_ID_NOT_FOUND');
    expect((await harness.run(admin.listTopics({ internal: true }))).map(({ name }) => name)).toEqual(['t']);
  });

  test('groups of all coordinators are listed, by id and by state', async () => {
    const admin = await start(options);
    const ids = Array.from({ length: 12 }, (_, index) => `group-${index}`).sort();
    for (const id of ids) await harness.run(admin.alterGroupOffsets(id, [at(0, 1)]));
    const listed = await harness.run(admin.listGroups());
    expect(listed.map(({ groupId }) => groupId)).toEqual(ids);
    expect(new Set(listed.map(({ coordinatorId }) => coordinatorId)).size).toBeGreaterThan(1);
    const membership = await join('group-3');
    expect(await harness.run(admin.listGroups({ states: ['Stable'] }))).toMatchObject([
      { groupId: 'group-3', state: 'Stable', members: 1 },
    ]);
    expect(await harness.run(admin.listGroups({ states: ['Empty'] }))).toHaveLength(11);
    await harness.run(membership.leave(1_000));
  });

  test('offsets are set up and down, told, and forgotten', async () => {
    const admin = await start(options);
    await harness.run(admin.alterGroupOffsets('g', [at(0, 3), { ...at(1, 0), metadata: 'note' }]));
    await harness.run(admin.alterGroupOffsets('g', [at(0, 2)]));
    expect(await harness.run(admin.listGroupOffsets('g'))).toMatchObject([at(0, 2), { ...at(1, 0), metadata: 'note' }]);
    await harness.run(admin.deleteGroupOffsets('g', [{ topic: 't', partition: 1 }]));
    const partitions = [0, 1].map((partition) => ({ topic: 't', partition }));
    expect(await harness.run(admin.listGroupOffsets('g', { partitions }))).toMatchObject([at(0, 2), at(1, -1)]);
    expect(await harness.run(admin.listGroupOffsets('g', { partitions: [] }))).toEqual([]);
    const failure = await failureOf(admin.alterGroupOffsets('g', [at(0, 1), at(7, 1)]));
    expect(failure).toBeInstanceOf(PartialFailureError);
    expect(failure.errorName).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  });

  test('a group with members is described, and neither changed nor deleted', async () => {
    const admin = await start(options);
    const membership = await join('g');
    const [group] = await harness.run(admin.describeGroups(['g']));
    expect(group).toMatchObject({
      ...{ groupId: 'g', state: 'Stable', assignor: 'uniform' },
      members: [
        { clientId: 'app', subscription: { topics: ['t'], pattern: '' }, assignment: [{}, {}], target: [{}, {}] },
      ],
    });
    const refused = await failureOf(admin.alterGroupOffsets('g', [at(0, 1)]));
    expect([refused.errorName, refused.message]).toEqual(['NON_EMPTY_GROUP', expect.stringContaining('stop them all')]);
    expect(harness.cluster.groups.committed('g', 't')).toBeUndefined();
    expect((await failureOf(admin.deleteGroups(['g']))).errorName).toBe('NON_EMPTY_GROUP');
    const forget = admin.deleteGroupOffsets('g', [{ topic: 't', partition: 0 }]);
    expect((await failureOf(forget)).errorName).toBe('GROUP_SUBSCRIBED_TO_TOPIC');
    await harness.run(membership.leave(1_000));
    await harness.run(admin.alterGroupOffsets('g', [at(0, 1)]));
    await harness.run(admin.deleteGroups(['g']));
    expect(await harness.run(admin.listGroups())).toEqual([]);
  });
});

describe('lag', () => {
  test('is the distance to the end, and the time that the first record not consumed has waited', async () => {
    const admin = await start();
    await harness.run(admin.alterGroupOffsets('g', [at(0, 1), at(1, 0)]));
    await harness.run(admin.alterGroupOffsets('done', [at(0, 4)]));
    const before = harness.environment.time.now();
    const [lagging, done] = await harness.run(admin.groupLag(['g', 'done']));
    const passed = harness.environment.time.now() - before;
    expect(lagging?.partitions).toMatchObject([
      { ...{ topic: 't', partition: 0, committedOffset: 1, logEndOffset: 4, lag: 3 }, error: undefined },
      { partition: 1, committedOffset: 0, logEndOffset: 0, lag: 0, lagMs: 0 },
    ]);
    expect(lagging?.partitions[0]?.lagMs).toBeGreaterThanOrEqual(3_000);
    expect(lagging?.partitions[0]?.lagMs).toBeLessThanOrEqual(3_000 + passed + 1_000);
    expect(done?.partitions).toMatchObject([{ lag: 0, lagMs: 0 }]);
  });

  test('of what is deleted counts from the first record there is, and is none where a log lost its end', async () => {
    const admin = await start();
    await harness.run(admin.alterGroupOffsets('g', [at(0, 0), at(1, 9)]));
    harness.cluster.partition('t', 0).deleteRecordsBefore(3);
    const [group] = await harness.run(admin.groupLag(['g']));
    expect(group?.partitions).toMatchObject([{ lag: 4 }, { committedOffset: 9, logEndOffset: 0, lag: 0, lagMs: 0 }]);
    expect(group?.partitions[0]?.lagMs).toBeLessThan(3_000);
  });

  test('names who owns what, also where nothing is committed', async () => {
    const admin = await start();
    const membership = await join('g');
    const [group] = await harness.run(admin.groupLag(['g']));
    const { memberId } = membership.identity;
    expect(group?.partitions).toMatchObject([
      {
        partition: 0,
        committedOffset: undefined,
        logEndOffset: 4,
        lag: undefined,
        lagMs: undefined,
        member: { memberId },
      },
      { partition: 1, member: { memberId } },
    ]);
    await harness.run(membership.leave(1_000));
  });

  test('is unknown where no leader answers, and known elsewhere', async () => {
    const admin = await start();
    await harness.run(admin.alterGroupOffsets('g', [at(0, 1), at(1, 0)]));
    harness.cluster.moveLeader('t', 1, -1);
    const [group] = await harness.run(admin.groupLag(['g'], { timeoutMs: 2_000 }));
    expect(group?.partitions).toMatchObject([
      { lag: 3, error: undefined },
      { logEndOffset: undefined, lag: undefined, lagMs: undefined, error: { errorName: 'LEADER_NOT_AVAILABLE' } },
    ]);
  });
});

test('a coordinator that moves is followed', async () => {
  const admin = await start();
  await harness.run(admin.alterGroupOffsets('g', [at(0, 1)]));
  const [before] = await harness.run(admin.describeGroups(['g']));
  const to = ((before?.coordinatorId ?? 0) % 3) + 1;
  const [topic] = await harness.run(admin.describeTopics(['__consumer_offsets']));
  harness.cluster.freezeMetadata();
  for (const { partition, leader } of topic?.partitions ?? []) {
    if (leader === before?.coordinatorId) harness.cluster.moveLeader('__consumer_offsets', partition, to);
  }
  expect(await harness.run(admin.describeGroups(['g']))).toMatchObject([{ coordinatorId: to }]);
  harness.cluster.thawMetadata();
  await settle(5);
  expect(await harness.run(admin.listGroups())).toMatchObject([{ groupId: 'g', coordinatorId: to }]);
});

test('a coordinator that is loading is waited for', async () => {
  const admin = await start();
  await harness.run(admin.alterGroupOffsets('g', [at(0, 1)]));
  for (const method of ['ListGroups', 'DescribeGroups', 'FetchOffsets']) {
    harness.cluster.intercept(times(2, onMethod(method, { kind: 'error', error: 'COORDINATOR_LOAD_IN_PROGRESS' })));
  }
  expect(await harness.run(admin.listGroups())).toHaveLength(1);
  expect(await harness.run(admin.groupLag(['g']))).toMatchObject([{ partitions: [{ lag: 3 }] }]);
});

test('a deletion whose answer was lost is no failure when it is tried again', async () => {
  const admin = await start();
  await harness.run(admin.alterGroupOffsets('g', [at(0, 1)]));
  harness.cluster.intercept(times(1, onMethod('DeleteGroups', { kind: 'disconnect-after' })));
  await harness.run(admin.deleteGroups(['g']));
  expect((await failureOf(admin.deleteGroups(['g']))).errorName).toBe('GROUP_ID_NOT_FOUND');
});

test('of several groups each fails for itself', async () => {
  const admin = await start();
  await harness.run(admin.alterGroupOffsets('g', [at(0, 1)]));
  const failure = await failureOf(admin.deleteGroups(['none', 'g']));
  expect(failure).toBeInstanceOf(PartialFailureError);
  expect(failure.errorName).toBe('GROUP_ID_NOT_FOUND');
  expect(await harness.run(admin.listGroups())).toEqual([]);
});
