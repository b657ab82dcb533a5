/**
 * A member that is made of a Membership and a FetchSession, as the node behind a Subscribe stream is:
 * processes what it reads at once, commits now and then, and gives up what is revoked when it has
 * committed it, if it is not too busy.
 */
import { FetchSession, GroupCalls, Membership } from '@barnabas/client';
import type {
  ClusterRouter,
  FetchedData,
  FetchedOffset,
  FetchSubscription,
  GroupTopicPartition,
  MembershipToResume,
  OffsetOfMember,
} from '@barnabas/client';
import { BarnabasError, decodeRecords, splitBatches, v1 } from '@barnabas/protocol';
import { nameOf } from '../truth/ledger.js';
import type { Worker } from '../truth/ledger.js';
import type { LifeOfAMember } from '../world.js';
import { patternOf, topicsOf } from './life.js';
import type { LifeParts, MemberLife, Wish } from './life.js';

/** What a client takes with it to another node. */
export interface Resumption extends MembershipToResume {
  /** Where it goes on, by `<topic id>-<partition>`. */
  readonly positions: ReadonlyMap<string, number>;
}

interface Reading extends GroupTopicPartition {
  position: number;
  committed: number;
  subscription: FetchSubscription | undefined;
  /** Fetched while the application was busy. */
  readonly waiting: FetchedData[];
  isRevoked: boolean;
  /** How often the group has gone back in it. */
  rewinds: number;
}

const COMMIT_TIMEOUT_MS = 3000;

export class FetchingLife implements MemberLife, LifeOfAMember, Worker {
  readonly #router: ClusterRouter;
  readonly #membership: Membership;
  readonly #fetches: FetchSession;
  readonly #readings = new Map<string, Reading>();
  readonly #resumed: ReadonlyMap<string, number>;
  #busyUntilMs = 0;
  #isOver = false;
  /** The client behind it has gone elsewhere: it goes on speaking for it, and nobody reads. */
  #isForsaken = false;

  constructor(
    private readonly parts: LifeParts,
    resume?: Resumption,
  ) {
    const { world, groupId, plan, process, wish } = parts;
    const { router } = process.client;
    this.#router = router;
    this.#resumed = resume?.positions ?? new Map();
    const options = {
      ...{ groupId, topics: topicsOf(wish), pattern: patternOf(wish), instanceId: plan.instanceId, rackId: '' },
      ...{ clientId: process.name, assignor: plan.assignor, rebalanceTimeoutMs: plan.maxPollMs, isResumable: true },
      ...(resume === undefined ? {} : { resume }),
    };
    this.#fetches = new FetchSession(router, {
      ...{ windowBytes: 100_000, maxBytes: 10_000, minBytes: 1, maxWaitMs: 500 },
      isolationLevel: v1.IsolationLevel.READ_UNCOMMITTED,
    });
    this.#membership = new Membership(router, world.plant.membership?.(options) ?? options, {
      onJoined: ({ memberId, memberEpoch }) => {
        world.trace.note(`  ${this.name} is member ${memberId} at epoch ${memberEpoch}`);
        if (resume === undefined || memberId !== resume.memberId) world.judge(() => world.ledger.begun(this));
      },
      onAssigned: (partitions, committed) => this.#assigned(partitions, committed),
      onRevoked: (partitions, graceMs) => this.#revoked(partitions, graceMs),
      onLost: (_, error) => this.#lost(error),
      onFatal: (error) => {
        this.#lost(error);
        this.#over();
        parts.onOver(error.errorName);
      },
    });
    world.lives.add(this);
    this.#commitLater();
    this.#membership.start();
  }

  get name(): string {
    return this.parts.process.name;
  }

  get groupId(): string {
    return this.parts.groupId;
  }

  get memberId(): string {
    return this.#membership.identity.memberId;
  }

  get incarnation(): number {
    return this.#membership.identity.incarnation;
  }

  worksOn(name: string): boolean {
    return this.#readings.has(name);
  }

  subscribe(wish: Wish): void {
    this.#membership.subscribe(topicsOf(wish), patternOf(wish));
  }

  busy(ms: number): void {
    this.#busyUntilMs = this.parts.world.scheduler.elapsedMs + ms;
    this.parts.process.scope.after(ms, () => this.#workOff(), 'is free again');
  }

  rewind(): void {
    const { dice, ledger } = this.parts.world;
    const mine = [...this.#readings.values()].filter(({ isRevoked }) => !isRevoked);
    if (mine.length === 0 || this.#isForsaken) return;
    const reading = dice.pick(mine);
    reading.position = dice.between(0, reading.position);
    reading.rewinds += 1;
    ledger.sought(this, nameOf(reading), reading.position);
    this.#read(reading);
  }

  enforceRebalance(): void {
    this.#membership.enforceRebalance();
  }

  /** What the client needs to go on elsewhere; this life speaks on for it until it is fenced. Undefined: there is nothing to resume. */
  forsake(attempt: number): Resumption | undefined {
    if (!this.#membership.isMember || this.#isForsaken) return undefined;
    const { memberId, memberEpoch, incarnation } = this.#membership.identity;
    const mine = [...this.#readings.values()].filter(({ isRevoked }) => !isRevoked);
    const positions = new Map(mine.map((reading) => [placeOf(reading), reading.position]));
    const owned = mine.map(({ topic, partition }) => ({ topic, partition }));
    this.#isForsaken = true;
    this.#stopReading();
    return { memberId, memberEpoch, incarnation: incarnation + attempt, owned, positions };
  }

  async leave(timeoutMs: number): Promise<void> {
    await this.#commit([...this.#readings.values()]);
    this.#stopReading();
    this.#over();
    await this.#membership.leave(timeoutMs);
  }

  died(): void {
    this.#readings.clear();
    this.#over();
  }

  #over(): void {
    this.#isOver = true;
    this.parts.world.lives.delete(this);
    this.parts.world.ledger.lost(this);
    this.#fetches.close();
  }

  #stopReading(): void {
    for (const { subscription } of this.#readings.values()) subscription?.close();
    this.#readings.clear();
    this.parts.world.ledger.lost(this);
  }

  // --- what the membership tells ---

  #assigned(partitions: readonly GroupTopicPartition[], committed: readonly FetchedOffset[]): void {
    const { world } = this.parts;
    world.judge(() => world.ledger.assigned(this, partitions));
    for (const [index, partition] of partitions.entries()) {
      const name = nameOf(partition);
      const stored = Math.max(0, committed[index]?.offset ?? 0);
      const own = this.#isForsaken ? undefined : this.#resumed.get(placeOf(partition));
      if (own !== undefined) world.ledger.sought(this, name, own);
      const reading: Reading = {
        ...partition,
        ...{ position: own ?? stored, committed: stored, subscription: undefined, waiting: [] },
        ...{ isRevoked: false, rewinds: (committed[index]?.rewinds ?? 0) + ((own ?? stored) < stored ? 1 : 0) },
      };
      this.#readings.set(name, reading);
      if (!this.#isForsaken) this.#read(reading);
    }
  }

  #revoked(partitions: readonly GroupTopicPartition[], graceMs: number): void {
    const { world, process } = this.parts;
    const names = new Set(partitions.map(nameOf));
    const revoked = [...this.#readings.values()].filter((one) => names.has(nameOf(one)));
    for (const reading of revoked) {
      reading.isRevoked = true;
      reading.subscription?.close();
      reading.waiting.splice(0).forEach((data) => data.release());
    }
    let isGone = false;
    const letGo = (): void => {
      if (isGone) return;
      isGone = true;
      for (const reading of revoked) if (this.#readings.get(nameOf(reading)) === reading) this.#forget(reading);
    };
    // The membership gives them up by itself when the grace is over.
    process.scope.after(Math.max(0, graceMs - 1), letGo, 'grace');
    const release = async (): Promise<void> => {
      await process.scope.delay(Math.max(0, this.#busyUntilMs - world.scheduler.elapsedMs), 'gives up');
      if (!isGone) await this.#commit(revoked);
      letGo();
      this.#membership.released(partitions);
    };
    release().catch((error: unknown) => world.fail(error));
  }

  #lost(error: BarnabasError): void {
    const { world } = this.parts;
    world.trace.note(`  ${this.name} has lost everything: ${error.errorName}`);
    world.tally.count(`memberships lost: ${error.errorName}`);
    this.#stopReading();
  }

  #forget(reading: Reading): void {
    reading.subscription?.close();
    this.#readings.delete(nameOf(reading));
    this.parts.world.ledger.released(this, [nameOf(reading)]);
  }

  // --- reading ---

  #read(reading: Reading): void {
    reading.subscription?.close();
    reading.waiting.splice(0).forEach((data) => data.release());
    const { topic, partition, topicId, position } = reading;
    const { world } = this.parts;
    const begin = async (): Promise<void> => {
      try {
        await this.#router.view.ensureTopic(topic, { timeoutMs: 5000, allowAutoTopicCreation: false });
      } catch (error) {
        return this.#failed(reading, error);
      }
      if (!this.#isCurrent(reading) || reading.position !== position || reading.subscription !== undefined) return;
      const subscription = this.#fetches.subscribe(
        { topic, partition },
        { offset: position, topicId },
        {
          onData: (data) => this.#received(reading, subscription, data),
          onError: (error) => this.#failed(reading, error),
        },
      );
      reading.subscription = subscription;
    };
    reading.subscription = undefined;
    begin().catch((error: unknown) => world.fail(error));
  }

  #isCurrent(reading: Reading): boolean {
    return !this.#isOver && !reading.isRevoked && this.#readings.get(nameOf(reading)) === reading;
  }

  #received(reading: Reading, subscription: FetchSubscription, data: FetchedData): void {
    if (!this.#isCurrent(reading) || reading.subscription !== subscription) return data.release();
    // What waits goes first, also where the process stood still when it was to be worked off.
    const isBusy = this.#busyUntilMs > this.parts.world.scheduler.elapsedMs;
    if (isBusy || reading.waiting.length > 0) reading.waiting.push(data);
    else this.#process(reading, data);
  }

  #workOff(): void {
    if (this.#busyUntilMs > this.parts.world.scheduler.elapsedMs) return;
    for (const reading of this.#readings.values()) {
      for (const data of reading.waiting.splice(0)) this.#process(reading, data);
    }
  }

  #process(reading: Reading, data: FetchedData): void {
    const { world } = this.parts;
    for (const { bytes } of splitBatches(data.batches)) {
      for (const { offset, value } of decodeRecords(bytes)) {
        if (offset < reading.position) continue;
        world.judge(() => world.ledger.received(this, nameOf(reading), offset, value));
        reading.position = offset + 1;
      }
    }
    data.release();
  }

  /** A topic that was deleted, most likely: the assignment will say so. */
  #failed(reading: Reading, error: unknown): void {
    const { world, process } = this.parts;
    if (!(error instanceof BarnabasError)) return world.fail(error);
    world.trace.note(`  ${this.name} cannot read ${nameOf(reading)}: ${error.errorName}`);
    world.tally.count(`reading failed with ${error.errorName}`);
    process.scope.after(300, () => {
      if (this.#isCurrent(reading)) this.#read(reading);
    });
  }

  // --- commits ---

  #commitLater(): void {
    const { process, plan, world } = this.parts;
    process.scope.after(plan.commitEveryMs, () => {
      if (this.#isOver) return;
      const isBusy = this.#busyUntilMs > world.scheduler.elapsedMs;
      void (isBusy ? Promise.resolve() : this.#commit([...this.#readings.values()])).then(() => this.#commitLater());
    });
  }

  /** An earlier attempt at a commit, given up because it was held up on its way, comes after all. */
  #echo(offsets: readonly OffsetOfMember[]): void {
    const { world, process, groupId } = this.parts;
    const { memberId, memberEpoch, incarnation, instanceId } = this.#membership.identity;
    const request = v1.CommitOffsetsRequest.create({
      ...{ groupId, memberId, memberEpoch, incarnation, instanceId },
      offsets: offsets.map(({ topic, topicId = '', partition, offset, rewinds }) => ({
        ...{ partition: { topic, topicId, partition }, offset, metadata: '', rewinds },
      })),
    });
    process.scope.after(world.dice.between(100, 5000), () => {
      const calls = new GroupCalls(this.#router, groupId);
      world.tally.count('commits that came once more');
      calls
        .call((client, options) => client.commitOffsets(request, options), { timeoutMs: COMMIT_TIMEOUT_MS })
        .catch((error: unknown) => error instanceof BarnabasError || world.fail(error));
    });
  }

  async #commit(readings: readonly Reading[]): Promise<void> {
    const { world } = this.parts;
    const due = readings.filter(({ position, committed }) => position !== committed);
    if (due.length === 0) return;
    const offsets = due.map(({ topic, topicId, partition, position, rewinds }) => ({
      ...{ topic, topicId, partition, offset: position, rewinds },
    }));
    try {
      const outcomes = await this.#membership.commit(offsets, { timeoutMs: COMMIT_TIMEOUT_MS });
      for (const [index, reading] of due.entries()) {
        if (outcomes[index]?.error === undefined) reading.committed = offsets[index]?.offset ?? 0;
      }
      if (offsets.some(({ rewinds }) => rewinds > 0)) this.#echo(offsets);
    } catch (error) {
      if (!(error instanceof BarnabasError)) return world.fail(error);
      world.tally.count(`commits failed with ${error.errorName}`);
    }
  }
}

/** By the topic's id: one that was made anew under its name begins anew. */
function placeOf({ topicId, partition }: { readonly topicId: string; readonly partition: number }): string {
  return `${topicId}-${partition}`;
}
