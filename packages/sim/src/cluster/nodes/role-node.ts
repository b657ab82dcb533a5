/**
 * A machine that runs one role, over its lives: the disk and the name in the network stay, processes
 * come and go. What a composition root does, and no more: serve, start, watch `failed`, stop.
 */
import { noMetrics } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { createConnector } from '@barnabas/rpc';
import type { Connector, Environment, Role } from '@barnabas/rpc';
import { MountedFactory } from '../../disk/mounted-factory.js';
import { SimulatedDisk } from '../../disk/simulated-disk.js';
import { Scope } from '../../kernel/scheduler.js';
import type { Surroundings } from '../surroundings.js';
import type { Host } from '../network/host.js';
import { MachineClock } from './machine-clock.js';
import { simulatedLogger } from './simulated-logger.js';

/** What one life of a role is made with. */
export interface LifeParts {
  readonly environment: Environment;
  readonly connector: Connector;
  readonly files: MountedFactory;
}

export interface Life {
  readonly scope: Scope;
  readonly role: Role;
  isServing: boolean;
  isStopping: boolean;
}

/** Said by a role that ends because of its surroundings and not by a fault of its own. */
const EXCUSES = ['simulated disk', 'simulated connection', 'the store at', 'was stopped', 'registration.timeout'];

/** A full disk takes partitions of a broker offline; everything else there goes on. */
function mustGoOn(kind: string, { isServing }: Life, text: string): boolean {
  return kind === 'broker' && isServing && text.includes('is full');
}

export abstract class RoleNode {
  readonly disk: SimulatedDisk;
  readonly host: Host;
  readonly clock: MachineClock;
  #life: Life | undefined;
  #lives = 0;

  constructor(
    readonly kind: 'controller' | 'broker',
    readonly id: number,
    protected readonly around: Surroundings,
  ) {
    this.disk = new SimulatedDisk(around.scheduler, around.dice, around.plan.latency);
    this.host = around.network.host(this.name);
    const { maxDrift } = around.plan;
    this.clock = new MachineClock(around.scheduler, 1 + maxDrift * (2 * around.dice.float() - 1));
  }

  get name(): string {
    return `${this.kind}-${this.id}`;
  }

  get isDown(): boolean {
    return this.#life === undefined;
  }

  get life(): Life | undefined {
    return this.#life;
  }

  get isServing(): boolean {
    return this.#life?.isServing === true && !this.#life.isStopping;
  }

  start(): void {
    if (this.#life !== undefined) return;
    const { network } = this.around;
    this.#lives += 1;
    const scope = new Scope(this.around.scheduler, `${this.name}#${this.#lives}`);
    const role = this.make(this.#parts(scope));
    const life: Life = { scope, role, isServing: false, isStopping: false };
    this.#life = life;
    const port = this.kind === 'controller' ? 7800 : 7700;
    network.listen(this.host, scope, role.services, simulatedLogger(this.around, this.name));
    role.failed.catch((error: unknown) => this.#ended(life, error));
    role.start({ host: this.name, port }).then(
      () => {
        life.isServing = true;
        this.around.trace.note(`  ${this.name} serves`);
      },
      (error: unknown) => this.#ended(life, error),
    );
  }

  /** Stands still and hears nothing, as under SIGSTOP. */
  freeze(ms: number): void {
    this.#life?.scope.standStill(ms);
  }

  /** In good order, and by force if that takes too long. */
  stop(graceMs: number): void {
    const life = this.#life;
    if (life === undefined || life.isStopping) return;
    life.isStopping = true;
    const end = (): void => {
      if (this.#life === life) this.kill();
    };
    life.role.stop(graceMs).then(end, (error: unknown) => this.around.fail(error));
    this.around.scheduler.after(graceMs * 2 + 5_000, `${this.name} is stopped by force`, end);
  }

  kill(): void {
    if (this.#life === undefined) return;
    this.#die(this.#life, 'kill');
    this.disk.loseProcess().catch((error: unknown) => this.around.fail(error));
  }

  losePower(holes: boolean): void {
    if (this.#life !== undefined) this.#die(this.#life, 'power');
    else {
      this.host.isOff = true;
      this.around.wentDown(this.name, true);
    }
    this.disk.losePower(holes);
  }

  protected abstract make(parts: LifeParts): Role;
  /** The life is over. */
  protected abstract forget(): void;

  #parts(scope: Scope): LifeParts {
    const { around, host } = this;
    const logger = simulatedLogger(around, this.name);
    const { clock } = this;
    const timers = clock.timers(scope);
    return {
      environment: {
        clock,
        timers: around.plant.timers?.(timers, clock) ?? timers,
        random: around.dice,
        logger,
        metrics: noMetrics,
      },
      connector: createConnector({
        ...{ clientId: this.name, local: around.network.from(host, scope), logger },
        onFault: (fault) => around.fail(fault),
      }),
      files: new MountedFactory(this.disk, scope),
    };
  }

  #ended(life: Life, error: unknown): void {
    if (this.#life !== life || life.isStopping) return;
    const text = error instanceof Error ? error.message : String(error);
    this.around.trace.note(`  ${this.name} ended: ${text}`);
    const isExcused = EXCUSES.some((excuse) => text.includes(excuse)) && !mustGoOn(this.kind, life, text);
    if (!isExcused && !(error instanceof BarnabasError && error.retriable)) this.around.fail(error);
    this.around.tally.count(`${this.kind}s ended by themselves`);
    this.kill();
  }

  #die(life: Life, death: 'kill' | 'power'): void {
    life.scope.end();
    this.around.network.died(this.host, life.scope, death);
    this.#life = undefined;
    this.forget();
    this.around.wentDown(this.name, death === 'power');
  }
}
