/** What a seed decides about groups before its run begins: the cluster under them, who is in them, what their members do. */
import type { Dice } from '../kernel/dice.js';
import { planCluster } from '../cluster/plan.js';
import type { ClusterPlan, Need } from '../cluster/plan.js';
import type { TopicPlan } from '../cluster/topics.js';

/** What members do, or what is done to them. */
export const TRICKS = [
  'leave',
  'crash',
  'stall',
  'busy',
  'resubscribe',
  'rewind',
  'enforce',
  'resume',
  'twin',
  'cutOff',
  'lie',
  'siesta',
] as const;
export type Trick = (typeof TRICKS)[number];

export type MemberKind = 'membership' | 'consumer' | 'subscriber';

export interface MemberPlan {
  readonly name: string;
  readonly kind: MemberKind;
  /** Empty: not a static member. */
  readonly instanceId: string;
  readonly assignor: string;
  /** max.poll.interval.ms. */
  readonly maxPollMs: number;
  readonly commitEveryMs: number;
}

export interface GroupPlan {
  readonly groupId: string;
  readonly members: readonly MemberPlan[];
  readonly hasLiar: boolean;
}

export interface GroupsPlan {
  readonly groups: readonly GroupPlan[];
  readonly tricks: readonly Trick[];
  /** Between two tricks of a member. */
  readonly trickEveryMs: number;
  /** Between two misfortunes of a coordinator. */
  readonly coordinatorEveryMs: number;
}

const MAX_TOPIC_PARTITIONS = 4;

/** A small cluster whose misfortunes leave groups time to do something between them. */
export function planClusterOfGroups(dice: Dice, needs: readonly Need[]): ClusterPlan {
  const base = planCluster(dice, needs);
  const sessionMs = dice.pick([1500, 3000, 6000]);
  // A quorum takes most of a run's events, and the cluster scenario has looked at it.
  const controllers = dice.chance(0.8) ? 1 : base.controllers;
  const voters = {
    'controller.quorum.voters': base.controllerConfig['controller.quorum.voters']?.slice(0, controllers) ?? [],
  };
  return {
    ...base,
    ...{ controllers, brokers: 3, producers: 1, consumers: 0 },
    topics: planTopics(dice, needs),
    // Records that are deleted, by a client or by a disk, are delivered to nobody.
    misfortunes: base.misfortunes.filter((one) => one !== 'deletedRecords' && one !== 'rot'),
    misfortuneEveryMs: dice.between(500, 5000),
    controllerConfig: { ...base.controllerConfig, ...voters },
    brokerConfig: {
      ...base.brokerConfig,
      ...voters,
      'offsets.topic.num.partitions': dice.between(1, 2),
      'group.consumer.session.timeout.ms': sessionMs,
      'group.consumer.heartbeat.interval.ms': Math.floor(sessionMs / dice.between(3, 6)),
      'offsets.commit.timeout.ms': dice.pick([1000, 5000]),
    },
  };
}

export function planGroups(dice: Dice, needs: readonly Trick[]): GroupsPlan {
  const tricks = TRICKS.filter((one) => dice.chance(0.35) || needs.includes(one));
  const groups = Array.from({ length: dice.pick([1, 1, 2]) }, (_, at) => planGroup(dice, `group-${at}`, tricks));
  return { groups, tricks, trickEveryMs: dice.between(1000, 8000), coordinatorEveryMs: dice.between(1500, 12_000) };
}

function planGroup(dice: Dice, groupId: string, tricks: readonly Trick[]): GroupPlan {
  const hasStatic = tricks.includes('twin') || dice.chance(0.3);
  const maxPollMs = dice.pick([1500, 3000, 6000]);
  const assignor = dice.pick(['', '', 'uniform', 'range']);
  const members = Array.from({ length: dice.between(2, 4) }, (_, at): MemberPlan => {
    const isStatic = hasStatic && dice.chance(0.6);
    return {
      name: `${groupId}-${at}`,
      kind: dice.pick(['membership', 'consumer', 'subscriber']),
      instanceId: isStatic ? `instance-${at}` : '',
      ...{ assignor, maxPollMs },
      commitEveryMs: dice.between(100, 1500),
    };
  });
  return { groupId, members, hasLiar: tricks.includes('lie') };
}

function planTopics(dice: Dice, needs: readonly Need[]): readonly TopicPlan[] {
  const isMortal = needs.includes('mortal') || dice.chance(0.2);
  const strict = topic(dice, 'strict', false);
  return isMortal || dice.chance(0.6) ? [strict, topic(dice, 'other', isMortal)] : [strict];
}

function topic(dice: Dice, name: string, isMortal: boolean): TopicPlan {
  return {
    ...{ name, partitions: dice.between(1, MAX_TOPIC_PARTITIONS), replicationFactor: 3 },
    ...{ isRelaxed: false, isUnclean: false, isMortal },
    config: { 'retention.ms': '-1', 'min.insync.replicas': String(dice.pick([1, 2])), 'file.delete.delay.ms': '100' },
  };
}
