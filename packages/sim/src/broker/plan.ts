/** What a seed decides before its run begins: topics, sizes, which misfortunes there are and how often. */
import { brokerConfig } from '@barnabas/broker/parts';
import type { BrokerConfig } from '@barnabas/broker/parts';
import type { DiskLatency } from '../disk/simulated-disk.js';
import type { Dice } from '../kernel/dice.js';
import { NODE_ID } from './authority.js';
import { planTopics } from './topics.js';
import type { TopicPlan } from './topics.js';

export const MISFORTUNES = [
  'powerLoss',
  'kill',
  'restart',
  'stall',
  'failedWrite',
  'brokenLink',
  'clockJump',
  'newSetting',
  'election',
  'fencing',
  'deletedTopic',
  'rot',
] as const;
export type Misfortune = (typeof MISFORTUNES)[number];

/** What must be in a run for a planted bug to show. */
export type Need = Misfortune | 'relaxedTopic' | 'mortalTopic';

export interface BrokerPlan {
  readonly topics: readonly TopicPlan[];
  readonly producers: number;
  readonly consumers: number;
  /** Those that this seed knows; in a run of few each of them goes deeper. */
  readonly misfortunes: readonly Misfortune[];
  readonly misfortuneEveryMs: number;
  readonly latency: DiskLatency;
  readonly networkLatencyMs: number;
  readonly segmentBytes: number;
  readonly config: BrokerConfig;
}

export function planRun(dice: Dice, needs: readonly Need[]): BrokerPlan {
  return {
    topics: planTopics(dice, { isRelaxed: needs.includes('relaxedTopic'), isMortal: needs.includes('mortalTopic') }),
    producers: dice.between(1, 4),
    consumers: dice.between(1, 3),
    misfortunes: MISFORTUNES.filter((one) => dice.chance(one === 'rot' ? 0.2 : 0.5) || needs.includes(one)),
    misfortuneEveryMs: dice.between(30, 400),
    latency: { maxReadMs: dice.between(0, 2), maxWriteMs: dice.between(0, 4), maxSyncMs: dice.between(0, 20) },
    networkLatencyMs: dice.between(0, 10),
    segmentBytes: dice.between(500, 20_000),
    config: configOf(dice),
  };
}

function configOf(dice: Dice): BrokerConfig {
  return brokerConfig.parse({
    'node.id': NODE_ID,
    'log.dir': 'logs',
    'controller.quorum.voters': '1@controller:7800',
    'log.retention.check.interval.ms': dice.between(20, 800),
    'replica.high.watermark.checkpoint.interval.ms': dice.between(20, 2000),
    'barnabas.log.max.open.partitions': dice.between(1, 6),
    'barnabas.log.tail.cache.bytes': dice.pick([0, 1000, 1_000_000]),
    'queued.max.request.bytes': dice.pick([2000, 1_000_000]),
    'barnabas.queued.max.stream.bytes': dice.pick([1000, 1_000_000]),
    'fetch.max.bytes': dice.pick([1024, 1_000_000]),
  });
}
