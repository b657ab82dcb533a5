/** Memberships against a cluster in memory: heartbeats by timers, coordinators that move, commits at the right epoch. */
import type { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { Harness, onMethod, settle, times } from '../testing/index.js';
import type { HarnessOptions, Interception } from '../testing/index.js';
import type { FetchedOffset, GroupTopicPartition } from './group-types.js';
import { Membership } from './membership.js';
import type { MembershipOptions } from './membership.js';

let harness: Harness;

afterEach(() => harness.close());

function start(options: HarnessOptions = {}): void {
  harness = new Harness({ brokers: 2, topics: { t: 4 }, ...options });
}

/** What a membership told its application, which releases at once unless told otherwise. */
class Application {
  readonly told: string[] = [];
  readonly owned = new Set<string>();
  readonly topicIds = new Map<string, string>();
  committed: readonly FetchedOffset[] = [];
  fatal: BarnabasError | undefined;
  releases = true;
  readonly membership: Membership;

  constructor(options: Partial<MembershipOptions> = {}) {
    const defaults = {
      groupId: 'g',
      topics: ['t'],
      pattern: '',
      instanceId: '',
      rackId: '',
      clientId: '',
      assignor: '',
    };
    this.membership = new Membership(
      harness.client.router,
      { ...defaults, rebalanceTimeoutMs: 60_000, ...options },
      {
        onJoined: ({ incarnation }) => this.told.push(`joined ${incarnation}`),
        onAssigned: (partitions, committed) => {
          this.committed = committed;
          this.#note('assigned', partitions);
          for (const one of partitions) this.owned.add(nameOf(one));
          for (const one of partitions) this.topicIds.set(nameOf(one), one.topicId);
        },
        onRevoked: (partitions) => {
          this.#note('revoked', partitions);
          for (const one of partitions) this.owned.delete(nameOf(one));
          if (this.releases) this.membership.released(partitions);
        },
        onLost: (partitions) => {
          this.#note('lost', partitions);
          this.owned.clear();
        },
        onFatal: (error) => {
          this.fatal = error;
        },
      },
    );
    this.membership.start();
  }

  #note(what: string, partitions: readonly GroupTopicPartition[]): void {
    this.told.push(`${what} ${partitions.map(nameOf).sort().join(' ')}`);
  }
}

function nameOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}-${partition}`;
}

/** Moves time in small steps until it is so. */
async function until(isSo: () => boolean, limitMs = 100_000): Promise<number> {
  const { time } = harness.environment;
  const begun = time.monotonic();
  while (!isSo()) {
    await settle(2);
    if (isSo()) break;
    if (time.monotonic() - begun > limitMs) throw new Error('it does not become so');
    time.advance(10);
  }
  return time.monotonic() - begun;
}

async function leave(...applications: readonly Application[]): Promise<void> {
  await harness.run(Promise.all(applications.map(({ membership }) => membership.leave(1_000))));
}

function requests(method: string): v1.ConsumerGroupHeartbeatRequest[] {
  const seen: v1.ConsumerGroupHeartbeatRequest[] = [];
  harness.cluster.intercept((request) => {
    if (request.method === method) seen.push(request.message as v1.ConsumerGroupHeartbeatRequest);
    return undefined;
  });
  return seen;
}

test('a member alone gets everything, with what the group has committed', async () => {
  start();
  const one = new Application();
  await until(() => one.owned.size === 4);
  expect(one.told).toEqual(['joined 1', 'assigned t-0 t-1 t-2 t-3']);
  expect(one.committed.map(({ partition, offset }) => [partition, offset])).toEqual([
    [0, -1],
    [1, -1],
    [2, -1],
    [3, -1],
  ]);
  const outcomes = await harness.run(
    one.membership.commit([{ topic: 't', partition: 2, offset: 7, leaderEpoch: 3, metadata: 'x' }]),
  );
  expect(outcomes).toEqual([{ topic: 't', partition: 2, error: undefined }]);
  await leave(one);
  const next = new Application();
  await until(() => next.owned.size === 4);
  expect(next.committed[2]).toMatchObject({ offset: 7, leaderEpoch: 3, metadata: 'x' });
  await leave(next);
});

test('news arrive at once, in both directions, and heartbeats are few', async () => {
  start();
  const one = new Application();
  await until(() => one.owned.size === 4);
  await until(() => false, 20_000).catch(() => undefined);
  const heartbeats = requests('ConsumerGroupHeartbeat');
  const two = new Application();
  const tookMs = await until(() => two.owned.size === 2 && one.owned.size === 2);
  expect(tookMs).toBeLessThan(200);
  const few = heartbeats.length;
  expect(few).toBeLessThan(12);
  await until(() => false, 20_000).catch(() => undefined);
  expect(heartbeats.length - few).toBeLessThanOrEqual(12);
  expect(one.told.slice(2)).toEqual([expect.stringMatching(/^revoked t-\d t-\d$/)]);
  await leave(two);
  await until(() => one.owned.size === 4, 200);
  await leave(one);
});

test('a partition goes to another only when it has been released', async () => {
  start();
  const one = new Application();
  await until(() => one.owned.size === 4);
  one.releases = false;
  const two = new Application();
  await until(() => one.told.length === 3);
  await until(() => false, 30_000).catch(() => undefined);
  expect(two.owned.size).toBe(0);
  const revoked = ['t-0', 't-1', 't-2', 't-3'].filter((name) => !one.owned.has(name));
  one.membership.released([{ topic: 't', partition: Number(revoked[0]?.slice(2)) }]);
  await until(() => false, 1_000).catch(() => undefined);
  // The others are released by themselves when the grace is over.
  await until(() => two.owned.size === 2);
  expect([...two.owned].sort()).toEqual(revoked);
  await leave(one, two);
});

test('a member that has been removed loses everything and joins again', async () => {
  start();
  const one = new Application();
  await until(() => one.owned.size === 4);
  harness.cluster.groups.remove('g', one.membership.identity.memberId);
  await until(() => one.told.length === 5);
  expect(one.told.slice(2)).toEqual(['lost t-0 t-1 t-2 t-3', 'joined 2', 'assigned t-0 t-1 t-2 t-3']);
  await leave(one);
});

test.each([true, false])(
  'the coordinator moves and nothing else does (it says who follows: %s)',
  async (namesLeaders) => {
    start({ namesLeaders });
    const one = new Application();
    await until(() => one.owned.size === 4);
    for (let partition = 0; partition < 4; partition++) {
      const { leader } = harness.cluster.partition('__consumer_offsets', partition);
      harness.cluster.moveLeader('__consumer_offsets', partition, leader === 1 ? 2 : 1);
    }
    const heartbeats = requests('ConsumerGroupHeartbeat');
    await harness.run(one.membership.commit([{ topic: 't', partition: 0, offset: 1 }]));
    await until(() => heartbeats.length >= 2);
    expect(harness.cluster.groups.committed('g', 't')).toBe(1);
    expect(one.told).toHaveLength(2);
    await leave(one);
  },
);

test('a coordinator that dies is waited for', async () => {
  start();
  const one = new Application();
  await until(() => one.owned.size === 4);
  const { cluster } = harness;
  cluster.stopBroker(1);
  cluster.stopBroker(2);
  const committing = one.membership.commit([{ topic: 't', partition: 0, offset: 1 }]);
  await until(() => false, 3_000).catch(() => undefined);
  cluster.startBroker(1);
  cluster.startBroker(2);
  await harness.run(committing);
  expect(one.told).toHaveLength(2);
  await leave(one);
});

test('an attempt at a coordinator that is cut off and has been succeeded is given up', async () => {
  start();
  const one = new Application();
  await until(() => one.owned.size === 4);
  const { cluster, environment } = harness;
  const partition = cluster.partition('__consumer_offsets', 0);
  cluster.intercept(({ method, nodeId }) =>
    method === 'CommitOffsets' && nodeId === 1 ? { kind: 'drop' } : undefined,
  );
  for (let at = 0; at < 4; at++) cluster.moveLeader('__consumer_offsets', at, 1);
  await until(() => false, 500).catch(() => undefined);
  const begun = environment.time.monotonic();
  const committing = one.membership.commit([{ topic: 't', partition: 0, offset: 1 }]);
  await settle(20);
  for (let at = 0; at < 4; at++) cluster.moveLeader('__consumer_offsets', at, 2);
  await harness.run(committing);
  expect(environment.time.monotonic() - begun).toBeLessThan(2_000);
  expect(partition.leader).toBe(2);
  await leave(one);
});

describe('commits', () => {
  test('go in the order in which they were asked for', async () => {
    start();
    const one = new Application();
    await until(() => one.owned.size === 4);
    let release: () => void = () => undefined;
    const until1 = new Promise<void>((resolve) => {
      release = resolve;
    });
    harness.cluster.intercept(
      times(1, ({ method }) => (method === 'CommitOffsets' ? { kind: 'hold', until: until1 } : undefined)),
    );
    const first = one.membership.commit([{ topic: 't', partition: 0, offset: 9 }]);
    const second = one.membership.commit([{ topic: 't', partition: 0, offset: 4, rewinds: 1 }]);
    await settle(10);
    release();
    await harness.run(Promise.all([first, second]));
    expect(harness.cluster.groups.committed('g', 't')).toBe(4);
    await leave(one);
  });

  test('of a partition that the coordinator does not know yet are made again, and the others once', async () => {
    start();
    const one = new Application();
    await until(() => one.owned.size === 4);
    harness.cluster.intercept(
      times(2, ({ method }) =>
        method === 'CommitOffsets'
          ? { kind: 'offsets', error: ({ partition }) => (partition === 1 ? 'UNKNOWN_TOPIC_ID' : undefined) }
          : undefined,
      ),
    );
    const asked: number[][] = [];
    harness.cluster.intercept(({ method, message }) => {
      if (method === 'CommitOffsets') {
        asked.push((message as v1.CommitOffsetsRequest).offsets.map(({ partition }) => partition?.partition ?? -1));
      }
      return undefined;
    });
    const offsets = [0, 1, 2].map((partition) => ({ topic: 't', partition, offset: partition + 5 }));
    const outcomes = await harness.run(one.membership.commit(offsets));
    expect(outcomes).toEqual([0, 1, 2].map((partition) => ({ topic: 't', partition, error: undefined })));
    expect(asked).toEqual([[0, 1, 2], [1], [1]]);
    expect([0, 1, 2].map((partition) => harness.cluster.groups.committed('g', 't', partition))).toEqual([5, 6, 7]);
    await leave(one);
  });

  test('of a partition that is refused for as long as there is time end with why, and the others stand', async () => {
    start();
    const one = new Application();
    await until(() => one.owned.size === 4);
    harness.cluster.intercept(({ method }) =>
      method === 'CommitOffsets'
        ? { kind: 'offsets', error: ({ partition }) => (partition === 1 ? 'UNKNOWN_TOPIC_ID' : undefined) }
        : undefined,
    );
    const { time } = harness.environment;
    const begun = time.monotonic();
    const offsets = [0, 1].map((partition) => ({ topic: 't', partition, offset: 5 }));
    const outcomes = await harness.run(one.membership.commit(offsets, { timeoutMs: 2_000 }));
    expect(outcomes.map(({ error }) => error?.errorName)).toEqual([undefined, 'UNKNOWN_TOPIC_ID']);
    expect(time.monotonic() - begun).toBeLessThanOrEqual(2_000);
    expect(time.monotonic() - begun).toBeGreaterThan(900);
    expect(harness.cluster.groups.committed('g', 't', 0)).toBe(5);
    await leave(one);
  });

  test.each([false, true])(
    'of a topic that is deleted end at once, with an error that says so (made anew: %s)',
    async (isMadeAnew) => {
      start({ topics: { t: 4, other: 1 } });
      const one = new Application({ topics: ['t', 'other'] });
      await until(() => one.owned.size === 5);
      await harness.client.router.view.ensureTopic('t', { timeoutMs: 1_000, allowAutoTopicCreation: false });
      // What the coordinator says of it arrives later.
      const stop = harness.cluster.intercept(onMethod('ConsumerGroupHeartbeat', { kind: 'drop' }));
      harness.cluster.deleteTopic('t');
      if (isMadeAnew) harness.cluster.createTopic('t', 4);
      const { time } = harness.environment;
      const begun = time.monotonic();
      const outcomes = await harness.run(
        one.membership.commit([
          { topic: 't', partition: 0, offset: 5, topicId: one.topicIds.get('t-0') ?? '' },
          { topic: 'other', partition: 0, offset: 6 },
        ]),
      );
      expect(outcomes.map(({ error }) => error?.errorName)).toEqual(['UNKNOWN_TOPIC_ID', undefined]);
      expect(outcomes[0]?.error?.message).toMatch(/t-0.*deleted/);
      expect(time.monotonic() - begun).toBeLessThan(1_000);
      expect(harness.cluster.groups.committed('g', 'other', 0)).toBe(6);
      stop();
      await leave(one);
    },
  );

  test('of a partition that the member has heard of by its coordinator alone are made again', async () => {
    start();
    const one = new Application();
    await until(() => one.owned.size === 4);
    const { view } = harness.client.router;
    await view.ensureTopic('t', { timeoutMs: 1_000, allowAutoTopicCreation: false });
    harness.cluster.freezeMetadata();
    harness.cluster.addPartitions('t', 5);
    await until(() => one.owned.size === 5);
    expect(view.topic('t')?.partitions).toHaveLength(4);
    const refusal: Interception = { kind: 'offsets', error: () => 'UNKNOWN_TOPIC_OR_PARTITION' };
    harness.cluster.intercept(times(1, onMethod('CommitOffsets', refusal)));
    const outcomes = await harness.run(one.membership.commit([{ topic: 't', partition: 4, offset: 5 }]));
    expect(outcomes).toEqual([{ topic: 't', partition: 4, error: undefined }]);
    harness.cluster.thawMetadata();
    await leave(one);
  });

  test('of a partition are made no more when the membership is lost meanwhile', async () => {
    start();
    const one = new Application();
    await until(() => one.owned.size === 4);
    harness.cluster.intercept(({ method }) =>
      method === 'CommitOffsets'
        ? { kind: 'offsets', error: ({ partition }) => (partition === 1 ? 'UNKNOWN_TOPIC_ID' : undefined) }
        : undefined,
    );
    const offsets = [0, 1].map((partition) => ({ topic: 't', partition, offset: 5 }));
    const committing = one.membership.commit(offsets);
    await until(() => harness.cluster.groups.committed('g', 't', 0) === 5);
    harness.cluster.groups.remove('g', one.membership.identity.memberId);
    const outcomes = await harness.run(committing);
    expect(outcomes.map(({ error }) => error?.errorName)).toEqual([undefined, 'UNKNOWN_MEMBER_ID']);
    await leave(one);
  });

  test('of a life that is over are not made in the next', async () => {
    start();
    const one = new Application();
    await until(() => one.owned.size === 4);
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    harness.cluster.intercept(
      times(1, ({ method }) => (method === 'CommitOffsets' ? { kind: 'hold', until: held } : undefined)),
    );
    const first = one.membership.commit([{ topic: 't', partition: 0, offset: 1 }]);
    const second = one.membership.commit([{ topic: 't', partition: 0, offset: 5 }]);
    await settle(10);
    harness.cluster.groups.remove('g', one.membership.identity.memberId);
    await until(() => one.told.includes('joined 2'));
    release();
    const failures = await harness.run(Promise.allSettled([first, second]));
    expect(failures.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(harness.cluster.groups.committed('g', 't')).toBeUndefined();
    await leave(one);
  });
});

test('a partition that is taken away before its offset was fetched is never heard of', async () => {
  start();
  const { cluster } = harness;
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const stop = cluster.intercept(({ method }) =>
    method === 'FetchOffsets' ? { kind: 'hold', until: held } : undefined,
  );
  const one = new Application();
  await until(() => one.told.length === 1);
  const two = new Application();
  await until(() => cluster.groups.group('g').members.size === 2 && cluster.groups.group('g').isStable);
  stop();
  release();
  await until(() => one.owned.size === 2 && two.owned.size === 2);
  expect(one.told.filter((line) => line.startsWith('revoked'))).toEqual([]);
  await leave(one, two);
});

test('a membership is resumed where its node is gone, and nothing moves', async () => {
  start();
  const one = new Application({ isResumable: true });
  const other = new Application();
  await until(() => one.owned.size === 2 && other.owned.size === 2);
  const { memberId, memberEpoch, incarnation } = one.membership.identity;
  const owned = [...one.owned].map((name) => ({ topic: 't', partition: Number(name.slice(2)) }));
  one.membership.abandon();
  await until(() => false, 3_000).catch(() => undefined);
  const resumed = new Application({
    isResumable: true,
    resume: { memberId, memberEpoch, incarnation: incarnation + 1, owned },
  });
  await until(() => resumed.told.length === 2);
  await until(() => false, 10_000).catch(() => undefined);
  expect(resumed.told).toEqual(['joined 2', `assigned ${[...one.owned].sort().join(' ')}`]);
  expect(other.told).toHaveLength(other.told.filter((line) => !line.startsWith('lost')).length);
  expect(resumed.membership.identity.memberId).toBe(memberId);
  expect(cluster().members.size).toBe(2);
  await leave(resumed, other);
});

function cluster() {
  return harness.cluster.groups.group('g');
}

test('a static member that stops and comes back moves nothing', async () => {
  start();
  const one = new Application({ instanceId: 'i' });
  const other = new Application();
  await until(() => one.owned.size === 2 && other.owned.size === 2);
  const before = [...one.owned];
  await leave(one);
  const again = new Application({ instanceId: 'i' });
  await until(() => again.owned.size === 2);
  expect([...again.owned].sort()).toEqual(before.sort());
  expect(other.told.filter((line) => line.startsWith('assigned')).length).toBeLessThanOrEqual(2);
  expect(again.membership.identity.memberId).not.toBe(one.membership.identity.memberId);
  await leave(again, other);
});

test('what can never be is told, once', async () => {
  start();
  harness.cluster.intercept(({ method }) =>
    method === 'ConsumerGroupHeartbeat' ? { kind: 'error', error: 'GROUP_AUTHORIZATION_FAILED' } : undefined,
  );
  const one = new Application();
  await until(() => one.fatal !== undefined);
  expect(one.fatal?.errorName).toBe('GROUP_AUTHORIZATION_FAILED');
  expect(one.told).toEqual([]);
});

test('leaving takes no longer than it may', async () => {
  start();
  const one = new Application();
  await until(() => one.owned.size === 4);
  harness.cluster.stopBroker(1);
  harness.cluster.stopBroker(2);
  const { time } = harness.environment;
  const begun = time.monotonic();
  await harness.run(one.membership.leave(700));
  expect(time.monotonic() - begun).toBeLessThan(800);
});
