/** How coordinators run their shards: what leaves when, what waits, and what becomes of both when the lead moves. */
import { BarnabasError, BatchBuilder, CONSUMER_OFFSETS_TOPIC, coordinatorPartition } from '@barnabas/protocol';
import type { ErrorName } from '@barnabas/protocol';
import { DEFAULT_GROUP_SETTINGS } from '../core/group/index.js';
import type { HeartbeatRequest, HeartbeatResponse, TopicPartitionId } from '../core/group/index.js';
import { CountedMetrics } from '../test-kit/counted-metrics.js';
import { loadShard } from './shard-loader.js';
import { Coordinators } from './test-kit/coordinators.js';

let at: Coordinators;
beforeEach(async () => {
  at = new Coordinators();
  await at.start();
});
afterEach(() => end());

function end(): void {
  for (const coordinator of at.all.values()) coordinator.stop(new BarnabasError('BROKER_NOT_AVAILABLE', 'the end'));
  // Nothing is left behind: no timer, no answer that nobody gives.
  expect(at.time.nextDeadline()).toBeUndefined();
}

/** A promise with what has become of it so far. */
class Watched<T> {
  value: T | undefined;
  error: ErrorName | undefined;
  facts: BarnabasError['facts'];

  constructor(promise: Promise<T>) {
    promise.then(
      (value) => (this.value = value),
      (error: BarnabasError) => {
        this.error = error.errorName;
        this.facts = error.facts;
      },
    );
  }

  get isSettled(): boolean {
    return this.value !== undefined || this.error !== undefined;
  }
}

function joining(memberId: string, change: Partial<HeartbeatRequest> = {}): HeartbeatRequest {
  return {
    ...{ groupId: 'g', memberId, memberEpoch: 0, incarnation: 1 },
    ...{ topicNames: ['orders'], rebalanceTimeoutMs: 10_000 },
    ...change,
  };
}

function living(memberId: string, last: HeartbeatResponse, change: Partial<HeartbeatRequest> = {}): HeartbeatRequest {
  const { memberEpoch, assignment } = last;
  const applied = assignment === undefined ? {} : { owned: assignment.partitions, appliedVersion: assignment.version };
  return { ...{ groupId: 'g', memberId, memberEpoch, incarnation: 1 }, ...applied, ...change };
}

async function beat(request: HeartbeatRequest, waitMs = 0, signal?: AbortSignal): Promise<HeartbeatResponse> {
  const runner = await at.at().runnerFor(request.groupId);
  return runner.heartbeat(request, { waitMs, ...(signal === undefined ? {} : { signal: () => signal }) });
}

function watch(request: HeartbeatRequest, waitMs = 0, signal?: AbortSignal): Watched<HeartbeatResponse> {
  return new Watched(beat(request, waitMs, signal));
}

/** By nobody's member. */
async function commit(offset: number, groupId = 'g'): Promise<void> {
  const runner = await at.at().runnerFor(groupId);
  const topicId = at.metadata.topicId('orders');
  const offsets = [{ topicId, partition: 0, offset, leaderEpoch: -1, metadata: '' }];
  const request = { groupId, memberId: '', memberEpoch: -1, incarnation: 0, offsets };
  await runner.request((shard, now, image) => shard.commitOffsets(request, now, image));
}

async function committed(groupId = 'g'): Promise<number> {
  const runner = await at.at().runnerFor(groupId);
  const partitions = [{ topicId: at.metadata.topicId('orders'), partition: 0 }];
  const request = { groupId, memberId: '', memberEpoch: -1, incarnation: 0, partitions };
  const [found] = await runner.request((shard) => shard.fetchOffsets(request));
  return found?.offset ?? -1;
}

const numbers = (partitions: readonly TopicPartitionId[] | undefined) =>
  partitions?.map(({ partition }) => partition).sort();

describe('an answer', () => {
  test('waits until what it says is committed', async () => {
    at.partition.commits = false;
    const join = watch(joining('one'));
    await at.pass(4_000);
    expect([join.isSettled, at.partition.logEndOffset > 0]).toEqual([false, true]);
    at.partition.commit();
    await at.settle();
    expect(join.value).toMatchObject({ memberEpoch: 1 });
  });

  test('that changes nothing waits for what others have written', async () => {
    at.partition.commits = false;
    const write = new Watched(commit(5));
    const read = new Watched(committed());
    await at.settle();
    expect([write.isSettled, read.isSettled]).toEqual([false, false]);
    at.partition.commit();
    await at.settle();
    expect([write.error, read.value]).toEqual([undefined, 5]);
  });

  test('waits for its own part of the log only, in order', async () => {
    at.partition.commits = false;
    const first = new Watched(commit(5));
    await at.settle();
    const end = at.partition.logEndOffset;
    const second = new Watched(commit(6));
    await at.settle();
    at.partition.commit(end);
    await at.settle();
    expect([first.isSettled, second.isSettled]).toEqual([false, false]);
    // `commit` resolves with nothing: what it has read is the proof.
    at.partition.commit();
    await at.settle();
    expect(await committed()).toBe(6);
  });

  test('a refusal waits too: it may rest on what will be lost', async () => {
    const one = await beat(joining('one'));
    at.partition.commits = false;
    const leaving = watch(living('one', one, { memberEpoch: -1 }));
    const late = watch(living('one', one));
    await at.settle();
    expect([leaving.isSettled, late.isSettled]).toEqual([false, false]);
    // The leader dies with it: the next one still has the member.
    await at.move(2, { lost: true });
    expect([leaving.error, late.error]).toEqual(['NOT_COORDINATOR', 'NOT_COORDINATOR']);
    at.partition.commits = true;
    expect(await beat(living('one', one))).toMatchObject({ memberEpoch: 1 });
  });

  test('that takes longer than offsets.commit.timeout.ms is unknown if something was written', async () => {
    at.partition.commits = false;
    const write = new Watched(commit(5));
    const read = new Watched(committed());
    await at.pass(4_999);
    expect([write.isSettled, read.isSettled]).toEqual([false, false]);
    await at.pass(1);
    expect([write.error, read.error]).toEqual(['REQUEST_TIMED_OUT', 'COORDINATOR_NOT_AVAILABLE']);
    at.partition.commit();
    expect(await committed()).toBe(5);
  });
});

describe('an append', () => {
  test('that is refused leaves nothing behind', async () => {
    at.partition.refusal = new BarnabasError('NOT_ENOUGH_REPLICAS', 'one is not enough');
    await expect(beat(joining('one'))).rejects.toMatchObject({ errorName: 'COORDINATOR_NOT_AVAILABLE' });
    await expect(commit(5)).rejects.toMatchObject({ errorName: 'COORDINATOR_NOT_AVAILABLE' });
    at.partition.refusal = undefined;
    expect(await committed()).toBe(-1);
    const runner = await at.at().runnerFor('g');
    expect(runner.shard.size).toBe(0);
  });

  test('too large for one batch is cut, and what is cut off in between is made whole by the next', async () => {
    at.metadata.addTopic('many', 500);
    at.tell(at.metadata.grow('many', 600));
    at.partition.maxBatchBytes = 2_500;
    const before = at.partition.appends;
    at.partition.refusal = new BarnabasError('NOT_ENOUGH_REPLICAS', 'gone in the middle');
    at.partition.appendsLeft = 1;
    const join = joining('one', { topicNames: ['many'] });
    await expect(beat(join)).rejects.toMatchObject({ errorName: 'COORDINATOR_NOT_AVAILABLE' });
    expect(at.partition.appends).toBe(before + 1);
    at.partition.refusal = undefined;
    const { assignment } = await beat(join);
    expect(assignment?.partitions).toHaveLength(600);
    await at.move(2);
    expect((await at.at().runnerFor('g')).shard.group('g')?.members.size).toBe(1);
  });

  test('of a record that no batch can hold is refused before anything is written', async () => {
    at.partition.maxBatchBytes = 500;
    const topicNames = Array.from({ length: 50 }, (_, index) => `a-topic-with-a-long-name-${index}`);
    const end = at.partition.logEndOffset;
    await expect(beat(joining('one', { topicNames }))).rejects.toMatchObject({ errorName: 'RECORD_LIST_TOO_LARGE' });
    expect(at.partition.logEndOffset).toBe(end);
  });

  test('is not made for heartbeats that change nothing', async () => {
    const one = await beat(joining('one'));
    const { appends } = at.partition;
    for (let times = 0; times < 100; times++) await beat(living('one', one));
    expect(at.partition.appends).toBe(appends);
  });
});

describe('a coordinator', () => {
  test('that moves has everything that was committed, and names its successor to those who wait', async () => {
    await commit(7, 'empty');
    const one = await beat(joining('one'));
    at.partition.commits = false;
    const waiting = [watch(living('one', one, { memberEpoch: -1 })), new Watched(committed())];
    const held = watch(living('one', one), 5_000);
    await at.settle();
    await at.move(2, { lost: true });
    at.partition.commits = true;
    for (const { error, facts } of [...waiting, held]) {
      expect([error, facts]).toMatchObject(['NOT_COORDINATOR', { leader: 2, leaderEpoch: 1 }]);
    }
    await expect(at.at(1).runnerFor('g')).rejects.toMatchObject({
      errorName: 'NOT_COORDINATOR',
      facts: { leader: 2, leaderEpoch: 1 },
    });
    expect(await committed('empty')).toBe(7);
    expect(await beat(living('one', one))).toMatchObject({ memberEpoch: 1, assignment: undefined });
  });

  test('begins anew in another leader epoch, also where it leads again itself', async () => {
    await commit(7);
    const before = await at.at().runnerFor('g');
    await at.move(1);
    expect(await at.at().runnerFor('g')).not.toBe(before);
    await expect(before.request((shard) => shard.listGroups(new Set()))).rejects.toMatchObject({
      errorName: 'NOT_COORDINATOR',
    });
    expect(await committed()).toBe(7);
  });

  test('that nobody succeeds says so', async () => {
    await at.move(-1);
    await expect(at.at(1).runnerFor('g')).rejects.toMatchObject({ errorName: 'COORDINATOR_NOT_AVAILABLE' });
  });

  test('says that it loads while it does, and stops when the lead moves on meanwhile', async () => {
    await commit(7);
    let open!: () => void;
    at.partition.readGate = new Promise((resolve) => (open = resolve));
    await at.move(2);
    await expect(at.at().runnerFor('g')).rejects.toMatchObject({ errorName: 'COORDINATOR_LOAD_IN_PROGRESS' });
    expect(at.at().runners()).toMatchObject([{ kind: 'none', error: { errorName: 'COORDINATOR_LOAD_IN_PROGRESS' } }]);
    await at.move(3);
    open();
    await at.settle();
    await expect(at.at(2).runnerFor('g')).rejects.toMatchObject({ errorName: 'NOT_COORDINATOR' });
    expect(await committed()).toBe(7);
  });

  test('loads first what somebody asks for', async () => {
    end();
    at = new Coordinators({ partitions: 12 });
    let open!: () => void;
    at.openGate = new Promise((resolve) => (open = resolve));
    await at.start();
    expect(at.opened).toEqual([0, 1, 2, 3]);
    const wanted = Array.from({ length: 99 }, (_, index) => `g${index}`).find(
      (id) => coordinatorPartition(id, 12) === 9,
    );
    const refused = { errorName: 'COORDINATOR_LOAD_IN_PROGRESS' };
    await expect(at.at().runnerFor(wanted ?? '')).rejects.toMatchObject(refused);
    open();
    await at.settle();
    expect(at.opened.slice(4)).toEqual([9, 4, 5, 6, 7, 8, 10, 11]);
    expect(at.at().runners()).toHaveLength(12);
  });

  test('reads again what it could not read', async () => {
    await commit(7);
    at.partition.readErrors.push(new BarnabasError('KAFKA_STORAGE_ERROR', 'the disk hiccups'));
    await at.move(2);
    await expect(at.at().runnerFor('g')).rejects.toMatchObject({ errorName: 'COORDINATOR_NOT_AVAILABLE' });
    await at.pass(500);
    expect(await committed()).toBe(7);
  });

  test('does not guess: what it does not know ends the load', async () => {
    await commit(7);
    const builder = new BatchBuilder({ maxBytes: 1_000 });
    builder.tryAppend({ key: Buffer.from([0, 99]), value: null, headers: [], timestamp: 1 });
    at.partition.append(builder.build());
    at.partition.commit();
    await at.move(2);
    await expect(at.at().runnerFor('g')).rejects.toMatchObject({
      errorName: 'COORDINATOR_NOT_AVAILABLE',
      message: expect.stringMatching(/type 99/),
    });
    await at.pass(120_000);
    await expect(at.at().runnerFor('g')).rejects.toMatchObject({ errorName: 'COORDINATOR_NOT_AVAILABLE' });
  });

  test('lets others go on while it reads a long log', async () => {
    for (let group = 0; group < 500; group++) await commit(group, `g${group}`);
    let turns = 0;
    const timers = { after: (ms: number, callback: () => void) => (turns++, at.time.after(ms, callback)) };
    // Every look at the clock finds that ten milliseconds have passed.
    let now = 0;
    const clock = { now: () => 0, monotonic: () => (now += 10) };
    const options = { clock, timers, settings: DEFAULT_GROUP_SETTINGS, isOver: () => false };
    const load = new Watched(loadShard({ log: at.partition.lead(), ...options }));
    await at.settle();
    expect(load.value?.size).toBe(500);
    expect(turns).toBeGreaterThanOrEqual(Math.floor(500 / 64));
  });
});

describe('time', () => {
  test('a member that is silent is removed, and the others are told at once', async () => {
    const one = await beat(joining('one'));
    let two = await beat(joining('two'));
    const gives = await beat(living('one', one));
    await beat(living('one', gives));
    two = await beat(living('two', two));
    expect(numbers(two.assignment?.partitions)).toHaveLength(2);
    // Two lives on, one does not.
    await at.pass(30_000);
    await beat(living('two', two));
    const held = watch(living('two', two), 20_000);
    await at.pass(15_100);
    expect(numbers(held.value?.assignment?.partitions)).toEqual([0, 1, 2, 3]);
  });

  test('a removal that cannot be written is made later', async () => {
    await beat(joining('one'));
    await at.pass(44_000);
    at.partition.refusal = new BarnabasError('NOT_ENOUGH_REPLICAS', 'one is not enough');
    await at.pass(5_000);
    const { shard } = await at.at().runnerFor('g');
    expect(shard.group('g')?.members.size).toBe(1);
    at.partition.refusal = undefined;
    await at.pass(600);
    expect(shard.group('g')?.members.size).toBe(0);
  });

  test('offsets expire, and then their group', async () => {
    end();
    at = new Coordinators({ settings: { offsetsRetentionMs: 60_000, offsetsRetentionCheckIntervalMs: 10_000 } });
    await at.start();
    await commit(5);
    await at.pass(59_000);
    expect(await committed()).toBe(5);
    await at.pass(11_000);
    expect((await at.at().runnerFor('g')).shard.size).toBe(0);
    expect(await committed()).toBe(-1);
  });
});

describe('metadata', () => {
  test('a topic that grows is shared anew, and the member hears of it while it waits', async () => {
    const one = await beat(joining('one'));
    const held = watch(living('one', one), 5_000);
    await at.settle();
    at.tell(at.metadata.grow('orders', 6));
    await at.settle();
    expect(numbers(held.value?.assignment?.partitions)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('what could not be written of it is looked at again, deletions too', async () => {
    await commit(5);
    const { shard } = await at.at().runnerFor('g');
    at.partition.refusal = new BarnabasError('NOT_ENOUGH_REPLICAS', 'one is not enough');
    at.tell(at.metadata.remove('orders'));
    at.tell(at.metadata.addTopic('other', 1));
    expect(shard.group('g')?.offsets.size).toBe(1);
    at.partition.refusal = undefined;
    await at.pass(500);
    expect(shard.group('g')).toBeUndefined();
  });

  test('a deletion that is seen while the coordinator loads counts', async () => {
    await commit(5);
    let open!: () => void;
    at.partition.readGate = new Promise((resolve) => (open = resolve));
    await at.move(2);
    at.tell(at.metadata.remove('orders'));
    open();
    await at.settle();
    expect((await at.at().runnerFor('g')).shard.size).toBe(0);
  });

  test('without __consumer_offsets there is nobody to ask', async () => {
    at.tell(at.metadata.remove(CONSUMER_OFFSETS_TOPIC));
    await expect(at.at().runnerFor('g')).rejects.toMatchObject({ errorName: 'COORDINATOR_NOT_AVAILABLE' });
    expect(at.at().runners()).toEqual([]);
  });
});

describe('a heartbeat that may wait', () => {
  test('is answered when its time is over, and costs nothing meanwhile', async () => {
    const one = await beat(joining('one'));
    const { appends } = at.partition;
    const held = watch(living('one', one), 5_000);
    await at.pass(4_999);
    expect(held.isSettled).toBe(false);
    await at.pass(1);
    expect(held.value).toMatchObject({ memberEpoch: 1, assignment: undefined });
    expect(at.partition.appends).toBe(appends);
  });

  test('is answered at once when there is something to say', async () => {
    expect(await beat(joining('one'), 5_000)).toMatchObject({ memberEpoch: 1 });
    const two = await beat(joining('two'), 5_000);
    expect(two).toMatchObject({ memberEpoch: 2, assignment: { partitions: [] } });
    await expect(beat(living('three', two), 5_000)).rejects.toMatchObject({ errorName: 'UNKNOWN_MEMBER_ID' });
    expect(await beat(living('two', two, { memberEpoch: -1 }), 5_000)).toMatchObject({ memberEpoch: -1 });
  });

  test('is forgotten when its caller is gone', async () => {
    const one = await beat(joining('one'));
    const gone = new AbortController();
    const held = watch(living('one', one), 5_000, gone.signal);
    await at.settle();
    const runner = await at.at().runnerFor('g');
    expect(runner.held).toBe(1);
    gone.abort();
    await at.settle();
    expect([runner.held, held.error]).toEqual([0, 'NETWORK_EXCEPTION']);
    await expect(beat(living('one', one), 5_000, gone.signal)).rejects.toMatchObject({
      errorName: 'NETWORK_EXCEPTION',
    });
  });

  test('is answered with what a later one of its member is told, and never refused for it', async () => {
    const one = await beat(joining('one'));
    await beat(joining('two'));
    const gives = await beat(living('one', one));
    const held = watch(living('one', gives, { owned: one.assignment?.partitions ?? [] }), 5_000);
    await at.settle();
    expect(held.isSettled).toBe(false);
    // It moves on to another epoch; the request that waits is of the one before, and owns too much for it.
    const moved = await beat(living('one', gives));
    await at.settle();
    expect(moved.memberEpoch).toBe(2);
    expect([held.value, held.error]).toEqual([moved, undefined]);
  });

  test('of an earlier stream of the member is fenced when a later one speaks', async () => {
    const one = await beat(joining('one'));
    const held = watch(living('one', one), 5_000);
    await at.settle();
    await beat(living('one', one, { incarnation: 2 }));
    await at.settle();
    expect(held.error).toBe('FENCED_MEMBER_EPOCH');
    const later = watch(living('one', one, { incarnation: 2 }), 5_000);
    await expect(beat(living('one', one))).rejects.toMatchObject({ errorName: 'FENCED_MEMBER_EPOCH' });
    await at.settle();
    expect(later.isSettled).toBe(false);
    await at.pass(5_000);
    expect(later.value).toMatchObject({ memberEpoch: 1 });
  });

  test('is told that its member is late to give partitions up, when that ends the membership', async () => {
    const one = await beat(joining('one', { rebalanceTimeoutMs: 2_000 }));
    await beat(joining('two'));
    const gives = await beat(living('one', one));
    const held = watch(living('one', gives, { owned: one.assignment?.partitions ?? [] }), 5_000);
    await at.pass(2_100);
    expect(held.error).toBe('UNKNOWN_MEMBER_ID');
  });

  test('rebalances as fast as members confirm: nobody waits for an interval', async () => {
    const members = Array.from({ length: 60 }, (_, index) => `m${index}`);
    at.tell(at.metadata.grow('orders', 120));
    const lives = new Map<string, { last: HeartbeatResponse; owned: number }>();
    const live = async (id: string): Promise<void> => {
      let last = await beat(joining(id));
      for (;;) {
        lives.set(id, { last, owned: last.assignment?.partitions.length ?? 0 });
        const told = await beat(living(id, last), 40_000).catch(() => undefined);
        if (told === undefined) return;
        last = { ...told, assignment: told.assignment ?? last.assignment };
      }
    };
    const running = members.map(live);
    await at.settle();
    const epochs = new Set([...lives.values()].map(({ last }) => last.memberEpoch));
    expect([at.time.monotonic(), epochs.size]).toEqual([0, 1]);
    expect([...lives.values()].map(({ owned }) => owned)).toEqual(members.map(() => 2));
    end();
    await Promise.all(running);
  });
});

test('a rebalance that is asked for is made, although nothing has changed', async () => {
  const one = await beat(joining('one'));
  const asked = await beat(living('one', one, { enforceRebalance: true }));
  expect(asked.memberEpoch).toBe(2);
  expect(asked.assignment).toBeUndefined();
});

test('counts commits, rebalances and groups', async () => {
  const metrics = new CountedMetrics();
  at = new Coordinators({ metrics });
  await at.start();
  await commit(5, 'other');
  await beat(joining('one'));
  expect(metrics.total('barnabas_group_offset_commits_total')).toBe(1);
  expect(metrics.total('barnabas_group_rebalances_total')).toBe(1);
  const sampled = ['groups_stable', 'groups_empty', 'group_members', 'group_partitions_loading'];
  expect(sampled.map((name) => metrics.sample(`barnabas_${name}`))).toEqual([1, 1, 1, 0]);
});
