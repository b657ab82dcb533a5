import { BarnabasError } from '@barnabas/protocol';
import fc from 'fast-check';
import type {
  Acks,
  Assignment,
  Follow,
  FollowSink,
  Partition,
  PendingProduce,
  ProduceOutcome,
  ReplicaEffect,
  ReplicaEvent,
} from './index.js';
import { ReplicaManager } from './index.js';

const NODE = 1;

interface Request {
  readonly id: number;
  readonly partition: Partition<Request>;
  readonly acks: Acks;
  readonly deadline: number;
  outcome?: ProduceOutcome;
  endOffset: number;
}

/** A disk in the test's hand: appends take offsets at once and become stable when told to. */
interface Disk {
  logEndOffset: number;
  stableEndOffset: number;
  failsAppends: boolean;
}

/** The runtime's part, played by the test: carries effects out and looks at every answer. */
class Harness {
  readonly manager = new ReplicaManager<Request>(NODE);
  readonly requests: Request[] = [];
  readonly opening = new Set<Partition<Request>>();
  readonly disks = new Map<Partition<Request>, Disk>();
  readonly highWatermarks = new Map<Partition<Request>, { epoch: number; highWatermark: number }>();
  readonly deleted: Partition<Request>[] = [];
  readonly unavailable: BarnabasError[] = [];
  readonly ended: BarnabasError[] = [];
  readonly effects: ReplicaEffect<Request>[] = [];
  now = 0;
  wakeAt: number | undefined;

  send(event: ReplicaEvent<Request>): void {
    for (const effect of this.manager.handle(event)) this.#execute(effect);
    this.#watch();
  }

  assign(change: Partial<Assignment> = {}): Partition<Request> {
    const assignment: Assignment = {
      topic: 'orders',
      topicId: 'id-1',
      partition: 0,
      replicas: [1, 2, 3],
      isr: [1],
      leader: 1,
      leaderEpoch: 0,
      partitionEpoch: 0,
      eligibleLeaderReplicas: [],
      config: { 'min.insync.replicas': 1 },
      ...change,
    };
    this.send({ type: 'assigned', changes: [{ kind: 'assign', assignment }], now: this.now });
    const partition = this.manager.findById(assignment.topicId, assignment.partition);
    if (partition === undefined) throw new Error('an assigned partition is found');
    return partition;
  }

  /** An assigned partition whose log is open. */
  online(change: Partial<Assignment> = {}): Partition<Request> {
    const partition = this.assign(change);
    this.send({ type: 'wanted', partition });
    this.open(partition);
    return partition;
  }

  open(partition: Partition<Request>, at: { start?: number; end?: number; highWatermark?: number } = {}): void {
    this.opening.delete(partition);
    const { start = 0, end = 0, highWatermark = 0 } = at;
    this.disks.set(partition, { logEndOffset: end, stableEndOffset: end, failsAppends: false });
    this.send({ type: 'opened', partition, logStartOffset: start, logEndOffset: end, highWatermark });
  }

  /** A follower asks, and its logs are found to agree. */
  follow(partition: Partition<Request>, brokerId: number, change: Partial<Follow> = {}): FollowSink {
    const sink: FollowSink = { positioned: () => {}, ended: (error) => void this.ended.push(error), moved: () => {} };
    const { leaderEpoch, partitionEpoch } = partition;
    const follow = {
      brokerId,
      brokerEpoch: 1,
      leaderEpoch,
      partitionEpoch,
      lastEpoch: -1,
      logStartOffset: 0,
      logEndOffset: 0,
      ...change,
    };
    this.send({ type: 'followed', partition, follow, sink });
    return sink;
  }

  acknowledge(partition: Partition<Request>, brokerId: number, sink: FollowSink, logEndOffset: number): void {
    const { now } = this;
    this.send({ type: 'followerProgress', partition, brokerId, sink, logEndOffset, logStartOffset: 0, now });
  }

  produce(partition: Partition<Request>, acks: Acks, timeoutMs = 1000): Request {
    const request: Request = {
      id: this.requests.length,
      partition,
      acks,
      deadline: this.now + timeoutMs,
      endOffset: -1,
    };
    this.requests.push(request);
    const input = { handedOver: false, batches: new Uint8Array(10), acks, deadline: request.deadline, token: request };
    this.send({ type: 'produce', partition, input });
    return request;
  }

  stable(partition: Partition<Request>, endOffset = this.disk(partition).logEndOffset): void {
    const disk = this.disk(partition);
    disk.stableEndOffset = Math.max(disk.stableEndOffset, Math.min(endOffset, disk.logEndOffset));
    this.send({ type: 'stable', partition, endOffset: disk.stableEndOffset });
  }

  advance(byMs: number): void {
    this.now += byMs;
    while (this.wakeAt !== undefined && this.wakeAt <= this.now) {
      this.wakeAt = undefined;
      this.send({ type: 'tick', now: this.now });
    }
  }

  disk(partition: Partition<Request>): Disk {
    const disk = this.disks.get(partition);
    if (disk === undefined) throw new Error('the log is open');
    return disk;
  }

  #execute(effect: ReplicaEffect<Request>): void {
    this.effects.push(effect);
    switch (effect.type) {
      case 'openLog':
        this.opening.add(effect.partition);
        return;
      case 'append':
        this.#append(effect.partition, effect.produce);
        return;
      case 'respond':
        this.#answered(effect.token, effect.outcome);
        return;
      case 'wakeAt':
        this.wakeAt = effect.at;
        return;
      case 'deleteLog':
        this.deleted.push(effect.partition);
        return;
      case 'unavailable':
        this.unavailable.push(effect.error);
        return;
      case 'endFollow':
        effect.sink.ended(effect.error);
        return;
      case 'position':
        effect.sink.positioned({ kind: 'agreed' });
        return;
      default:
        return;
    }
  }

  #append(partition: Partition<Request>, produce: PendingProduce<Request>): void {
    const disk = this.disk(partition);
    if (disk.failsAppends) {
      const error = new BarnabasError('OUT_OF_ORDER_SEQUENCE_NUMBER', 'the disk says no');
      this.send({ type: 'refused', partition, produce, error });
      return;
    }
    const baseOffset = disk.logEndOffset;
    disk.logEndOffset += produce.takeBatches().length;
    produce.token.endOffset = disk.logEndOffset;
    const endOffset = disk.logEndOffset;
    this.send({ type: 'appended', partition, produce, baseOffset, endOffset, logAppendTimeMs: -1, duplicate: false });
  }

  #answered(request: Request, outcome: ProduceOutcome): void {
    expect(request.outcome).toBeUndefined();
    request.outcome = outcome;
    if (outcome.kind !== 'appended' || request.acks === 'none') return;
    // The heart of it: an answer is a promise about disks.
    expect(request.endOffset).toBeGreaterThan(0);
    expect(this.disk(request.partition).stableEndOffset).toBeGreaterThanOrEqual(request.endOffset);
    if (request.acks === 'all') {
      expect(request.partition.highWatermark).toBeGreaterThanOrEqual(request.endOffset);
    }
  }

  #watch(): void {
    for (const partition of this.manager.partitions()) {
      const seen = this.highWatermarks.get(partition);
      if (seen !== undefined && seen.epoch === partition.leaderEpoch) {
        expect(partition.highWatermark).toBeGreaterThanOrEqual(seen.highWatermark);
      }
      const { leaderEpoch: epoch, highWatermark } = partition;
      this.highWatermarks.set(partition, { epoch, highWatermark });
    }
  }
}

function refusedWith(request: Request): string | undefined {
  return request.outcome?.kind === 'refused' ? request.outcome.error.errorName : undefined;
}

describe('a leader alone in its ISR', () => {
  it('answers acks=all and acks=leader once the append is stable, acks=none at once', () => {
    const harness = new Harness();
    const partition = harness.online();
    const all = harness.produce(partition, 'all');
    const leader = harness.produce(partition, 'leader');
    const none = harness.produce(partition, 'none');
    expect([all.outcome, leader.outcome]).toEqual([undefined, undefined]);
    expect(none.outcome).toEqual({ kind: 'appended', baseOffset: -1, logAppendTimeMs: -1, logStartOffset: -1 });
    harness.stable(partition, 10);
    expect(all.outcome).toEqual({ kind: 'appended', baseOffset: 0, logAppendTimeMs: -1, logStartOffset: 0 });
    expect(leader.outcome).toBeUndefined();
    expect(partition.highWatermark).toBe(10);
    harness.stable(partition);
    expect(leader.outcome).toMatchObject({ kind: 'appended', baseOffset: 10 });
    expect(partition.appends.committedBytes).toBe(30);
    expect(harness.manager.purgatorySize).toBe(0);
  });

  it('opens its log at the first produce and appends in order what came meanwhile', () => {
    const harness = new Harness();
    const partition = harness.assign();
    const requests = [harness.produce(partition, 'all'), harness.produce(partition, 'all')];
    expect(harness.opening.has(partition)).toBe(true);
    harness.open(partition, { start: 5, end: 40, highWatermark: 7 });
    expect(partition.highWatermark).toBe(40);
    harness.stable(partition);
    expect(requests.map((request) => request.outcome)).toMatchObject([
      { kind: 'appended', baseOffset: 40, logStartOffset: 5 },
      { kind: 'appended', baseOffset: 50 },
    ]);
  });

  it('fails with REQUEST_TIMED_OUT at the deadline, and still counts the bytes later', () => {
    const harness = new Harness();
    const partition = harness.online();
    const request = harness.produce(partition, 'all', 100);
    harness.advance(99);
    expect(request.outcome).toBeUndefined();
    harness.advance(25);
    expect(refusedWith(request)).toBe('REQUEST_TIMED_OUT');
    harness.stable(partition);
    expect(partition.highWatermark).toBe(10);
    expect(partition.appends.committedBytes).toBe(10);
  });

  it('wakes for the earliest deadline, also when it comes later', () => {
    const harness = new Harness();
    const partition = harness.online();
    const late = harness.produce(partition, 'all', 30_000);
    const early = harness.produce(partition, 'all', 50);
    harness.advance(80);
    expect(refusedWith(early)).toBe('REQUEST_TIMED_OUT');
    expect(late.outcome).toBeUndefined();
    harness.advance(30_000);
    expect(refusedWith(late)).toBe('REQUEST_TIMED_OUT');
  });

  it('does not append what timed out while the log was being opened', () => {
    const harness = new Harness();
    const partition = harness.assign();
    const request = harness.produce(partition, 'all', 50);
    harness.advance(80);
    expect(refusedWith(request)).toBe('REQUEST_TIMED_OUT');
    harness.open(partition);
    expect(harness.disk(partition).logEndOffset).toBe(0);
  });

  it('passes on what the log refuses and goes on', () => {
    const harness = new Harness();
    const partition = harness.online();
    harness.disk(partition).failsAppends = true;
    expect(refusedWith(harness.produce(partition, 'all'))).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
    harness.disk(partition).failsAppends = false;
    const next = harness.produce(partition, 'all');
    harness.stable(partition);
    expect(next.outcome).toMatchObject({ kind: 'appended', baseOffset: 0 });
  });

  it('answers a duplicate with the first offsets, and not before those are safe', () => {
    const harness = new Harness();
    const partition = harness.online();
    const first = harness.produce(partition, 'all');
    const manager = harness.manager;
    const token: Request = { id: 99, partition, acks: 'all', deadline: 1000, endOffset: 10 };
    const input = { handedOver: false, batches: new Uint8Array(10), acks: 'all' as const, deadline: 1000, token };
    const [append] = manager.handle({ type: 'produce', partition, input });
    if (append?.type !== 'append') throw new Error('a produce is appended');
    const { produce } = append;
    const again = { type: 'appended', partition, produce, baseOffset: 0, endOffset: 10 } as const;
    expect(manager.handle({ ...again, logAppendTimeMs: -1, duplicate: true })).toEqual([]);
    harness.stable(partition);
    expect(first.outcome).toMatchObject({ baseOffset: 0 });
    expect(token.outcome).toMatchObject({ kind: 'appended', baseOffset: 0 });
    expect(partition.logEndOffset).toBe(10);
    expect(partition.appends.committedBytes).toBe(10);
  });
});

describe('a leader with followers', () => {
  it('moves the high watermark to the lowest log end of the ISR', () => {
    const harness = new Harness();
    const partition = harness.online({ isr: [1, 2] });
    const all = harness.produce(partition, 'all');
    const leader = harness.produce(partition, 'leader');
    harness.stable(partition);
    expect(leader.outcome).toMatchObject({ kind: 'appended' });
    expect(all.outcome).toBeUndefined();
    expect(partition.highWatermark).toBe(0);
    harness.acknowledge(partition, 2, harness.follow(partition, 2), 10);
    expect(all.outcome).toMatchObject({ kind: 'appended', baseOffset: 0 });
    expect(partition.highWatermark).toBe(10);
  });

  it('takes no report of an earlier leader epoch', () => {
    const harness = new Harness();
    const partition = harness.online({ isr: [1, 2] });
    harness.produce(partition, 'all');
    harness.stable(partition);
    const sink = harness.follow(partition, 2);
    harness.assign({ isr: [1, 2], leaderEpoch: 1, partitionEpoch: 1 });
    harness.acknowledge(partition, 2, sink, 10);
    expect(partition.highWatermark).toBe(0);
    expect(harness.ended.map((error) => error.errorName)).toEqual(['FENCED_LEADER_EPOCH']);
    harness.follow(partition, 2, { leaderEpoch: 0 });
    harness.follow(partition, 2, { leaderEpoch: 2 });
    expect(harness.ended.slice(1).map((error) => error.errorName)).toEqual([
      'FENCED_LEADER_EPOCH',
      'UNKNOWN_LEADER_EPOCH',
    ]);
  });

  it('refuses acks=all before the append while the ISR is too small, and takes acks=leader', () => {
    const harness = new Harness();
    const partition = harness.online({ config: { 'min.insync.replicas': 2 } });
    expect(refusedWith(harness.produce(partition, 'all'))).toBe('NOT_ENOUGH_REPLICAS');
    expect(harness.disk(partition).logEndOffset).toBe(0);
    const leader = harness.produce(partition, 'leader');
    harness.stable(partition);
    expect(leader.outcome).toMatchObject({ kind: 'appended' });
  });

  it('waits while the ISR is below the minimum, and says so at the deadline', () => {
    const harness = new Harness();
    const config = { 'min.insync.replicas': 2 };
    const partition = harness.online({ isr: [1, 2], config });
    const request = harness.produce(partition, 'all');
    harness.stable(partition);
    harness.assign({ isr: [1], partitionEpoch: 1, config });
    expect(partition.highWatermark).toBe(0);
    expect(request.outcome).toBeUndefined();
    harness.advance(1100);
    expect(refusedWith(request)).toBe('NOT_ENOUGH_REPLICAS_AFTER_APPEND');
    expect(partition.highWatermark).toBe(0);
  });
});

describe('a change of assignment', () => {
  it('answers what waits when leadership moves: written, with the leader that decides about it now', () => {
    const harness = new Harness();
    const partition = harness.online();
    const request = harness.produce(partition, 'all');
    harness.assign({ leader: 2, isr: [2], leaderEpoch: 1, partitionEpoch: 1 });
    expect(request.outcome).toMatchObject({
      error: { errorName: 'REQUEST_TIMED_OUT', facts: { leader: 2, leaderEpoch: 1 } },
    });
    expect(refusedWith(harness.produce(partition, 'all'))).toBe('NOT_LEADER_OR_FOLLOWER');
    expect(harness.unavailable.map((error) => error.errorName)).toEqual(['NOT_LEADER_OR_FOLLOWER']);
    // The disk speaks late; nobody listens.
    harness.stable(partition);
    expect(partition.highWatermark).toBe(0);
  });

  it('keeps incarnations of a topic apart by their ids', () => {
    const harness = new Harness();
    harness.send({ type: 'started' });
    const old = harness.online();
    harness.produce(old, 'none');
    const written = harness.produce(old, 'all');
    harness.send({
      type: 'assigned',
      changes: [{ kind: 'unassign', topicId: 'id-1', partition: 0, deleted: true }],
      now: harness.now,
    });
    const fresh = harness.online({ topicId: 'id-2' });
    expect(harness.manager.find('orders', 0)).toBe(fresh);
    expect(harness.deleted).toEqual([old]);
    expect(refusedWith(written)).toBe('REQUEST_TIMED_OUT');
    expect(refusedWith(harness.produce(old, 'all'))).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    harness.stable(old);
    expect(fresh.highWatermark).toBe(0);
  });

  it('deletes nothing on the word of an image that may be older than its registration', () => {
    const harness = new Harness();
    const unassign = (partition: number) => {
      const change = { kind: 'unassign', topicId: 'id-1', partition, deleted: false } as const;
      harness.send({ type: 'assigned', changes: [change], now: harness.now });
    };
    const moved = harness.assign();
    const gone = harness.assign({ partition: 1 });
    unassign(0);
    unassign(1);
    // It was moved away once and came back since; the other did not.
    const back = harness.assign({ isr: [1, 2, 3], leader: 2, leaderEpoch: 7, partitionEpoch: 9 });
    expect(harness.deleted).toEqual([]);
    harness.send({ type: 'started' });
    expect(harness.deleted).toEqual([gone]);
    // What comes now is of the present.
    unassign(0);
    expect(harness.deleted).toEqual([gone, back]);
    expect(back).not.toBe(moved);
  });

  it('checks the leader epoch that a client knows', () => {
    const harness = new Harness();
    const partition = harness.online({ leaderEpoch: 5 });
    expect(partition.refusal(4)?.errorName).toBe('FENCED_LEADER_EPOCH');
    expect(partition.refusal(6)?.errorName).toBe('UNKNOWN_LEADER_EPOCH');
    expect(partition.refusal(5)).toBeUndefined();
    expect(partition.refusal(-1)).toBeUndefined();
  });
});

describe('a log that fails', () => {
  it('takes its partition offline and no other', () => {
    const harness = new Harness();
    const broken = harness.online();
    const sound = harness.online({ partition: 1 });
    const request = harness.produce(broken, 'all');
    harness.send({ type: 'logFailed', partition: broken, reason: 'the disk is full', corrupt: false });
    expect(refusedWith(request)).toBe('KAFKA_STORAGE_ERROR');
    expect(refusedWith(harness.produce(broken, 'all'))).toBe('KAFKA_STORAGE_ERROR');
    expect(broken.log).toEqual({ kind: 'offline', reason: 'the disk is full' });
    const other = harness.produce(sound, 'all');
    harness.stable(sound);
    expect(other.outcome).toMatchObject({ kind: 'appended' });
  });

  it('that cannot be opened refuses what waited for it', () => {
    const harness = new Harness();
    const partition = harness.assign();
    const request = harness.produce(partition, 'all');
    harness.send({ type: 'logFailed', partition, reason: 'corrupt', corrupt: true });
    expect(refusedWith(request)).toBe('KAFKA_STORAGE_ERROR');
  });
});

/** One step of a random life: which partition, what happens, and a number to use. */
const step = fc.record({
  partition: fc.nat(2),
  action: fc.constantFrom<Action>(
    'produce',
    'produce',
    'produce',
    'produce',
    'stable',
    'stable',
    'stable',
    'follower',
    'open',
    'time',
    'lead',
    'isr',
    'lose',
    'fail',
    'refuse',
    'recreate',
  ), // prettier-ignore
  acks: fc.constantFrom<Acks>('none', 'leader', 'all'),
  number: fc.nat(40),
});
type Action =
  | 'produce'
  | 'stable'
  | 'follower'
  | 'open'
  | 'time'
  | 'lead'
  | 'isr'
  | 'lose'
  | 'fail'
  | 'refuse'
  | 'recreate'; // prettier-ignore

/** Three partitions under random events; the harness checks each answer, the core its invariants. */
class RandomLife {
  readonly harness = new Harness();
  readonly #assignments = [0, 1, 2].map((partition) => ({
    partition,
    topicId: `id-${partition}-0`,
    topic: `topic-${partition}`,
    isr: [1],
    leader: 1,
    leaderEpoch: 0,
    partitionEpoch: 0,
    eligibleLeaderReplicas: [],
  }));
  #incarnation = 0;

  constructor() {
    for (const assignment of this.#assignments) this.harness.assign(assignment);
  }

  run({ partition: index, action, acks, number }: { partition: number; action: Action; acks: Acks; number: number }) {
    const { harness } = this;
    const assignment = this.#assignments[index];
    if (assignment === undefined) throw new Error('three partitions');
    const partition = harness.manager.findById(assignment.topicId, index);
    if (partition === undefined) throw new Error('assigned');
    const isOpen = partition.log.kind === 'online';
    switch (action) {
      case 'produce':
        harness.produce(partition, acks, number * 10);
        return;
      case 'stable':
        if (isOpen) harness.stable(partition, harness.disk(partition).stableEndOffset + number);
        return;
      case 'follower':
        if (isOpen) {
          const logEndOffset = Math.min(number * 10, harness.disk(partition).logEndOffset);
          // Anew each time: whether an earlier stream still counts is the subject of other tests.
          harness.acknowledge(partition, 2, harness.follow(partition, 2), logEndOffset);
        }
        return;
      case 'open':
        if (harness.opening.has(partition)) harness.open(partition, { end: number, highWatermark: number });
        return;
      case 'time':
        harness.advance(number * 5);
        return;
      case 'lead':
      case 'lose':
        assignment.leader = action === 'lead' ? 1 : 2;
        assignment.leaderEpoch += 1;
        assignment.isr = [assignment.leader];
        assignment.partitionEpoch += 1;
        harness.assign({ ...assignment });
        return;
      case 'isr':
        if (assignment.leader === 1) assignment.isr = number % 2 === 0 ? [1] : [1, 2];
        assignment.partitionEpoch += 1;
        harness.assign({ ...assignment, config: { 'min.insync.replicas': (number % 3) + 1 } });
        return;
      case 'fail':
        if (number === 0) harness.send({ type: 'logFailed', partition, reason: 'planted', corrupt: false });
        return;
      case 'refuse':
        if (isOpen) harness.disk(partition).failsAppends = number % 4 === 0;
        return;
      case 'recreate': {
        const { topicId } = assignment;
        harness.send({
          type: 'assigned',
          changes: [{ kind: 'unassign', topicId, partition: index, deleted: true }],
          now: harness.now,
        });
        this.#incarnation += 1;
        assignment.topicId = `id-${index}-${this.#incarnation}`;
        harness.assign({ ...assignment });
        return;
      }
    }
  }
}

describe('what a follower says', () => {
  it('counts only on the stream on which it last asked, and from its first acknowledgement there', () => {
    const harness = new Harness();
    const partition = harness.online({ isr: [1, 2] });
    harness.produce(partition, 'all');
    harness.stable(partition);
    const earlier = harness.follow(partition, 2);
    const later = harness.follow(partition, 2);
    // Its log may have been made anew in between.
    harness.acknowledge(partition, 2, earlier, 10);
    expect(partition.highWatermark).toBe(0);
    harness.acknowledge(partition, 2, later, 10);
    expect(partition.highWatermark).toBe(10);
  });

  it('is asked again where it may have been removed and added in between, and not believed before it knows', () => {
    const harness = new Harness();
    const partition = harness.online({ isr: [1], replicas: [1, 2] });
    harness.send({ type: 'started' });
    harness.send({ type: 'brokers', brokers: new Map([[2, { epoch: 1, serves: true }]]) });
    const sink = harness.follow(partition, 2);
    harness.assign({ isr: [1], replicas: [1, 2], partitionEpoch: 2 });
    expect(harness.ended.map((error) => error.errorName)).toEqual(['REPLICA_NOT_AVAILABLE']);
    harness.acknowledge(partition, 2, sink, 0);
    const old = harness.follow(partition, 2, { partitionEpoch: 1 });
    harness.acknowledge(partition, 2, old, 0);
    expect(proposalsOf(harness)).toEqual([]);
    harness.acknowledge(partition, 2, harness.follow(partition, 2, { partitionEpoch: 2 }), 0);
    expect(proposalsOf(harness)).toEqual([[1, 2]]);
  });

  it('admits it once it has reached the high watermark and the start of the epoch, if its broker serves as it spoke', () => {
    const harness = new Harness();
    const partition = harness.assign({ isr: [1], replicas: [1, 2], leaderEpoch: 3, partitionEpoch: 3 });
    harness.send({ type: 'started' });
    harness.send({ type: 'wanted', partition });
    harness.open(partition, { end: 40, highWatermark: 7 });
    const sink = harness.follow(partition, 2);
    harness.acknowledge(partition, 2, sink, 40);
    for (const view of [
      { epoch: 1, serves: false },
      { epoch: 2, serves: true },
    ]) {
      harness.send({ type: 'brokers', brokers: new Map([[2, view]]) });
    }
    expect(proposalsOf(harness)).toEqual([]);
    harness.acknowledge(partition, 2, sink, 39);
    harness.send({ type: 'brokers', brokers: new Map([[2, { epoch: 1, serves: true }]]) });
    expect(proposalsOf(harness)).toEqual([]);
    harness.acknowledge(partition, 2, sink, 40);
    expect(proposalsOf(harness)).toEqual([[1, 2]]);
  });

  it('takes it out when it has not had everything for longer than replica.lag.time.max.ms', () => {
    const harness = new Harness();
    const partition = harness.online({ isr: [1, 2], replicas: [1, 2] });
    harness.send({ type: 'started' });
    const sink = harness.follow(partition, 2);
    harness.acknowledge(partition, 2, sink, 0);
    harness.now = 100_000;
    // Idle, it lacks nothing.
    harness.send({ type: 'isrCheck', now: harness.now });
    harness.produce(partition, 'leader');
    harness.now += 30_000;
    harness.send({ type: 'isrCheck', now: harness.now });
    expect(proposalsOf(harness)).toEqual([]);
    harness.now += 1;
    harness.send({ type: 'isrCheck', now: harness.now });
    expect(proposalsOf(harness)).toEqual([[1]]);
  });
});

describe('a replica whose log is corrupt', () => {
  it('is made anew once nobody counts on it, in a later leader epoch than it has spoken in', () => {
    const harness = new Harness();
    harness.send({ type: 'started' });
    const at = { replicas: [1, 2], leader: 2, leaderEpoch: 4, partitionEpoch: 4 };
    const partition = harness.online({ ...at, isr: [2] });
    harness.send({ type: 'logFailed', partition, reason: 'rot', corrupt: true });
    expect(typesOf(harness)).toContain('reportOffline');
    harness.send({ type: 'offlineReported', partition, metadataOffset: 10 });
    harness.send({ type: 'caughtUp', metadataOffset: 9 });
    // An admission for what it had may still be on its way in this epoch.
    harness.send({ type: 'caughtUp', metadataOffset: 10 });
    expect(typesOf(harness)).not.toContain('reviveLog');
    harness.assign({ ...at, isr: [2], leaderEpoch: 5, partitionEpoch: 5 });
    harness.send({ type: 'caughtUp', metadataOffset: 11 });
    expect(typesOf(harness)).toContain('reviveLog');
    expect(partition.log.kind).toBe('opening');
  });

  it('is reported again while somebody counts on it, and waits', () => {
    const harness = new Harness();
    harness.send({ type: 'started' });
    const at = { replicas: [1, 2], isr: [1, 2], leader: 2 };
    const partition = harness.online(at);
    harness.send({ type: 'logFailed', partition, reason: 'rot', corrupt: true });
    harness.send({ type: 'offlineReported', partition, metadataOffset: 3 });
    harness.assign({ ...at, leaderEpoch: 1, partitionEpoch: 1 });
    harness.send({ type: 'caughtUp', metadataOffset: 3 });
    expect(typesOf(harness).filter((type) => type === 'reportOffline')).toHaveLength(2);
    expect(typesOf(harness)).not.toContain('reviveLog');
  });

  it('is not reported if it is the only one', () => {
    const harness = new Harness();
    harness.send({ type: 'started' });
    const partition = harness.online({ replicas: [1], isr: [1] });
    harness.send({ type: 'logFailed', partition, reason: 'rot', corrupt: true });
    expect(typesOf(harness)).not.toContain('reportOffline');
  });
});

const typesOf = (harness: Harness) => harness.effects.map(({ type }) => type);
const proposalsOf = (harness: Harness) =>
  harness.effects.flatMap((effect) =>
    effect.type === 'proposeIsr' ? [effect.proposal.isr.map(({ brokerId }) => brokerId)] : [],
  );

it('asks nobody any more for a replica that was taken away while it followed, whatever comes late', () => {
  const harness = new Harness();
  harness.send({ type: 'started' });
  const follower = harness.online({ leader: 2, isr: [2] });
  harness.send({ type: 'linked', partition: follower });
  const handle = follower.following?.handle ?? 0;
  const mark = { highWatermark: 0, logStartOffset: 0, logEndOffset: 0 };
  const position = { kind: 'agreed' } as const;
  harness.send({ type: 'positioned', partition: follower, handle, position, mark, own: undefined });
  expect(follower.following?.phase).toBe('fetching');

  const { topicId, partition } = follower;
  const change = { kind: 'unassign', topicId, partition, deleted: false } as const;
  harness.send({ type: 'assigned', changes: [change], now: 0 });
  const before = harness.effects.length;
  harness.send({ type: 'unlinked', partition: follower, handle });
  harness.send({ type: 'linked', partition: follower });
  expect(harness.effects.slice(before)).toEqual([]);
});

it('answers every entry once, and never before its acks are satisfied, whatever happens', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const life = new RandomLife();
      for (const next of steps) life.run(next);
      life.harness.advance(1_000_000);
      expect(life.harness.requests.filter((request) => request.outcome === undefined)).toEqual([]);
      expect(life.harness.manager.purgatorySize).toBe(0);
      for (const partition of life.harness.manager.partitions()) {
        expect([...partition.appends.unanswered()]).toEqual([]);
      }
    }),
    { numRuns: 500 },
  );
});
