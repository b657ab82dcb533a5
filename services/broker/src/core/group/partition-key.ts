/**
 * A partition as one string, so that sets and maps of partitions are sets and maps of strings, and
 * the way between those and the lists in records.
 */
import { assert } from '@barnabas/common';
import type { internal } from '@barnabas/protocol';

/** `<topic id>/<partition>`. Topic ids have no slash. */
export type PartitionKey = string;

export interface TopicPartitionId {
  readonly topicId: string;
  readonly partition: number;
}

export function partitionKey(topicId: string, partition: number): PartitionKey {
  return `${topicId}/${partition}`;
}

export function parsePartitionKey(key: PartitionKey): TopicPartitionId {
  const at = key.lastIndexOf('/');
  assert(at > 0, 'a partition key has a topic id and a partition', { key });
  return { topicId: key.slice(0, at), partition: Number(key.slice(at + 1)) };
}

/** By topic id, then by partition. */
export function comparePartitionKeys(one: PartitionKey, other: PartitionKey): number {
  const [a, b] = [parsePartitionKey(one), parsePartitionKey(other)];
  if (a.topicId !== b.topicId) return a.topicId < b.topicId ? -1 : 1;
  return a.partition - b.partition;
}

/** Partitions with the member epoch at which each was given to its owner. */
export type OwnedPartitions = ReadonlyMap<PartitionKey, number>;

export function toTopicPartitions(keys: Iterable<PartitionKey>): internal.GroupTopicPartitions[] {
  return grouped(keys, () => undefined);
}

export function toOwnedTopicPartitions(owned: OwnedPartitions): internal.GroupTopicPartitions[] {
  return grouped(owned.keys(), (key) => owned.get(key));
}

/** What lists of records say, worked out once: a record is planned with, and replayed as it is. */
const setsOf = new WeakMap<readonly internal.GroupTopicPartitions[], ReadonlySet<PartitionKey>>();
const ownedOf = new WeakMap<readonly internal.GroupTopicPartitions[], OwnedPartitions>();

export function fromTopicPartitions(topics: readonly internal.GroupTopicPartitions[]): ReadonlySet<PartitionKey> {
  const known = setsOf.get(topics);
  if (known !== undefined) return known;
  const keys = new Set<PartitionKey>();
  for (const { topicId, partitions } of topics) {
    for (const partition of partitions) keys.add(partitionKey(topicId, partition));
  }
  setsOf.set(topics, keys);
  return keys;
}

export function fromOwnedTopicPartitions(topics: readonly internal.GroupTopicPartitions[]): OwnedPartitions {
  const known = ownedOf.get(topics);
  if (known !== undefined) return known;
  const owned = new Map<PartitionKey, number>();
  for (const { topicId, partitions, assignmentEpochs } of topics) {
    assert(partitions.length === assignmentEpochs.length, 'every owned partition has its epoch', { topicId });
    for (const [index, partition] of partitions.entries()) {
      owned.set(partitionKey(topicId, partition), assignmentEpochs[index] ?? 0);
    }
  }
  ownedOf.set(topics, owned);
  return owned;
}

function grouped(
  keys: Iterable<PartitionKey>,
  epochOf: (key: PartitionKey) => number | undefined,
): internal.GroupTopicPartitions[] {
  const topics = new Map<string, internal.GroupTopicPartitions>();
  for (const key of [...keys].sort(comparePartitionKeys)) {
    const { topicId, partition } = parsePartitionKey(key);
    const topic = topics.get(topicId) ?? { topicId, partitions: [], assignmentEpochs: [] };
    topics.set(topicId, topic);
    topic.partitions.push(partition);
    const epoch = epochOf(key);
    if (epoch !== undefined) topic.assignmentEpochs.push(epoch);
  }
  return [...topics.values()];
}
