/**
 * The metadata image: everything the metadata log says, as of one offset. Immutable; a new image
 * shares whatever has not changed with the one before, so that keeping or comparing images is cheap
 * and `===` on a topic, partition or broker means that it has not changed.
 *
 * Made only by MetadataDelta. Holds facts, not opinions: who may do what with them is decided by the
 * controller's core.
 *
 * Invariants (delta.ts upholds them):
 *   I1  topics.byName and topics.byId name the same topics
 *   I2  the partitions of a topic are numbered from 0 without gaps
 *   I3  no two topics have names that differ only in '.' and '_'
 *   I4  offset and term never fall from one image to its successor
 *   I5  a configuration that exists has at least one key; a topic's goes when the topic goes
 */
import type { FeatureRangeImage } from './features.js';
import { PersistentMap } from './persistent-map.js';

/** Leader of a partition that has none. */
export const NO_LEADER = -1;

/** Where a broker is reached: `CLIENT` for clients, `INTERNAL` for other services. */
export interface EndpointImage {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** A registered broker. */
export interface BrokerImage {
  readonly id: number;
  readonly incarnationId: string;
  /** Metadata offset of its registration. */
  readonly epoch: number;
  readonly endpoints: readonly EndpointImage[];
  /** Empty if it has none. */
  readonly rack: string;
  /** Registered but not serving. */
  readonly fenced: boolean;
  /** Serving, but to get no new leaderships. */
  readonly inControlledShutdown: boolean;
  /** To be emptied: gets no new replicas. Outlives a registration. */
  readonly decommissioning: boolean;
  /** The feature levels that it can work with. */
  readonly features: ReadonlyMap<string, FeatureRangeImage>;
  /** log.flush.interval.messages as it was started with. */
  readonly flushIntervalMessages: number;
}

/** A partition; its number is its position in TopicImage.partitions. */
export interface PartitionImage {
  /** Broker ids, the preferred leader first. */
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  /** Broker id, or NO_LEADER. */
  readonly leader: number;
  /** Grows by one with each change of leader. */
  readonly leaderEpoch: number;
  /** Grows by one with each change. */
  readonly partitionEpoch: number;
  /** Those of the replicas that a reassignment adds. */
  readonly addingReplicas: readonly number[];
  /** Those of the replicas that a reassignment removes once the added ones are in sync. */
  readonly removingReplicas: readonly number[];
  /** Out of the ISR, but known to hold everything committed (KIP-966). */
  readonly eligibleLeaderReplicas: readonly number[];
  /** The last leader, while neither the ISR nor the eligible replicas have a member that can lead (KIP-966). */
  readonly lastKnownElr: readonly number[];
  /** Those of the replicas that their brokers cannot use. */
  readonly offlineReplicas: readonly number[];
}

export interface TopicImage {
  /** A UUID in base64url: a topic created again under the same name has another. */
  readonly id: string;
  readonly name: string;
  readonly partitions: readonly PartitionImage[];
}

/** All topics, by id and by name. */
export class TopicsImage {
  static readonly empty = new TopicsImage(PersistentMap.empty(), PersistentMap.empty(), PersistentMap.empty());

  constructor(
    readonly byId: PersistentMap<string, TopicImage>,
    /** Name to id. */
    readonly idsByName: PersistentMap<string, string>,
    /** Names with '.' and '_' made equal, to the one topic that may bear such a name. */
    readonly namesByCollisionKey: PersistentMap<string, string>,
  ) {}

  get size(): number {
    return this.byId.size;
  }

  named(name: string): TopicImage | undefined {
    const id = this.idsByName.get(name);
    return id === undefined ? undefined : this.byId.get(id);
  }

  withId(id: string): TopicImage | undefined {
    return this.byId.get(id);
  }

  partition(topicId: string, partition: number): PartitionImage | undefined {
    return this.byId.get(topicId)?.partitions[partition];
  }

  values(): IterableIterator<TopicImage> {
    return this.byId.values();
  }
}

/** What a configuration belongs to. A broker's name is its id as text, or '' for all brokers. */
export interface ConfigResource {
  readonly type: 'topic' | 'broker';
  readonly name: string;
}

/** The dynamic configurations: only what has been set, as text. */
export class ConfigsImage {
  static readonly empty = new ConfigsImage(PersistentMap.empty(), PersistentMap.empty());

  constructor(
    readonly topics: PersistentMap<string, ReadonlyMap<string, string>>,
    readonly brokers: PersistentMap<string, ReadonlyMap<string, string>>,
  ) {}

  of(resource: ConfigResource): ReadonlyMap<string, string> {
    const configs = resource.type === 'topic' ? this.topics : this.brokers;
    return configs.get(resource.name) ?? NOTHING_SET;
  }
}

const NOTHING_SET: ReadonlyMap<string, string> = new Map();

export interface MetadataImage {
  /** The first metadata offset that is not in it. */
  readonly offset: number;
  /** Raft term in which its last record was written. */
  readonly term: number;
  /** Empty until the cluster's first record. */
  readonly clusterId: string;
  readonly brokers: PersistentMap<number, BrokerImage>;
  readonly topics: TopicsImage;
  readonly configs: ConfigsImage;
  /** First producer id that no block contains yet. */
  readonly nextProducerId: number;
  /** Feature name to level; a feature at 0 is absent. */
  readonly features: ReadonlyMap<string, number>;
}

/** What an empty log says. */
export const emptyImage: MetadataImage = Object.freeze({
  offset: 0,
  term: 0,
  clusterId: '',
  brokers: PersistentMap.empty<number, BrokerImage>(),
  topics: TopicsImage.empty,
  configs: ConfigsImage.empty,
  nextProducerId: 0,
  features: new Map<string, number>(),
});

/** The endpoint of a name, if the broker has it. */
export function endpointOf(broker: BrokerImage, name: string): EndpointImage | undefined {
  return broker.endpoints.find((endpoint) => endpoint.name === name);
}

/** Listener name under which clients reach a broker. */
export const CLIENT_LISTENER = 'CLIENT';
/** Listener name under which other services reach a broker. */
export const INTERNAL_LISTENER = 'INTERNAL';
