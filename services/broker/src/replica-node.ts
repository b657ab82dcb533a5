/**
 * Everything that a broker has once its log directory is open: logs, replicas, retention, and what
 * its calls need. Opened and closed as a whole.
 */
import type { LogManager, LogManagerOptions } from '@barnabas/log';
import type { MetadataImage } from '@barnabas/metadata';
import { ByteBudget } from '@barnabas/rpc';
import type { Environment } from '@barnabas/rpc';
import type { BrokerConfig } from './config.js';
import { ProducerIds } from './handlers/init-producer-id.js';
import type { ProducerIdBlock } from './handlers/init-producer-id.js';
import type { Serving } from './log-service.js';
import { EntryCheck } from './produce/entry-check.js';
import { ProduceService } from './produce/produce-service.js';
import { LeaderLookup } from './runtime/leader-lookup.js';
import type { ReplicaPublisher } from './runtime/metadata-publisher.js';
import type { BrokerMetrics } from './runtime/metrics.js';
import { ReplicaDriver } from './runtime/replica-driver.js';
import type { ReplicaPartition } from './runtime/replica-driver.js';
import { Retention } from './runtime/retention.js';
import { deleteStrayLogs } from './runtime/stray-logs.js';
import type { TopicConfigs } from './runtime/topic-configs.js';

export type OpenLogs = (options: LogManagerOptions) => Promise<LogManager>;

export interface ReplicaNodeOptions {
  readonly config: BrokerConfig;
  readonly environment: Environment;
  readonly openLogs: OpenLogs;
  readonly configs: TopicConfigs;
  readonly publisher: ReplicaPublisher;
  /** Where the newest image is read. */
  readonly follower: { readonly image: MetadataImage };
  readonly metrics: BrokerMetrics;
  readonly allocateProducerIds: () => Promise<ProducerIdBlock>;
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
  readonly #retention: Retention;

  private constructor(
    private readonly options: ReplicaNodeOptions,
    private readonly logs: LogManager,
  ) {
    const { config, environment, configs, publisher, follower, metrics, onFault } = options;
    const { clock, timers, logger } = environment;
    const nodeId = config['node.id'];
    this.driver = new ReplicaDriver({ nodeId, logs, configs, clock, timers, logger, metrics, onFault });
    publisher.attach(this.driver, follower.image);
    const intervalMs = config['log.retention.check.interval.ms'];
    this.#retention = new Retention({ driver: this.driver, logs, intervalMs, clock, timers, logger, onFault });
    this.serving = this.#makeServing();
    this.#sampleMetrics();
  }

  /** Once the broker has caught up with the metadata log. */
  async begin(): Promise<void> {
    const { config, environment, follower } = this.options;
    await deleteStrayLogs(this.logs, follower.image, config['node.id'], environment.logger);
    this.#retention.start();
  }

  /** Takes no new entries; resolves when everything appended is stable, and so answered. */
  async drain(): Promise<void> {
    this.driver.refuseProduce();
    await Promise.all(this.logs.logs().map((log) => log.whenStable().catch(() => undefined)));
  }

  async close(): Promise<void> {
    await this.#retention.stop();
    await this.driver.stop();
    await this.logs.close().catch((error: unknown) => {
      this.options.environment.logger.error('The logs could not be closed in good order', {
        action: 'look at the disk; what was not written is recovered or refused at the next start',
        error,
      });
    });
  }

  #makeServing(): Serving {
    const { config, environment, configs, follower, metrics, allocateProducerIds, onFault } = this.options;
    const { driver } = this;
    const { clock, timers } = environment;
    const lookup = new LeaderLookup(driver, () => follower.image);
    const check = new EntryCheck(lookup, configs, clock);
    const maxRequestBytes = config['socket.request.max.bytes'];
    return {
      produceService: new ProduceService({ driver, check, clock, metrics, maxRequestBytes }),
      budget: new ByteBudget(config['queued.max.request.bytes'], config['barnabas.queued.max.stream.bytes']),
      fetching: { lookup, driver, timers, metrics, maxMessageBytes: config['fetch.max.bytes'], onFault },
      producerIds: new ProducerIds(allocateProducerIds),
    };
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
      underMinIsr: count(({ isLeader, isr, config }) => isLeader && isr.length < config['min.insync.replicas']),
      purgatorySize: () => driver.purgatorySize,
      queuedRequestBytes: () => serving.budget.usedBytes,
    });
  }
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
