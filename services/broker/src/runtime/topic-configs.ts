/** The effective configuration of topics on this broker, worked out once for each change of metadata. */
import { effectiveBrokerRate, effectiveTopicConfig, emptyImage } from '@barnabas/metadata';
import type { ConfiguredBroker, ImageChanges, MetadataImage, TopicConfig } from '@barnabas/metadata';
import type { LogConfig } from '@barnabas/log';
import { logConfigOf } from './log-config.js';

interface Known {
  readonly topic: TopicConfig;
  readonly log: LogConfig;
  /** `partition:broker` of replicas whose replication may be throttled, or `*`. */
  readonly throttled: Readonly<Record<ReplicationSide, ReadonlySet<string>>>;
}

/** Whose part of replication: Kafka has a rate and a list of replicas for each. */
export type ReplicationSide = 'leader' | 'follower';

export class TopicConfigs {
  #image: MetadataImage = emptyImage;
  readonly #known = new Map<string, Known>();
  readonly #rates = new Map<ReplicationSide, number>();

  constructor(private readonly broker: ConfiguredBroker) {}

  /** Forgets what the changes may have made wrong. */
  update(changes: ImageChanges, image: MetadataImage): void {
    this.#image = image;
    if (changes.changedBrokerConfigs.size > 0) {
      this.#known.clear();
      this.#rates.clear();
    }
    for (const name of changes.changedTopicConfigs) this.#known.delete(name);
    for (const topic of changes.removedTopics.values()) this.#known.delete(topic.name);
  }

  topicConfig(topic: string): TopicConfig {
    return this.#of(topic).topic;
  }

  /** Bytes a second; Infinity unless it is limited. */
  throttledRate(side: ReplicationSide): number {
    const known = this.#rates.get(side);
    if (known !== undefined) return known;
    const rate = effectiveBrokerRate(this.#image, `${side}.replication.throttled.rate`, this.broker);
    const value = rate === Number.MAX_SAFE_INTEGER ? Infinity : rate;
    this.#rates.set(side, value);
    return value;
  }

  /** Whether the topic names this partition's replica on that broker. */
  isThrottled(side: ReplicationSide, topic: string, partition: number, brokerId: number): boolean {
    const replicas = this.#of(topic).throttled[side];
    return replicas.size > 0 && (replicas.has('*') || replicas.has(`${partition}:${brokerId}`));
  }

  logConfig(topic: string): LogConfig {
    return this.#of(topic).log;
  }

  #of(topic: string): Known {
    const known = this.#known.get(topic);
    if (known !== undefined) return known;
    const config = effectiveTopicConfig(this.#image, topic, this.broker);
    const throttled = {
      leader: new Set(config['leader.replication.throttled.replicas']),
      follower: new Set(config['follower.replication.throttled.replicas']),
    };
    const fresh = { topic: config, log: logConfigOf(config), throttled };
    this.#known.set(topic, fresh);
    return fresh;
  }
}
