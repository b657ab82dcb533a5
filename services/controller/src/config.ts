/** A controller's configuration: Kafka's keys and defaults where Kafka has them. Only keys that do something are here. */
import {
  addresses,
  advertisedListeners,
  boolean,
  defineConfig,
  integer,
  key,
  listeners,
  quorumVoters,
  string,
} from '@barnabas/common/config';
import type { ConfigOf } from '@barnabas/common/config';
import { dynamicBrokerConfig, topicDefaultKeys } from '@barnabas/metadata';
import type { ConfiguredBroker } from '@barnabas/metadata';
import type { ControllerSettings } from './core/index.js';

const oneListener = listeners();

export const controllerConfig = defineConfig(
  {
    'node.id': key(integer({ min: 0 }), { required: true, doc: 'The id of this node, unique among controllers.' }),
    'controller.listeners': key(oneListener, {
      default: [{ name: 'CONTROLLER', host: '127.0.0.1', port: 7800 }],
      doc: 'Where the controller listens: one listener, for brokers, gateways and the other controllers.',
    }),
    'controller.quorum.voters': key(quorumVoters(), {
      default: null,
      doc: 'The first voters of a new cluster. Looked at only while the disk of this controller is new: from then on the quorum itself says who votes, see barnabas quorum. Where neither this nor controller.quorum.bootstrap.servers is set, this controller decides alone.',
    }),
    'controller.quorum.bootstrap.servers': key(addresses(), {
      default: null,
      doc: 'Controllers to ask for the others (KIP-853): of a controller that joins a quorum, and not among its first voters.',
    }),
    'controller.advertised.listeners': key(advertisedListeners(), {
      default: null,
      doc: 'Where others are told to reach this controller; its own entry in controller.quorum.voters, or what it is bound to, unless set.',
    }),
    'cluster.id': key(string({ minLength: 1 }), {
      default: null,
      doc: 'The id of the cluster. A single controller makes one up for a new cluster; several must be given the same, and one that joins that of the others, unless its disk has been formatted with it.',
    }),
    'metadata.log.dir': key(string({ minLength: 1 }), { required: true, doc: 'The directory of the metadata log.' }),
    'metadata.log.max.record.bytes.between.snapshots': key(integer({ min: 1024 }), {
      default: 20 * 1024 * 1024,
      doc: 'Bytes of metadata log after which the next snapshot is made and the log before it goes.',
    }),
    'controller.quorum.election.timeout.ms': key(integer({ min: 50 }), {
      default: 1000,
      doc: 'How long a controller hears nothing from the leader before it starts an election, and up to half as long again at random.',
    }),
    'broker.session.timeout.ms': key(integer({ min: 10 }), {
      default: 9000,
      doc: 'How long a broker may be silent before it is fenced and its leaderships move. Should be several times broker.heartbeat.interval.ms.',
    }),
    'num.partitions': key(integer({ min: 1 }), {
      default: 1,
      doc: 'Partitions of a topic that is created without a count.',
    }),
    'default.replication.factor': key(integer({ min: 1 }), {
      default: 1,
      doc: 'Replicas of each partition of a topic that is created without a replication factor.',
    }),
    'auto.create.topics.enable': key(boolean(), {
      default: true,
      doc: 'Whether a topic that a client asks about, and lets be created, is created.',
    }),
    'delete.topic.enable': key(boolean(), { default: true, doc: 'Whether topics can be deleted.' }),
    'auto.leader.rebalance.enable': key(boolean(), {
      default: true,
      doc: 'Whether leaderships go back to preferred leaders by themselves.',
    }),
    'leader.imbalance.check.interval.seconds': key(integer({ min: 1 }), {
      default: 300,
      doc: 'Seconds between two looks at which leaderships should go back, with auto.leader.rebalance.enable.',
    }),
    'leader.imbalance.per.broker.percentage': key(integer({ min: 0, max: 100 }), {
      default: 10,
      doc: 'Leaderships go back to a broker when it lacks more than this share of those that are its own by preference.',
    }),
    'min.insync.replicas': key(integer({ min: 1 }), {
      default: 1,
      doc: `${topicDefaultKeys['min.insync.replicas'].doc} The controller goes by it in elections: it should be the same on brokers and controllers.`,
    }),
    'unclean.leader.election.enable': key(boolean(), {
      default: false,
      doc: topicDefaultKeys['unclean.leader.election.enable'].doc,
    }),
  },
  [
    {
      key: 'controller.listeners',
      holds: (config) => config['controller.listeners'].length === 1,
      allowed: 'exactly one listener',
    },
    {
      key: 'controller.advertised.listeners',
      holds: (config) => (config['controller.advertised.listeners']?.length ?? 1) === 1,
      allowed: 'exactly one listener',
    },
    {
      key: 'cluster.id',
      holds: (config) => (config['controller.quorum.voters']?.length ?? 1) === 1 || config['cluster.id'] !== null,
      allowed: 'given where there are several controllers, the same for all',
    },
  ],
);

export type ControllerConfig = ConfigOf<typeof controllerConfig>;

/** What decisions depend on. */
export function settingsOf(config: ControllerConfig): ControllerSettings {
  return {
    numPartitions: config['num.partitions'],
    defaultReplicationFactor: config['default.replication.factor'],
    autoCreateTopics: config['auto.create.topics.enable'],
    deleteTopics: config['delete.topic.enable'],
    sessionTimeoutMs: config['broker.session.timeout.ms'],
    autoLeaderRebalance: config['auto.leader.rebalance.enable'],
    leaderImbalanceCheckMs: config['leader.imbalance.check.interval.seconds'] * 1000,
    leaderImbalancePercentage: config['leader.imbalance.per.broker.percentage'],
    defaults: defaultsOf(config),
  };
}

function defaultsOf(config: ControllerConfig): ConfiguredBroker {
  const given = {
    'min.insync.replicas': config['min.insync.replicas'],
    'unclean.leader.election.enable': config['unclean.leader.election.enable'],
  };
  const entries = dynamicBrokerConfig.entries(dynamicBrokerConfig.parse(given));
  return { id: '', entries: new Map(entries.map((entry) => [entry.key, entry])) };
}
