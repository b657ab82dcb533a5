/**
 * The cluster as routing sees it, from the metadata log that this node follows: always as new as
 * the log, never asked for. Gateways route by it, and brokers where they read for clients. Brokers are reached at their INTERNAL listener where they have one.
 *
 * Invariants:
 *   V1  whoever listens to onChange sees a view that is at least as new as the change
 *   V2  a topic's metadata is the same object until the topic changes, or a node names a later leader
 */
import { withLeader, withoutLearned } from '@barnabas/client';
import type { BrokerNode, ClusterView, EnsureTopicOptions, NodePool, TopicMetadata } from '@barnabas/client';
import { formatAddress } from '@barnabas/common/config';
import { CLIENT_LISTENER, endpointOf, INTERNAL_LISTENER, isInternalTopic, topicNameProblem } from '@barnabas/metadata';
import type { BrokerImage, ImageChanges, MetadataPublisher, MetadataSource, TopicImage } from '@barnabas/metadata';
import type { ControllerClient } from '@barnabas/metadata/follower';
import { BarnabasError, errorFromProto } from '@barnabas/protocol';
import type { CurrentLeader } from '@barnabas/protocol';

export interface FollowedViewParts {
  readonly source: MetadataSource;
  readonly controller: Pick<ControllerClient, 'autoCreateTopics'>;
}

/** Until a topic that has been created must have come down to this node. */
const APPEARANCE_TIMEOUT_MS = 5_000;

export class FollowedView implements ClusterView, MetadataPublisher {
  readonly name = 'routes';
  readonly #parts: FollowedViewParts;
  readonly #listeners = new Set<() => void>();
  readonly #topics = new WeakMap<TopicImage, TopicMetadata>();
  readonly #creating = new Map<string, Promise<void>>();
  #brokers: ReadonlyMap<number, BrokerNode> = new Map();
  #pool: Pick<NodePool, 'setBrokers'> | undefined;

  constructor(parts: FollowedViewParts) {
    this.#parts = parts;
  }

  /** Who is to know the brokers that serve, for calls that any of them answers. */
  feed(pool: Pick<NodePool, 'setBrokers'>): void {
    this.#pool = pool;
    this.#feedPool();
  }

  publish(changes: ImageChanges): void {
    if (changes.changedBrokers.size > 0) {
      this.#brokers = new Map(
        [...this.#parts.source.image.brokers.values()].map((broker) => [broker.id, node(broker)]),
      );
      this.#feedPool();
    }
    for (const listener of [...this.#listeners]) listener();
  }

  get clusterId(): string {
    return this.#parts.source.image.clusterId;
  }

  get brokers(): ReadonlyMap<number, BrokerNode> {
    return this.#brokers;
  }

  broker(id: number): BrokerNode | undefined {
    return this.#brokers.get(id);
  }

  topic(name: string): TopicMetadata | undefined {
    const image = this.#parts.source.image.topics.named(name);
    return image === undefined ? undefined : this.#metadataOf(image);
  }

  /** The topic, or INVALID_TOPIC_EXCEPTION, UNKNOWN_TOPIC_OR_PARTITION, BROKER_NOT_AVAILABLE (no metadata yet). */
  knownTopic(name: string): TopicMetadata {
    const topic = this.topic(name);
    if (topic !== undefined) return topic;
    throw this.#missing(name);
  }

  /** Whether the topic's own configuration has the leader stamp its records. */
  hasLogAppendTime(topic: string): boolean {
    const configs = this.#parts.source.image.configs.of({ type: 'topic', name: topic });
    return configs.get('message.timestamp.type') === 'LogAppendTime';
  }

  /** Does not wait for others to create the topic: what the log does not have does not exist. */
  async ensureTopic(name: string, options: EnsureTopicOptions): Promise<TopicMetadata> {
    const topic = this.topic(name);
    if (topic !== undefined) return topic;
    const missing = this.#missing(name);
    if (!options.allowAutoTopicCreation || missing.errorName !== 'UNKNOWN_TOPIC_OR_PARTITION') throw missing;
    await this.#create(name, options.timeoutMs);
    return this.knownTopic(name);
  }

  /** There is nothing newer than the log. */
  requestRefresh(): void {}

  /** The log comes to it by itself, a little later: until then the topic is as the node has said. */
  learnLeader(name: string, partition: number, leader: CurrentLeader): void {
    const image = this.#parts.source.image.topics.named(name);
    if (image === undefined || !this.#brokers.has(leader.leaderId)) return;
    const learned = withLeader(this.#metadataOf(image), partition, leader);
    if (learned === undefined) return;
    this.#topics.set(image, learned);
    for (const listener of [...this.#listeners]) listener();
  }

  doubtLeader(name: string, partition: number): void {
    const image = this.#parts.source.image.topics.named(name);
    const told = image && withoutLearned(this.#metadataOf(image), topicMetadata(image), partition);
    if (image === undefined || told === undefined) return;
    this.#topics.set(image, told);
    for (const listener of [...this.#listeners]) listener();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Asks the controller, once for all who wait; it refuses where auto.create.topics.enable is off. */
  #create(name: string, timeoutMs: number): Promise<void> {
    const running = this.#creating.get(name);
    if (running !== undefined) return running;
    const creation = this.#askToCreate(name, timeoutMs).finally(() => this.#creating.delete(name));
    this.#creating.set(name, creation);
    return creation;
  }

  async #askToCreate(name: string, timeoutMs: number): Promise<void> {
    const { controller, source } = this.#parts;
    const { results, metadataOffset } = await controller.autoCreateTopics({ names: [name] }, { timeoutMs });
    const [result] = results;
    if (result?.error !== undefined) throw errorFromProto(result.error);
    await source.waitFor((image) => image.offset >= metadataOffset, APPEARANCE_TIMEOUT_MS);
  }

  #metadataOf(image: TopicImage): TopicMetadata {
    let metadata = this.#topics.get(image);
    if (metadata === undefined) {
      metadata = topicMetadata(image);
      this.#topics.set(image, metadata);
    }
    return metadata;
  }

  #missing(name: string): BarnabasError {
    if (this.clusterId === '') {
      return new BarnabasError('BROKER_NOT_AVAILABLE', 'this node does not know its cluster yet: wait and retry');
    }
    const problem = topicNameProblem(name);
    if (problem !== undefined) return new BarnabasError('INVALID_TOPIC_EXCEPTION', problem);
    return new BarnabasError(
      'UNKNOWN_TOPIC_OR_PARTITION',
      `topic ${name} does not exist: check the name or create the topic`,
      { topic: name },
    );
  }

  #feedPool(): void {
    const serving = [...this.#brokers.values()].filter((broker) => !broker.fenced);
    this.#pool?.setBrokers(serving.map(({ address }) => address));
  }
}

function node(broker: BrokerImage): BrokerNode {
  const endpoint = endpointOf(broker, INTERNAL_LISTENER) ?? endpointOf(broker, CLIENT_LISTENER);
  const address = endpoint === undefined ? '' : formatAddress(endpoint);
  return { id: broker.id, address, rack: broker.rack, fenced: broker.fenced };
}

function topicMetadata(image: TopicImage): TopicMetadata {
  return {
    name: image.name,
    topicId: image.id,
    internal: isInternalTopic(image.name),
    partitions: image.partitions.map((state, partition) => ({
      partition,
      leader: state.leader,
      leaderEpoch: state.leaderEpoch,
      replicas: state.replicas,
      isr: state.isr,
    })),
  };
}
