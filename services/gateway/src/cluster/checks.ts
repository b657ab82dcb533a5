/** What is checked of a partition that a client names, before anybody is asked about it. */
import type { TopicMetadata } from '@barnabas/client';
import { BarnabasError } from '@barnabas/protocol';

/** UNKNOWN_TOPIC_OR_PARTITION for a partition that the topic does not have. */
export function checkPartition(topic: TopicMetadata, partition: number): void {
  if (partition >= 0 && partition < topic.partitions.length) return;
  throw new BarnabasError(
    'UNKNOWN_TOPIC_OR_PARTITION',
    `topic ${topic.name} has ${topic.partitions.length} partitions, so there is no partition ${partition}`,
    { topic: topic.name, partition, count: topic.partitions.length },
  );
}

/**
 * UNKNOWN_LEADER_EPOCH for a client that knows a later leader than this gateway does. One that knows only
 * earlier ones is served: the gateway follows leaders for it.
 */
export function checkNotBehind(topic: TopicMetadata, partition: number, said = -1): void {
  const leaderEpoch = topic.partitions[partition]?.leaderEpoch ?? -1;
  if (said <= leaderEpoch) return;
  throw new BarnabasError(
    'UNKNOWN_LEADER_EPOCH',
    `this gateway has not heard of leader epoch ${said} of ${topic.name}-${partition} yet, it knows ${leaderEpoch}: retry`,
    { topic: topic.name, partition, said, current: leaderEpoch },
  );
}
