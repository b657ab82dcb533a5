/**
 * One broker under clients and misfortune. Two phases: first everything may go wrong while the
 * checks look on; then all is healed, and whatever was begun must end within bounded virtual time.
 */
import { run } from '../kernel/play.js';
import type { Events, Play } from '../kernel/play.js';
import type { RunOptions, Scenario } from '../kernel/report.js';
import { Admin } from './admin.js';
import { audit } from './checks/audit.js';
import { StateCheck } from './checks/state.js';
import { SimulatedConsumer } from './consumer.js';
import { Fate } from './misfortune.js';
import { BROKER_PLANTS, NO_PLANT } from './plants/index.js';
import { SimulatedProducer } from './producer.js';
import { World } from './world.js';

export const brokerScenario: Scenario = {
  name: 'broker',
  events: 600,
  plants: BROKER_PLANTS,
  expects: {
    'batches acknowledged': 1000,
    'batches acknowledged again': 30,
    'records served': 3000,
    'deletions of records': 20,
    'refused OUT_OF_ORDER_SEQUENCE_NUMBER': 1,
    'refused REQUEST_TIMED_OUT': 10,
    'refused KAFKA_STORAGE_ERROR': 20,
    'restarts for an offline partition': 3,
    ...{ powerLoss: 3, kill: 3, restart: 3, stall: 3, failedWrite: 3, brokenLink: 3, clockJump: 3, newSetting: 3 },
    ...{ election: 3, fencing: 3, deletedTopic: 3, rot: 1 },
  },
  run: (options: RunOptions) => run('broker', options, () => new BrokerRun(options)),
};

class BrokerRun implements Play {
  readonly stage: World;
  readonly #clients: readonly (SimulatedProducer | SimulatedConsumer)[];
  readonly #fate: Fate;
  readonly #check: StateCheck;

  constructor(private readonly options: RunOptions) {
    const world = new World(options.seed, BROKER_PLANTS.find(({ name }) => name === options.plant) ?? NO_PLANT);
    const { plan } = world;
    this.stage = world;
    this.#clients = [
      ...Array.from({ length: plan.producers }, (_, at) => new SimulatedProducer(world, `producer ${at}`)),
      ...Array.from({ length: plan.consumers }, (_, at) => new SimulatedConsumer(world, `consumer ${at}`)),
    ];
    new Admin(world);
    this.#fate = new Fate(world);
    this.#check = new StateCheck(world);
  }

  check(): void {
    this.#check.run();
  }

  async act(events: Events): Promise<void> {
    const { stage } = this;
    await events.upTo(this.options.events);
    stage.isEnding = true;
    this.#fate.heal();
    while (!(await this.#endsWell(events)));
  }

  /** False if something was still to come that the operator has to put right. */
  async #endsWell(events: Events): Promise<boolean> {
    const { stage } = this;
    await events.until(
      'everything that was begun ends',
      () => this.#isDone(),
      () => this.#whoWaits(),
    );
    const { broker } = stage;
    if (broker === undefined) return false;
    const isGone = (): boolean => stage.broker !== broker || !broker.isSettled;
    const failure = await events.of('every log can be read', audit(stage, broker), isGone);
    // A write that failed before everything was healed may only now have said so.
    if (isGone() || !this.#isDone()) return false;
    if (failure !== undefined) throw failure;
    return true;
  }

  #isDone(): boolean {
    return this.stage.broker?.isSettled === true && this.#clients.every(({ isDone }) => isDone);
  }

  #whoWaits(): string {
    const waiting = this.#clients.filter(({ isDone }) => !isDone).map((one) => one.describe());
    return [this.stage.broker?.isSettled === true ? 'the broker serves' : 'the broker is down', ...waiting].join('; ');
  }
}
