/**
 * A member's machine over its lives: processes come, play tricks or have them played on them, and go. When
 * all is healed it has one process, in good health, that subscribes to everything.
 */
import { unreachable } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { ClientProcess } from '../../cluster/clients/client-process.js';
import type { MemberPlan, Trick } from '../plan.js';
import type { GroupsWorld } from '../world.js';
import { ConsumingLife } from './consuming-life.js';
import { FetchingLife } from './fetching-life.js';
import type { Resumption } from './fetching-life.js';
import type { LifeParts, MemberLife, Wish } from './life.js';
import { SubscribingLife } from './subscribing-life.js';

interface Process {
  readonly process: ClientProcess;
  readonly life: MemberLife;
}

const LEAVE_TIMEOUT_MS = 5000;

export class MemberSlot {
  /** The one that counts, and others that should not be there any more. */
  #current: Process | undefined;
  readonly #ghosts: Process[] = [];
  #lives = 0;
  #attempts = 0;
  #isHealed = false;
  #isLeaving = false;
  /** Stays away. */
  isAway = false;

  constructor(
    private readonly world: GroupsWorld,
    private readonly groupId: string,
    private readonly plan: MemberPlan,
  ) {
    this.#beginSoon(world.dice.between(1, 3000));
    this.#trickLater();
  }

  get isAlive(): boolean {
    return this.#current !== undefined && !this.#isLeaving;
  }

  /** Everybody behaves from here on. */
  heal(): void {
    this.#isHealed = true;
    this.isAway = false;
    for (const ghost of this.#ghosts.splice(0)) this.#kill(ghost);
    if (this.#current === undefined) this.#begin();
    else if (!this.#isLeaving) this.#current.life.subscribe(this.#wish());
  }

  /** Leaves, and comes back when `isAway` ends. */
  leave(): void {
    const current = this.#current;
    if (current === undefined || this.#isLeaving) return;
    this.#isLeaving = true;
    const end = (): void => {
      if (this.#current !== current) return;
      this.#isLeaving = false;
      this.#current = undefined;
      this.#kill(current);
      this.#beginSoon(this.world.dice.between(10, 3000));
    };
    current.life.leave(LEAVE_TIMEOUT_MS).then(end, (error: unknown) => {
      if (!(error instanceof BarnabasError)) this.world.fail(error);
      end();
    });
    this.world.scheduler.after(2 * LEAVE_TIMEOUT_MS, `${this.plan.name} is stopped by force`, end);
  }

  #wish(): Wish {
    const { dice, plan } = this.world;
    const all = plan.topics.map(({ name }) => name);
    if (this.#isHealed) return all;
    if (!this.world.groups.tricks.includes('resubscribe') || dice.chance(0.5)) return all;
    return dice.pick<Wish>([[dice.pick(all)], { pattern: '.*' }, { pattern: '(strict|other)' }, { pattern: 's.*' }]);
  }

  #beginSoon(ms: number): void {
    this.world.scheduler.after(ms, `${this.plan.name} begins`, () => this.#begin());
  }

  #begin(resume?: Resumption): void {
    if (this.#current !== undefined) return;
    if (this.isAway) return this.#beginSoon(200);
    this.#current = this.#make(resume);
  }

  #make(resume?: Resumption): Process {
    const { world, groupId, plan } = this;
    this.#lives += 1;
    const process = new ClientProcess(world, `${plan.name}#${this.#lives}`);
    const onOver = (why: string): void => {
      world.trace.note(`  ${process.name} is over: ${why}`);
      world.tally.count(`memberships over: ${why}`);
      world.scheduler.after(0, `${process.name} ends`, () => this.#over(made));
    };
    const parts = { world, groupId, plan, process, wish: this.#wish(), onOver };
    const made: Process = { process, life: lifeOf(parts, resume) };
    return made;
  }

  #over(one: Process): void {
    this.#kill(one);
    if (this.#current !== one) return;
    this.#current = undefined;
    this.#isLeaving = false;
    this.#beginSoon(this.world.dice.between(10, 1000));
  }

  #kill({ process, life }: Process): void {
    process.kill();
    life.died();
  }

  // --- tricks ---

  #trickLater(): void {
    const { dice, groups, scheduler } = this.world;
    if (groups.tricks.length === 0) return;
    scheduler.after(dice.between(1, 2 * groups.trickEveryMs), `${this.plan.name} has an idea`, () => {
      if (this.#isHealed) return;
      const current = this.#current;
      if (current !== undefined && !this.#isLeaving) this.#play(dice.pick(groups.tricks), current);
      this.#trickLater();
    });
  }

  #play(trick: Trick, current: Process): void {
    const { dice, trace, tally, plan } = this.world;
    const sessionMs = plan.brokerConfig['group.consumer.session.timeout.ms'];
    trace.note(`  ${trick} of ${current.process.name}`);
    tally.count(trick);
    switch (trick) {
      case 'leave':
        return this.leave();
      case 'crash':
        this.#current = undefined;
        this.#kill(current);
        return this.#beginSoon(dice.between(10, 2 * sessionMs));
      case 'stall':
        return current.process.scope.standStill(dice.between(sessionMs / 4, 2 * sessionMs));
      case 'busy':
        return current.life.busy(dice.between(100, 2 * this.plan.maxPollMs));
      case 'resubscribe':
        return current.life.subscribe(this.#wish());
      case 'rewind':
        return current.life.rewind();
      case 'enforce':
        return current.life.enforceRebalance();
      case 'resume':
        return this.#resume(current);
      case 'twin':
        return this.#twin(current);
      case 'cutOff':
        return this.#cutOff(current.process.name, dice.between(sessionMs / 2, 3 * sessionMs));
      case 'lie':
      case 'siesta':
        return;
      default:
        unreachable(trick);
    }
  }

  /** The client goes to another node; the one that it was at has not noticed, and speaks on for it. */
  #resume(current: Process): void {
    if (!(current.life instanceof FetchingLife)) return;
    this.#attempts += 1;
    const resumption = current.life.forsake(this.world.dice.between(1, 2));
    if (resumption === undefined) return;
    this.#becomeGhost(current);
    this.#begin(resumption);
  }

  /** The same program is started once more, as by an operator who believes that it is dead. */
  #twin(current: Process): void {
    if (this.plan.instanceId === '') return;
    this.#becomeGhost(current);
    this.#begin();
  }

  #becomeGhost(current: Process): void {
    const { dice, scheduler } = this.world;
    this.#current = undefined;
    this.#ghosts.push(current);
    scheduler.after(dice.between(500, 8000), `${current.process.name} is stopped at last`, () => {
      const at = this.#ghosts.indexOf(current);
      if (at < 0) return;
      this.#ghosts.splice(at, 1);
      this.#kill(current);
    });
  }

  /** It reaches none of the brokers, or not the one that coordinates. */
  #cutOff(name: string, ms: number): void {
    const { dice, brokers, network, scheduler } = this.world;
    const coordinators = this.world.coordinators();
    const some = dice.chance(0.5) ? brokers : brokers.filter(({ id }) => coordinators.includes(id));
    for (const broker of some) {
      network.cut(name, broker.name);
      network.cut(broker.name, name);
    }
    scheduler.after(ms, `${name} is connected again`, () => {
      for (const broker of some) {
        network.links.mend(name, broker.name);
        network.links.mend(broker.name, name);
      }
    });
  }
}

function lifeOf(parts: LifeParts, resume: Resumption | undefined): MemberLife {
  switch (parts.plan.kind) {
    case 'membership':
      return new FetchingLife(parts, resume);
    case 'consumer':
      return new ConsumingLife(parts);
    case 'subscriber':
      return new SubscribingLife(parts);
  }
}
