/**
 * What a run of metadata records changes: replay records into a delta, then apply it to get the next
 * image. Also says what has changed, for publishers that act on changes.
 *
 * The only place where records acquire meaning. A record that does not fit what came before is a
 * broken invariant, never skipped: two nodes must not make different states of one log.
 * Records and their meaning: proto/barnabas/internal/v1/metadata_record.proto.
 *
 * Invariants:
 *   D1  `base` is never changed
 *   D2  the result depends on the base and the records alone, not on how they are cut into deltas
 */
import { InvariantError, assert, present, unreachable } from '@barnabas/common';
import { internal } from '@barnabas/protocol';
import type { ImageChanges, TopicChange } from './changes.js';
import { METADATA_VERSION, SUPPORTED_METADATA_VERSION, featuresFrom } from './features.js';
import { ConfigsImage, NO_LEADER, TopicsImage } from './image.js';
import type { BrokerImage, ConfigResource, MetadataImage, PartitionImage, TopicImage } from './image.js';
import { collisionKey } from './topic-name.js';

type Body = NonNullable<internal.MetadataRecord['record']>;

/** A topic while records change it: its partitions are copied once a delta, however many change. */
interface TopicDraft {
  readonly id: string;
  readonly name: string;
  readonly previous: TopicImage | undefined;
  readonly partitions: PartitionImage[];
}

export class MetadataDelta implements ImageChanges {
  #brokers;
  #topics: TopicsImage;
  #configs: ConfigsImage;
  #clusterId: string;
  #nextProducerId: number;
  #features: ReadonlyMap<string, number>;

  readonly #drafts = new Map<string, TopicDraft>();
  readonly #removedTopics = new Map<string, TopicImage>();
  readonly #touchedBrokers = new Set<number>();
  readonly #touchedTopicConfigs = new Set<string>();
  readonly #touchedBrokerConfigs = new Set<string>();
  #applied: readonly TopicChange[] | undefined;

  constructor(readonly base: MetadataImage) {
    this.#brokers = base.brokers;
    this.#topics = base.topics;
    this.#configs = base.configs;
    this.#clusterId = base.clusterId;
    this.#nextProducerId = base.nextProducerId;
    this.#features = base.features;
  }

  /** Known once the delta is applied. */
  get changedTopics(): readonly TopicChange[] {
    return present(this.#applied, 'an applied delta');
  }

  get removedTopics(): ReadonlyMap<string, TopicImage> {
    return this.#removedTopics;
  }

  get changedBrokers(): ReadonlySet<number> {
    return this.#touchedBrokers;
  }

  get changedTopicConfigs(): ReadonlySet<string> {
    return this.#touchedTopicConfigs;
  }

  get changedBrokerConfigs(): ReadonlySet<string> {
    return this.#touchedBrokerConfigs;
  }

  replay(record: internal.MetadataRecord): void {
    assert(this.#applied === undefined, 'a delta takes no records once it is applied');
    const body = record.record;
    if (body === undefined) {
      throw new InvariantError('the metadata log has a record of a type that this version does not know: upgrade it');
    }
    this.#replayBody(body);
  }

  /** The image after the records. `offset` is the first metadata offset that follows them. */
  apply(at: { readonly offset: number; readonly term: number }): MetadataImage {
    assert(at.offset >= this.base.offset, 'metadata offsets never fall', { ...at, base: this.base.offset });
    assert(at.term >= this.base.term, 'metadata terms never fall', { ...at, base: this.base.term });
    this.#applied ??= this.#finishTopics();
    return {
      offset: at.offset,
      term: at.term,
      clusterId: this.#clusterId,
      brokers: this.#brokers,
      topics: this.#topics,
      configs: this.#configs,
      nextProducerId: this.#nextProducerId,
      features: this.#features,
    };
  }

  #replayBody(body: Body): void {
    switch (body.$case) {
      case 'clusterId':
        return this.#replayClusterId(body.clusterId);
      case 'registerBroker':
        return this.#replayRegisterBroker(body.registerBroker);
      case 'unregisterBroker':
        return this.#replayUnregisterBroker(body.unregisterBroker);
      case 'brokerRegistrationChange':
        return this.#replayBrokerRegistrationChange(body.brokerRegistrationChange);
      case 'topic':
        return this.#replayTopic(body.topic);
      case 'removeTopic':
        return this.#replayRemoveTopic(body.removeTopic);
      case 'partition':
        return this.#replayPartition(body.partition);
      case 'partitionChange':
        return this.#replayPartitionChange(body.partitionChange);
      case 'config':
        return this.#replayConfig(body.config);
      case 'producerIds':
        return this.#replayProducerIds(body.producerIds);
      case 'featureLevel':
        return this.#replayFeatureLevel(body.featureLevel);
      default:
        return unreachable(body);
    }
  }

  #replayClusterId(record: internal.ClusterIdRecord): void {
    assert(record.clusterId !== '', 'a cluster id is not empty');
    assert(this.#clusterId === '' || this.#clusterId === record.clusterId, 'a cluster keeps its id', {
      had: this.#clusterId,
      got: record.clusterId,
    });
    this.#clusterId = record.clusterId;
  }

  #replayRegisterBroker(record: internal.RegisterBrokerRecord): void {
    this.#setBroker({
      id: record.brokerId,
      incarnationId: record.incarnationId,
      epoch: record.brokerEpoch,
      endpoints: record.endpoints.map(({ name, host, port }) => ({ name, host, port })),
      rack: record.rack,
      fenced: record.fenced,
      inControlledShutdown: false,
      decommissioning: this.#brokers.get(record.brokerId)?.decommissioning ?? false,
      features: featuresFrom(record.features),
      flushIntervalMessages: Math.max(1, record.flushIntervalMessages),
    });
  }

  #replayUnregisterBroker(record: internal.UnregisterBrokerRecord): void {
    this.#registered(record.brokerId, record.brokerEpoch);
    this.#brokers = this.#brokers.delete(record.brokerId);
    this.#touchedBrokers.add(record.brokerId);
  }

  #replayBrokerRegistrationChange(record: internal.BrokerRegistrationChangeRecord): void {
    const broker = this.#registered(record.brokerId, record.brokerEpoch);
    this.#setBroker({
      ...broker,
      fenced: record.fenced ?? broker.fenced,
      inControlledShutdown: record.inControlledShutdown ?? broker.inControlledShutdown,
      decommissioning: record.decommissioning ?? broker.decommissioning,
    });
  }

  #registered(id: number, epoch: number): BrokerImage {
    const broker = present(this.#brokers.get(id), 'a registered broker', { id });
    assert(broker.epoch === epoch, 'a record names the registration it changes', { id, epoch, current: broker.epoch });
    return broker;
  }

  #setBroker(broker: BrokerImage): void {
    this.#brokers = this.#brokers.set(broker.id, broker);
    this.#touchedBrokers.add(broker.id);
  }

  #replayTopic({ name, topicId }: internal.TopicRecord): void {
    assert(!this.#topics.idsByName.has(name), 'a topic name is used once', { name });
    assert(!this.#topics.byId.has(topicId), 'a topic id is used once', { topicId });
    const topic: TopicImage = { id: topicId, name, partitions: [] };
    const key = collisionKey(name);
    const other = key === undefined ? undefined : this.#topics.namesByCollisionKey.get(key);
    assert(other === undefined, 'topic names do not collide', { name, other });
    this.#topics = new TopicsImage(
      this.#topics.byId.set(topicId, topic),
      this.#topics.idsByName.set(name, topicId),
      key === undefined ? this.#topics.namesByCollisionKey : this.#topics.namesByCollisionKey.set(key, name),
    );
    this.#drafts.set(topicId, { id: topicId, name, previous: undefined, partitions: [] });
  }

  #replayRemoveTopic({ topicId }: internal.RemoveTopicRecord): void {
    const { name } = present(this.#topics.byId.get(topicId), 'the topic of a record', { topicId });
    const key = collisionKey(name);
    this.#topics = new TopicsImage(
      this.#topics.byId.delete(topicId),
      this.#topics.idsByName.delete(name),
      key === undefined ? this.#topics.namesByCollisionKey : this.#topics.namesByCollisionKey.delete(key),
    );
    this.#drafts.delete(topicId);
    const previous = this.base.topics.byId.get(topicId);
    if (previous !== undefined) this.#removedTopics.set(topicId, previous);
    if (this.#configs.topics.has(name)) {
      this.#configs = new ConfigsImage(this.#configs.topics.delete(name), this.#configs.brokers);
      this.#touchedTopicConfigs.add(name);
    }
  }

  #replayPartition(record: internal.PartitionRecord): void {
    const { partitions } = this.#draft(record.topicId);
    assert(record.partition === partitions.length, 'partitions are created in order', {
      topicId: record.topicId,
      partition: record.partition,
      count: partitions.length,
    });
    const { leader, leaderEpoch, partitionEpoch } = record;
    partitions.push({
      replicas: [...record.replicas],
      isr: [...record.isr],
      leader,
      leaderEpoch,
      partitionEpoch,
      addingReplicas: [...record.addingReplicas],
      removingReplicas: [...record.removingReplicas],
      eligibleLeaderReplicas: [...record.eligibleLeaderReplicas],
      lastKnownElr: [...record.lastKnownElr],
      offlineReplicas: [...record.offlineReplicas],
    });
  }

  #replayPartitionChange(record: internal.PartitionChangeRecord): void {
    const { partitions } = this.#draft(record.topicId);
    const partition = present(partitions[record.partition], 'the partition of a record', {
      topicId: record.topicId,
      partition: record.partition,
    });
    const replicas = record.replicas?.ids ?? partition.replicas;
    const isr = record.isr?.ids ?? partition.isr;
    const leader = record.leader ?? partition.leader;
    assert(leader === NO_LEADER || replicas.includes(leader), 'a leader is one of its replicas', {
      topicId: record.topicId,
      partition: record.partition,
      leader,
    });
    partitions[record.partition] = {
      replicas,
      isr,
      leader,
      leaderEpoch: record.leader === undefined ? partition.leaderEpoch : partition.leaderEpoch + 1,
      partitionEpoch: partition.partitionEpoch + 1,
      addingReplicas: record.addingReplicas?.ids ?? partition.addingReplicas,
      removingReplicas: record.removingReplicas?.ids ?? partition.removingReplicas,
      eligibleLeaderReplicas: record.eligibleLeaderReplicas?.ids ?? partition.eligibleLeaderReplicas,
      lastKnownElr: record.lastKnownElr?.ids ?? partition.lastKnownElr,
      offlineReplicas: record.offlineReplicas?.ids ?? partition.offlineReplicas,
    };
  }

  #draft(topicId: string): TopicDraft {
    const known = this.#drafts.get(topicId);
    if (known !== undefined) return known;
    const topic = present(this.#topics.byId.get(topicId), 'the topic of a record', { topicId });
    const draft = { id: topicId, name: topic.name, previous: topic, partitions: [...topic.partitions] };
    this.#drafts.set(topicId, draft);
    return draft;
  }

  #replayConfig(record: internal.ConfigRecord): void {
    const resource = resourceOf(record);
    const now = new Map(this.#configs.of(resource));
    if (record.value === undefined) now.delete(record.key);
    else now.set(record.key, record.value);
    const { topics, brokers } = this.#configs;
    const update = (all: ConfigsImage['topics']) =>
      now.size === 0 ? all.delete(resource.name) : all.set(resource.name, now);
    if (resource.type === 'topic') {
      assert(this.#topics.idsByName.has(resource.name), 'a configured topic exists', { topic: resource.name });
      this.#configs = new ConfigsImage(update(topics), brokers);
      this.#touchedTopicConfigs.add(resource.name);
    } else {
      this.#configs = new ConfigsImage(topics, update(brokers));
      this.#touchedBrokerConfigs.add(resource.name);
    }
  }

  #replayProducerIds({ nextProducerId }: internal.ProducerIdsRecord): void {
    assert(nextProducerId > this.#nextProducerId, 'producer ids are handed out once', {
      had: this.#nextProducerId,
      got: nextProducerId,
    });
    this.#nextProducerId = nextProducerId;
  }

  #replayFeatureLevel({ name, level }: internal.FeatureLevelRecord): void {
    if (name === METADATA_VERSION && level > SUPPORTED_METADATA_VERSION) {
      throw new InvariantError('the cluster runs at a metadata.version that this node does not know: upgrade it', {
        level,
        supported: SUPPORTED_METADATA_VERSION,
      });
    }
    const features = new Map(this.#features);
    if (level === 0) features.delete(name);
    else features.set(name, level);
    this.#features = features;
  }

  #finishTopics(): readonly TopicChange[] {
    const changes: TopicChange[] = [];
    let { byId } = this.#topics;
    for (const { id, name, previous, partitions } of this.#drafts.values()) {
      const topic: TopicImage = { id, name, partitions };
      byId = byId.set(id, topic);
      changes.push({ topic, previous });
    }
    this.#topics = new TopicsImage(byId, this.#topics.idsByName, this.#topics.namesByCollisionKey);
    return changes;
  }
}

function resourceOf(record: internal.ConfigRecord): ConfigResource {
  switch (record.resourceType) {
    case internal.ConfigRecordResourceType.TOPIC:
      return { type: 'topic', name: record.resourceName };
    case internal.ConfigRecordResourceType.BROKER:
      return { type: 'broker', name: record.resourceName };
    case internal.ConfigRecordResourceType.UNSPECIFIED:
      throw new InvariantError('a configuration record names its kind of resource');
    default:
      throw new InvariantError('a configuration record is of a kind this version does not know: upgrade it', {
        kind: record.resourceType,
      });
  }
}
