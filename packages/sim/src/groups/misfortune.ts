/** What befalls groups as a whole: coordinators that go, groups that sleep and are reset meanwhile. */
import { GroupCalls, MemberOffsets, NOBODYS_MEMBER } from '@barnabas/client';
import { partitionKey } from '@barnabas/broker/parts';
import { BarnabasError } from '@barnabas/protocol';
import { ClientProcess } from '../cluster/clients/client-process.js';
import { Outages } from '../cluster/outages.js';
import type { MemberSlot } from './members/member-slot.js';
import type { GroupsWorld } from './world.js';

export class GroupFate {
  readonly #outages: Outages;
  readonly #admin: ClientProcess;

  constructor(
    private readonly world: GroupsWorld,
    /** By group. */
    private readonly slots: ReadonlyMap<string, readonly MemberSlot[]>,
  ) {
    this.#outages = new Outages(world);
    this.#admin = new ClientProcess(world, 'group-admin');
    this.#coordinatorGoesLater();
    if (world.groups.tricks.includes('siesta')) this.#siestaLater();
  }

  #coordinatorGoesLater(): void {
    const { scheduler, dice, groups } = this.world;
    scheduler.after(dice.between(300, 2 * groups.coordinatorEveryMs), 'a coordinator is in danger', () => {
      if (this.world.isEnding) return;
      this.#coordinatorGoes();
      this.#coordinatorGoesLater();
    });
  }

  #coordinatorGoes(): void {
    const { dice, brokers, nodes, controllers, tally, trace } = this.world;
    const ids = this.world.coordinators();
    const broker = ids.length === 0 ? undefined : brokers[dice.pick(ids) - 1];
    if (broker === undefined || broker.isDown) return;
    const way = dice.pick(['kill', 'restart', 'freeze', 'isolation', 'withoutControllers', 'power'] as const);
    const ms = dice.between(200, 6000);
    trace.note(`  coordinator ${broker.name}: ${way}`);
    tally.count('coordinators that went');
    if (way === 'kill') broker.kill();
    else if (way === 'power') broker.losePower(dice.chance(0.5));
    else if (way === 'restart') broker.stop(dice.between(500, 3000));
    else if (way === 'freeze') broker.freeze(ms);
    else if (way === 'isolation') this.#outages.separate([broker], nodes, ms);
    else this.#outages.separate([broker], controllers, ms);
  }

  // --- a group sleeps ---

  #siestaLater(): void {
    const { scheduler, dice } = this.world;
    scheduler.after(dice.between(1500, 8000), 'noon', () => {
      if (this.world.isEnding) return;
      const [groupId, slots] = dice.pick([...this.slots]);
      this.#siesta(groupId, slots, dice.between(2000, 8000));
      this.#siestaLater();
    });
  }

  #siesta(groupId: string, slots: readonly MemberSlot[], ms: number): void {
    const { scheduler, dice, tally } = this.world;
    tally.count('groups that slept');
    for (const slot of slots) {
      slot.isAway = true;
      slot.leave();
    }
    const endsAtMs = scheduler.elapsedMs + ms;
    scheduler.after(dice.between(50, 500), `${groupId} is reset`, () => this.#resetBefore(endsAtMs, groupId));
    scheduler.after(ms, `${groupId} wakes up`, () => slots.forEach((slot) => (slot.isAway = false)));
  }

  /** Again and again, while there are members yet. */
  #resetBefore(endsAtMs: number, groupId: string): void {
    const { scheduler, dice, tally } = this.world;
    this.#reset(groupId).catch((error: unknown) => {
      if (!(error instanceof BarnabasError)) return this.world.fail(error);
      tally.count(`resets refused with ${error.errorName}`);
      if (this.world.isEnding || scheduler.elapsedMs > endsAtMs) return;
      scheduler.after(dice.between(100, 500), `${groupId} is reset`, () => this.#resetBefore(endsAtMs, groupId));
    });
  }

  /** Back to somewhere; never forward, which would skip records. */
  async #reset(groupId: string): Promise<void> {
    const { world } = this;
    const { router } = this.#admin.client;
    const committed = world.history.image(groupId).offsets;
    const offsets = world.partitions().flatMap(({ topic, partition }) => {
      const topicId = world.image?.topics.named(topic)?.id ?? '';
      const known = committed.get(partitionKey(topicId, partition))?.offset;
      if (known === undefined) return [];
      return [{ topic, topicId, partition, offset: world.dice.between(0, known) }];
    });
    if (offsets.length === 0) return;
    const calls = new MemberOffsets(router, new GroupCalls(router, groupId), NOBODYS_MEMBER);
    const outcomes = await calls.commit(offsets, { timeoutMs: 3000 });
    for (const { error } of outcomes) world.tally.count(error === undefined ? 'offsets reset' : 'offsets not reset');
  }
}
