/**
 * Everything that a broker has once its log directory is open: logs, replicas, retention, both ends of
 * replication, and what its calls need. Opened and closed as a whole.
 */
import type { LogManager, LogManagerOptions } from '@barnabas/log';
import type { ImageChanges, MetadataSource } from '@barnabas/metadata';
import type { ControllerClient } from '@barnabas/metadata/follower';
import { BarnabasError, CONSUMER_OFFSETS_TOPIC } from '@barnabas/protocol';
import { ByteBudget } from '@barnabas/rpc';
import type { Environment } from '@barnabas/rpc';
import type { BrokerConfig } from './config.js';
import { ProducerIds } from './handlers/init-producer-id.js';
import type { ProducerIdBlock } from './handlers/init-producer-id.js';
import { rackAwareSelector } from './fetch/read-replica.js';
import { GroupCoordinator } from './group/group-coordinator.js';
import type { GroupCoordinatorOptions } from './group/group-coordinator.js';
import type { GroupLog } from './group/group-log.js';
import { GroupMetrics } from './group/group-metrics.js';
import { groupSettingsOf } from './group/group-settings.js';
import { OffsetsTopic } from './group/offsets-topic.js';
import { ReplicaGroupLog } from './group/replica-group-log.js';
import type { Serving } from './log-service.js';
import { EntryCheck } from './produce/entry-check.js';
import { ProduceService } from './produce/produce-service.js';
import { FollowerSide } from './replication/follower-side.js';
import { LeaderSide } from './replication/leader-side.js';
import type { LeaderStream } from './replication/messages.js';
import { LeaderThrottle, TokenBucket } from './replication/throttle.js';
import type { ThrottleRules } from './replication/throttle.js';
import { ThrottledCredit } from './replication/throttled-credit.js';
import { IsrProposals } from './runtime/isr-proposals.js';
import { LeaderLookup } from './runtime/leader-lookup.js';
import { OfflineReports } from './runtime/offline-reports.js';
import type { ReplicaPublisher } from './runtime/metadata-publisher.js';
import type { BrokerMetrics } from './runtime/metrics.js';
import { ReplicaDriver } from './runtime/replica-driver.js';
import type { ReplicaPartition } from './runtime/replica-driver.js';
import { LogCleaner } from './runtime/log-cleaner.js';
import { Retention } from './runtime/retention.js';
import { deleteStrayLogs } from './runtime/stray-logs.js';
import type { TopicConfigs } from './runtime/topic-configs.js';

export type OpenLogs = (options: LogManagerOptions) => Promise<LogManager>;
export type ChangeCoordinator = (options: GroupCoordinatorOptions) => GroupCoordinatorOptions;

/** The ways to other nodes that replication uses. */
export interface ReplicationOptions {
  /** A stream to that broker; undefined while nobody knows where it is. */
  readonly openStream: (leaderId: number) => LeaderStream | undefined;
  readonly controller: Pick<ControllerClient, 'alterPartition' | 'reportOfflineReplicas'>;
  /** Of this broker's registration; undefined while there is none. */
  readonly brokerEpoch: () => number | undefined;
}

export interface ReplicaNodeOptions {
  readonly config: BrokerConfig;
  readonly environment: Environment;
  readonly openLogs: OpenLogs;
  readonly coordinator?: ChangeCoordinator;
  readonly configs: TopicConfigs;
  readonly publisher: ReplicaPublisher;
  /** Where the newest image is read. */
  readonly follower: Pick<MetadataSource, 'image' | 'waitFor'>;
  readonly metrics: BrokerMetrics;
  readonly allocateProducerIds: () => Promise<ProducerIdBlock>;
  readonly replication: ReplicationOptions;
  /** Makes __consumer_offsets. */
  readonly controller: Pick<ControllerClient, 'createInternalTopic'>;
  readonly onFault: (fault: Error) => void;
}

export class ReplicaNode {
  /** Locks and opens the log directory of this cluster; takes over what the metadata log gives this broker. */
  static async open(options: ReplicaNodeOptions): Promise<ReplicaNode> {
    // Logs are opened by the driver, so none goes offline before there is one.
    const opened: { node?: ReplicaNode } = {};
    const logs = await options.openLogs(
      logManagerOptions(options, (log, error) => opened.node?.driver.logFailed(log.topicId, log.partition, error)),
    );
    opened.node = new ReplicaNode(options, logs);
    return opened.node;
  }

  readonly driver: ReplicaDriver;
  readonly serving: Serving;
  /** Serves followers. */
  readonly leaderSide: LeaderSide;
  /** Coordinates the groups of the partitions of __consumer_offsets that are led here. */
  readonly groups: GroupCoordinator;
  readonly #lookup: LeaderLookup;
  readonly #followerSide: FollowerSide;
  readonly #proposals: IsrProposals;
  readonly #offlineReports: OfflineReports;
  readonly #retention: Retention;
  readonly #cleaner: LogCleaner;

  private constructor(
    private readonly options: ReplicaNodeOptions,
    private readonly logs: LogManager,
  ) {
    const { config, environment, configs, publisher, follower, metrics, onFault } = options;
    const { clock, timers, logger } = environment;
    const nodeId = config['node.id'];
    const replicaLagTimeMaxMs = config['replica.lag.time.max.ms'];
    this.driver = new ReplicaDriver({
      nodeId,
      logs,
      configs,
      replicaLagTimeMaxMs,
      clock,
      timers,
      logger,
      metrics,
      onFault,
    });
    this.#proposals = this.#makeProposals();
    this.#offlineReports = this.#makeOfflineReports();
    this.leaderSide = this.#makeLeaderSide();
    this.#followerSide = this.#makeFollowerSide();
    publisher.attach(this.driver, follower.image, () => this.#followerSide.reconsider());
    const intervalMs = config['log.retention.check.interval.ms'];
    this.#retention = new Retention({ driver: this.driver, logs, intervalMs, clock, timers, logger, onFault });
    this.#cleaner = new LogCleaner({
      ...{ driver: this.driver, logs, clock, timers, logger, onFault },
      backoffMs: config['log.cleaner.backoff.ms'],
      maxBytesPerSecond: config['log.cleaner.io.max.bytes.per.second'],
      maxMapBytes: config['log.cleaner.dedupe.buffer.size'],
    });
    this.#lookup = new LeaderLookup(this.driver, () => follower.image);
    this.serving = this.#makeServing();
    this.groups = this.#makeGroups();
    this.#sampleMetrics();
  }

  /** The broker epoch under which this broker last stopped in good order; -1 if it did not. */
  get cleanShutdownEpoch(): number {
    return this.logs.cleanShutdownEpoch;
  }

  /** Once the broker has caught up with the metadata log. */
  async begin(): Promise<void> {
    const { config, environment, follower } = this.options;
    await deleteStrayLogs(this.logs, follower.image, config['node.id'], environment.logger);
    this.driver.startReplication(this.#followerSide);
    this.#retention.start();
    if (config['log.cleaner.enable']) this.#cleaner.start();
    this.groups.begin();
  }

  /** After the replicas have heard of it. */
  metadataChanged(changes: ImageChanges): void {
    this.groups.metadataChanged(changes);
  }

  /** Takes no new entries; resolves when everything appended is stable, and so answered. */
  async drain(): Promise<void> {
    // First: what groups decide from now on would not be appended.
    this.groups.stop(stopping());
    this.driver.refuseProduce();
    await Promise.all(this.logs.logs().map((log) => log.whenStable().catch(() => undefined)));
  }

  async close(): Promise<void> {
    this.groups.stop(stopping());
    await Promise.all([this.#retention.stop(), this.#cleaner.stop()]);
    this.leaderSide.stop();
    this.#followerSide.stop();
    this.#proposals.stop();
    this.#offlineReports.stop();
    await this.driver.stop();
    const cleanShutdownEpoch = this.options.replication.brokerEpoch();
    await this.logs.close({ cleanShutdownEpoch }).catch((error: unknown) => {
      this.options.environment.logger.error('The logs could not be closed in good order', {
        action: 'look at the disk; what was not written is recovered or refused at the next start',
        error,
      });
    });
  }

  #makeProposals(): IsrProposals {
    const { config, environment, replication } = this.options;
    const { timers, logger } = environment;
    return new IsrProposals({
      nodeId: config['node.id'],
      driver: this.driver,
      controller: replication.controller,
      brokerEpoch: replication.brokerEpoch,
      timeoutMs: config['request.timeout.ms'],
      timers,
      logger,
    });
  }

  #makeOfflineReports(): OfflineReports {
    const { config, environment, replication } = this.options;
    const { timers, logger } = environment;
    return new OfflineReports({
      nodeId: config['node.id'],
      driver: this.driver,
      controller: replication.controller,
      brokerEpoch: replication.brokerEpoch,
      timeoutMs: config['request.timeout.ms'],
      timers,
      logger,
    });
  }

  #makeLeaderSide(): LeaderSide {
    const { config, configs, environment, follower, metrics, replication, onFault } = this.options;
    const { clock, timers } = environment;
    const { driver } = this;
    const rules: ThrottleRules = {
      rate: () => configs.throttledRate('leader'),
      names: (topic, partition, brokerId) => configs.isThrottled('leader', topic, partition, brokerId),
    };
    return new LeaderSide({
      nodeId: config['node.id'],
      clusterId: follower.image.clusterId,
      driver,
      metrics,
      throttle: new LeaderThrottle(rules, clock, timers),
      maxMessageBytes: config['replica.fetch.max.bytes'],
      brokerEpoch: replication.brokerEpoch,
      knownEpoch: (id) => driver.broker(id)?.epoch,
      timeoutMs: config['replica.socket.timeout.ms'],
      clock,
      timers,
      onFault,
    });
  }

  #makeFollowerSide(): FollowerSide {
    const { config, configs, environment, follower, replication } = this.options;
    const { clock, timers, random, logger } = environment;
    const windowBytes = config['replica.fetch.response.max.bytes'];
    const nodeId = config['node.id'];
    const bucket = new TokenBucket(() => configs.throttledRate('follower'), clock);
    return new FollowerSide({
      nodeId,
      clusterId: follower.image.clusterId,
      driver: this.driver,
      brokerEpoch: replication.brokerEpoch,
      openStream: replication.openStream,
      windowBytes,
      timeoutMs: config['replica.socket.timeout.ms'],
      // A replica in sync is never throttled: it would fall out.
      isThrottled: ({ topic, partition, isr }) =>
        configs.throttledRate('follower') !== Infinity &&
        !isr.includes(nodeId) &&
        configs.isThrottled('follower', topic, partition, nodeId),
      newThrottledCredit: (grant) => new ThrottledCredit(bucket, windowBytes, timers, grant),
      propose: (partition, proposal, again) => this.#proposals.propose(partition, proposal, again),
      reportOffline: (partition, leaderEpoch) => this.#offlineReports.report(partition, leaderEpoch),
      clock,
      timers,
      random,
      logger,
    });
  }

  #makeServing(): Serving {
    const { config, environment, configs, follower, metrics, allocateProducerIds, onFault } = this.options;
    const { driver } = this;
    const { clock, timers } = environment;
    const lookup = this.#lookup;
    const check = new EntryCheck(lookup, configs, clock);
    const maxRequestBytes = config['socket.request.max.bytes'];
    const rackOf = (id: number): string | undefined =>
      driver.broker(id)?.serves === true ? follower.image.brokers.get(id)?.rack : undefined;
    const selector =
      config['replica.selector.class'] === null ? undefined : rackAwareSelector({ nodeId: config['node.id'], rackOf });
    return {
      produceService: new ProduceService({ driver, check, clock, timers, metrics, maxRequestBytes }),
      budget: new ByteBudget(config['queued.max.request.bytes'], config['barnabas.queued.max.stream.bytes']),
      fetching: { lookup, driver, selector, timers, metrics, maxMessageBytes: config['fetch.max.bytes'], onFault },
      producerIds: new ProducerIds(allocateProducerIds),
    };
  }

  #makeGroups(): GroupCoordinator {
    const { config, configs, environment, follower, controller, onFault } = this.options;
    const { clock, timers, logger, metrics } = environment;
    const { driver } = this;
    const openLog = async (number: number): Promise<GroupLog> => {
      const partition = this.#lookup.partition(CONSUMER_OFFSETS_TOPIC, number);
      const log = await driver.openLog(partition);
      return new ReplicaGroupLog({ driver, partition, log, configs, clock });
    };
    const timeoutMs = config['request.timeout.ms'];
    const coordinatorOptions: GroupCoordinatorOptions = {
      nodeId: config['node.id'],
      settings: groupSettingsOf(config),
      commitTimeoutMs: config['offsets.commit.timeout.ms'],
      topic: new OffsetsTopic({ config, source: follower, controller, timeoutMs, logger }),
      openLog,
      image: () => follower.image,
      metrics: new GroupMetrics(metrics),
      ...{ clock, timers, logger, onFault },
    };
    return new GroupCoordinator(this.options.coordinator?.(coordinatorOptions) ?? coordinatorOptions);
  }

  #sampleMetrics(): void {
    const { driver, serving } = this;
    const count = (matches: (partition: ReplicaPartition) => boolean) => () => {
      let matching = 0;
      for (const partition of driver.partitions()) if (matches(partition)) matching += 1;
      return matching;
    };
    this.options.metrics.sample({
      partitions: count(() => true),
      leaders: count((partition) => partition.isLeader),
      offlineReplicas: count((partition) => partition.log.kind === 'offline'),
      underMinIsr: count(({ isLeader, isUnderMinIsr }) => isLeader && isUnderMinIsr),
      atMinIsr: count(({ isLeader, isr, requiredIsr }) => isLeader && isr.length === requiredIsr),
      underReplicated: count(({ isLeader, isr, replicas }) => isLeader && isr.length < replicas.length),
      maxLag: () => {
        let most = 0;
        for (const { following, logEndOffset } of driver.partitions()) {
          if (following !== undefined) most = Math.max(most, following.leaderLogEndOffset - logEndOffset);
        }
        return most;
      },
      purgatorySize: () => driver.purgatorySize,
      queuedRequestBytes: () => serving.budget.usedBytes,
    });
  }
}

function stopping(): BarnabasError {
  return new BarnabasError('BROKER_NOT_AVAILABLE', 'this broker is stopping: refresh metadata and go on at another');
}

function logManagerOptions(
  { config, environment, follower }: ReplicaNodeOptions,
  onOffline: NonNullable<LogManagerOptions['onOffline']>,
): LogManagerOptions {
  const { clock, timers, logger, metrics } = environment;
  return {
    clock,
    timers,
    logger,
    metrics,
    directory: config['log.dir'],
    clusterId: follower.image.clusterId,
    nodeId: config['node.id'],
    limits: {
      maxOpenDatabases: config['barnabas.log.max.open.partitions'],
      tailCacheBytes: config['barnabas.log.tail.cache.bytes'],
      producerIdExpirationMs: config['producer.id.expiration.ms'],
      checkpointIntervalMs: config['replica.high.watermark.checkpoint.interval.ms'],
    },
    onOffline,
  };
}
