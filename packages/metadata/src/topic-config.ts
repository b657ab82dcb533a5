/**
 * What can be configured on a topic: Kafka's keys, defaults and limits, one key for everything that
 * the partition log, the leader and elections act on, and no key that does nothing: no
 * compression.lz4.level, for example, since the lz4 codec here has one level.
 *
 * Every topic key has a broker key that gives its default for topics that do not set it: Kafka's
 * "server default property" (`retention.ms` ↔ `log.retention.ms`). Brokers take these keys into their
 * own definition (`topicDefaultKeys`), so that both names are read by one rule.
 *
 * One default differs from Kafka's: flush.messages is 1, not unlimited. A record acknowledged with
 * acks=all is then on the disk of every replica in sync and outlives all of them losing power at
 * once; writes that wait together share a sync, so it costs far less than a sync a record.
 */
import { boolean, defineConfig, double, enumeration, integer, key, list, long, string } from '@barnabas/common/config';
import type { ConfigKeys, ValuesOf } from '@barnabas/common/config';

const HOUR_MS = 3_600_000;
const WEEK_MS = 7 * 24 * HOUR_MS;
/** Kafka's Long.MAX_VALUE, as far as this code can count. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

const cleanupPolicies = {
  ...list(enumeration(['delete', 'compact']), { min: 1, unique: true }),
  allowed: 'delete, compact, or both',
};

/** Replicas whose replication may be throttled: all of a topic, or partition and broker of each. */
const throttledReplicas = list(string({ pattern: /^(\*|\d+:\d+)$/, allowed: '* or partition:broker' }), {
  unique: true,
});

const topicKeys = {
  'cleanup.policy': key(cleanupPolicies, {
    default: ['delete'],
    doc: 'What happens to old records: delete drops them by retention.ms and retention.bytes, compact those whose key has a later record.',
  }),
  'compression.gzip.level': key(integer({ min: -1, max: 9 }), {
    default: -1,
    doc: 'The level at which compression.type gzip compresses; -1 is the library’s own default.',
  }),
  'compression.type': key(enumeration(['producer', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd']), {
    default: 'producer',
    doc: 'How batches are compressed in the log: producer keeps what each producer chose.',
  }),
  'compression.zstd.level': key(integer({ min: 1, max: 22 }), {
    default: 3,
    doc: 'The level at which compression.type zstd compresses.',
  }),
  'delete.retention.ms': key(long({ min: 0 }), {
    default: 24 * HOUR_MS,
    doc: 'Milliseconds that a tombstone stays in a compacted topic once compaction has passed it: as long as a reader may take from the beginning to the end.',
  }),
  'file.delete.delay.ms': key(long({ min: 0 }), {
    default: 60_000,
    doc: 'Milliseconds between the deletion of a topic and that of its files.',
  }),
  'flush.messages': key(long({ min: 1 }), {
    default: 1,
    doc: 'Records after which the log is synced to disk. 1 syncs every write before it is acknowledged.',
  }),
  'flush.ms': key(long({ min: 0 }), {
    default: UNLIMITED,
    doc: 'Milliseconds after which written records are synced to disk at the latest.',
  }),
  'follower.replication.throttled.replicas': key(throttledReplicas, {
    default: [],
    doc: 'Replicas, as partition:broker or *, that follow no faster than follower.replication.throttled.rate while they catch up.',
  }),
  'leader.replication.throttled.replicas': key(throttledReplicas, {
    default: [],
    doc: 'Replicas, as partition:broker or *, that are sent to no faster than leader.replication.throttled.rate while they catch up.',
  }),
  'max.compaction.lag.ms': key(long({ min: 1 }), {
    default: UNLIMITED,
    doc: 'Milliseconds after which a record of a compacted topic is compacted at the latest, whatever min.cleanable.dirty.ratio says.',
  }),
  'max.message.bytes': key(integer({ min: 0 }), {
    default: 1_048_588,
    doc: 'Largest record batch that is accepted, in bytes, after compression.',
  }),
  'message.timestamp.after.max.ms': key(long({ min: 0 }), {
    default: HOUR_MS,
    doc: 'How far a record’s timestamp may lie after the broker’s clock, with message.timestamp.type CreateTime.',
  }),
  'message.timestamp.before.max.ms': key(long({ min: 0 }), {
    default: UNLIMITED,
    doc: 'How far a record’s timestamp may lie before the broker’s clock, with message.timestamp.type CreateTime.',
  }),
  'message.timestamp.type': key(enumeration(['CreateTime', 'LogAppendTime']), {
    default: 'CreateTime',
    doc: 'Whose time a record bears: the producer’s (CreateTime) or that of its arrival (LogAppendTime).',
  }),
  'min.cleanable.dirty.ratio': key(double({ min: 0, max: 1 }), {
    default: 0.5,
    doc: 'Share of a compacted log that is not compacted yet above which it is compacted, 0 to 1.',
  }),
  'min.compaction.lag.ms': key(long({ min: 0 }), {
    default: 0,
    doc: 'Milliseconds that a record of a compacted topic stays uncompacted at least.',
  }),
  'min.insync.replicas': key(integer({ min: 1 }), {
    default: 1,
    doc: 'In-sync replicas that must exist for a write with acks=all to be accepted.',
  }),
  'retention.bytes': key(long({ min: -1 }), {
    default: -1,
    doc: 'Bytes that each partition keeps before its oldest records go; -1 is no limit.',
  }),
  'retention.ms': key(long({ min: -1 }), {
    default: WEEK_MS,
    doc: 'Milliseconds that records are kept; -1 is no limit.',
  }),
  'segment.bytes': key(integer({ min: 1_048_576 }), {
    default: 1_073_741_824,
    doc: 'Bytes after which a new segment begins. Retention drops whole segments.',
  }),
  'segment.ms': key(long({ min: 1 }), {
    default: WEEK_MS,
    doc: 'Milliseconds after which a new segment begins, even if the last is not full.',
  }),
  'unclean.leader.election.enable': key(boolean(), {
    default: false,
    doc: 'Whether a replica out of sync may become leader when none in sync is left: available again, but records are lost.',
  }),
} as const satisfies ConfigKeys;

/** The topic keys by name. */
export const topicConfig = defineConfig(topicKeys);

/** A topic key. */
export type TopicConfigKey = keyof typeof topicKeys;
/** The effective configuration of a topic, under Kafka's own keys. */
export type TopicConfig = ValuesOf<typeof topicKeys>;

/** Which broker key gives the default of a topic key. */
export const brokerSynonyms = {
  'cleanup.policy': 'log.cleanup.policy',
  'compression.gzip.level': 'compression.gzip.level',
  'compression.type': 'compression.type',
  'compression.zstd.level': 'compression.zstd.level',
  'delete.retention.ms': 'log.cleaner.delete.retention.ms',
  'file.delete.delay.ms': 'log.segment.delete.delay.ms',
  'flush.messages': 'log.flush.interval.messages',
  'flush.ms': 'log.flush.interval.ms',
  'follower.replication.throttled.replicas': 'follower.replication.throttled.replicas',
  'leader.replication.throttled.replicas': 'leader.replication.throttled.replicas',
  'max.compaction.lag.ms': 'log.cleaner.max.compaction.lag.ms',
  'max.message.bytes': 'message.max.bytes',
  'message.timestamp.after.max.ms': 'log.message.timestamp.after.max.ms',
  'message.timestamp.before.max.ms': 'log.message.timestamp.before.max.ms',
  'message.timestamp.type': 'log.message.timestamp.type',
  'min.cleanable.dirty.ratio': 'log.cleaner.min.cleanable.ratio',
  'min.compaction.lag.ms': 'log.cleaner.min.compaction.lag.ms',
  'min.insync.replicas': 'min.insync.replicas',
  'retention.bytes': 'log.retention.bytes',
  'retention.ms': 'log.retention.ms',
  'segment.bytes': 'log.segment.bytes',
  'segment.ms': 'log.roll.ms',
  'unclean.leader.election.enable': 'unclean.leader.election.enable',
} as const satisfies Readonly<Record<TopicConfigKey, string>>;

type Synonyms = typeof brokerSynonyms;
type TopicDefaultKeys = { readonly [K in TopicConfigKey as Synonyms[K]]: (typeof topicKeys)[K] };

/**
 * The broker keys that give topics their defaults: for a broker's own definition (`defineConfig({
 * ...topicDefaultKeys, … })`). All of them can be set while brokers run.
 */
export const topicDefaultKeys = Object.fromEntries(
  Object.entries(topicKeys).map(([name, definition]) => [
    brokerSynonyms[name as TopicConfigKey],
    { ...definition, doc: `For topics that do not set ${name}. ${definition.doc}`, dynamic: true },
  ]),
) as unknown as TopicDefaultKeys;

/** The rates at which a broker brings replicas up to date (KIP-73). Both can be set while brokers run. */
export const replicationThrottleKeys = {
  'follower.replication.throttled.rate': key(long({ min: 1 }), {
    default: UNLIMITED,
    dynamic: true,
    doc: 'Bytes a second that this broker fetches for replicas that catch up and that follower.replication.throttled.replicas names.',
  }),
  'leader.replication.throttled.rate': key(long({ min: 1 }), {
    default: UNLIMITED,
    dynamic: true,
    doc: 'Bytes a second that this broker sends to replicas that catch up and that leader.replication.throttled.replicas names.',
  }),
} as const satisfies ConfigKeys;

/** What can be changed on brokers while they run. */
export const dynamicBrokerConfig = defineConfig({ ...topicDefaultKeys, ...replicationThrottleKeys });

/** Those values of a broker's configuration that give topics their defaults. */
export type TopicDefaults = ValuesOf<TopicDefaultKeys>;
