import { v1 } from '@barnabas/protocol';
import { checkedConfigValue, describeConfigKey } from './config-values.js';
import { MetadataDelta } from './delta.js';
import {
  configuredBroker,
  describeBrokerConfig,
  describeTopicConfig,
  effectiveTopicConfig,
  effectiveTopicValue,
} from './effective-config.js';
import { emptyImage } from './image.js';
import type { MetadataImage } from './image.js';
import { internal } from '@barnabas/protocol';
import { brokerSynonyms, dynamicBrokerConfig, replicationThrottleKeys, topicConfig } from './topic-config.js';

const kinds = internal.ConfigRecordResourceType;

function imageWith(configs: readonly (readonly ['topic' | 'broker', string, string, string])[]): MetadataImage {
  const delta = new MetadataDelta(emptyImage);
  delta.replay({ record: { $case: 'topic', topic: { name: 'clicks', topicId: 'A' } } });
  for (const [type, resourceName, key, value] of configs) {
    const resourceType = type === 'topic' ? kinds.TOPIC : kinds.BROKER;
    delta.replay({ record: { $case: 'config', config: { resourceType, resourceName, key, value } } });
  }
  return delta.apply({ offset: 1 + configs.length, term: 1 });
}

/** Kafka 4's documented defaults, but for flush.messages. */
test('defaults', () => {
  expect(Object.fromEntries(topicConfig.describe().map(({ key, defaultValue }) => [key, defaultValue]))).toEqual({
    'cleanup.policy': 'delete',
    'compression.gzip.level': '-1',
    'compression.type': 'producer',
    'compression.zstd.level': '3',
    'delete.retention.ms': '86400000',
    'file.delete.delay.ms': '60000',
    'flush.messages': '1',
    'flush.ms': '9007199254740991',
    'follower.replication.throttled.replicas': '',
    'leader.replication.throttled.replicas': '',
    'max.compaction.lag.ms': '9007199254740991',
    'max.message.bytes': '1048588',
    'message.timestamp.after.max.ms': '3600000',
    'message.timestamp.before.max.ms': '9007199254740991',
    'message.timestamp.type': 'CreateTime',
    'min.cleanable.dirty.ratio': '0.5',
    'min.compaction.lag.ms': '0',
    'min.insync.replicas': '1',
    'retention.bytes': '-1',
    'retention.ms': '604800000',
    'segment.bytes': '1073741824',
    'segment.ms': '604800000',
    'unclean.leader.election.enable': 'false',
  });
});

test('each topic key has a broker key of the same type and default, which can be set while brokers run', () => {
  const brokerKeys = new Map(dynamicBrokerConfig.describe().map((description) => [description.key, description]));
  for (const { key, type, defaultValue, allowed } of topicConfig.describe()) {
    const synonym = brokerSynonyms[key as keyof typeof brokerSynonyms];
    expect(brokerKeys.get(synonym)).toMatchObject({ type, defaultValue, allowed, dynamic: true });
  }
  const rates = Object.keys(replicationThrottleKeys);
  expect(brokerKeys.size).toBe(topicConfig.names.size + rates.length);
  for (const rate of rates) expect(brokerKeys.get(rate)).toMatchObject({ dynamic: true });
});

test('the most specific value wins, and its source is told', () => {
  const config = dynamicBrokerConfig.parse({ 'log.retention.ms': '4', 'log.segment.bytes': '2000000' });
  const broker = configuredBroker(1, dynamicBrokerConfig.entries(config));
  const layers = [
    ['broker', '', 'log.retention.ms', '3'],
    ['broker', '1', 'log.retention.ms', '2'],
    ['topic', 'clicks', 'retention.ms', '1'],
  ] as const;
  const told = (count: number) => {
    const image = imageWith(layers.slice(0, count));
    const [entry] = describeTopicConfig(image, 'clicks', ['retention.ms'], broker);
    expect(effectiveTopicConfig(image, 'clicks', broker)['retention.ms']).toBe(Number(entry?.value));
    expect(effectiveTopicValue(image, 'clicks', 'retention.ms', broker)).toBe(Number(entry?.value));
    return [entry?.value, entry?.source];
  };
  const { ConfigSource } = v1;
  expect(told(0)).toEqual(['4', ConfigSource.STATIC_BROKER_CONFIG]);
  expect(told(1)).toEqual(['3', ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG]);
  expect(told(2)).toEqual(['2', ConfigSource.DYNAMIC_BROKER_CONFIG]);
  expect(told(3)).toEqual(['1', ConfigSource.DYNAMIC_TOPIC_CONFIG]);
  // Another broker has none of this broker's own.
  expect(effectiveTopicConfig(imageWith(layers.slice(1, 2)), 'clicks')['retention.ms']).toBe(604_800_000);
});

test('a broker tells its own keys, and hides secrets', () => {
  const entries = [
    { key: 'log.dir', value: '/data', source: 'file', type: 'STRING', dynamic: false, sensitive: false, doc: 'd' },
    { key: 'ssl.key', value: null, source: 'file', type: 'PASSWORD', dynamic: false, sensitive: true, doc: 'd' },
    { key: 'log.retention.ms', value: '9', source: 'default', type: 'LONG', dynamic: true, sensitive: false, doc: 'd' },
  ] as const;
  const image = imageWith([['broker', '', 'log.retention.ms', '3']]);
  expect(describeBrokerConfig(image, [], configuredBroker(1, entries))).toMatchObject([
    { key: 'log.dir', value: '/data', source: v1.ConfigSource.STATIC_BROKER_CONFIG, readOnly: true },
    { key: 'ssl.key', value: '', sensitive: true },
    { key: 'log.retention.ms', value: '3', source: v1.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, readOnly: false },
  ]);
  expect(describeBrokerConfig(image, ['log.dir'], configuredBroker(1, entries))).toHaveLength(1);
});

test.each([
  ['retention.ms', '-2', /at least -1/],
  ['retention.ms', 'soon', /must be a whole number/],
  ['segment.bytes', '1024', /at least 1048576/],
  ['max.message.bytes', '3000000000', /must be a whole number/],
  ['compression.type', 'brotli', /one of producer, uncompressed, gzip, snappy, lz4, zstd/],
  ['cleanup.policy', 'compact,shred', /must be delete, compact, or both/],
  ['min.cleanable.dirty.ratio', '1.5', /between 0 and 1|0 to 1|at most 1/],
  ['cleanup.policy', '', /must be delete/],
  ['message.timestamp.type', 'createtime', /one of CreateTime, LogAppendTime/],
  ['min.insync.replicas', '0', /at least 1/],
  ['retention', '1', /unknown configuration key "retention": the nearest known key is retention\.(ms|bytes)/],
  ['log.retention.ms', '1', /the nearest known key is retention.ms/],
])('%s=%s is refused for a topic', (key, value, message) => {
  const refused = expect(() => checkedConfigValue('topic', key, value));
  refused.toThrow(message);
  refused.toThrow(expect.objectContaining({ errorName: 'INVALID_CONFIG' }));
});

test('values are stored in one form', () => {
  expect(checkedConfigValue('topic', 'retention.ms', ' 0100 ')).toBe('100');
  expect(checkedConfigValue('topic', 'unclean.leader.election.enable', 'TRUE')).toBe('true');
  expect(checkedConfigValue('broker', 'log.retention.ms', '9223372036854775807')).toBe('9007199254740991');
  expect(describeConfigKey('topic', 'cleanup.policy').type).toBe('LIST');
  expect(() => describeConfigKey('broker', 'retention.ms')).toThrow(/nearest known key is log.retention.ms/);
});
