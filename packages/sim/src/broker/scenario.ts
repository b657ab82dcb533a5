/**
 * One broker under clients and misfortune. Two phases: first everything may go wrong while the
 * checks look on; then all is healed, and whatever was begun must end within bounded virtual time.
 */
import { StrayRejections } from '../kernel/stray-rejections.js';
import type { RunFailure, RunOptions, RunReport, Scenario } from '../kernel/report.js';
import { Violation } from '../kernel/violation.js';
import { Admin } from './admin.js';
import { audit } from './checks/audit.js';
import { StateCheck } from './checks/state.js';
import { SimulatedConsumer } from './consumer.js';
import { Fate } from './misfortune.js';
import { BROKER_PLANTS, NO_PLANT } from './plants/index.js';
import { SimulatedProducer } from './producer.js';
import { World } from './world.js';

/** Everything that was begun ends within this much virtual time, once all is healed. */
const HEALING_MS = 60_000;
const HEALING_EVENTS = 50_000;

export const brokerScenario: Scenario = {
  name: 'broker',
  plants: BROKER_PLANTS,
  expects: {
    'batches acknowledged': 2000,
    'batches acknowledged again': 50,
    'records served': 5000,
    'deletions of records': 30,
    'refused OUT_OF_ORDER_SEQUENCE_NUMBER': 1,
    'refused REQUEST_TIMED_OUT': 20,
    'refused KAFKA_STORAGE_ERROR': 50,
    'restarts for an offline partition': 5,
    ...{ powerLoss: 5, kill: 10, restart: 10, stall: 10, failedWrite: 10, brokenLink: 10, clockJump: 10 },
    ...{ election: 10, fencing: 10, deletedTopic: 5, rot: 1 },
  },
  async run(options: RunOptions): Promise<RunReport> {
    const plant = BROKER_PLANTS.find(({ name }) => name === options.plant) ?? NO_PLANT;
    const world = new World(options.seed, plant);
    const strays = new StrayRejections();
    const run = new BrokerRun(world, strays);
    let failure: RunFailure | undefined;
    try {
      await run.all(options.events);
    } catch (error) {
      failure = failureOf(error, world.trace.last());
    } finally {
      strays.stop();
    }
    return {
      ...{ scenario: 'broker', seed: options.seed, plant: options.plant },
      ...{ events: world.scheduler.events, virtualMs: world.scheduler.elapsedMs },
      ...{ hash: world.trace.digest(), counts: world.tally.counts(), failure },
    };
  },
};

class BrokerRun {
  readonly #producers: readonly SimulatedProducer[];
  readonly #consumers: readonly SimulatedConsumer[];
  readonly #fate: Fate;
  readonly #check: StateCheck;

  constructor(
    private readonly world: World,
    private readonly strays: StrayRejections,
  ) {
    const { plan } = world;
    this.#producers = Array.from({ length: plan.producers }, (_, at) => new SimulatedProducer(world, `producer ${at}`));
    this.#consumers = Array.from({ length: plan.consumers }, (_, at) => new SimulatedConsumer(world, `consumer ${at}`));
    new Admin(world);
    this.#fate = new Fate(world);
    this.#check = new StateCheck(world);
  }

  async all(events: number): Promise<void> {
    while (this.world.scheduler.events < events) await this.#event();
    this.world.isEnding = true;
    this.#fate.heal();
    await this.#until('everything that was begun ends', () => this.#isDone());
    const { broker } = this.world;
    if (broker === undefined) return;
    let isAudited = false;
    audit(this.world, broker).then(
      () => (isAudited = true),
      (error: unknown) => this.world.fail(error instanceof Error ? error : new Error(String(error))),
    );
    await this.#until('every log can be read', () => isAudited);
  }

  #isDone(): boolean {
    if (this.world.broker?.isSettled !== true) return false;
    return this.#producers.every(({ isDone }) => isDone) && this.#consumers.every(({ isDone }) => isDone);
  }

  async #event(): Promise<void> {
    await this.world.scheduler.next();
    this.#check.run();
    const failure = this.world.failure ?? this.strays.first;
    if (failure !== undefined) throw failure;
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    const { scheduler } = this.world;
    const deadlineMs = scheduler.elapsedMs + HEALING_MS;
    const lastEvent = scheduler.events + HEALING_EVENTS;
    while (!condition()) {
      if (scheduler.elapsedMs > deadlineMs || scheduler.events > lastEvent) throw this.#stuck(what);
      await this.#event();
    }
  }

  #stuck(what: string): Violation {
    const waiting = [...this.#producers, ...this.#consumers].filter(({ isDone }) => !isDone);
    return new Violation('progress', `not within ${HEALING_MS} ms after everything was healed: ${what}`, {
      broker: this.world.broker === undefined ? 'down' : this.world.broker.serves ? 'serves' : 'starts',
      waiting: waiting.map((one) => one.describe()).join('; '),
    });
  }
}

function failureOf(error: unknown, trace: readonly string[]): RunFailure {
  const known = error instanceof Error ? error : new Error(String(error));
  const check = known instanceof Violation ? known.check : 'fault';
  return { check, message: known.message, stack: known.stack ?? '', trace };
}
