/**
 * A subscription between a client, a coordinator and leaders that are a model: does what the subscription
 * asks for when told to, and checks at every push, release and message that it may.
 */
import { assert, present } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { Subscription } from '../subscription.js';
import { keyOf } from '../types.js';
import type {
  Effect,
  FetchedRecords,
  OffsetToCommit,
  Parcel,
  Push,
  SubscriptionSettings,
  TakeLimits,
  TopicPartition,
} from '../types.js';

export const SETTINGS: SubscriptionSettings = {
  delivery: 'at-least-once',
  creditMode: 'by-ack',
  credit: { records: 10, bytes: 1_000 },
  autoCommitIntervalMs: 5_000,
  maxPollIntervalMs: 300_000,
  autoOffsetReset: 'latest',
  resumed: [],
};

/** Where every log of the model begins and ends. */
export const LOG = { start: 20, end: 80 } as const;
/** The most that one parcel holds. */
const PARCEL_RECORDS = 4;

export class ModelRecords implements FetchedRecords {
  constructor(
    readonly generation: number,
    private from: number,
    private readonly until: number,
    private readonly recordBytes: number,
    private readonly isRotten = false,
  ) {}

  get isDone(): boolean {
    return this.from >= this.until;
  }

  take({ maxRecords, maxBytes }: TakeLimits): Parcel {
    if (this.isRotten) throw new BarnabasError('CORRUPT_MESSAGE', 'a rotten batch');
    const fitting = this.recordBytes === 0 ? PARCEL_RECORDS : Math.ceil(maxBytes / this.recordBytes);
    const records = Math.min(maxRecords, fitting, PARCEL_RECORDS, this.until - this.from);
    this.from += records;
    return {
      records,
      bytes: records * this.recordBytes,
      nextOffset: this.from,
      leaderEpoch: 1,
      payload: this.generation,
    };
  }
}

/** A partition as the client has it. */
interface Held {
  /** The next offset that may come. */
  next: number;
  /** The most that it has been, seeks back included. */
  highest: number;
  acknowledged: number;
  isRevoked: boolean;
  isPaused: boolean;
  /** Between a seek and its sought nothing may come. */
  isSeeking: boolean;
}

interface Fetch {
  readonly partition: TopicPartition;
  readonly generation: number;
  next: number;
}

type Commit = Effect & { readonly kind: 'commit' };
type Locate = Effect & { readonly kind: 'locate' };

export class ModelClient {
  readonly subscription: Subscription;
  readonly settings: SubscriptionSettings;
  nowMs = 0;
  readonly held = new Map<string, Held>();
  readonly fetches = new Map<number, Fetch>();
  readonly commits: Commit[] = [];
  readonly lookups: Locate[] = [];
  readonly messages: v1.SubscribeResponse['response'][] = [];
  readonly pushes: Push[] = [];
  readonly released: string[] = [];
  /** What the coordinator has. */
  readonly committed = new Map<string, number>();
  /** How often the group has gone back in what is committed. */
  readonly rewinds = new Map<string, number>();
  /** Positions of commits that were not answered, which may come yet; refused once the partition has been given anew. */
  readonly #late: (OffsetToCommit & { readonly tenure: number })[] = [];
  readonly #tenures = new Map<string, number>();
  /** What the member owns, as its coordinator sees it. */
  readonly owned = new Set<string>();
  /** Whose last commit failed: what they acknowledged may be lost. */
  readonly failed = new Set<string>();
  left: (Effect & { readonly kind: 'leave' }) | undefined;
  #records: number;
  #bytes: number;
  #dropped = 0;
  #delivered = 0;

  constructor(settings: Partial<SubscriptionSettings> = {}) {
    this.settings = { ...SETTINGS, ...settings };
    this.subscription = new Subscription(this.settings, this.nowMs);
    this.#records = this.settings.credit.records;
    this.#bytes = this.settings.credit.bytes;
    for (const { topic, partition, offset } of this.settings.resumed) {
      this.#hold({ topic, partition }, offset);
      this.owned.add(keyOf({ topic, partition }));
    }
  }

  get credits(): { readonly records: number; readonly bytes: number } {
    return { records: this.#records, bytes: this.#bytes };
  }

  /** Batches fetched and not let go. */
  get fetchedAndKept(): number {
    return this.#delivered - this.#dropped;
  }

  /** Does all that is to be done now. */
  run(): void {
    for (;;) {
      for (const effect of this.subscription.takeEffects()) this.#do(effect);
      const push = this.left === undefined ? this.subscription.nextPush(this.nowMs) : undefined;
      if (push !== undefined) this.#receive(push);
      else if (!this.subscription.hasEffects) break;
    }
    this.#check();
  }

  join(memberEpoch = 1): void {
    this.subscription.joined({ memberId: 'm', memberEpoch, incarnation: 1, sessionTimeoutMs: 45_000 });
    this.run();
  }

  assign(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) {
      this.owned.add(keyOf(partition));
      this.#tenures.set(keyOf(partition), this.#tenureOf(partition) + 1);
    }
    const assigned = partitions.map((partition) => {
      const offset = this.committed.get(keyOf(partition));
      const committed = offset === undefined ? undefined : { offset, leaderEpoch: -1, metadata: '' };
      return { ...partition, committed, rewinds: this.rewinds.get(keyOf(partition)) ?? 0 };
    });
    this.subscription.assigned(assigned, 2);
    this.run();
  }

  revoke(partitions: readonly TopicPartition[], graceMs = 40_000): void {
    this.subscription.revoked(partitions, graceMs, this.nowMs);
    this.run();
  }

  lose(): void {
    this.owned.clear();
    this.failed.clear();
    this.subscription.lost(new BarnabasError('FENCED_MEMBER_EPOCH', 'fenced'), this.nowMs);
    this.run();
  }

  say(request: v1.SubscribeRequest['request']): void {
    if (request?.$case === 'credit') {
      this.#records += request.credit.records;
      this.#bytes += request.credit.bytes;
    }
    if (request?.$case === 'seek') {
      for (const position of request.seek.positions) {
        const held = this.held.get(keyOf(position));
        if (held === undefined || held.isRevoked) continue;
        this.#void(keyOf(position));
        held.isSeeking = true;
      }
    }
    if (request?.$case === 'pause') {
      for (const each of request.pause.paused) this.#pause(each, true);
      for (const each of request.pause.resumed) this.#pause(each, false);
    }
    this.subscription.request({ request }, this.nowMs);
    this.run();
  }

  acknowledge(partition: TopicPartition, offset: number): void {
    const held = this.held.get(keyOf(partition));
    if (held !== undefined) this.#acknowledged(keyOf(partition), held, offset);
    this.say({
      $case: 'ack',
      ack: { positions: [{ ...partition, offset, leaderEpoch: undefined, metadata: '' }] },
    });
  }

  /** Records come for a fetch. */
  deliver(generation: number, records: number, recordBytes = 10, isRotten = false): void {
    const fetch = present(this.fetches.get(generation), 'the fetch');
    const from = fetch.next;
    fetch.next += records;
    this.#delivered += 1;
    this.subscription.fetched(generation, new ModelRecords(generation, from, fetch.next, recordBytes, isRotten));
    this.run();
  }

  /** Records for whatever is fetched of the partition now. */
  deliverTo(partition: TopicPartition, records: number, recordBytes = 10): void {
    this.deliver(present(this.fetchOf(partition), `a fetch of ${keyOf(partition)}`).generation, records, recordBytes);
  }

  fetchOf(partition: TopicPartition): Fetch | undefined {
    return [...this.fetches.values()].find((fetch) => keyOf(fetch.partition) === keyOf(partition));
  }

  endFetch(generation: number, error: BarnabasError): void {
    this.fetches.delete(generation);
    this.subscription.fetchEnded(generation, error, this.nowMs);
    this.run();
  }

  /** Answers the first look-up. */
  locate(): void {
    const lookup = this.lookups.shift();
    if (lookup === undefined) return;
    const offset = lookup.end === 'earliest' ? LOG.start : LOG.end;
    this.subscription.located([{ generation: lookup.generation, offset }], this.nowMs);
    this.run();
  }

  /** The coordinator answers the commit that is on its way: takes it, refuses it, does not know the topic, or does not answer. */
  answerCommit(how: 'taken' | 'refused' | 'unknown' | 'failed' = 'taken'): void {
    const commit = this.commits.shift();
    if (commit === undefined) return;
    for (const offset of commit.offsets) {
      if (how === 'taken') this.#take(offset);
      if (how === 'failed') this.#late.push({ ...offset, tenure: this.#tenureOf(offset) });
      if (how === 'taken') this.failed.delete(keyOf(offset));
      else this.failed.add(keyOf(offset));
    }
    const refusal = new BarnabasError(how === 'unknown' ? 'UNKNOWN_TOPIC_ID' : 'STALE_MEMBER_EPOCH', 'not so');
    const outcomes =
      how === 'failed'
        ? new BarnabasError('REQUEST_TIMED_OUT', 'no answer')
        : commit.offsets.map(() => (how === 'taken' ? undefined : refusal));
    this.subscription.committed(commit.commitId, outcomes, this.nowMs);
    this.run();
  }

  /** The newest of what was not answered, or the oldest, reaches the coordinator after all. */
  arriveLate(isNewest: boolean): void {
    const late = isNewest ? this.#late.pop() : this.#late.shift();
    if (late === undefined || !this.owned.has(keyOf(late)) || late.tenure !== this.#tenureOf(late)) return;
    this.#take(late);
  }

  /** As the coordinator does: what is committed only grows, by how often the group has gone back and then by the offset. */
  #take({ offset, rewinds: counted, ...partition }: OffsetToCommit): void {
    const key = keyOf(partition);
    const before = this.rewinds.get(key) ?? 0;
    const rewinds = counted ?? before;
    if (rewinds < before || (rewinds === before && offset < (this.committed.get(key) ?? -1))) return;
    this.committed.set(key, offset);
    this.rewinds.set(key, rewinds);
  }

  #tenureOf(partition: TopicPartition): number {
    return this.#tenures.get(keyOf(partition)) ?? 0;
  }

  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (let dueMs = this.subscription.deadlineMs; dueMs <= untilMs; dueMs = this.subscription.deadlineMs) {
      assert(dueMs > this.nowMs || this.nowMs === 0 || dueMs > -Infinity, 'a deadline is a time', { dueMs });
      this.nowMs = Math.max(this.nowMs, dueMs);
      this.subscription.tick(this.nowMs);
      this.run();
      if (this.subscription.deadlineMs <= this.nowMs) break;
    }
    this.nowMs = untilMs;
  }

  close(): void {
    this.subscription.clientClosed(this.nowMs);
    this.run();
  }

  /** The messages of one kind, and nothing of them any more. */
  heard(kind: string): v1.SubscribeResponse['response'][] {
    const found = this.messages.filter((message) => message?.$case === kind);
    this.messages.splice(0, this.messages.length, ...this.messages.filter((message) => message?.$case !== kind));
    return found;
  }

  #do(effect: Effect): void {
    assert(
      this.left === undefined || effect.kind === 'send' || effect.kind === 'drop' || effect.kind === 'stop-fetch',
      'S2: nothing after leaving',
      {
        kind: effect.kind,
      },
    );
    switch (effect.kind) {
      case 'send':
        this.#hear(effect.message);
        return;
      case 'fetch':
        assert(this.owned.has(keyOf(effect.partition)), 'only what is owned is fetched');
        assert(this.fetchOf(effect.partition) === undefined, 'one fetch of a partition at a time');
        this.fetches.set(effect.generation, { ...effect, next: effect.offset });
        return;
      case 'stop-fetch':
        this.fetches.delete(effect.generation);
        return;
      case 'drop':
        this.#dropped += 1;
        return;
      case 'locate':
        this.lookups.push(effect);
        return;
      case 'commit':
        assert(this.commits.length === 0, 'C1: one commit at a time');
        this.commits.push(effect);
        return;
      case 'release':
        for (const partition of effect.partitions) this.#release(keyOf(partition));
        return;
      case 'leave':
        this.left = effect;
        return;
      case 'change':
      case 'rebalance':
    }
  }

  #hear(message: v1.SubscribeResponse['response']): void {
    this.messages.push(message);
    switch (message?.$case) {
      case 'joined':
      case 'records':
      case 'committed':
      case 'partitionError':
      case undefined:
        return;
      case 'assigned':
        for (const { topic, partition, offset } of message.assigned.positions) this.#hold({ topic, partition }, offset);
        return;
      case 'revoked':
        for (const partition of message.revoked.partitions) {
          const held = this.held.get(keyOf(partition));
          assert(held?.isRevoked === false, 'A3: only what was told is revoked');
          held.isRevoked = true;
        }
        return;
      case 'lost':
        for (const partition of message.lost.partitions) this.#give(keyOf(partition));
        assert(this.held.size === 0, 'A3: all of it is lost');
        // A commit of a membership that is over is not answered to anybody.
        this.commits.length = 0;
        return;
      case 'sought':
        for (const { topic, partition, offset } of message.sought.positions) {
          const key = keyOf({ topic, partition });
          const held = present(this.held.get(key), 'what was sought');
          this.#void(key);
          held.next = offset;
          held.highest = Math.max(held.highest, offset);
          held.acknowledged = offset;
          held.isSeeking = false;
        }
    }
  }

  #receive({ partition, parcel }: Push): void {
    const key = keyOf(partition);
    const held = this.held.get(key);
    assert(held !== undefined && !held.isRevoked, 'A1: only what the client has is pushed', { key });
    assert(!held.isPaused && !held.isSeeking, 'P2: nothing of what is paused or sought', { key });
    assert(parcel.nextOffset - parcel.records === held.next, 'P1: in order, each once', { key, next: held.next });
    held.next = parcel.nextOffset;
    held.highest = Math.max(held.highest, held.next);
    this.#records -= parcel.records;
    this.#bytes -= parcel.bytes;
    this.bytesOf.set(key, [...(this.bytesOf.get(key) ?? []), ...sizes(parcel)]);
    if (this.settings.delivery === 'at-most-once') {
      assert((this.committed.get(key) ?? -1) >= parcel.nextOffset, 'P3: committed before it is pushed', { key });
    }
    this.pushes.push({ partition, parcel });
  }

  /** Sizes of the records pushed and not acknowledged, by partition. */
  private readonly bytesOf = new Map<string, number[]>();

  #acknowledged(key: string, held: Held, offset: number): void {
    const unacknowledged = this.bytesOf.get(key) ?? [];
    const count = Math.max(0, Math.min(offset, held.next) - held.acknowledged);
    if (offset > held.next) return;
    held.acknowledged = Math.max(held.acknowledged, offset);
    this.#giveBack(unacknowledged.splice(0, count));
  }

  #void(key: string): void {
    this.#giveBack(this.bytesOf.get(key)?.splice(0) ?? []);
  }

  #giveBack(records: readonly number[]): void {
    if (this.settings.creditMode === 'explicit') return;
    this.#records += records.length;
    this.#bytes += records.reduce((sum, bytes) => sum + bytes, 0);
  }

  #hold(partition: TopicPartition, offset: number): void {
    this.held.set(keyOf(partition), {
      next: offset,
      highest: offset,
      acknowledged: offset,
      isRevoked: false,
      isPaused: false,
      isSeeking: false,
    });
  }

  #give(key: string): void {
    const held = this.held.get(key);
    if (held === undefined) return;
    this.#void(key);
    this.held.delete(key);
  }

  #release(key: string): void {
    assert(this.owned.delete(key), 'only what is owned is released', { key });
    const held = this.held.get(key);
    if (held !== undefined && held.acknowledged >= 0 && this.settings.autoCommitIntervalMs !== undefined) {
      const committed = this.committed.get(key) ?? -1;
      const isThere =
        this.settings.delivery === 'at-most-once' ? committed >= held.acknowledged : committed === held.acknowledged;
      assert(isThere || this.failed.has(key), 'A2: committed before it is released', { key, committed });
    }
    if (held !== undefined && this.settings.delivery === 'at-most-once' && !this.failed.has(key)) {
      const committed = this.committed.get(key) ?? -1;
      assert(committed <= held.highest, 'P3: without a failure nothing is committed that was not pushed', {
        key,
        committed,
      });
    }
    this.#give(key);
    this.released.push(key);
  }

  #pause(partition: TopicPartition, isPaused: boolean): void {
    const held = this.held.get(keyOf(partition));
    if (held !== undefined && !held.isRevoked) held.isPaused = isPaused;
  }

  #check(): void {
    const { credits, unacknowledgedRecords } = this.subscription.state;
    const pushed = [...this.bytesOf.values()].reduce((sum, sizesOf) => sum + sizesOf.length, 0);
    assert(unacknowledgedRecords === pushed, 'S1: as many unacknowledged as the client has', {
      pushed,
      unacknowledgedRecords,
    });
    let heldRecords = 0;
    let heldBytes = 0;
    for (const owned of this.subscription.state.partitions.values()) {
      for (const { parcel } of owned.held) {
        heldRecords += parcel.records;
        heldBytes += parcel.bytes;
      }
    }
    assert(credits.records + heldRecords === this.#records && credits.bytes + heldBytes === this.#bytes, 'S1: credit', {
      ...this.credits,
      coreRecords: credits.records,
      coreBytes: credits.bytes,
    });
    assert(credits.records >= 0, 'no more records than allowed', { records: credits.records });
    assert(credits.bytes > -1_000, 'no more bytes than allowed, but for one record', { bytes: credits.bytes });
  }
}

function sizes({ records, bytes }: Parcel): number[] {
  return Array.from({ length: records }, () => bytes / records);
}
