/**
 * What a controller tells about itself: Kafka's controller metrics. States are read when they are asked
 * for; elections are counted by the controller that decided them, when they are committed.
 */
import type { Metrics } from '@barnabas/common';
import { NO_LEADER } from '@barnabas/metadata';
import type { MetadataImage, PartitionImage } from '@barnabas/metadata';
import type { ElectionCounts } from './core/index.js';
import type { ControllerRuntime } from './runtime/controller-runtime.js';

export interface ElectionMetrics {
  /** A batch of this controller's own has been committed, so long after it was decided. */
  elected(counts: ElectionCounts, elapsedMs: number): void;
}

export function electionMetrics(metrics: Metrics): ElectionMetrics {
  const seconds = metrics.histogram({
    name: 'barnabas_controller_leader_election_seconds',
    help: 'From the decision to the commit, once for each partition that got another leader (LeaderElectionRateAndTimeMs).',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  });
  const unclean = metrics.counter({
    name: 'barnabas_controller_unclean_leader_elections_total',
    help: 'Partitions that got a leader which may lack committed records (UncleanLeaderElectionsPerSec).',
  });
  return {
    elected(counts, elapsedMs) {
      for (let index = 0; index < counts.elections; index++) seconds.observe(elapsedMs / 1000);
      if (counts.unclean > 0) unclean.add(counts.unclean);
    },
  };
}

export function registerMetrics(metrics: Metrics, runtime: ControllerRuntime): void {
  const sample = (name: string, help: string, read: (image: MetadataImage) => number) =>
    metrics.sampled({ name: `barnabas_controller_${name}`, help }, () => read(runtime.timeline.committed));
  sample('active_count', '1 if this controller is active (ActiveControllerCount).', () => (runtime.isActive ? 1 : 0));
  sample('active_broker_count', 'Registered brokers that serve (ActiveBrokerCount).', (image) => brokers(image, false));
  sample('fenced_broker_count', 'Registered brokers that do not serve (FencedBrokerCount).', (image) =>
    brokers(image, true),
  );
  sample('global_topic_count', 'Topics (GlobalTopicCount).', (image) => image.topics.size);
  sample('global_partition_count', 'Partitions (GlobalPartitionCount).', (image) => partitions(image, () => true));
  sample('offline_partitions_count', 'Partitions without a leader (OfflinePartitionsCount).', (image) =>
    partitions(image, ({ leader }) => leader === NO_LEADER),
  );
  sample(
    'preferred_replica_imbalance_count',
    'Partitions that their preferred leader does not lead (PreferredReplicaImbalanceCount).',
    (image) => partitions(image, ({ leader, replicas }) => leader !== replicas[0]),
  );
  sample('committed_metadata_offset', 'First metadata offset that is not committed.', (image) => image.offset);
  sample('metadata_followers', 'Brokers and gateways that follow the metadata log here.', () => runtime.feeds.size);
}

function brokers(image: MetadataImage, fenced: boolean): number {
  return [...image.brokers.values()].filter((broker) => broker.fenced === fenced).length;
}

function partitions(image: MetadataImage, counts: (partition: PartitionImage) => boolean): number {
  let sum = 0;
  for (const topic of image.topics.values()) sum += topic.partitions.filter(counts).length;
  return sum;
}
