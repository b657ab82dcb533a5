/**
 * A broker's configuration: Kafka's keys and defaults where Kafka has them. Keys of our own begin
 * with `barnabas.`. Only keys that do something are here; the defaults of topics come from
 * @barnabas/metadata, so that `log.retention.ms` here and `retention.ms` there are one rule.
 */
import {
  addresses,
  advertisedListeners,
  boolean,
  defineConfig,
  enumeration,
  integer,
  key,
  list,
  listeners,
  long,
  quorumVoters,
  string,
} from '@barnabas/common/config';
import type { ConfigEntry, ConfigOf } from '@barnabas/common/config';
import { replicationThrottleKeys, topicDefaultKeys } from '@barnabas/metadata';

const KiB = 1024;
const MiB = 1024 * KiB;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

export const brokerConfig = defineConfig(
  {
    ...topicDefaultKeys,
    ...replicationThrottleKeys,

    // Who and where.
    'node.id': key(integer({ min: 0 }), { required: true, doc: 'The id of this broker, unique among brokers.' }),
    'broker.rack': key(string({ minLength: 1 }), {
      default: null,
      doc: 'The rack or zone in which this broker stands.',
    }),
    'log.dir': key(string({ minLength: 1 }), { required: true, doc: 'The directory of partition logs.' }),
    listeners: key(listeners(), {
      default: [{ name: 'CLIENT', host: '', port: 7700 }],
      doc: 'Where the broker listens.',
    }),
    'advertised.listeners': key(advertisedListeners(), {
      default: null,
      doc: 'Where others are told to reach the broker; what it is bound to unless set.',
    }),
    'controller.quorum.voters': key(quorumVoters(), {
      default: null,
      doc: 'The controllers that vote, where the configuration says so. Who else votes by now they tell themselves.',
    }),
    'controller.quorum.bootstrap.servers': key(addresses(), {
      default: null,
      doc: 'Controllers to ask for the others, where the quorum says who votes (KIP-853). This or controller.quorum.voters must be given.',
    }),

    // Life with the controller.
    'broker.heartbeat.interval.ms': key(integer({ min: 1 }), {
      default: 2000,
      doc: 'How often the broker tells the controller that it is alive.',
    }),
    'initial.broker.registration.timeout.ms': key(integer({ min: 1 }), {
      default: 60_000,
      doc: 'How long a starting broker tries to register before it gives up.',
    }),
    'controlled.shutdown.enable': key(boolean(), {
      default: true,
      doc: 'Whether a stopping broker asks the controller to move its leaderships away first.',
    }),
    'request.timeout.ms': key(integer({ min: 1 }), {
      default: 30_000,
      doc: 'How long the broker waits for an answer of the controller before it asks again.',
    }),

    // What one request or client may cost.
    'socket.request.max.bytes': key(integer({ min: 1 }), {
      default: 100 * MiB,
      doc: 'The most bytes of batches and records in one produce request.',
    }),
    'queued.max.request.bytes': key(long({ min: 1 }), {
      default: 64 * MiB,
      doc: 'Bytes that may wait for the disk, over all clients; beyond it the broker stops reading produce streams.',
    }),
    'barnabas.queued.max.stream.bytes': key(long({ min: 1 }), {
      default: 16 * MiB,
      doc: 'Bytes of one produce stream that may wait for the disk; beyond it the broker stops reading that stream.',
    }),
    'fetch.max.bytes': key(integer({ min: KiB }), {
      default: 8 * MiB,
      doc: 'The most bytes of batches in one message of a fetch stream, whatever the client asks for.',
    }),

    'barnabas.fetch.stream.buffer.bytes': key(integer({ min: 65_536 }), {
      default: 4 * MiB,
      doc: 'What the broker holds for one Subscribe stream whose client does not read; each leader may add one message.',
    }),

    // Replication.
    'replica.lag.time.max.ms': key(integer({ min: 1 }), {
      default: 30_000,
      doc: 'How long a follower may be without something that its leader has before it leaves the in-sync set.',
    }),
    'replica.fetch.max.bytes': key(integer({ min: KiB }), {
      default: MiB,
      doc: 'The most bytes of one partition in one message to a follower, but always at least one batch.',
    }),
    'replica.fetch.response.max.bytes': key(integer({ min: KiB }), {
      default: 10 * MiB,
      doc: 'Bytes of batches that a broker holds of one leader before they are on its disk.',
    }),
    'replica.socket.timeout.ms': key(integer({ min: 10 }), {
      default: 10_000,
      doc: 'How long nothing may be heard on a replication stream before it is given up. Kafka’s default is 30,000: a silent stream should be replaced before replica.lag.time.max.ms takes its followers out of in-sync sets.',
    }),

    'replica.selector.class': key(
      enumeration(['RackAwareReplicaSelector', 'org.apache.kafka.common.replica.RackAwareReplicaSelector']),
      {
        default: null,
        doc: 'Whom readers that give a rack (client.rack) read from: with RackAwareReplicaSelector a replica in their rack, else the leader.',
      },
    ),

    // Logs.
    'log.retention.minutes': key(integer({ min: 1 }), {
      default: null,
      doc: 'log.retention.ms in minutes; used where that is not set.',
    }),
    'log.retention.hours': key(integer({ min: 1 }), {
      default: null,
      doc: 'log.retention.ms in hours; used where neither that nor log.retention.minutes is set.',
    }),
    'log.roll.hours': key(integer({ min: 1 }), {
      default: null,
      doc: 'log.roll.ms in hours; used where that is not set.',
    }),
    'log.retention.check.interval.ms': key(long({ min: 1 }), {
      default: 300_000,
      doc: 'How often logs are looked through for what retention drops.',
    }),
    'log.cleaner.enable': key(boolean(), {
      default: true,
      doc: 'Whether logs of topics with cleanup.policy compact are compacted.',
    }),
    'log.cleaner.backoff.ms': key(long({ min: 1 }), {
      default: 15_000,
      doc: 'How often logs are looked through for what is to be compacted.',
    }),
    'log.cleaner.dedupe.buffer.size': key(long({ min: MiB }), {
      default: 128 * MiB,
      doc: 'The most memory for the keys of one pass, at 24 bytes each; a log with more keys takes several passes.',
    }),
    'log.cleaner.io.max.bytes.per.second': key(long({ min: 1 }), {
      default: Number.MAX_SAFE_INTEGER,
      doc: 'The most bytes that compaction reads and writes in a second, over all logs.',
    }),
    'replica.high.watermark.checkpoint.interval.ms': key(long({ min: 1 }), {
      default: 5000,
      doc: 'How often high watermarks are written to disk.',
    }),
    'producer.id.expiration.ms': key(integer({ min: 1 }), {
      default: 86_400_000,
      doc: 'How long a partition remembers an idempotent producer that has stopped writing.',
    }),
    // Groups.
    'offsets.topic.num.partitions': key(integer({ min: 1, max: 10_000 }), {
      default: 50,
      doc: 'Partitions of __consumer_offsets when it is made. They never change: a group is found by their number.',
    }),
    'offsets.topic.replication.factor': key(integer({ min: 1 }), {
      default: 3,
      doc: 'Replicas of __consumer_offsets when it is made; as many as there are brokers that serve, where those are fewer.',
    }),
    'offsets.topic.segment.bytes': key(integer({ min: MiB }), {
      default: 100 * MiB,
      doc: 'segment.bytes of __consumer_offsets when it is made. Only full segments are compacted, and a coordinator reads all of them when it takes over.',
    }),
    'offsets.commit.timeout.ms': key(integer({ min: 1 }), {
      default: 5000,
      doc: 'How long a group coordinator waits until what it has decided is on the disks of all in-sync replicas.',
    }),
    'offset.metadata.max.bytes': key(integer({ min: 0 }), {
      default: 4096,
      doc: 'The most bytes that a consumer may attach to a committed offset.',
    }),
    'offsets.retention.minutes': key(integer({ min: 1 }), {
      default: 10_080,
      doc: 'How long offsets are kept that no member of their group subscribes to, and groups without members.',
    }),
    'offsets.retention.check.interval.ms': key(long({ min: 1 }), {
      default: 600_000,
      doc: 'How often group coordinators look for offsets that have expired.',
    }),
    'group.consumer.session.timeout.ms': key(integer({ min: 10 }), {
      default: 45_000,
      doc: 'How long a member of a group may be silent before it is removed.',
    }),
    'group.consumer.heartbeat.interval.ms': key(integer({ min: 1 }), {
      default: 5000,
      doc: 'How often members are to be heard from, and how long a heartbeat may wait for something to tell its member.',
    }),
    'group.consumer.max.size': key(integer({ min: 1 }), {
      default: 2_147_483_647,
      doc: 'Members that one group may have.',
    }),
    'group.consumer.assignors': key(list(enumeration(['uniform', 'range']), { min: 1, unique: true }), {
      default: ['uniform', 'range'],
      doc: 'Assignors that members may ask for; the first is used where they ask for none.',
    }),

    'barnabas.log.max.open.partitions': key(integer({ min: 1 }), {
      default: 1000,
      doc: 'Partition databases open at once; idle ones are closed to stay below it.',
    }),
    'barnabas.log.tail.cache.bytes': key(long({ min: 0 }), {
      default: 64 * MiB,
      doc: 'Memory for recent batches, over all partitions, from which consumers at the end are served.',
    }),
  },
  [
    {
      key: 'controller.quorum.voters',
      holds: (config) =>
        config['controller.quorum.bootstrap.servers'] !== null || config['controller.quorum.voters'] !== null,
      allowed: 'given, unless controller.quorum.bootstrap.servers is',
    },
    {
      key: 'socket.request.max.bytes',
      holds: (config) => config['socket.request.max.bytes'] >= config['message.max.bytes'],
      allowed: 'at least message.max.bytes',
    },
    {
      key: 'group.consumer.heartbeat.interval.ms',
      holds: (config) => config['group.consumer.heartbeat.interval.ms'] < config['group.consumer.session.timeout.ms'],
      allowed: 'less than group.consumer.session.timeout.ms',
    },
  ],
);

export type BrokerConfig = ConfigOf<typeof brokerConfig>;

/** The entries that stand for a key in coarser units, finest first. */
const COARSER: Readonly<Record<string, readonly (readonly [key: keyof BrokerConfig, unitMs: number])[]>> = {
  'log.retention.ms': [
    ['log.retention.minutes', MINUTE_MS],
    ['log.retention.hours', HOUR_MS],
  ],
  'log.roll.ms': [['log.roll.hours', HOUR_MS]],
};

/** What the broker was started with, by key; milliseconds that were given in hours or minutes are filled in. */
export function brokerConfigEntries(config: BrokerConfig): readonly ConfigEntry[] {
  const entries = brokerConfig.entries(config);
  const given = new Map(entries.map((entry) => [entry.key, entry]));
  return entries.map((entry) => {
    if (entry.source !== 'default') return entry;
    for (const [key, unitMs] of COARSER[entry.key] ?? []) {
      const coarse = given.get(key);
      if (coarse === undefined || coarse.value === null) continue;
      return { ...entry, value: String(Number(coarse.value) * unitMs), source: coarse.source };
    }
    return entry;
  });
}
