/**
 * What a client knows of a cluster: brokers, topics, leaders. The port through which everything that
 * routes reads metadata; MetadataCache fills it from the public API, and a gateway may fill it from
 * the metadata log that it follows.
 */

import type { CurrentLeader } from '@barnabas/protocol';

export interface BrokerNode {
  /** Its node.id. */
  readonly id: number;
  /** `host:port` that it advertises. */
  readonly address: string;
  readonly rack: string;
  /** Registered but not serving. */
  readonly fenced: boolean;
}

export interface PartitionMetadata {
  readonly partition: number;
  /** Broker id, or -1. */
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
}

export interface TopicMetadata {
  readonly name: string;
  readonly topicId: string;
  readonly internal: boolean;
  /** Index is the partition number. */
  readonly partitions: readonly PartitionMetadata[];
}

export interface ClusterView {
  /** As far as known now; undefined if there is none or it has not been asked for. */
  topic(name: string): TopicMetadata | undefined;
  broker(id: number): BrokerNode | undefined;
  readonly brokers: ReadonlyMap<number, BrokerNode>;
  /** Empty until the cluster has first answered. */
  readonly clusterId: string;
  /**
   * The topic, once it is known; asks for it until then. Rejects with UNKNOWN_TOPIC_OR_PARTITION when
   * `timeoutMs` is over, and at once where asking again is no use (an illegal name, no permission).
   */
  ensureTopic(name: string, options: EnsureTopicOptions): Promise<TopicMetadata>;
  /** Something here has proved to be out of date: ask for newer soon. Many calls become one. */
  requestRefresh(): void;
  /** A node has said who leads a partition (KIP-951). Ignored unless the epoch is later than what is known. */
  learnLeader(topic: string, partition: number, leader: CurrentLeader): void;
  /**
   * Who should know of the epoch in which the partition is believed to be led does not: what was learned of it
   * is forgotten, since it may be of a topic of that name that was deleted.
   */
  doubtLeader(topic: string, partition: number): void;
  /** Calls back after each change. Returns what ends that. */
  onChange(listener: () => void): () => void;
}

/** The topic with a partition led by somebody else; undefined if the topic says as much or more itself. */
export function withLeader(
  topic: TopicMetadata,
  partition: number,
  { leaderId, leaderEpoch }: CurrentLeader,
): TopicMetadata | undefined {
  const known = topic.partitions[partition];
  if (known === undefined || known.leaderEpoch >= leaderEpoch) return undefined;
  return { ...topic, partitions: topic.partitions.with(partition, { ...known, leader: leaderId, leaderEpoch }) };
}

/** The topic with the partition as metadata has it; undefined if nothing else was known. */
export function withoutLearned(
  topic: TopicMetadata,
  told: TopicMetadata | undefined,
  partition: number,
): TopicMetadata | undefined {
  const [known, before] = [topic.partitions[partition], told?.partitions[partition]];
  if (known === undefined || before === undefined || known.leaderEpoch <= before.leaderEpoch) return undefined;
  return { ...topic, partitions: topic.partitions.with(partition, before) };
}

export interface EnsureTopicOptions {
  readonly timeoutMs: number;
  /** Create it if it does not exist and the cluster allows that. */
  readonly allowAutoTopicCreation: boolean;
}
