/**
 * Which brokers get the replicas of new partitions, chosen or given by hand, and the records that say
 * so. The rules that both have to keep stand here and nowhere else.
 *
 * Errors: INVALID_REPLICATION_FACTOR, INVALID_REPLICA_ASSIGNMENT.
 */
import type { Random } from '@barnabas/common';
import { REPLICATION_METADATA_VERSION } from '@barnabas/metadata';
import type { BrokerImage, MetadataImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import { internal } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { serves } from './broker-standing.js';
import { isReplicationServed } from './leader-election.js';
import { placeReplicas } from './replica-placement.js';
import type { PlacementBroker } from './replica-placement.js';

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
    const partition = internal.PartitionRecord.create({ topicId, partition: first + index, ...place });
    return { record: { $case: 'partition', partition } };
  });
}

/** Throws INVALID_REPLICATION_FACTOR. */
export function checkReplicationFactor(image: MetadataImage, replicationFactor: number): void {
  if (!Number.isInteger(replicationFactor) || replicationFactor < 1) {
    throw new BarnabasError(
      'INVALID_REPLICATION_FACTOR',
      `the replication factor must be at least 1, not ${replicationFactor}`,
    );
  }
  if (replicationFactor > 1 && !isReplicationServed(image)) {
    throw new BarnabasError(
      'INVALID_REPLICATION_FACTOR',
      `replication factor ${replicationFactor} needs metadata.version ${REPLICATION_METADATA_VERSION}: raise it with UpdateFeatures, or use 1`,
    );
  }
}

/** As many replicas as a partition can have that all of them are in sync from the start. */
export function mostReplicas(image: MetadataImage): number {
  const serving = placeableBrokers(image).filter((broker) => broker.serving).length;
  return isReplicationServed(image) ? serving : Math.min(1, serving);
}

function chooseReplicas({ image, partitions, replicationFactor, existing, random }: AssignmentRequest): number[][] {
  checkReplicationFactor(image, replicationFactor);
  const brokers = placeableBrokers(image);
  if (!brokers.some(({ serving }) => serving)) {
    throw new BarnabasError(
      'INVALID_REPLICATION_FACTOR',
      `none of the ${brokers.length} brokers that may take replicas serves at the moment: wait for one to start, then retry`,
    );
  }
  if (replicationFactor > brokers.length) {
    throw new BarnabasError(
      'INVALID_REPLICATION_FACTOR',
      `replication factor ${replicationFactor} is larger than the number of brokers that may take replicas, ${brokers.length}`,
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
  checkReplicationFactor(image, size);
  for (const list of lists) {
    checkDistinct(list);
    for (const id of list) checkMayTakeReplicas(image, id);
  }
  return lists;
}

/** Throws INVALID_REPLICA_ASSIGNMENT. */
export function checkDistinct(replicas: readonly number[]): void {
  if (new Set(replicas).size < replicas.length) {
    throw new BarnabasError('INVALID_REPLICA_ASSIGNMENT', `replicas ${replicas.join(', ')} name a broker twice`);
  }
}

/** Throws INVALID_REPLICA_ASSIGNMENT unless new replicas may be put on the broker. */
export function checkMayTakeReplicas(image: MetadataImage, id: number): BrokerImage {
  const broker = image.brokers.get(id);
  if (broker === undefined) {
    throw new BarnabasError('INVALID_REPLICA_ASSIGNMENT', `broker ${id} is not registered`);
  }
  if (broker.decommissioning) {
    throw new BarnabasError(
      'INVALID_REPLICA_ASSIGNMENT',
      `broker ${id} is being decommissioned: choose another, or take its decommissioning back`,
    );
  }
  return broker;
}

/** Where new replicas may be put, by id. */
export function placeableBrokers(image: MetadataImage): PlacementBroker[] {
  return [...image.brokers.values()]
    .filter(({ decommissioning }) => !decommissioning)
    .sort((one, other) => one.id - other.id)
    .map((broker) => ({ id: broker.id, rack: broker.rack, serving: serves(broker) }));
}
