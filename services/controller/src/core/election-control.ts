/**
 * Elections that somebody asks for (KIP-460), and the leaderships that go back to preferred leaders by
 * themselves (auto.leader.rebalance.enable).
 *
 * ElectLeaders, whole: INVALID_REQUEST (unknown kind of election, too many partitions). Each partition's own:
 *   UNKNOWN_TOPIC_OR_PARTITION
 *   ELECTION_NOT_NEEDED              PREFERRED: the preferred leader leads; UNCLEAN: somebody leads
 *   PREFERRED_LEADER_NOT_AVAILABLE   it does not serve, is not in sync, or cannot use its replica
 *   ELIGIBLE_LEADERS_NOT_AVAILABLE   UNCLEAN: no replica serves
 */
import { NO_LEADER } from '@barnabas/metadata';
import type { ConfiguredBroker, MetadataImage, PartitionImage } from '@barnabas/metadata';
import { BarnabasError, v1 } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import type { Standings } from './broker-standing.js';
import { Plan, refusal } from './decision.js';
import type { Decision, Unit } from './decision.js';
import { PartitionElections } from './leader-election.js';
import type { PartitionAt } from './leader-election.js';
import { isReassigning } from './partition-change.js';
import { namedPartitions, partitionNamed } from './partition-names.js';
import type { ControllerSettings } from './settings.js';

export function electLeaders(
  image: MetadataImage,
  request: Pick<v1.ElectLeadersRequest, 'type' | 'topics'>,
  defaults: ConfiguredBroker,
): Decision<v1.ElectLeadersResult[]> {
  const elect = electionOf(request.type);
  const plan = new Plan(image);
  const elections = new PartitionElections(image, defaults);
  const units: Unit[] = [];
  const outcomes = namedPartitions(image, request.topics).map(({ topic, partition }) => {
    try {
      units.push([elect(elections, partitionNamed(image, topic, partition))]);
      return { topic, partition, error: undefined, notable: true };
    } catch (error) {
      const notable = !(error instanceof BarnabasError && error.errorName === 'ELECTION_NOT_NEEDED');
      return { topic, partition, error: refusal(error), notable };
    }
  });
  plan.addAll(units);
  const wanted = request.topics.length > 0 ? outcomes : outcomes.filter(({ notable }) => notable);
  const results = wanted.map(({ topic, partition, error }): v1.ElectLeadersResult => {
    const leader = plan.image.topics.named(topic)?.partitions[partition]?.leader ?? NO_LEADER;
    return { topic, partition, leader, error };
  });
  return plan.decide(results);
}

type Election = (elections: PartitionElections, at: PartitionAt) => internal.MetadataRecord;

function electionOf(type: v1.ElectionType): Election {
  switch (type) {
    case v1.ElectionType.UNSPECIFIED:
    case v1.ElectionType.PREFERRED:
      return electPreferred;
    case v1.ElectionType.UNCLEAN:
      return electUnclean;
    default:
      throw new BarnabasError('INVALID_REQUEST', 'the type of an election must be PREFERRED or UNCLEAN');
  }
}

function electPreferred(elections: PartitionElections, at: PartitionAt): internal.MetadataRecord {
  const { replicas, leader } = at.partition;
  const [preferred = NO_LEADER] = replicas;
  if (leader === preferred) throw notNeeded(`broker ${leader}, the preferred leader, leads`);
  const record = canTakeOver(elections.standings, at.partition)
    ? elections.change(at, { election: 'preferred' })
    : undefined;
  if (record !== undefined) return record;
  throw new BarnabasError(
    'PREFERRED_LEADER_NOT_AVAILABLE',
    `broker ${preferred}, the preferred leader, does not serve or is not in sync: wait for it`,
  );
}

function electUnclean(elections: PartitionElections, at: PartitionAt): internal.MetadataRecord {
  const { replicas, leader } = at.partition;
  if (leader !== NO_LEADER) throw notNeeded(`broker ${leader} leads`);
  const record = elections.change(at, { election: 'unclean' });
  if (record !== undefined) return record;
  throw new BarnabasError(
    'ELIGIBLE_LEADERS_NOT_AVAILABLE',
    `none of brokers ${replicas.join(', ')} serves and can use its replica: start one of them`,
  );
}

function notNeeded(why: string): BarnabasError {
  return new BarnabasError('ELECTION_NOT_NEEDED', `no election is needed: ${why}`);
}

/** The preferred leader could lead and does not. */
function canTakeOver(standings: Standings, { replicas, isr, leader, offlineReplicas }: PartitionImage): boolean {
  const [preferred] = replicas;
  if (preferred === undefined || preferred === leader) return false;
  return isr.includes(preferred) && standings.serves(preferred) && !offlineReplicas.includes(preferred);
}

/** Leaderships that move in one decision, so that a broker which comes back does not get everything in one moment. */
export const MAX_REBALANCED_LEADERS = 1_000;

export interface Rebalance {
  readonly moved: number;
  /** More are to move. */
  readonly isMore: boolean;
}

/**
 * Gives leaderships back to brokers that lack more than leader.imbalance.per.broker.percentage of those
 * that are theirs by preference. Partitions that are being reassigned are left alone.
 */
export function rebalanceLeaders(image: MetadataImage, settings: ControllerSettings): Decision<Rebalance> {
  const plan = new Plan(image);
  const elections = new PartitionElections(image, settings.defaults);
  const lacking = imbalancedBrokers(image, settings.leaderImbalancePercentage);
  const units: Unit[] = [];
  let isMore = false;
  for (const topic of image.topics.values()) {
    for (const [number, partition] of topic.partitions.entries()) {
      const [preferred] = partition.replicas;
      if (preferred === undefined || !lacking.has(preferred) || isReassigning(partition)) continue;
      if (!canTakeOver(elections.standings, partition)) continue;
      isMore = units.length >= MAX_REBALANCED_LEADERS;
      if (isMore) break;
      const record = elections.change({ topic, number, partition }, { election: 'preferred' });
      if (record !== undefined) units.push([record]);
    }
    if (isMore) break;
  }
  plan.addAll(units);
  return plan.decide({ moved: units.length, isMore });
}

function imbalancedBrokers(image: MetadataImage, percentage: number): ReadonlySet<number> {
  const owned = new Map<number, { preferred: number; elsewhere: number }>();
  for (const topic of image.topics.values()) {
    for (const { replicas, leader } of topic.partitions) {
      const [preferred = NO_LEADER] = replicas;
      const counts = owned.get(preferred) ?? { preferred: 0, elsewhere: 0 };
      counts.preferred++;
      if (leader !== preferred) counts.elsewhere++;
      owned.set(preferred, counts);
    }
  }
  return new Set(
    [...owned]
      .filter(([, { preferred, elsewhere }]) => elsewhere * 100 > preferred * percentage)
      .map(([broker]) => broker),
  );
}
