/**
 * The configuration that a topic has in the end. Where a value comes from, most specific first:
 *   1  set on the topic
 *   2  set on the broker while it runs, under the broker's synonym of the key
 *   3  set for all brokers while they run
 *   4  the broker's own file, environment or flags
 *   5  built in
 */
import { ConfigError } from '@barnabas/common/config';
import type { ConfigSource } from '@barnabas/common/config';
import { BarnabasError, v1 } from '@barnabas/protocol';
import type { MetadataImage } from './image.js';
import { brokerSynonyms, dynamicBrokerConfig, topicConfig } from './topic-config.js';
import type { TopicConfig, TopicConfigKey, TopicDefaults } from './topic-config.js';

/** The broker from whose point of view a topic's configuration is told. */
export interface ConfiguredBroker {
  readonly id: number;
  /** Its own configuration from file, environment and flags. */
  readonly config: TopicDefaults;
  /** Where a value of it came from; absent means that this is not known. */
  sourceOf?(key: string): ConfigSource;
}

interface EffectiveValue {
  readonly text: string;
  readonly source: v1.ConfigSource;
}

/** A topic's values; without a broker, what a broker with built-in defaults would say. */
export function effectiveTopicConfig(image: MetadataImage, topic: string, broker?: ConfiguredBroker): TopicConfig {
  const texts: Record<string, string> = {};
  for (const key of topicConfigKeys()) texts[key] = effectiveValue(image, topic, key, broker).text;
  return topicConfig.parse(texts);
}

/** A topic's configuration as DescribeConfigs answers it; `keys` empty means all. */
export function describeTopicConfig(
  image: MetadataImage,
  topic: string,
  keys: readonly string[],
  broker?: ConfiguredBroker,
): v1.ConfigEntry[] {
  const wanted = new Set(keys);
  return topicConfig
    .describe()
    .filter(({ key }) => wanted.size === 0 || wanted.has(key))
    .map(({ key, doc, sensitive }) => {
      const { text, source } = effectiveValue(image, topic, key as TopicConfigKey, broker);
      return { key, value: text, source, readOnly: false, sensitive, documentation: doc };
    });
}

/** A broker's dynamic configuration as far as the metadata log tells it; id '' for the default of all brokers. */
export function describeDynamicBrokerConfig(
  image: MetadataImage,
  id: string,
  keys: readonly string[],
): v1.ConfigEntry[] {
  const wanted = new Set(keys);
  return dynamicBrokerConfig
    .describe()
    .filter(({ key }) => wanted.size === 0 || wanted.has(key))
    .flatMap(({ key, doc, sensitive, defaultValue }) => {
      const { text, source } = dynamicValue(image, id, key) ?? {
        text: defaultValue ?? '',
        source: v1.ConfigSource.DEFAULT_CONFIG,
      };
      return { key, value: text, source, readOnly: false, sensitive, documentation: doc };
    });
}

function topicConfigKeys(): readonly TopicConfigKey[] {
  return Object.keys(brokerSynonyms) as TopicConfigKey[];
}

function effectiveValue(
  image: MetadataImage,
  topic: string,
  key: TopicConfigKey,
  broker: ConfiguredBroker | undefined,
): EffectiveValue {
  const own = image.configs.of({ type: 'topic', name: topic }).get(key);
  if (own !== undefined) return { text: own, source: v1.ConfigSource.DYNAMIC_TOPIC_CONFIG };
  const synonym = brokerSynonyms[key];
  const dynamic = dynamicValue(image, broker === undefined ? '' : String(broker.id), synonym);
  return dynamic ?? staticValue(synonym, broker);
}

/** What is set on one broker or on all of them while they run. */
function dynamicValue(image: MetadataImage, id: string, key: string): EffectiveValue | undefined {
  const own = id === '' ? undefined : image.configs.of({ type: 'broker', name: id }).get(key);
  if (own !== undefined) return { text: own, source: v1.ConfigSource.DYNAMIC_BROKER_CONFIG };
  const shared = image.configs.of({ type: 'broker', name: '' }).get(key);
  return shared === undefined ? undefined : { text: shared, source: v1.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG };
}

const builtIn = dynamicBrokerConfig.parse({});

function staticValue(key: keyof TopicDefaults, broker: ConfiguredBroker | undefined): EffectiveValue {
  const defaultText = dynamicBrokerConfig.format(key, builtIn[key]) ?? '';
  if (broker === undefined) return { text: defaultText, source: v1.ConfigSource.DEFAULT_CONFIG };
  const text = dynamicBrokerConfig.format(key, broker.config[key]) ?? '';
  const isDefault = broker.sourceOf === undefined ? text === defaultText : broker.sourceOf(key) === 'default';
  return { text, source: isDefault ? v1.ConfigSource.DEFAULT_CONFIG : v1.ConfigSource.STATIC_BROKER_CONFIG };
}

/** A ConfigError as the error that clients get; anything else as it is. */
export function asInvalidConfig(error: unknown): unknown {
  if (!(error instanceof ConfigError)) return error;
  return new BarnabasError('INVALID_CONFIG', error.message, { key: error.key }, { cause: error });
}
