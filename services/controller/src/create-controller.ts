/**
 * The controller as a role: opens its metadata log, joins the quorum, serves. Owns the order of start
 * and stop; decides nothing.
 *
 * The only voter serves once it is active and its cluster has its id. One of several serves as soon as
 * it takes part, since the others may need its vote to become active at all; one without a vote once a
 * leader has found it.
 */
import { deferred } from '@barnabas/common';
import type { Timer } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { createGrpcTransport, readIdentity, startRaft } from '@barnabas/raft';
import type { RaftConfig, RaftNode } from '@barnabas/raft';
import type { BoundAddress, Connector, Environment, Role, ServiceRegistration } from '@barnabas/rpc';
import type { KeyValueStore, StoreFactory } from '@barnabas/store';
import { settingsOf } from './config.js';
import type { ControllerConfig } from './config.js';
import { adminService } from './handlers/admin-service.js';
import { controllerService } from './handlers/controller-service.js';
import { registerMetrics } from './metrics.js';
import { membershipOf } from './membership.js';
import { ControllerRuntime } from './runtime/controller-runtime.js';

export interface ControllerOptions {
  readonly config: ControllerConfig;
  readonly environment: Environment;
  /** To reach the other controllers. */
  readonly connector: Connector;
  /** Opens the metadata log in metadata.log.dir. */
  readonly store: StoreFactory;
  /** Who looks on from inside, for a simulator that checks a role while it runs; changes nothing. */
  readonly observer?: (runtime: ControllerRuntime) => void;
}

/** How often followers hear of a new leader or other voters, where no change of metadata tells them. */
const ANNOUNCEMENT_MS = 500;
/** How often a controller that joins looks whether it has. */
const JOIN_POLL_MS = 20;

export function createController(options: ControllerOptions): Role {
  const { config, environment } = options;
  const logger = environment.logger.child({ role: 'controller', nodeId: config['node.id'] });
  return new ControllerRole({ ...options, environment: { ...environment, logger } });
}

class ControllerRole implements Role {
  readonly name = 'controller';
  readonly services: readonly ServiceRegistration[];
  readonly #runtime: ControllerRuntime;
  readonly #quorum: ReturnType<typeof createGrpcTransport>;
  readonly #fault = deferred<never>();
  readonly #stopped = deferred<never>();
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #store: KeyValueStore | undefined;
  #raft: RaftNode | undefined;
  #announcement: Timer | undefined;

  constructor(private readonly options: ControllerOptions) {
    // Whoever does not wait for these must not end by an unhandled rejection.
    this.#fault.promise.catch(() => {});
    this.#stopped.promise.catch(() => {});
    const { config, environment } = options;
    this.#runtime = new ControllerRuntime({
      settings: settingsOf(config),
      environment,
      onFault: (fault) => this.#fault.reject(fault),
    });
    options.observer?.(this.#runtime);
    // A controller that is alone needs it too, for those that are to join it.
    this.#quorum = createGrpcTransport({ connector: options.connector, ...environment });
    const admin = adminService(this.#runtime, options.connector);
    this.services = [controllerService(this.#runtime), admin, this.#quorum.service];
    registerMetrics(environment.metrics, this.#runtime);
  }

  get failed(): Promise<never> {
    return this.#fault.promise;
  }

  start(bound: BoundAddress): Promise<void> {
    this.#starting ??= Promise.race([this.#start(bound), this.#fault.promise, this.#stopped.promise]);
    return this.#starting;
  }

  stop(_graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #start(bound: BoundAddress): Promise<void> {
    const { config, environment, store } = this.options;
    this.#store = await store.open(config['metadata.log.dir']);
    if (this.#stopping !== undefined) return this.#closeStore();
    const identity = await readIdentity(this.#store);
    const membership = membershipOf(config, { identity, bound, random: environment.random });
    const raft = await startRaft({
      nodeId: config['node.id'],
      ...membership,
      store: this.#store,
      transport: this.#quorum.transport,
      ...environment,
      stateMachine: this.#runtime,
      config: raftConfigOf(config),
    });
    this.#runtime.attach(raft, membership);
    raft.failed.catch((fault: Error) => this.#fault.reject(fault));
    this.#raft = raft;
    if (this.#stopping !== undefined) return this.#closeStore();
    this.#announceQuorum();
    if (isAlone(raft)) await this.#runtime.active;
    else if (!isVoter(raft)) await this.#followed(raft);
  }

  /** Resolves when a leader is known: it lists this controller from then on, so that it can be made a voter. */
  async #followed(raft: RaftNode): Promise<void> {
    const { timers } = this.options.environment;
    while (this.#stopping === undefined && raft.status.leaderId === undefined) {
      await new Promise<void>((resolve) => timers.after(JOIN_POLL_MS, resolve));
    }
  }

  async #stop(): Promise<void> {
    this.#stopped.reject(new BarnabasError('NOT_CONTROLLER', 'the controller was stopped while it started'));
    this.#announcement?.cancel();
    this.#runtime.stop();
    await this.#closeStore();
  }

  /** Also what a start does that finds itself stopped: whatever has been opened by then is closed. */
  async #closeStore(): Promise<void> {
    await this.#raft?.stop();
    await this.#store?.close();
  }

  #announceQuorum(): void {
    this.#announcement = this.options.environment.timers.after(ANNOUNCEMENT_MS, () => {
      this.#runtime.feeds.announceQuorum();
      this.#announceQuorum();
    });
  }
}

/** The only voter needs nobody to become active. */
function isAlone(raft: RaftNode): boolean {
  return raft.status.voters.length === 1 && isVoter(raft);
}

function isVoter({ status }: RaftNode): boolean {
  return status.voters.some(({ id, directoryId }) => id === status.nodeId && directoryId === status.directoryId);
}

function raftConfigOf(config: ControllerConfig): Partial<RaftConfig> {
  const electionTimeoutMs = config['controller.quorum.election.timeout.ms'];
  return {
    electionTimeoutMs,
    heartbeatIntervalMs: Math.floor(electionTimeoutMs / 10),
    snapshotAfterBytes: config['metadata.log.max.record.bytes.between.snapshots'],
  };
}
