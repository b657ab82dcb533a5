/**
 * The configuration that a topic or a broker has in the end. Where a topic's value comes from, most
 * specific first; a broker's own keys skip the first:
 *   1  set on the topic
 *   2  set on the broker while it runs (for a topic: under the broker's synonym of the key)
 *   3  set for all brokers while they run
 *   4  the broker's own file, environment or flags
 *   5  built in
 */
import type { ConfigEntry } from '@barnabas/common/config';
import { v1 } from '@barnabas/protocol';
import type { MetadataImage } from './image.js';
import { brokerSynonyms, dynamicBrokerConfig, topicConfig } from './topic-config.js';
import type { TopicConfig, TopicConfigKey, replicationThrottleKeys } from './topic-config.js';

/** The broker from whose point of view a configuration is told. */
export interface ConfiguredBroker {
  /** As text; '' for "any broker with built-in defaults". */
  readonly id: string;
  /** What it was started with, by key. */
  readonly entries: ReadonlyMap<string, ConfigEntry>;
}

/** A broker by its id and `definition.entries(config)`. */
export function configuredBroker(id: number, entries: readonly ConfigEntry[]): ConfiguredBroker {
  return { id: String(id), entries: new Map(entries.map((entry) => [entry.key, entry])) };
}

const dynamicDefaults = dynamicBrokerConfig.entries(dynamicBrokerConfig.parse({}));

/** What answers where no broker is concerned: a controller, for example. */
const anyBroker: ConfiguredBroker = {
  id: '',
  entries: new Map(dynamicDefaults.map((entry) => [entry.key, entry])),
};

/** A broker of which only the metadata log is known. */
export function distantBroker(id: string): ConfiguredBroker {
  return { id, entries: anyBroker.entries };
}

interface EffectiveValue {
  readonly text: string;
  readonly source: v1.ConfigSource;
}

/** A topic's values; without a broker, what a broker with built-in defaults would say. */
export function effectiveTopicConfig(image: MetadataImage, topic: string, broker = anyBroker): TopicConfig {
  const keys = Object.keys(brokerSynonyms) as TopicConfigKey[];
  return topicConfig.parse(Object.fromEntries(keys.map((key) => [key, topicValue(image, topic, key, broker).text])));
}

/** One of a topic's values: cheaper than all of them. */
export function effectiveTopicValue<K extends TopicConfigKey>(
  image: MetadataImage,
  topic: string,
  key: K,
  broker = anyBroker,
): TopicConfig[K] {
  return topicConfig.parseValue(key, topicValue(image, topic, key, broker).text);
}

/** One of a broker's own values that can change while it runs. */
export function effectiveBrokerRate(
  image: MetadataImage,
  key: keyof typeof replicationThrottleKeys,
  broker = anyBroker,
): number {
  return dynamicBrokerConfig.parseValue(key, brokerValue(image, key, broker).text);
}

/** A topic's configuration as DescribeConfigs answers it; `keys` empty means all. */
export function describeTopicConfig(
  image: MetadataImage,
  topic: string,
  keys: readonly string[],
  broker = anyBroker,
): v1.ConfigEntry[] {
  return select(topicConfig.describe(), keys).map(({ key, doc, sensitive }) => {
    const { text, source } = topicValue(image, topic, key as TopicConfigKey, broker);
    return { key, value: text, source, readOnly: false, sensitive, documentation: doc };
  });
}

/** A broker's configuration as DescribeConfigs answers it; without a broker, the default of all brokers. */
export function describeBrokerConfig(
  image: MetadataImage,
  keys: readonly string[],
  broker = anyBroker,
): v1.ConfigEntry[] {
  return select([...broker.entries.values()], keys).map((entry) => {
    const { text, source } = brokerValue(image, entry.key, broker);
    const { key, doc, sensitive, dynamic } = entry;
    return { key, value: sensitive ? '' : text, source, readOnly: !dynamic, sensitive, documentation: doc };
  });
}

function select<E extends { readonly key: string }>(entries: readonly E[], keys: readonly string[]): readonly E[] {
  const wanted = new Set(keys);
  return wanted.size === 0 ? entries : entries.filter(({ key }) => wanted.has(key));
}

function topicValue(
  image: MetadataImage,
  topic: string,
  key: TopicConfigKey,
  broker: ConfiguredBroker,
): EffectiveValue {
  const own = image.configs.of({ type: 'topic', name: topic }).get(key);
  if (own !== undefined) return { text: own, source: v1.ConfigSource.DYNAMIC_TOPIC_CONFIG };
  return brokerValue(image, brokerSynonyms[key], broker);
}

function brokerValue(image: MetadataImage, key: string, broker: ConfiguredBroker): EffectiveValue {
  const own = broker.id === '' ? undefined : image.configs.of({ type: 'broker', name: broker.id }).get(key);
  if (own !== undefined) return { text: own, source: v1.ConfigSource.DYNAMIC_BROKER_CONFIG };
  const shared = image.configs.of({ type: 'broker', name: '' }).get(key);
  if (shared !== undefined) return { text: shared, source: v1.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG };
  const given = broker.entries.get(key) ?? anyBroker.entries.get(key);
  const isDefault = given === undefined || given.source === 'default';
  return {
    text: given?.value ?? '',
    source: isDefault ? v1.ConfigSource.DEFAULT_CONFIG : v1.ConfigSource.STATIC_BROKER_CONFIG,
  };
}
