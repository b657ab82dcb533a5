/** A member that is an application of the real consumer: one loop over records, commits by itself or now and then. */
import type { Consumer, ConsumerRecord, TopicPartition } from '@barnabas/client';
import { BarnabasError } from '@barnabas/protocol';
import { nameOf } from '../truth/ledger.js';
import type { Worker } from '../truth/ledger.js';
import type { LifeParts, MemberLife, Wish } from './life.js';
import { placeOf } from './place-of.js';

export class ConsumingLife implements MemberLife, Worker {
  readonly #consumer: Consumer;
  readonly #commitsItself: boolean;
  #busyMs = 0;
  #isOver = false;

  constructor(private readonly parts: LifeParts) {
    const { groupId, plan, process, world } = parts;
    this.#commitsItself = world.dice.chance(0.5);
    this.#consumer = process.client.consumer({
      ...{ groupId, groupInstanceId: plan.instanceId, groupRemoteAssignor: plan.assignor },
      ...{
        autoOffsetReset: 'earliest',
        maxPollIntervalMs: plan.maxPollMs,
        fetchMaxBytes: 100_000,
        fetchMaxWaitMs: 500,
      },
      ...{ enableAutoCommit: this.#commitsItself, autoCommitIntervalMs: plan.commitEveryMs, defaultApiTimeoutMs: 5000 },
    });
    this.subscribe(parts.wish);
    this.#run().catch((error: unknown) => world.fail(error));
    if (!this.#commitsItself) this.#commitLater();
  }

  get name(): string {
    return this.parts.process.name;
  }

  get groupId(): string {
    return this.parts.groupId;
  }

  get memberId(): string {
    return this.#isOver ? '' : this.#consumer.groupMetadata().memberId;
  }

  /** A consumer's members begin anew only when they have lost everything: the id says enough. */
  get incarnation(): number {
    return this.parts.world.history.image(this.groupId).members.get(this.memberId)?.incarnation ?? 0;
  }

  worksOn(name: string): boolean {
    return !this.#isOver && this.#consumer.assignment().some((one) => nameOf(one) === name);
  }

  subscribe(wish: Wish): void {
    const { ledger } = this.parts.world;
    this.#consumer.subscribe(wish, {
      onAssigned: (partitions) => this.#assigned(partitions),
      onRevoked: (partitions) => ledger.released(this, partitions.map(nameOf)),
      onLost: (partitions) => ledger.released(this, partitions.map(nameOf)),
    });
  }

  busy(ms: number): void {
    this.#busyMs = ms;
  }

  rewind(): void {
    const { dice, ledger } = this.parts.world;
    const mine = this.#consumer.assignment().filter((one) => ledger.has(this, nameOf(one)));
    if (mine.length === 0) return;
    const partition = dice.pick(mine);
    try {
      const offset = dice.between(0, this.#consumer.position(partition));
      this.#consumer.seek(partition, offset);
      ledger.sought(this, nameOf(partition), offset);
    } catch (error) {
      this.#refused('seek', error);
    }
  }

  enforceRebalance(): void {
    this.#consumer.enforceRebalance();
  }

  async leave(timeoutMs: number): Promise<void> {
    const closed = this.#consumer.close(timeoutMs);
    await closed;
    this.died();
  }

  died(): void {
    this.#isOver = true;
    this.parts.world.ledger.lost(this);
  }

  #assigned(partitions: readonly TopicPartition[]): void {
    const { world } = this.parts;
    const places = partitions.map((one) => placeOf(this.parts.world, this, one));
    world.ledger.released(this, places.map(nameOf));
    world.judge(() => world.ledger.assigned(this, places));
  }

  async #run(): Promise<void> {
    const { world, process } = this.parts;
    while (!this.#isOver) {
      try {
        for await (const record of this.#consumer) await this.#handle(record);
        return;
      } catch (error) {
        this.#refused('reading', error);
      }
      // Whatever was refused for good has ended the subscription.
      if (this.#consumer.subscription().topics.length + this.#consumer.subscription().pattern.length === 0) {
        if (!this.#isOver) this.parts.onOver('the subscription is over');
        return;
      }
      await process.scope.delay(world.dice.between(50, 500), 'reads on');
    }
  }

  async #handle({ topic, partition, offset, value }: ConsumerRecord): Promise<void> {
    const { world, process } = this.parts;
    world.judge(() => world.ledger.received(this, nameOf({ topic, partition }), offset, value));
    if (this.#busyMs === 0) return;
    const ms = this.#busyMs;
    this.#busyMs = 0;
    await process.scope.delay(ms, 'is busy');
  }

  #commitLater(): void {
    const { process, plan } = this.parts;
    process.scope.after(plan.commitEveryMs, () => {
      if (this.#isOver) return;
      this.#consumer
        .commit()
        .catch((error: unknown) => this.#refused('commits', error))
        .then(() => this.#commitLater())
        .catch((error: unknown) => this.parts.world.fail(error));
    });
  }

  #refused(what: string, error: unknown): void {
    const { world } = this.parts;
    if (!(error instanceof BarnabasError)) return world.fail(error);
    world.trace.note(`  ${this.name} ${what} failed: ${error.errorName} ${error.message}`);
    world.tally.count(`${what} failed with ${error.errorName}`);
  }
}
