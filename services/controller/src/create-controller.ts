/**
 * The controller as a role: opens its metadata log, joins the quorum, serves. Owns the order of start
 * and stop; decides nothing.
 *
 * A single voter serves once it is active and its cluster has its id. One of several serves as soon as
 * it takes part: the others may need its vote to become active at all.
 */
import { deferred } from '@barnabas/common';
import type { Timer } from '@barnabas/common';
import { formatAddress } from '@barnabas/common/config';
import { randomUuid } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import { createGrpcTransport, readIdentity, startRaft } from '@barnabas/raft';
import type { RaftConfig, RaftNode, Voter } from '@barnabas/raft';
import type { BoundAddress, Connector, Environment, Role, ServiceRegistration } from '@barnabas/rpc';
import type { KeyValueStore, StoreFactory } from '@barnabas/store';
import { settingsOf } from './config.js';
import type { ControllerConfig } from './config.js';
import { adminService } from './handlers/admin-service.js';
import { controllerService } from './handlers/controller-service.js';
import { registerMetrics } from './metrics.js';
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

export function createController(options: ControllerOptions): Role {
  const { config, environment } = options;
  const logger = environment.logger.child({ role: 'controller', nodeId: config['node.id'] });
  return new ControllerRole({ ...options, environment: { ...environment, logger } });
}

class ControllerRole implements Role {
  readonly name = 'controller';
  readonly services: readonly ServiceRegistration[];
  readonly #runtime: ControllerRuntime;
  readonly #quorum: ReturnType<typeof createGrpcTransport> | undefined;
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
    this.#quorum = quorumTransport(options);
    const services = [controllerService(this.#runtime), adminService(this.#runtime, options.connector)];
    this.services = this.#quorum === undefined ? services : [...services, this.#quorum.service];
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
    const { 'node.id': nodeId } = config;
    const voters = votersOf(config) ?? [{ id: nodeId, endpoint: formatAddress(bound) }];
    this.#store = await store.open(config['metadata.log.dir']);
    if (this.#stopping !== undefined) return this.#closeStore();
    const identity = await readIdentity(this.#store);
    const clusterId = config['cluster.id'] ?? identity?.clusterId ?? randomUuid(environment.random);
    const raft = await startRaft({
      nodeId,
      clusterId,
      endpoint: voters.find(({ id }) => id === nodeId)?.endpoint ?? formatAddress(bound),
      initialVoters: voters,
      store: this.#store,
      ...(this.#quorum === undefined ? {} : { transport: this.#quorum.transport }),
      ...environment,
      stateMachine: this.#runtime,
      config: raftConfigOf(config),
    });
    this.#runtime.attach(raft, clusterId);
    raft.failed.catch((fault: Error) => this.#fault.reject(fault));
    this.#raft = raft;
    if (this.#stopping !== undefined) return this.#closeStore();
    this.#announceQuorum();
    if (voters.length === 1) await this.#runtime.active;
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

function votersOf(config: ControllerConfig): readonly Voter[] | undefined {
  return config['controller.quorum.voters']?.map((voter) => ({ id: voter.id, endpoint: formatAddress(voter) }));
}

/** A single voter needs no way to others. */
function quorumTransport({ config, connector, environment }: ControllerOptions) {
  const voters = votersOf(config);
  if (voters === undefined || voters.length === 1) return undefined;
  return createGrpcTransport({ connector, ...environment });
}

function raftConfigOf(config: ControllerConfig): Partial<RaftConfig> {
  const electionTimeoutMs = config['controller.quorum.election.timeout.ms'];
  return {
    electionTimeoutMs,
    heartbeatIntervalMs: Math.floor(electionTimeoutMs / 10),
    snapshotAfterBytes: config['metadata.log.max.record.bytes.between.snapshots'],
  };
}
