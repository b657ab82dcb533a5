/**
 * What a controller tells about itself: Kafka's controller metrics, read when they are asked for.
 * Elections are counted as they come about: runtime/election-metrics.ts.
 */
import type { Metrics } from '@barnabas/common';
import { NO_LEADER } from '@barnabas/metadata';
import type { MetadataImage, PartitionImage } from '@barnabas/metadata';
import type { ControllerRuntime } from './runtime/controller-runtime.js';

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
