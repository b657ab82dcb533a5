/** What a seed decides about a cluster before its run begins: sizes, patience, topics, which misfortunes there are. */
import { brokerConfig } from '@barnabas/broker';
import type { BrokerConfig } from '@barnabas/broker';
import { controllerConfig } from '@barnabas/controller';
import type { ControllerConfig } from '@barnabas/controller';
import type { DiskLatency } from '../disk/simulated-disk.js';
import type { Dice } from '../kernel/dice.js';
import type { NetworkPlan } from './network/network.js';
import { planTopics } from './topics.js';
import type { TopicNeed, TopicPlan } from './topics.js';

export const CLUSTER_MISFORTUNES = [
  'kill',
  'powerLoss',
  'killOfAll',
  'powerLossOfAll',
  'restart',
  'freeze',
  'stall',
  'failedWrite',
  'fullDisk',
  'rot',
  'clockStep',
  'deletedRecords',
  'reset',
  'isolation',
  'split',
  'oneWay',
  'leaderWithoutControllers',
  'leaderWithoutFollowers',
  'slowLink',
  'slowControllers',
  'unsteadyFollower',
  'siege',
  'deletedTopic',
  'reassignment',
  'morePartitions',
  'election',
] as const;
export type ClusterMisfortune = (typeof CLUSTER_MISFORTUNES)[number];

/** `acksOne`: producers are content with what a leader alone says, and send nothing again to its successor. */
export type Need = ClusterMisfortune | TopicNeed | 'acksOne';

export interface ClusterPlan {
  readonly controllers: number;
  readonly brokers: number;
  readonly producers: number;
  /** All of them are content with acks=1; else a few are. */
  readonly isAcksOne: boolean;
  readonly consumers: number;
  readonly topics: readonly TopicPlan[];
  readonly misfortunes: readonly ClusterMisfortune[];
  readonly misfortuneEveryMs: number;
  readonly latency: DiskLatency;
  /** By how much a machine's clock may run fast or slow, as a part of one. */
  readonly maxDrift: number;
  readonly network: NetworkPlan;
  readonly idleCloseMs: number;
  /** Without node.id, which each machine adds. */
  readonly controllerConfig: ControllerConfig;
  readonly brokerConfig: BrokerConfig;
}

const isTopicNeed = (need: Need): need is TopicNeed =>
  need !== 'acksOne' && !(CLUSTER_MISFORTUNES as readonly string[]).includes(need);

export function planCluster(dice: Dice, needs: readonly Need[]): ClusterPlan {
  const brokers = dice.pick([3, 3, 4, 5]);
  const controllers = 3;
  const maxLatencyMs = dice.pick([2, 5, 15]);
  return {
    ...{ controllers, brokers, producers: dice.between(1, 3), consumers: dice.between(1, 2) },
    isAcksOne: needs.includes('acksOne'),
    topics: planTopics(dice, needs.filter(isTopicNeed)),
    misfortunes: misfortunesOf(dice, needs),
    misfortuneEveryMs: dice.between(200, 1500),
    latency: { maxReadMs: dice.between(0, 1), maxWriteMs: dice.between(0, 2), maxSyncMs: dice.between(0, 10) },
    maxDrift: dice.pick([0, 0.001, 0.05]),
    network: {
      ...{ maxLatencyMs, lateness: dice.pick([0, 0.002, 0.01]), maxLateMs: 300 },
      keepaliveMs: [300, dice.pick([1000, 5000])],
      fullAtBytes: dice.pick([2_000, 100_000]),
    },
    idleCloseMs: dice.between(500, 10_000),
    ...configs(dice, controllers),
  };
}

/** Some, or few: then each of them goes deeper. */
function misfortunesOf(dice: Dice, needs: readonly Need[]): readonly ClusterMisfortune[] {
  const needed = CLUSTER_MISFORTUNES.filter((one) => needs.includes(one));
  if (needed.length > 0 && dice.chance(0.8)) return needed;
  if (dice.chance(0.25)) return [dice.pick(['unsteadyFollower', 'siege'] as const), dice.pick(CLUSTER_MISFORTUNES)];
  return CLUSTER_MISFORTUNES.filter((one) => dice.chance(0.4) || needs.includes(one));
}

function configs(dice: Dice, controllers: number) {
  const voters = Array.from({ length: controllers }, (_, at) => `${at + 1}@controller-${at + 1}:7800`).join(',');
  const sessionMs = dice.between(500, 1500);
  return {
    controllerConfig: controllerConfig.parse({
      'node.id': 0,
      'controller.quorum.voters': voters,
      'cluster.id': 'simulated',
      'metadata.log.dir': 'metadata',
      'controller.quorum.election.timeout.ms': dice.between(800, 1500),
      'metadata.log.max.record.bytes.between.snapshots': dice.pick([1024, 4096, 1_000_000]),
      'broker.session.timeout.ms': sessionMs,
    }),
    brokerConfig: brokerConfig.parse(
      known({
        'node.id': 0,
        'log.dir': 'logs',
        'controller.quorum.voters': voters,
        'broker.heartbeat.interval.ms': Math.floor(sessionMs / 4),
        'request.timeout.ms': dice.pick([400, 1000, 3000]),
        'log.retention.check.interval.ms': 10_000,
        'replica.high.watermark.checkpoint.interval.ms': dice.pick([100, 1000, 10_000]),
        // Small: whoever catches up needs many round trips.
        'replica.fetch.max.bytes': dice.pick([1024, 1024 * 1024]),
        'replica.fetch.response.max.bytes': dice.pick([1024, 1024 * 1024]),
        'barnabas.log.max.open.partitions': dice.pick([2, 1000]),
        'barnabas.log.tail.cache.bytes': dice.pick([0, 1_000_000]),
        'replica.lag.time.max.ms': dice.between(200, 1500),
        'replica.socket.timeout.ms': dice.between(1000, 5000),
      }),
    ),
  };
}

/** Keys that this broker has. */
function known(entries: Readonly<Record<string, string | number>>): Readonly<Record<string, string | number>> {
  return Object.fromEntries(Object.entries(entries).filter(([key]) => brokerConfig.names.has(key)));
}
