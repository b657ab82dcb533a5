/** A node of the quorum over its lives: its disk stays, its process comes and goes. */
import { silentLogger } from '@barnabas/common';
import { startRaft } from '@barnabas/raft';
import type { RaftNode, RaftOptions } from '@barnabas/raft';
import { MountedFactory } from '../disk/mounted-factory.js';
import { SimulatedDisk } from '../disk/simulated-disk.js';
import { Scope } from '../kernel/scheduler.js';
import { SkewedTime } from '../kernel/skewed-time.js';
import type { Stage } from '../kernel/stage.js';
import { Ledger } from './ledger.js';
import type { LedgerListener } from './ledger.js';
import type { Network } from './network.js';
import type { QuorumPlan } from './plan.js';
import type { QuorumPlant } from './plants/plant.js';

export interface QuorumNodeOptions {
  readonly id: number;
  readonly stage: Stage;
  readonly plan: QuorumPlan;
  readonly network: Network;
  readonly plant: QuorumPlant;
  readonly listener: LedgerListener;
}

const endpointOf = (id: number): string => `node-${id}:7800`;
const membersUpTo = (last: number) =>
  Array.from({ length: last }, (_, at) => ({ id: at + 1, endpoint: endpointOf(at + 1) }));

/** From the start of its process to the end. */
export interface Life {
  readonly scope: Scope;
  readonly ledger: Ledger;
  /** Undefined while it reads its disk. */
  raft: RaftNode | undefined;
}

export class QuorumNode {
  readonly id: number;
  #disk: SimulatedDisk;
  /** Its disk was formatted as that of one of the first voters. */
  #isFirstVoter: boolean;
  #life: Life | undefined;
  #lives = 0;

  constructor(private readonly options: QuorumNodeOptions) {
    const { id, stage, plan } = options;
    this.id = id;
    this.#disk = new SimulatedDisk(stage.scheduler, stage.dice, plan.latency);
    this.#isFirstVoter = id <= plan.voters;
  }

  get disk(): SimulatedDisk {
    return this.#disk;
  }

  get isDown(): boolean {
    return this.#life === undefined;
  }

  /** Undefined while it is down. */
  get life(): Life | undefined {
    return this.#life;
  }

  /** Entries that its state machine has now. */
  get applied(): number {
    return this.#life?.ledger.length ?? 0;
  }

  start(): void {
    if (this.#life !== undefined) return;
    this.#lives += 1;
    const { scheduler } = this.options.stage;
    const scope = new Scope(scheduler, `node ${this.id}#${this.#lives}`);
    const life: Life = { scope, ledger: new Ledger(this.options.listener), raft: undefined };
    this.#life = life;
    this.#startRaft(life).catch((error: unknown) => this.#ended(life, error));
  }

  /** Stands still and hears nothing, as under SIGSTOP. */
  freeze(ms: number): void {
    this.#life?.scope.standStill(ms);
  }

  kill(): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#die(life);
    this.disk.loseProcess().catch((error: unknown) => this.options.stage.fail(error));
  }

  losePower(holes: boolean): void {
    if (this.#life !== undefined) this.#die(this.#life);
    this.disk.losePower(holes);
  }

  /** The machine burns, and another one with an empty disk takes its place. */
  loseDisk(): void {
    const { stage, plan } = this.options;
    this.losePower(false);
    this.#disk = new SimulatedDisk(stage.scheduler, stage.dice, plan.latency);
    this.#isFirstVoter = false;
  }

  async #startRaft(life: Life): Promise<void> {
    const { id, stage, plan, network, plant } = this.options;
    const files = new MountedFactory(this.disk, life.scope);
    const store = await files.open('metadata');
    const time = new SkewedTime(stage.scheduler, life.scope, plan.clockRates[id - 1] ?? 1);
    const options: RaftOptions = {
      ...{ nodeId: id, clusterId: 'simulated', endpoint: endpointOf(id) },
      ...(this.#isFirstVoter ? { initialVoters: membersUpTo(plan.voters) } : {}),
      bootstrapServers: membersUpTo(plan.nodes).map(({ endpoint }) => endpoint),
      store: plant.store?.(store, stage) ?? store,
      transport: network.transport(id, life.scope),
      ...{ clock: time, timers: time, random: stage.dice, logger: silentLogger },
      stateMachine: plant.stateMachine?.(life.ledger, stage) ?? life.ledger,
      config: plan.config,
    };
    const rules = plant.rules?.();
    const raft = await startRaft(options, rules === undefined ? {} : { rules });
    raft.failed.catch((error: unknown) => this.#ended(life, error));
    life.raft = plant.node?.(raft, stage) ?? raft;
  }

  /** A disk that fails ends the process; anything else is a fault of what is under test. */
  #ended(life: Life, error: unknown): void {
    const { stage } = this.options;
    stage.trace.note(`  node ${this.id} ended: ${String(error)}`);
    if (!String(error).includes('simulated disk')) stage.fail(error);
    stage.tally.count('nodes ended by their disk');
    if (this.#life === life) this.kill();
  }

  #die(life: Life): void {
    life.scope.end();
    this.#life = undefined;
  }
}
