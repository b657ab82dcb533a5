/** What a controller tells about itself: Kafka's controller metrics, read when they are asked for. */
import type { Metrics } from '@barnabas/common';
import { NO_LEADER } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import type { ControllerRuntime } from './runtime/controller-runtime.js';

export function registerMetrics(metrics: Metrics, runtime: ControllerRuntime): void {
  const sample = (name: string, help: string, read: (image: MetadataImage) => number) =>
    metrics.sampled({ name: `barnabas_controller_${name}`, help }, () => read(runtime.timeline.committed));
  sample('active_count', '1 if this controller is active.', () => (runtime.isActive ? 1 : 0));
  sample('active_broker_count', 'Registered brokers that serve.', (image) => brokers(image, false));
  sample('fenced_broker_count', 'Registered brokers that do not serve.', (image) => brokers(image, true));
  sample('global_topic_count', 'Topics.', (image) => image.topics.size);
  sample('global_partition_count', 'Partitions.', (image) => partitions(image, () => true));
  sample('offline_partitions_count', 'Partitions without a leader.', (image) =>
    partitions(image, ({ leader }) => leader === NO_LEADER),
  );
  sample('committed_metadata_offset', 'First metadata offset that is not committed.', (image) => image.offset);
  sample('metadata_followers', 'Brokers and gateways that follow the metadata log here.', () => runtime.feeds.size);
}

function brokers(image: MetadataImage, fenced: boolean): number {
  return [...image.brokers.values()].filter((broker) => broker.fenced === fenced).length;
}

type PartitionState = { readonly leader: number };

function partitions(image: MetadataImage, counts: (partition: PartitionState) => boolean): number {
  let sum = 0;
  for (const topic of image.topics.values()) sum += topic.partitions.filter(counts).length;
  return sum;
}
