/**
 * The cluster as the public API tells it: a watch that pushes changes, and questions where the watch
 * does not serve (it is not open yet, a topic is new to it, something proved stale, it has been
 * silent for metadata.max.age.ms).
 *
 * Invariants:
 *   M1  what is known never goes back: an answer older than what was applied before is dropped, and
 *       the leader epoch of a partition never falls while the topic lives
 *   M2  the topics watched are those asked for, or all
 *   M3  one cluster: a node with another cluster id is refused
 */
import type { Timer } from '@barnabas/common';
import { BarnabasError, ERRORS, errorFromProto, toBarnabasError, v1 } from '@barnabas/protocol';
import type { CurrentLeader } from '@barnabas/protocol';
import type { Environment, MessageStream } from '@barnabas/rpc';
import type { ConnectionOptions } from '../options/connection-options.js';
import { backoffMs, sleep } from './backoff.js';
import { withLeader, withoutLearned } from './cluster-view.js';
import type { BrokerNode, ClusterView, EnsureTopicOptions, TopicMetadata } from './cluster-view.js';
import { Listeners } from './listeners.js';
import type { NodePool } from './node-pool.js';
import { fromWireBroker } from './wire-broker.js';

export interface MetadataCacheParts {
  readonly pool: NodePool;
  readonly environment: Environment;
  readonly options: ConnectionOptions;
  /** `all` watches every topic, `asked` those that ensureTopic has been called for. */
  readonly topics: 'all' | 'asked';
}

type Watch = MessageStream<v1.WatchMetadataResponse, never>;

/** Topics new to the watch gather for this long before it is opened anew with them. */
const WIDEN_WATCH_AFTER_MS = 50;

export class MetadataCache implements ClusterView {
  readonly #parts: MetadataCacheParts;
  readonly #topics = new Map<string, TopicMetadata>();
  /** The same without what nodes have said of leaders besides. */
  readonly #told = new Map<string, TopicMetadata>();
  /** Metadata offset up to which each topic is true; kept for topics that are gone. */
  readonly #topicOffsets = new Map<string, number>();
  readonly #brokers = new Map<number, BrokerNode>();
  #brokersOffset = -1;
  readonly #asked = new Set<string>();
  readonly #changed = new Listeners();
  #clusterId = '';
  #watch: Watch | undefined;
  #watched = new Set<string>();
  #watchFailures = 0;
  #watchTimer: Timer | undefined;
  #ageTimer: Timer | undefined;
  #lastHeardMs = 0;
  #refreshing: Promise<void> | undefined;
  #refreshTimer: Timer | undefined;
  #lastRefreshMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(parts: MetadataCacheParts) {
    this.#parts = parts;
  }

  get clusterId(): string {
    return this.#clusterId;
  }

  get brokers(): ReadonlyMap<number, BrokerNode> {
    return this.#brokers;
  }

  /** Every topic known. */
  get topics(): ReadonlyMap<string, TopicMetadata> {
    return this.#topics;
  }

  topic(name: string): TopicMetadata | undefined {
    return this.#topics.get(name);
  }

  broker(id: number): BrokerNode | undefined {
    return this.#brokers.get(id);
  }

  onChange(listener: () => void): () => void {
    return this.#changed.add(listener);
  }

  /** Opens the watch. Called once. */
  start(): void {
    this.#lastHeardMs = this.#now();
    this.#armAgeTimer(this.#parts.options.metadataMaxAgeMs);
    this.#openWatch();
  }

  close(): void {
    this.#closed = true;
    this.#watchTimer?.cancel();
    this.#ageTimer?.cancel();
    this.#refreshTimer?.cancel();
    this.#watch?.cancel();
    this.#watch = undefined;
  }

  async ensureTopic(name: string, { timeoutMs, allowAutoTopicCreation }: EnsureTopicOptions): Promise<TopicMetadata> {
    const { environment, options } = this.#parts;
    this.#ask(name);
    const deadline = this.#now() + timeoutMs;
    const policy = { baseMs: options.retryBackoffMs, maxMs: options.retryBackoffMaxMs };
    for (let failures = 1; ; failures++) {
      const known = this.#topics.get(name);
      if (known !== undefined) return known;
      const leftMs = deadline - this.#now();
      const error = await this.#fetch({ topics: [name], allowAutoTopicCreation, brokersOnly: false }, leftMs, name);
      if (this.#topics.has(name)) continue;
      if (error !== undefined && !error.retriable) throw error;
      const pauseMs = backoffMs(policy, failures, environment.random);
      if (this.#closed) throw new BarnabasError('INVALID_REQUEST', 'the client is closed');
      if (this.#now() + pauseMs >= deadline) throw error ?? notKnown(name, timeoutMs);
      await Promise.race([sleep(environment.timers, pauseMs), this.#nextChange()]);
    }
  }

  learnLeader(topic: string, partition: number, leader: CurrentLeader): void {
    const known = this.#topics.get(topic);
    if (known === undefined || !this.#brokers.has(leader.leaderId)) return;
    const learned = withLeader(known, partition, leader);
    if (learned === undefined) return;
    this.#topics.set(topic, learned);
    this.#changed.call();
  }

  doubtLeader(topic: string, partition: number): void {
    const known = this.#topics.get(topic);
    const told = known && withoutLearned(known, this.#told.get(topic), partition);
    if (told === undefined) return;
    this.#topics.set(topic, told);
    this.#changed.call();
  }

  requestRefresh(): void {
    if (this.#closed || this.#refreshing !== undefined || this.#refreshTimer !== undefined) return;
    const { timers } = this.#parts.environment;
    const waitMs = Math.max(0, this.#lastRefreshMs + this.#parts.options.retryBackoffMs - this.#now());
    this.#refreshTimer = timers.after(waitMs, () => {
      this.#refreshTimer = undefined;
      void this.refresh().catch((error: unknown) => this.#logFailure(error));
    });
  }

  /** Asks a node for the topics known so far, now. */
  async refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
      this.#lastRefreshMs = this.#now();
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    const topics = this.#parts.topics === 'all' ? [] : [...this.#asked];
    const brokersOnly = this.#parts.topics === 'asked' && topics.length === 0;
    const error = await this.#fetch(
      { topics, allowAutoTopicCreation: false, brokersOnly },
      this.#parts.options.requestTimeoutMs,
    );
    if (error !== undefined) throw error;
  }

  /** Asks and applies. Returns what went wrong with the call, or with the topic `about`. */
  async #fetch(request: v1.GetMetadataRequest, timeoutMs: number, about?: string): Promise<BarnabasError | undefined> {
    try {
      const response = await this.#parts.pool.call(
        (channel, options) => channel.client(v1.MetadataServiceDefinition).getMetadata(request, options),
        { timeoutMs: Math.max(1, timeoutMs) },
      );
      this.#lastHeardMs = this.#now();
      this.#applyAnswer(response);
      const topic = response.topics.find(({ name }) => name === about);
      return topic?.error === undefined ? undefined : errorFromProto(topic.error);
    } catch (error) {
      return toBarnabasError(error);
    }
  }

  #applyAnswer(response: v1.GetMetadataResponse): void {
    const { metadataOffset } = response;
    this.#checkCluster(response.clusterId);
    if (metadataOffset >= this.#brokersOffset) this.#brokers.clear();
    this.#putBrokers(response.brokers, metadataOffset);
    this.#putTopics(response.topics, metadataOffset);
    this.#announce();
  }

  #applyWatch(message: v1.WatchMetadataResponse): void {
    const { metadataOffset } = message;
    this.#checkCluster(message.clusterId);
    if (message.full) this.#forgetMissing(message);
    if (metadataOffset >= this.#brokersOffset) {
      for (const id of message.removedBrokers) this.#brokers.delete(id);
    }
    for (const name of message.removedTopics) this.#removeTopic(name, metadataOffset);
    this.#putBrokers(message.brokers, metadataOffset);
    this.#putTopics(message.topics, metadataOffset);
    this.#announce();
  }

  /** What a full state does not name is gone. */
  #forgetMissing({ topics, metadataOffset }: v1.WatchMetadataResponse): void {
    if (metadataOffset >= this.#brokersOffset) this.#brokers.clear();
    const named = new Set(topics.map(({ name }) => name));
    const covered = this.#parts.topics === 'all' ? [...this.#topics.keys()] : this.#watched;
    for (const name of covered) if (!named.has(name)) this.#removeTopic(name, metadataOffset);
  }

  #announce(): void {
    this.#parts.pool.setBrokers([...this.#brokers.values()].filter((b) => !b.fenced).map((b) => b.address));
    this.#changed.call();
  }

  #checkCluster(clusterId: string): void {
    if (this.#clusterId === '') this.#clusterId = clusterId;
    if (this.#clusterId === clusterId) return;
    throw new BarnabasError(
      'INCONSISTENT_CLUSTER_ID',
      `a node of cluster ${clusterId} answered a client of cluster ${this.#clusterId}: bootstrap must name one cluster`,
      { expected: this.#clusterId, actual: clusterId },
    );
  }

  #putBrokers(brokers: readonly v1.Broker[], asOf: number): void {
    if (asOf < this.#brokersOffset) return;
    this.#brokersOffset = asOf;
    for (const broker of brokers) this.#brokers.set(broker.id, fromWireBroker(broker));
  }

  #putTopics(topics: readonly v1.Topic[], asOf: number): void {
    for (const { name, topicId, internal, partitions, error } of topics) {
      const code = error?.code ?? 0;
      if (code === ERRORS.UNKNOWN_TOPIC_OR_PARTITION.code) this.#removeTopic(name, asOf);
      else if (code === 0 && this.#isNews(name, asOf)) {
        const told = { name, topicId, internal, partitions };
        this.#told.set(name, told);
        this.#topics.set(name, this.#withLearnedLeaders(told));
      }
    }
  }

  /** A leader that a node has named may be news to the node that tells of the topic. */
  #withLearnedLeaders(told: TopicMetadata): TopicMetadata {
    const known = this.#topics.get(told.name);
    if (known?.topicId !== told.topicId) return told;
    return known.partitions.reduce((topic, { partition, leader, leaderEpoch }) => {
      const learned = withLeader(topic, partition, { leaderId: leader, leaderEpoch });
      return learned ?? topic;
    }, told);
  }

  #removeTopic(name: string, asOf: number): void {
    if (!this.#isNews(name, asOf)) return;
    this.#topics.delete(name);
    this.#told.delete(name);
  }

  #isNews(topic: string, asOf: number): boolean {
    if (asOf < (this.#topicOffsets.get(topic) ?? -1)) return false;
    this.#topicOffsets.set(topic, asOf);
    return true;
  }

  #ask(name: string): void {
    if (this.#parts.topics === 'all' || this.#asked.has(name)) return;
    this.#asked.add(name);
    this.#watchTimer ??= this.#parts.environment.timers.after(WIDEN_WATCH_AFTER_MS, () => this.#openWatch());
  }

  /** Opens the watch, in place of one for fewer topics. With nothing to watch there is none. */
  #openWatch(): void {
    this.#watchTimer?.cancel();
    this.#watchTimer = undefined;
    const topics = this.#parts.topics === 'all' ? [] : [...this.#asked];
    if (this.#closed || (this.#parts.topics === 'asked' && topics.length === 0)) return;
    const previous = this.#watch;
    this.#watch = undefined;
    previous?.cancel();
    const { pool } = this.#parts;
    const { address } = pool;
    const watch = pool.channel(address).client(v1.MetadataServiceDefinition).watchMetadata({ topics });
    this.#watch = watch;
    this.#watched = new Set(topics);
    watch.handle({
      onMessage: (message) => {
        if (this.#watch === watch) this.#onWatchMessage(address, message);
      },
      onClose: (error) => {
        if (this.#watch === watch) this.#onWatchClosed(address, error);
      },
    });
  }

  #onWatchMessage(address: string, message: v1.WatchMetadataResponse): void {
    this.#watchFailures = 0;
    this.#lastHeardMs = this.#now();
    this.#parts.pool.succeeded(address);
    try {
      this.#applyWatch(message);
    } catch (error) {
      this.#watch?.cancel();
      this.#onWatchClosed(address, toBarnabasError(error));
    }
  }

  #onWatchClosed(address: string, error: BarnabasError | undefined): void {
    const { environment, options, pool } = this.#parts;
    this.#watch = undefined;
    pool.failed(address);
    const policy = { baseMs: options.reconnectBackoffMs, maxMs: options.reconnectBackoffMaxMs };
    // A node without the watch is asked again at metadata.max.age.ms, and otherwise only when something is stale.
    const isUnserved = error?.status === 'UNIMPLEMENTED';
    const pauseMs = isUnserved
      ? options.metadataMaxAgeMs
      : backoffMs(policy, ++this.#watchFailures, environment.random);
    this.#watchTimer?.cancel();
    this.#watchTimer = environment.timers.after(pauseMs, () => this.#openWatch());
    environment.logger.debug('the metadata watch broke off', { address, error: error?.errorName, pauseMs });
  }

  #armAgeTimer(delayMs: number): void {
    const { metadataMaxAgeMs } = this.#parts.options;
    this.#ageTimer = this.#parts.environment.timers.after(delayMs, () => {
      const leftMs = this.#lastHeardMs + metadataMaxAgeMs - this.#now();
      if (leftMs <= 0) this.requestRefresh();
      this.#armAgeTimer(leftMs <= 0 ? metadataMaxAgeMs : leftMs);
    });
  }

  #nextChange(): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.#changed.add(() => {
        stop();
        resolve();
      });
    });
  }

  #logFailure(error: unknown): void {
    if (this.#closed) return;
    this.#parts.environment.logger.warn('no node answers for metadata', {
      error: toBarnabasError(error).message,
      action: 'check the bootstrap addresses and that the cluster runs',
    });
  }

  #now(): number {
    return this.#parts.environment.clock.monotonic();
  }
}

function notKnown(topic: string, timeoutMs: number): BarnabasError {
  return new BarnabasError(
    'UNKNOWN_TOPIC_OR_PARTITION',
    `topic ${topic} is not known to the cluster after ${timeoutMs} ms: create it, or check its name`,
    { topic },
  );
}
