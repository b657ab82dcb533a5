/**
 * The broker as a role: follows the metadata log, holds the replicas it is given, serves those it
 * leads, and lives with the controller (runtime/lifecycle.ts).
 *
 * Start:  follow metadata -> know the cluster -> lock and open the log directory -> register -> be
 *         unfenced -> delete stray logs -> serve.
 * Stop:   end members' streams -> ask for leave -> refuse new entries, end readers and watches, read no more of produce streams
 *         -> everything appended is stable and answered -> break off the rest -> close logs.
 * A broken invariant anywhere, or a controller that refuses this broker for good, ends the role
 * (`failed`). A log that fails takes only its partition offline.
 */
import { deferred } from '@barnabas/common';
import { openLogManager } from '@barnabas/log';
import { configuredBroker } from '@barnabas/metadata';
import type { MetadataSource } from '@barnabas/metadata';
import { ControllerClient, ControllerDirectory, MetadataFollower } from '@barnabas/metadata/follower';
import { adminForwarder, createMetadataService } from '@barnabas/metadata/service';
import type { MetadataService } from '@barnabas/metadata/service';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import type { BoundAddress, Connector, Environment, Role, ServiceRegistration } from '@barnabas/rpc';
import { SubscribeMetrics, SubscribeService } from '@barnabas/subscribe';
import { NodeRouting } from '@barnabas/subscribe/cluster';
import { brokerConfigEntries } from './config.js';
import type { BrokerConfig } from './config.js';
import { groupService } from './group/group-service.js';
import { localReplicas } from './handlers/describe-replicas.js';
import type { ProducerIdBlock } from './handlers/init-producer-id.js';
import { logService } from './log-service.js';
import { OpenStreams } from './open-streams.js';
import { replicationService } from './replication-service.js';
import { brokerStreams } from './replication/broker-streams.js';
import { ReplicaNode } from './replica-node.js';
import type { ChangeCoordinator, OpenLogs } from './replica-node.js';
import { endpointsOf } from './runtime/endpoints.js';
import { BrokerLifecycle } from './runtime/lifecycle.js';
import { ReplicaPublisher } from './runtime/metadata-publisher.js';
import { BrokerMetrics } from './runtime/metrics.js';
import { TopicConfigs } from './runtime/topic-configs.js';

export interface BrokerOptions {
  readonly config: BrokerConfig;
  readonly environment: Environment;
  readonly connector: Connector;
  /** LevelDB under log.dir unless told otherwise. */
  readonly openLogs?: OpenLogs;
  /** What group coordinators are made with, changed: for a simulator that plants bugs. */
  readonly coordinator?: ChangeCoordinator;
  /** Who looks on from inside. */
  readonly observer?: BrokerObserver;
}

/** For a simulator that checks the insides of a role while it runs; it changes nothing. */
export interface BrokerObserver {
  /** Called once, before anything is followed. */
  onMetadata(source: MetadataSource): void;
  /** Called once, when the log directory is open. */
  onNode(node: ReplicaNode): void;
}

/** How a stop divides its grace: leave of the controller first, then what is on its way. */
const LEAVE_SHARE = 0.6;
const DRAIN_SHARE = 0.3;
/** Closing logs in good order saves a recovery, so it may outlast a short grace; a dead disk may not hold it up for ever. */
const SHORTEST_CLOSE_MS = 2_000;

export function createBroker(options: BrokerOptions): Role {
  return new Broker(options);
}

class Broker implements Role {
  readonly name = 'broker';
  readonly services: readonly ServiceRegistration[];
  readonly failed: Promise<never>;
  readonly #failure = deferred<never>();
  readonly #environment: Environment;
  readonly #metrics: BrokerMetrics;
  readonly #configs: TopicConfigs;
  readonly #publisher: ReplicaPublisher;
  readonly #follower: MetadataFollower;
  readonly #controller: ControllerClient;
  readonly #metadataService: MetadataService;
  readonly #lifecycle: BrokerLifecycle;
  readonly #streams = new OpenStreams();
  /** Where members' streams of this broker read and commit: at any broker of the cluster. */
  readonly #routing: NodeRouting;
  readonly #subscribe: SubscribeService;
  /** From the opening of the log directory on. */
  #node: ReplicaNode | undefined;
  #serves = false;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(private readonly options: BrokerOptions) {
    const { config, connector } = options;
    const nodeId = config['node.id'];
    const controllers = ControllerDirectory.of(config);
    const logger = options.environment.logger.child({ role: 'broker', nodeId });
    const { clock, timers, random, metrics } = options.environment;
    const configured = configuredBroker(nodeId, brokerConfigEntries(config));
    this.#environment = { ...options.environment, logger };
    this.failed = this.#failure.promise;
    // Whoever runs the role looks at `failed`; one that nobody looks at must not end the process.
    this.failed.catch(() => {});
    this.#metrics = new BrokerMetrics(metrics);
    this.#configs = new TopicConfigs(configured);
    this.#publisher = new ReplicaPublisher(nodeId, this.#configs);
    this.#controller = new ControllerClient({ connector, controllers, clock, timers, random, logger });
    this.#follower = new MetadataFollower({ connector, controllers, nodeId, timers, random, logger });
    const source = this.#follower;
    this.#metadataService = createMetadataService({ source, controllers, controller: this.#controller });
    // Replicas first: whoever hears of a leader here must find it.
    this.#follower.addPublisher(this.#publisher);
    this.#follower.addPublisher({ name: 'groups', publish: (changes) => this.#node?.metadataChanged(changes) });
    this.#routing = new NodeRouting({
      source,
      controller: this.#controller,
      connector,
      environment: this.#environment,
      requestTimeoutMs: config['request.timeout.ms'],
    });
    this.#subscribe = new SubscribeService({
      router: this.#routing.router,
      metrics: new SubscribeMetrics(metrics, 'broker'),
      bufferBytes: config['barnabas.fetch.stream.buffer.bytes'],
      maxMessageBytes: config['fetch.max.bytes'],
      onFault: this.#fail,
    });
    this.#follower.addPublisher(this.#routing.view);
    this.#follower.addPublisher(this.#metadataService.publisher);
    options.observer?.onMetadata(source);
    this.#lifecycle = this.#makeLifecycle();
    const replicas = localReplicas({ brokerId: nodeId, driver: () => this.#node?.driver, clock });
    this.services = [
      logService(() => (this.#serves ? this.#node?.serving : undefined), this.#streams, clock, this.#fail),
      groupService(() => (this.#serves ? this.#node?.groups : undefined), this.#fail, this.#subscribe.handler),
      this.#metadataService.registration,
      replicationService(() => (this.#serves ? this.#node?.leaderSide : undefined), this.#fail),
      adminForwarder({ source, controller: this.#controller, connector, broker: configured, replicas }),
    ];
  }

  start(bound: BoundAddress): Promise<void> {
    this.#starting ??= this.#start(bound);
    return this.#starting;
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async #start(bound: BoundAddress): Promise<void> {
    this.#follower.failed.catch(this.#fail);
    this.#follower.start();
    await this.#metadataLoaded();
    const node = await this.#openNode();
    const { clusterId } = this.#follower.image;
    await this.#lifecycle.start(endpointsOf(this.options.config, bound), clusterId, node.cleanShutdownEpoch);
    await node.begin();
    this.#assertStarting();
    this.#serves = true;
    this.#environment.logger.info('The broker serves', { clusterId });
  }

  async #metadataLoaded(): Promise<void> {
    const { timers } = this.#environment;
    const timeoutMs = this.options.config['initial.broker.registration.timeout.ms'];
    const late = deferred<never>();
    const timer = timers.after(timeoutMs, () =>
      late.reject(
        new BarnabasError(
          'BROKER_NOT_AVAILABLE',
          `no controller has answered within ${timeoutMs} ms: look at the controllers, and at controller.quorum.voters or controller.quorum.bootstrap.servers`,
        ),
      ),
    );
    try {
      await Promise.race([this.#follower.ready, late.promise]);
    } finally {
      timer.cancel();
    }
  }

  async #openNode(): Promise<ReplicaNode> {
    this.#assertStarting();
    const { config, openLogs = openLogManager, coordinator } = this.options;
    this.#node = await ReplicaNode.open({
      config,
      openLogs,
      ...(coordinator === undefined ? {} : { coordinator }),
      environment: this.#environment,
      configs: this.#configs,
      publisher: this.#publisher,
      follower: this.#follower,
      metrics: this.#metrics,
      allocateProducerIds: this.#allocateProducerIds,
      controller: this.#controller,
      replication: {
        openStream: brokerStreams(this.options.connector, () => this.#follower.image),
        controller: this.#controller,
        brokerEpoch: () => this.#lifecycle.currentEpoch,
      },
      onFault: this.#fail,
    });
    this.#assertStarting();
    this.options.observer?.onNode(this.#node);
    return this.#node;
  }

  #assertStarting(): void {
    if (this.#stopping !== undefined) throw new BarnabasError('BROKER_NOT_AVAILABLE', 'the broker was stopped');
  }

  async #stop(graceMs: number): Promise<void> {
    const { logger } = this.#environment;
    logger.info('The broker stops', { graceMs });
    // First: their clients resume elsewhere while this broker gives its leaderships away.
    this.#subscribe.stop(stopping());
    if (this.#serves && this.options.config['controlled.shutdown.enable']) {
      await this.#lifecycle.leave(graceMs * LEAVE_SHARE);
    }
    await this.#drain(graceMs * DRAIN_SHARE);
    this.#serves = false;
    await this.#lifecycle.stop();
    this.#routing.close();
    this.#follower.stop();
    // A start that is under way notices, and ends with what it was waiting for.
    await this.#starting?.catch(() => {});
    if (this.#node !== undefined) await this.#within(this.#node.close(), Math.max(SHORTEST_CLOSE_MS, graceMs));
    logger.info('The broker has stopped');
  }

  /** Ends what clients hold open, and sends the answers that are due: who serves the role need not wait for its clients. */
  async #drain(timeoutMs: number): Promise<void> {
    const stable = this.#node?.drain();
    const answered = this.#streams.stop(stopping());
    this.#metadataService.stop();
    await this.#within(Promise.all([stable, answered]), timeoutMs);
    this.#streams.breakOff(stopping());
  }

  /** Resolves when the work is done or the time is up. */
  async #within(work: Promise<unknown>, ms: number): Promise<void> {
    const timeUp = deferred<void>();
    const timer = this.#environment.timers.after(ms, () => timeUp.resolve());
    await Promise.race([work, timeUp.promise]);
    timer.cancel();
  }

  #makeLifecycle(): BrokerLifecycle {
    const { config } = this.options;
    const { clock, timers, random, logger } = this.#environment;
    return new BrokerLifecycle({
      nodeId: config['node.id'],
      rack: config['broker.rack'] ?? '',
      flushIntervalMessages: config['log.flush.interval.messages'],
      controller: this.#controller,
      source: this.#follower,
      heartbeatIntervalMs: config['broker.heartbeat.interval.ms'],
      registrationTimeoutMs: config['initial.broker.registration.timeout.ms'],
      clock,
      timers,
      random,
      logger,
      onFault: this.#fail,
    });
  }

  readonly #allocateProducerIds = async (): Promise<ProducerIdBlock> => {
    const { config } = this.options;
    const request = { brokerId: config['node.id'], brokerEpoch: this.#lifecycle.brokerEpoch };
    try {
      return await this.#controller.allocateProducerIds(request, { timeoutMs: config['request.timeout.ms'] });
    } catch (error) {
      // It is this broker that must register again, not the producer that is at its end.
      if (toBarnabasError(error).errorName !== 'STALE_BROKER_EPOCH') throw error;
      throw new BarnabasError('BROKER_NOT_AVAILABLE', 'the broker is registering with the controller: retry');
    }
  };

  readonly #fail = (fault: Error): void => {
    if (this.#stopping !== undefined) return;
    this.#serves = false;
    this.#environment.logger.error('The broker has a fault and ends', {
      action: 'restart it; if it recurs, report it with this line',
      error: fault,
    });
    this.#failure.reject(fault);
  };
}

function stopping(): BarnabasError {
  return new BarnabasError('BROKER_NOT_AVAILABLE', 'this broker is stopping: refresh metadata and go on at another');
}
