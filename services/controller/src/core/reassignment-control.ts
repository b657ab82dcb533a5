/**
 * Which brokers hold a partition's replicas, changed while it serves (KIP-455, KIP-860). A reassignment
 * adds the new replicas, waits until all of its target is in sync, and then takes the old ones away;
 * the waiting and the end of it are partition-change.ts's.
 *
 * Original: the replicas before the reassignment, which are all but those being added. Another target
 * while one is under way starts from the original again: what only the first target wanted goes at
 * once. The original itself, or an empty target, ends it where it began.
 *
 * Errors, whole: UNSUPPORTED_VERSION (below metadata.version 2), INVALID_REQUEST (too many partitions).
 * Each partition's own: INVALID_REQUEST (named twice), UNKNOWN_TOPIC_OR_PARTITION,
 * INVALID_REPLICA_ASSIGNMENT (a broker twice, not registered, fenced, shutting down or being
 * decommissioned where it is to get a replica; or nobody who has everything would be left),
 * INVALID_REPLICATION_FACTOR (it would change, and may not), NO_REASSIGNMENT_IN_PROGRESS.
 */
import type { ConfiguredBroker, MetadataImage, PartitionImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { internal, v1 } from '@barnabas/protocol';
import { serves } from './broker-standing.js';
import { Plan, refusal } from './decision.js';
import type { Decision, Unit } from './decision.js';
import { PartitionElections, checkReplicationServed } from './leader-election.js';
import type { PartitionAt } from './leader-election.js';
import { isReassigning, sameMembers, targetOf } from './partition-change.js';
import type { Assignment, PartitionEvent } from './partition-change.js';
import { checkPartitionCount, namedPartitions, partitionNamed } from './partition-names.js';
import { checkDistinct, checkMayTakeReplicas } from './replica-assignment.js';

export function alterReassignments(
  image: MetadataImage,
  request: Pick<v1.AlterPartitionReassignmentsRequest, 'partitions' | 'forbidReplicationFactorChange'>,
  defaults: ConfiguredBroker,
): Decision<v1.PartitionReassignmentResult[]> {
  checkReplicationServed(image);
  checkPartitionCount(request.partitions.length);
  const plan = new Plan(image);
  const elections = new PartitionElections(image, defaults);
  const times = new Map<string, number>();
  for (const entry of request.partitions) times.set(keyOf(entry), (times.get(keyOf(entry)) ?? 0) + 1);
  const units: Unit[] = [];
  const results = request.partitions.map((entry): v1.PartitionReassignmentResult => {
    const { topic, partition, replicas } = entry;
    try {
      if ((times.get(keyOf(entry)) ?? 0) > 1) {
        throw new BarnabasError('INVALID_REQUEST', 'the request names this partition more than once');
      }
      const at = partitionNamed(image, topic, partition);
      const record =
        replicas.length === 0
          ? cancellation(elections, at)
          : reassignment(image, elections, at, replicas, request.forbidReplicationFactorChange);
      if (record !== undefined) units.push([record]);
      return { topic, partition, error: undefined };
    } catch (error) {
      return { topic, partition, error: refusal(error) };
    }
  });
  // Once for all: each partition is named once.
  plan.addAll(units);
  return plan.decide(results);
}

/** Those under way, of the partitions named or of all. */
export function listReassignments(
  image: MetadataImage,
  topics: readonly v1.TopicPartitions[],
): v1.OngoingReassignment[] {
  return namedPartitions(image, topics).flatMap(({ topic, partition: number }) => {
    const partition = image.topics.named(topic)?.partitions[number];
    if (partition === undefined || !isReassigning(partition)) return [];
    const { replicas, addingReplicas, removingReplicas } = partition;
    const lists = { replicas, addingReplicas, removingReplicas };
    return [{ topic, partition: number, ...copied(lists) }];
  });
}

function copied({ replicas, addingReplicas, removingReplicas }: Assignment) {
  return {
    replicas: [...replicas],
    addingReplicas: [...addingReplicas],
    removingReplicas: [...removingReplicas],
  };
}

/** Replicas before the reassignment under way, if there is one. */
export function originalOf({ replicas, addingReplicas }: Assignment): readonly number[] {
  return addingReplicas.length === 0 ? replicas : replicas.filter((id) => !addingReplicas.includes(id));
}

/** Takes a reassignment back; throws INVALID_REPLICA_ASSIGNMENT where nobody who has everything would be left. */
export function cancellation(elections: PartitionElections, at: PartitionAt): internal.MetadataRecord | undefined {
  if (!isReassigning(at.partition)) {
    throw new BarnabasError(
      'NO_REASSIGNMENT_IN_PROGRESS',
      `partition ${at.number} of topic ${at.topic.name} is not being reassigned`,
    );
  }
  const replicas = originalOf(at.partition);
  return change(elections, at, { replicas, addingReplicas: [], removingReplicas: [] });
}

/** Begins a reassignment to a target whose brokers have been checked. */
export function beginReassignment(
  elections: PartitionElections,
  at: PartitionAt,
  target: readonly number[],
): internal.MetadataRecord | undefined {
  const original = originalOf(at.partition);
  const addingReplicas = target.filter((id) => !original.includes(id));
  const removingReplicas = original.filter((id) => !target.includes(id));
  // The target first: its first replica is the preferred leader from now on.
  return change(elections, at, { replicas: [...target, ...removingReplicas], addingReplicas, removingReplicas });
}

function reassignment(
  image: MetadataImage,
  elections: PartitionElections,
  at: PartitionAt,
  target: readonly number[],
  keepFactor: boolean,
): internal.MetadataRecord | undefined {
  checkDistinct(target);
  checkTarget(image, at.partition, target);
  const factor = originalOf(at.partition).length;
  if (keepFactor && target.length !== factor) {
    throw new BarnabasError(
      'INVALID_REPLICATION_FACTOR',
      `the replication factor is ${factor} and may not be changed by this request: name as many brokers, not ${target.length}`,
    );
  }
  return beginReassignment(elections, at, target);
}

/** Brokers that get a replica must serve; those that have one may be away. */
function checkTarget(image: MetadataImage, partition: PartitionImage, target: readonly number[]): void {
  const held = originalOf(partition);
  for (const id of target) {
    if (held.includes(id)) continue;
    const broker = checkMayTakeReplicas(image, id);
    if (serves(broker) || partition.replicas.includes(id)) continue;
    throw new BarnabasError(
      'INVALID_REPLICA_ASSIGNMENT',
      `broker ${id} does not serve at the moment: choose another, or wait for it`,
    );
  }
}

function change(
  elections: PartitionElections,
  at: PartitionAt,
  assignment: Assignment,
): internal.MetadataRecord | undefined {
  return elections.change(at, { assignment, ...electionFor(elections, at, assignment) });
}

/** Which election leaves the partition with somebody in its ISR; throws INVALID_REPLICA_ASSIGNMENT. */
function electionFor(
  elections: PartitionElections,
  { topic, number, partition }: PartitionAt,
  { replicas }: Assignment,
): Pick<PartitionEvent, 'election'> {
  const { isr, eligibleLeaderReplicas, offlineReplicas } = partition;
  if ([...isr, ...eligibleLeaderReplicas].some((id) => replicas.includes(id))) return {};
  const canLead = replicas.some((id) => elections.standings.serves(id) && !offlineReplicas.includes(id));
  if (canLead && elections.rulesOf(topic).isUncleanAllowed()) return { election: 'unclean' };
  throw new BarnabasError(
    'INVALID_REPLICA_ASSIGNMENT',
    `none of brokers ${replicas.join(', ')}, which would be left with partition ${number} of topic ${topic.name}, is known to hold all of it: wait until one of them is in sync`,
  );
}

/** Whether a reassignment to this target is what is under way. */
export function isUnderWay(partition: PartitionImage, target: readonly number[]): boolean {
  return isReassigning(partition) && sameMembers(targetOf(partition), target);
}

function keyOf({ topic, partition }: v1.PartitionReassignment): string {
  return `${partition}/${topic}`;
}
