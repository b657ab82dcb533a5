/**
 * A thin client: one Subscribe stream at some broker, which is the member. Acknowledges what it has
 * processed, lets go when told, and resumes at another broker when its stream breaks.
 */
import { v1 } from '@barnabas/protocol';
import type { BarnabasError } from '@barnabas/protocol';
import type { MessageStream } from '@barnabas/rpc';
import { nameOf } from '../truth/ledger.js';
import type { Worker } from '../truth/ledger.js';
import { patternOf, topicsOf } from './life.js';
import type { LifeParts, MemberLife, Wish } from './life.js';
import { placeOf } from './place-of.js';

type Stream = MessageStream<v1.SubscribeResponse, v1.SubscribeRequest>;
type Said = NonNullable<v1.SubscribeResponse['response']>;

export class SubscribingLife implements MemberLife, Worker {
  /** What its node has given up it hears of later, or never. */
  readonly isFarFromItsMember = true;
  memberId = '';
  incarnation = 0;
  #epoch = 0;
  #attempts = 0;
  #wish: Wish;
  #stream: Stream | undefined;
  readonly #positions = new Map<string, v1.SubscribePosition>();
  /** How often each partition was assigned. */
  readonly #stretches = new Map<string, number>();
  /** By correlation id of their seek: what comes before it is answered is void. */
  readonly #seeking = new Map<string, number>();
  #seeks = 0;
  #busyUntilMs = 0;
  /** What was revoked, until the application lets it go. */
  readonly #leaving = new Map<string, () => void>();
  readonly #later: (() => void)[] = [];
  #isOver = false;
  #whenClosed: () => void = () => undefined;

  constructor(private readonly parts: LifeParts) {
    this.#wish = parts.wish;
    this.#open();
  }

  get name(): string {
    return this.parts.process.name;
  }

  get groupId(): string {
    return this.parts.groupId;
  }

  worksOn(name: string): boolean {
    return this.#positions.has(name);
  }

  subscribe(wish: Wish): void {
    this.#wish = wish;
    this.#say({ $case: 'change', change: { topics: [...topicsOf(wish)], pattern: patternOf(wish) } });
  }

  busy(ms: number): void {
    this.#busyUntilMs = this.parts.world.scheduler.elapsedMs + ms;
    this.parts.process.scope.after(ms, () => this.#workOff(), 'is free again');
  }

  rewind(): void {
    const { dice } = this.parts.world;
    const mine = [...this.#positions.values()].filter(({ offset }) => offset > 0);
    if (mine.length === 0) return;
    const { topic, partition, offset } = dice.pick(mine);
    const correlationId = ++this.#seeks;
    this.#seeking.set(nameOf({ topic, partition }), correlationId);
    const position = v1.SubscribePosition.create({ topic, partition, offset: dice.between(0, offset) });
    this.#say({ $case: 'seek', seek: { correlationId, positions: [position] } });
  }

  enforceRebalance(): void {
    this.#say({ $case: 'rebalance', rebalance: {} });
  }

  async leave(): Promise<void> {
    const stream = this.#stream;
    if (stream === undefined) return this.died();
    this.#letGoOfAll();
    await new Promise<void>((resolve) => {
      this.#whenClosed = resolve;
      this.#isOver = true;
      stream.end();
    });
  }

  died(): void {
    this.#isOver = true;
    this.#letGoOfAll();
    this.#whenClosed();
  }

  // --- the stream ---

  #open(): void {
    if (this.#isOver) return;
    const { plan, process, world } = this.parts;
    const broker = world.dice.pick(world.brokers);
    const { router } = process.client;
    const stream = router.channel(`${broker.name}:7700`).client(v1.GroupServiceDefinition).subscribe();
    this.#stream = stream;
    stream.handle({
      onMessage: ({ response }) => {
        if (this.#stream === stream && !this.#isOver && response !== undefined) this.#heard(response);
      },
      onEnd: () => undefined,
      onDrain: () => undefined,
      onClose: (error) => this.#closed(stream, error),
    });
    const owned = [...this.#positions.values()];
    world.ledger.lost(this);
    const { memberId } = this;
    const incarnation = this.incarnation + ++this.#attempts;
    const resume = memberId === '' ? undefined : { memberId, memberEpoch: this.#epoch, incarnation, owned };
    this.#say({
      $case: 'start',
      start: v1.SubscribeStart.create({
        ...{ groupId: this.groupId, topics: [...topicsOf(this.#wish)], pattern: patternOf(this.#wish) },
        ...{ instanceId: plan.instanceId, assignor: plan.assignor, maxPollIntervalMs: plan.maxPollMs },
        ...{ autoCommitIntervalMs: plan.commitEveryMs, autoOffsetReset: v1.AutoOffsetReset.EARLIEST, resume },
      }),
    });
  }

  #closed(stream: Stream, error: BarnabasError | undefined): void {
    const { world, process } = this.parts;
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    this.#whenClosed();
    if (this.#isOver) return;
    const why = error?.errorName ?? 'nothing was wrong';
    world.trace.note(`  ${this.name}: the stream is over: ${why}`);
    world.tally.count(`streams over: ${why}`);
    // Whoever does not come back in time is no member any more.
    if (error?.retriable !== true) {
      this.#letGoOfAll();
      return this.parts.onOver(why);
    }
    process.scope.after(world.dice.between(10, 600), () => this.#open(), 'resumes');
  }

  #say(request: v1.SubscribeRequest['request']): void {
    if (!this.#isOver) this.#stream?.write({ request });
  }

  // --- what the node says ---

  #heard(said: Said): void {
    const { world } = this.parts;
    switch (said.$case) {
      case 'joined':
        return this.#joined(said.joined);
      case 'assigned':
        return this.#assigned(said.assigned);
      case 'revoked':
        return this.#revoked(said.revoked);
      case 'lost':
        return this.#letGoOfAll();
      case 'records':
        return this.#received(said.records);
      case 'sought':
        return this.#whenFree(() => this.#sought(said.sought));
      case 'partitionError':
        world.tally.count(`errors of partitions: ${said.partitionError.error?.code ?? 0}`);
        return;
      case 'committed':
    }
  }

  #joined({ memberId, memberEpoch, incarnation }: v1.SubscribeJoined): void {
    const { world } = this.parts;
    const isResumed = memberId === this.memberId;
    world.trace.note(`  ${this.name} is member ${memberId} at epoch ${memberEpoch}${isResumed ? ', resumed' : ''}`);
    world.tally.count(isResumed ? 'streams resumed' : 'streams joined');
    this.memberId = memberId;
    this.#epoch = memberEpoch;
    this.incarnation = incarnation;
    this.#attempts = 0;
    if (!isResumed) world.judge(() => world.ledger.begun(this));
  }

  #assigned({ memberEpoch, positions }: v1.SubscribeAssigned): void {
    const { world } = this.parts;
    this.#epoch = memberEpoch;
    // What was revoked and is given back is let go of first: it begins anew, at what is committed.
    for (const position of positions) this.#leaving.get(nameOf(position))?.();
    const places = positions.map((one) => placeOf(world, this, one));
    world.judge(() => world.ledger.assigned(this, places));
    for (const position of positions) {
      const name = nameOf(position);
      this.#positions.set(name, position);
      this.#stretches.set(name, (this.#stretches.get(name) ?? 0) + 1);
      this.#seeking.delete(name);
      // Where the node begins, which has fetched it: as with any answer, that was true then.
      if (position.offset >= 0) world.ledger.sought(this, name, position.offset);
    }
  }

  #revoked({ partitions, graceMs }: v1.SubscribeRevoked): void {
    const { ledger } = this.parts.world;
    const names = partitions.map(nameOf);
    const stream = this.#stream;
    let isGone = false;
    const letGo = (): void => {
      if (isGone || this.#stream !== stream) return;
      isGone = true;
      ledger.released(this, names);
      for (const name of names) this.#positions.delete(name);
      for (const name of names) if (this.#leaving.get(name) === letGo) this.#leaving.delete(name);
    };
    for (const name of names) this.#leaving.set(name, letGo);
    this.#whenFree(() => {
      letGo();
      this.#say({ $case: 'released', released: { partitions } });
    });
    this.parts.process.scope.after(graceMs, letGo);
  }

  /** What waits for a busy application is void when the partition has gone and come back meanwhile. */
  #received(records: v1.SubscribeRecords): void {
    const name = nameOf(records);
    const stretch = this.#stretches.get(name);
    this.#whenFree(() => {
      if (this.#stretches.get(name) === stretch) this.#process(records);
    });
  }

  #process({ topic, partition, records, nextOffset, leaderEpoch }: v1.SubscribeRecords): void {
    const { world } = this.parts;
    const name = nameOf({ topic, partition });
    if (this.#seeking.has(name) || !this.#positions.has(name)) return;
    for (const { offset, value } of records) {
      world.judge(() => world.ledger.received(this, name, offset, value ?? null));
    }
    const position = v1.SubscribePosition.create({ topic, partition, offset: nextOffset, leaderEpoch });
    this.#positions.set(name, position);
    this.#say({ $case: 'ack', ack: { positions: [position] } });
  }

  #sought({ correlationId, positions }: v1.SubscribeSought): void {
    for (const position of positions) {
      const name = nameOf(position);
      if (!this.#positions.has(name)) continue;
      if (correlationId !== 0 && this.#seeking.get(name) !== correlationId) continue;
      this.#seeking.delete(name);
      this.#positions.set(name, position);
      this.parts.world.ledger.sought(this, name, position.offset);
    }
  }

  #letGoOfAll(): void {
    this.#positions.clear();
    this.#seeking.clear();
    this.parts.world.ledger.lost(this);
  }

  // --- an application that takes its time ---

  #whenFree(work: () => void): void {
    const stream = this.#stream;
    const guarded = (): void => {
      if (this.#stream === stream && !this.#isOver) work();
    };
    if (this.#busyUntilMs > this.parts.world.scheduler.elapsedMs || this.#later.length > 0) this.#later.push(guarded);
    else guarded();
  }

  #workOff(): void {
    if (this.#busyUntilMs > this.parts.world.scheduler.elapsedMs) return;
    for (const work of this.#later.splice(0)) work();
  }
}
