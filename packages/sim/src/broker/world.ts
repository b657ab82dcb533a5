/**
 * Everything that a run has: time, disk, network, the broker's present life, what it has said.
 * Owns the broker's life and death; who lives in the world (clients, operators) is the scenario's.
 */
import { SimulatedDisk } from '../disk/simulated-disk.js';
import { Stage } from '../kernel/stage.js';
import { Authority } from './authority.js';
import { BrokerProcess } from './broker-process.js';
import { History } from './history.js';
import { planRun } from './plan.js';
import type { BrokerPlan } from './plan.js';
import type { Plant } from './plants/plant.js';
import type { Surroundings } from './surroundings.js';
import type { TopicPlan } from './topics.js';

export class World extends Stage implements Surroundings {
  readonly plan: BrokerPlan;
  readonly disk: SimulatedDisk;
  readonly authority: Authority;
  readonly history = new History();
  /** What the broker's clock is ahead of true time. */
  skewMs = 0;
  #broker: BrokerProcess | undefined;
  #lives = 0;

  constructor(
    seed: number,
    readonly plant: Plant,
  ) {
    super(seed);
    this.plan = planRun(this.dice, plant.needs ?? []);
    this.disk = new SimulatedDisk(this.scheduler, this.dice, this.plan.latency);
    this.authority = new Authority(this.dice, (changes, image) => this.#broker?.tell(changes, image));
    for (const topic of this.plan.topics) this.createTopic(topic);
    this.startBroker();
  }

  /** The present life; undefined between two. */
  get broker(): BrokerProcess | undefined {
    return this.#broker;
  }

  createTopic(topic: TopicPlan): void {
    this.history.created(topic, this.authority.create(topic));
  }

  removeTopic(topic: TopicPlan): void {
    const topicId = this.authority.remove(topic.name);
    if (topicId !== undefined) this.history.removed(topicId);
  }

  startBroker(): void {
    if (this.#broker !== undefined) return;
    this.#lives += 1;
    const broker = new BrokerProcess(this, this.#lives, this.plant);
    this.#broker = broker;
    broker.start().catch((error: unknown) => {
      this.trace.note(`  the broker did not start: ${String(error)}`);
      if (this.#broker === broker) this.#end(broker, () => this.disk.loseProcess());
    });
  }

  /** The process is killed; the machine lives on. */
  killBroker(): void {
    if (this.#broker !== undefined) this.#end(this.#broker, () => this.disk.loseProcess());
  }

  losePower(): void {
    const holes = this.dice.chance(0.5);
    this.trace.note(`  power lost${holes ? ', with holes' : ''}`);
    this.history.powerLost();
    this.#broker?.die();
    this.#broker = undefined;
    this.disk.losePower(holes);
  }

  /** In good order; what cannot be closed is left as a crash leaves it. */
  stopBroker(): void {
    const broker = this.#broker;
    if (broker === undefined) return;
    void broker.stop().then(
      () => {
        if (this.#broker === broker) this.#end(broker, () => this.disk.loseProcess());
      },
      (error: unknown) => this.fail(error),
    );
  }

  #end(broker: BrokerProcess, then: () => Promise<void>): void {
    broker.die();
    this.#broker = undefined;
    then().catch((error: unknown) => this.fail(error));
  }
}
