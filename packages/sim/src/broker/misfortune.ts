/** What goes wrong in a run, and the operator who starts the broker again. */
import { unreachable } from '@barnabas/common';
import type { Misfortune } from './plan.js';
import { newSetting } from './topics.js';
import type { World } from './world.js';

/** Half an hour either way stays within what message.timestamp.after.max.ms allows. */
const MAX_SKEW_MS = 30 * 60_000;

export class Fate {
  #startingAgain = false;
  #fenced = false;

  constructor(private readonly world: World) {
    this.#act();
    this.#operate();
  }

  /** No more of it, and what it has left behind is put right. */
  heal(): void {
    this.world.disk.heal();
    if (this.#fenced) this.world.authority.elect();
    this.#fenced = false;
    for (const topic of this.world.plan.topics) {
      if (this.world.authority.topicId(topic.name) === undefined) this.world.createTopic(topic);
    }
  }

  #act(): void {
    const { scheduler, dice, plan } = this.world;
    if (plan.misfortunes.length === 0) return;
    scheduler.after(dice.between(1, 2 * plan.misfortuneEveryMs), 'fate', () => {
      if (this.world.isEnding) return;
      this.#strike(dice.pick(plan.misfortunes));
      this.#act();
    });
  }

  #strike(misfortune: Misfortune): void {
    const { world } = this;
    const { dice } = world;
    world.trace.note(`  ${misfortune}`);
    world.tally.count(misfortune);
    switch (misfortune) {
      case 'powerLoss':
        return world.losePower();
      case 'kill':
        return world.killBroker();
      case 'restart':
        return world.stopBroker();
      case 'stall':
        return world.disk.stall(dice.between(10, 3000));
      case 'failedWrite':
        return world.disk.failNextWrite(dice.pick(['refused', 'unsynced']));
      case 'brokenLink':
        return world.broker?.someLink()?.breakOff();
      case 'clockJump':
        world.skewMs = dice.between(-MAX_SKEW_MS, MAX_SKEW_MS);
        return;
      case 'newSetting':
        return this.#configure();
      case 'election':
        if (!this.#fenced) world.authority.elect();
        return;
      case 'fencing':
        return this.#fence();
      case 'deletedTopic':
        return this.#deleteTopic();
      case 'rot':
        return this.#rot();
      default:
        unreachable(misfortune);
    }
  }

  #configure(): void {
    const { dice, plan, authority } = this.world;
    const topic = dice.pick(plan.topics);
    authority.configure(topic.name, ...newSetting(topic, dice));
  }

  #fence(): void {
    const { world } = this;
    if (this.#fenced) return;
    this.#fenced = true;
    world.authority.fence();
    world.scheduler.after(world.dice.between(1, 300), 'the broker is unfenced', () => {
      if (!this.#fenced) return;
      this.#fenced = false;
      world.authority.elect();
    });
  }

  #deleteTopic(): void {
    const { world } = this;
    const topic = world.plan.topics.find(({ isMortal }) => isMortal);
    if (topic === undefined) return;
    if (world.authority.topicId(topic.name) === undefined) world.createTopic(topic);
    else world.removeTopic(topic);
    if (world.dice.chance(0.5) && world.authority.topicId(topic.name) === undefined) world.createTopic(topic);
  }

  /**
   * A stored byte changes by itself. Not in the last entry: a log takes damage at its very end for a
   * torn write, and cuts it off.
   */
  #rot(): void {
    const { dice, history, disk } = this.world;
    const partition = dice.pick([...history.partitions()]);
    const location = disk.files.locations().find((one) => one.endsWith(`-${partition.partition}.${partition.topicId}`));
    const file = location === undefined ? undefined : disk.files.disk(location);
    const entries = file?.synced.range({ chunkBytes: 1 }).slice(0, -1) ?? [];
    if (entries.length === 0) return;
    partition.isRotten = true;
    file?.corrupt(dice.pick(entries).key, (value) => {
      const at = dice.below(value.length);
      value[at] = (value[at] ?? 0) ^ (1 << dice.below(8));
      return value;
    });
  }

  /** Looks after the broker: one that is down, or has a partition offline that a restart may cure, is started again. */
  #operate(): void {
    const { scheduler, dice } = this.world;
    scheduler.after(dice.between(20, 400), 'operator', () => {
      const { broker } = this.world;
      if (broker === undefined) this.world.startBroker();
      else if (this.#hasCurableOffline()) this.#restart();
      this.#operate();
    });
  }

  #hasCurableOffline(): boolean {
    const { broker, history } = this.world;
    for (const replica of broker?.node?.driver.partitions() ?? []) {
      const isRotten = history.partition(replica.topicId, replica.partition)?.isRotten === true;
      if (replica.log.kind === 'offline' && !isRotten) return true;
    }
    return false;
  }

  #restart(): void {
    if (this.#startingAgain) return;
    this.#startingAgain = true;
    this.world.tally.count('restarts for an offline partition');
    this.world.scheduler.after(this.world.dice.between(1, 100), 'the operator restarts the broker', () => {
      this.#startingAgain = false;
      this.world.killBroker();
    });
  }
}
