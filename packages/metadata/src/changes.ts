/**
 * What differs between one image and the next, as publishers see it. A delta knows it from its
 * records; after a snapshot, which has no records of change, it is found by comparing.
 */
import type { BrokerImage, MetadataImage, PartitionImage, TopicImage } from './image.js';
import type { PersistentMap } from './persistent-map.js';

/** One topic that is new or has changed. */
export interface TopicChange {
  /** As it is now. */
  readonly topic: TopicImage;
  /** As it was in the base; undefined if it is new. */
  readonly previous: TopicImage | undefined;
}

export interface ImageChanges {
  /** The image before. */
  readonly base: MetadataImage;
  /** Topics that are new or have changed. A topic deleted and created again is new, and also in removedTopics. */
  readonly changedTopics: readonly TopicChange[];
  /** Topics of the base that are gone, by id. */
  readonly removedTopics: ReadonlyMap<string, TopicImage>;
  /** Ids of brokers that are new, have changed, or are gone. */
  readonly changedBrokers: ReadonlySet<number>;
  /** Names of topics whose configuration has changed, also because the topic is gone. */
  readonly changedTopicConfigs: ReadonlySet<string>;
  /** Brokers whose configuration has changed: ids as text, '' for the default of all brokers. */
  readonly changedBrokerConfigs: ReadonlySet<string>;
}

/** What a follower's image missed when a snapshot replaces it. */
export function changesBetween(base: MetadataImage, image: MetadataImage): ImageChanges {
  const changedTopics: TopicChange[] = [];
  for (const topic of image.topics.values()) {
    const previous = base.topics.withId(topic.id);
    if (previous === undefined || !sameTopic(previous, topic)) changedTopics.push({ topic, previous });
  }
  const removedTopics = new Map<string, TopicImage>();
  for (const topic of base.topics.values()) {
    if (image.topics.withId(topic.id) === undefined) removedTopics.set(topic.id, topic);
  }
  return {
    base,
    changedTopics,
    removedTopics,
    changedBrokers: changedKeys(base.brokers, image.brokers, sameBroker),
    changedTopicConfigs: changedKeys(base.configs.topics, image.configs.topics, sameEntries),
    changedBrokerConfigs: changedKeys(base.configs.brokers, image.configs.brokers, sameEntries),
  };
}

function changedKeys<K extends string | number, V>(
  before: PersistentMap<K, V>,
  after: PersistentMap<K, V>,
  same: (one: V, other: V) => boolean,
): ReadonlySet<K> {
  const keys = new Set<K>();
  for (const [key, value] of after) {
    const previous = before.get(key);
    if (previous === undefined || !same(previous, value)) keys.add(key);
  }
  for (const key of before.keys()) if (!after.has(key)) keys.add(key);
  return keys;
}

function sameTopic(one: TopicImage, other: TopicImage): boolean {
  if (one === other) return true;
  if (one.partitions.length !== other.partitions.length) return false;
  return one.partitions.every((partition, index) => samePartition(partition, other.partitions[index]));
}

/** The partition epoch grows with every change, so two states of one partition at one epoch are one state. */
function samePartition(one: PartitionImage, other: PartitionImage | undefined): boolean {
  return one === other || one.partitionEpoch === other?.partitionEpoch;
}

function sameBroker(one: BrokerImage, other: BrokerImage): boolean {
  // A registration never changes but for these.
  return (
    one === other ||
    (one.epoch === other.epoch &&
      one.fenced === other.fenced &&
      one.inControlledShutdown === other.inControlledShutdown &&
      one.decommissioning === other.decommissioning)
  );
}

function sameEntries(one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): boolean {
  return one === other || (one.size === other.size && [...one].every(([key, value]) => other.get(key) === value));
}
