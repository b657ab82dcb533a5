/** The effective configuration of topics on this broker, worked out once for each change of metadata. */
import { emptyImage, effectiveTopicConfig } from '@barnabas/metadata';
import type { ConfiguredBroker, ImageChanges, MetadataImage, TopicConfig } from '@barnabas/metadata';
import type { LogConfig } from '@barnabas/log';
import { logConfigOf } from './log-config.js';

interface Known {
  readonly topic: TopicConfig;
  readonly log: LogConfig;
}

export class TopicConfigs {
  #image: MetadataImage = emptyImage;
  readonly #known = new Map<string, Known>();

  constructor(private readonly broker: ConfiguredBroker) {}

  /** Forgets what the changes may have made wrong. */
  update(changes: ImageChanges, image: MetadataImage): void {
    this.#image = image;
    if (changes.changedBrokerConfigs.size > 0) this.#known.clear();
    for (const name of changes.changedTopicConfigs) this.#known.delete(name);
    for (const topic of changes.removedTopics.values()) this.#known.delete(topic.name);
  }

  topicConfig(topic: string): TopicConfig {
    return this.#of(topic).topic;
  }

  logConfig(topic: string): LogConfig {
    return this.#of(topic).log;
  }

  #of(topic: string): Known {
    const known = this.#known.get(topic);
    if (known !== undefined) return known;
    const config = effectiveTopicConfig(this.#image, topic, this.broker);
    const fresh = { topic: config, log: logConfigOf(config) };
    this.#known.set(topic, fresh);
    return fresh;
  }
}
