/**
 * Which brokers get the replicas of new partitions, chosen or given by hand, and the records that say
 * so. The rules that both have to keep stand here and nowhere else.
 *
 * Errors: INVALID_REPLICATION_FACTOR, INVALID_REPLICA_ASSIGNMENT.
 */
import type { Random } from '@barnabas/common';
import type { MetadataImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { internal, v1 } from '@barnabas/protocol';
import { serves } from './leader-election.js';
import { placeReplicas } from './replica-placement.js';

/**
 * Followers do not copy partitions yet: a second replica would hold nothing, and a topic must not
 * promise what it does not keep. Placement, elections and the ISR are written for any number.
 */
const SERVED_REPLICATION_FACTOR = 1;

export interface AssignmentRequest {
  readonly image: MetadataImage;
  readonly partitions: number;
  readonly replicationFactor: number;
  /** Empty: choose. */
  readonly byHand: readonly v1.ReplicaAssignment[];
  /** Replica lists of the topic's partitions. */
  readonly existing: readonly (readonly number[])[];
  readonly random: Random;
}

/** One replica list for each new partition, the preferred leader first. */
export function assignReplicas(request: AssignmentRequest): readonly (readonly number[])[] {
  return request.byHand.length === 0 ? chooseReplicas(request) : checkByHand(request);
}

/** The records of new partitions, numbered from `first`: all who serve are in sync, the first of them leads. */
export function partitionRecords(
  image: MetadataImage,
  topicId: string,
  assignments: readonly (readonly number[])[],
  first: number,
): internal.MetadataRecord[] {
  return assignments.map((list, index) => {
    const replicas = [...list];
    const isr = replicas.filter((id) => serves(image.brokers.get(id)));
    const [leader] = isr;
    if (leader === undefined) {
      throw new BarnabasError(
        'INVALID_REPLICA_ASSIGNMENT',
        `none of brokers ${replicas.join(', ')} serves at the moment: partition ${first + index} would have no leader`,
      );
    }
    const place = { replicas, isr, leader, leaderEpoch: 0, partitionEpoch: 0 };
    const none = { addingReplicas: [], removingReplicas: [], eligibleLeaderReplicas: [], lastKnownElr: [] };
    return { record: { $case: 'partition', partition: { topicId, partition: first + index, ...place, ...none } } };
  });
}

function checkServed(replicationFactor: number): void {
  if (!Number.isInteger(replicationFactor) || replicationFactor < 1) {
    throw new BarnabasError(
      'INVALID_REPLICATION_FACTOR',
      `the replication factor must be at least 1, not ${replicationFactor}`,
    );
  }
  if (replicationFactor > SERVED_REPLICATION_FACTOR) {
    throw new BarnabasError(
      'INVALID_REPLICATION_FACTOR',
      `replication factor ${replicationFactor} is not served by this version yet: use ${SERVED_REPLICATION_FACTOR}`,
    );
  }
}

function chooseReplicas({ image, partitions, replicationFactor, existing, random }: AssignmentRequest): number[][] {
  checkServed(replicationFactor);
  const brokers = [...image.brokers.values()]
    .sort((one, other) => one.id - other.id)
    .map((broker) => ({ id: broker.id, rack: broker.rack, serving: serves(broker) }));
  if (!brokers.some(({ serving }) => serving)) {
    throw new BarnabasError(
      'INVALID_REPLICATION_FACTOR',
      `none of the ${brokers.length} registered brokers serves at the moment: wait for one to start, then retry`,
    );
  }
  if (replicationFactor > brokers.length) {
    throw new BarnabasError(
      'INVALID_REPLICATION_FACTOR',
      `replication factor ${replicationFactor} is larger than the number of brokers, ${brokers.length}`,
    );
  }
  return placeReplicas({ brokers, partitions, replicationFactor, existing, random });
}

function checkByHand({ image, byHand, existing }: AssignmentRequest): readonly (readonly number[])[] {
  const lists = byHand.map(({ replicas }) => replicas);
  const size = existing[0]?.length ?? lists[0]?.length ?? 0;
  if (lists.some(({ length }) => length === 0 || length !== size)) {
    throw new BarnabasError(
      'INVALID_REPLICA_ASSIGNMENT',
      'all partitions of a topic must have the same number of replicas, at least 1',
    );
  }
  checkServed(size);
  for (const list of lists) {
    if (new Set(list).size < list.length) {
      throw new BarnabasError('INVALID_REPLICA_ASSIGNMENT', `replicas ${list.join(', ')} name a broker twice`);
    }
    const unknown = list.find((id) => !image.brokers.has(id));
    if (unknown !== undefined) {
      throw new BarnabasError('INVALID_REPLICA_ASSIGNMENT', `broker ${unknown} is not registered`);
    }
  }
  return lists;
}
