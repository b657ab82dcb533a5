/**
 * What brokers tell of replicas: leaders, which are in sync (KIP-497, KIP-903), and holders, which of
 * their own they cannot use. Each partition stands or falls alone.
 *
 * AlterPartition, whole: STALE_BROKER_EPOCH, BROKER_ID_NOT_REGISTERED, UNSUPPORTED_VERSION (below
 * metadata.version 2), INVALID_REQUEST (too many partitions). Each partition, looked for in this order:
 *   INVALID_REQUEST             named twice
 *   UNKNOWN_TOPIC_ID            no such topic: it has been deleted
 *   UNKNOWN_TOPIC_OR_PARTITION  no such partition of it
 *   NOT_CONTROLLER              an epoch that lies ahead of what this controller knows
 *   FENCED_LEADER_EPOCH         the sender leads no more, or leads in a later epoch
 *   INVALID_REQUEST             the sender does not lead; the ISR lacks it, names somebody twice, or
 *                               somebody who has no replica
 *   INVALID_UPDATE_VERSION      the partition has changed since: decide again on the state in the answer
 *   INELIGIBLE_REPLICA          a member is fenced, has registered again, or is new and shuts down
 *   NEW_LEADER_ELECTED          done, and a new leader epoch has begun with it
 *
 * ReportOfflineReplicas: STALE_BROKER_EPOCH, BROKER_ID_NOT_REGISTERED, UNSUPPORTED_VERSION,
 * INVALID_REQUEST (too many replicas). Replicas of topics that are gone, or that the broker does not
 * hold any more, are passed over.
 */
import type { BrokerImage, ConfiguredBroker, MetadataImage, PartitionImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { internal, v1 } from '@barnabas/protocol';
import { serves } from './broker-standing.js';
import { Plan, refusal } from './decision.js';
import type { Decision, Unit } from './decision.js';
import { PartitionElections, checkReplicationServed } from './leader-election.js';
import type { PartitionAt } from './leader-election.js';
import { checkPartitionCount } from './partition-names.js';

/** `broker`: the sender, whose epoch has been checked. */
export function alterPartitions(
  image: MetadataImage,
  broker: BrokerImage,
  entries: readonly internal.AlterPartitionEntry[],
  defaults: ConfiguredBroker,
): Decision<internal.AlterPartitionResult[]> {
  checkReplicationServed(image);
  checkPartitionCount(entries.length);
  const plan = new Plan(image);
  const elections = new PartitionElections(image, defaults);
  const named = timesNamed(entries);
  const units: Unit[] = [];
  const errors = entries.map((entry): v1.Error | undefined => {
    try {
      if ((named.get(keyOf(entry)) ?? 0) > 1) {
        throw new BarnabasError('INVALID_REQUEST', 'the request names this partition more than once');
      }
      const at = existing(image, entry);
      checkEntry(image, broker, entry, at.partition);
      const record = elections.change(at, { isr: entry.isr.map(({ brokerId }) => brokerId) });
      units.push([record ?? affirmation(at)]);
      return undefined;
    } catch (error) {
      return refusal(error);
    }
  });
  // Once for all: each partition is named once, so none builds on what another becomes.
  plan.addAll(units);
  const results = entries.map((entry, index) => resultOf(plan.image, entry, errors[index]));
  return plan.decide(results);
}

/** Plans that a broker's replicas leave ISR and ELR, and that others lead, as far as there are any. */
export function reportOffline(
  image: MetadataImage,
  broker: BrokerImage,
  replicas: readonly internal.OfflineReplica[],
  defaults: ConfiguredBroker,
): Decision<void> {
  checkReplicationServed(image);
  checkPartitionCount(replicas.length);
  const plan = new Plan(image);
  const elections = new PartitionElections(image, defaults);
  const units: Unit[] = [];
  const seen = new Set<string>();
  for (const replica of replicas) {
    const topic = image.topics.withId(replica.topicId);
    const partition = topic?.partitions[replica.partition];
    if (topic === undefined || partition?.replicas.includes(broker.id) !== true || seen.has(keyOf(replica))) continue;
    seen.add(keyOf(replica));
    // A report that has come twice. One from this epoch is new: the replica has spoken in it since.
    const known = partition.offlineReplicas.includes(broker.id);
    if (known && replica.leaderEpoch < partition.leaderEpoch) continue;
    const record = elections.change({ topic, number: replica.partition, partition }, { offline: broker.id });
    if (record !== undefined) units.push([record]);
  }
  plan.addAll(units);
  return plan.decide(undefined);
}

/**
 * The ISR as it is, and a new partition epoch: with it an earlier request that is still on its way can
 * never be carried out, which is what a leader may have asked for (replication.md, race 8).
 */
function affirmation({ topic, number, partition }: PartitionAt): internal.MetadataRecord {
  const partitionChange = { topicId: topic.id, partition: number, isr: { ids: [...partition.isr] } };
  return { record: { $case: 'partitionChange', partitionChange } };
}

interface Named {
  readonly topicId: string;
  readonly partition: number;
}

function keyOf({ topicId, partition }: Named): string {
  return `${partition}/${topicId}`;
}

function timesNamed(entries: readonly Named[]): ReadonlyMap<string, number> {
  const times = new Map<string, number>();
  for (const entry of entries) times.set(keyOf(entry), (times.get(keyOf(entry)) ?? 0) + 1);
  return times;
}

function existing(image: MetadataImage, { topicId, partition: number }: Named): PartitionAt {
  const topic = image.topics.withId(topicId);
  if (topic === undefined) {
    throw new BarnabasError('UNKNOWN_TOPIC_ID', `there is no topic with id ${JSON.stringify(topicId)}`);
  }
  const partition = topic.partitions[number];
  if (partition === undefined) {
    throw new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${topic.name} has no partition ${number}`);
  }
  return { topic, number, partition };
}

function checkEntry(
  image: MetadataImage,
  sender: BrokerImage,
  entry: internal.AlterPartitionEntry,
  partition: PartitionImage,
): void {
  const { leaderEpoch, partitionEpoch } = entry;
  if (leaderEpoch > partition.leaderEpoch || partitionEpoch > partition.partitionEpoch) {
    throw new BarnabasError('NOT_CONTROLLER', 'this controller has not heard of that epoch: ask the active one');
  }
  if (leaderEpoch < partition.leaderEpoch) {
    throw new BarnabasError(
      'FENCED_LEADER_EPOCH',
      `the leader epoch is ${partition.leaderEpoch}, with broker ${partition.leader} as leader, not ${leaderEpoch}`,
    );
  }
  if (sender.id !== partition.leader) {
    throw new BarnabasError('INVALID_REQUEST', `broker ${sender.id} does not lead: broker ${partition.leader} does`);
  }
  checkMembers(sender, entry.isr, partition);
  if (partitionEpoch < partition.partitionEpoch) {
    throw new BarnabasError(
      'INVALID_UPDATE_VERSION',
      `the partition epoch is ${partition.partitionEpoch}, not ${partitionEpoch}: decide again on the state in this answer`,
    );
  }
  for (const member of entry.isr) checkEligible(image, member, partition);
}

function checkMembers(sender: BrokerImage, isr: readonly internal.IsrMember[], { replicas }: PartitionImage): void {
  const ids = new Set(isr.map(({ brokerId }) => brokerId));
  if (ids.size < isr.length) throw new BarnabasError('INVALID_REQUEST', 'the ISR names a broker twice');
  if (!ids.has(sender.id)) throw new BarnabasError('INVALID_REQUEST', 'the ISR must contain the leader that asks');
  const stranger = isr.find(({ brokerId }) => !replicas.includes(brokerId));
  if (stranger === undefined) return;
  throw new BarnabasError('INVALID_REQUEST', `broker ${stranger.brokerId} of the ISR has no replica of the partition`);
}

/** Throws INELIGIBLE_REPLICA. */
function checkEligible(image: MetadataImage, member: internal.IsrMember, partition: PartitionImage): void {
  const broker = image.brokers.get(member.brokerId);
  const why = ineligibility(broker, member, partition);
  if (why !== undefined) {
    throw new BarnabasError('INELIGIBLE_REPLICA', `broker ${member.brokerId} may not be in the ISR: it ${why}`);
  }
}

function ineligibility(
  broker: BrokerImage | undefined,
  member: internal.IsrMember,
  partition: PartitionImage,
): string | undefined {
  if (broker === undefined) return 'is not registered';
  if (broker.fenced) return 'is fenced';
  // The leader has seen it under an earlier registration. Since then it has restarted, and what it had
  // without a sync may be gone (KIP-903).
  if (member.brokerEpoch !== -1 && member.brokerEpoch !== broker.epoch) {
    return `has registered again: its broker epoch is ${broker.epoch}, not ${member.brokerEpoch}`;
  }
  // Members that shut down stay as long as they are needed; that is decided with the change.
  if (!serves(broker) && !partition.isr.includes(broker.id)) return 'shuts down';
  return undefined;
}

/** How the partition stands after the decision. */
function resultOf(
  image: MetadataImage,
  { topicId, partition: number, leaderEpoch }: internal.AlterPartitionEntry,
  refused: v1.Error | undefined,
): internal.AlterPartitionResult {
  const partition = image.topics.partition(topicId, number);
  const { leader, leaderEpoch: epoch, partitionEpoch } = partition ?? NOWHERE;
  const isr = [...(partition?.isr ?? [])];
  const eligibleLeaderReplicas = [...(partition?.eligibleLeaderReplicas ?? [])];
  const moved = refused === undefined && epoch !== leaderEpoch;
  const error = moved ? refusal(newLeader(leader, epoch)) : refused;
  const state = { leader, leaderEpoch: epoch, isr, partitionEpoch, eligibleLeaderReplicas };
  return { topicId, partition: number, error, ...state };
}

const NOWHERE = { leader: -1, leaderEpoch: -1, partitionEpoch: -1 };

function newLeader(leader: number, epoch: number): BarnabasError {
  return new BarnabasError('NEW_LEADER_ELECTED', `done; broker ${leader} leads from leader epoch ${epoch} on`);
}
