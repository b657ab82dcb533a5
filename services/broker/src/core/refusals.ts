/** The errors that the replica manager answers with: one place for their names and words. */
import { refusal } from '@barnabas/protocol';
import type { BarnabasError } from '@barnabas/protocol';
import type { PartitionName } from './pending-produce.js';

/** A partition and who leads it, -1 for nobody. */
interface LedPartition extends PartitionName {
  readonly leader: number;
  readonly leaderEpoch: number;
}

function nameOf({ topic, partition }: PartitionName): string {
  return `${topic}-${partition}`;
}

export function unknownPartition(at: PartitionName): BarnabasError {
  return refusal(
    'UNKNOWN_TOPIC_OR_PARTITION',
    `${nameOf(at)} does not exist: check the name, create the topic, or refresh metadata`,
    { topic: at.topic, partition: at.partition },
  );
}

export function topicIdChanged(at: PartitionName): BarnabasError {
  return refusal('INCONSISTENT_TOPIC_ID', `topic ${at.topic} was deleted and created again: refresh metadata`, {
    topic: at.topic,
  });
}

export function notLeader(at: PartitionName, leader: number, leaderEpoch: number): BarnabasError {
  return refusal(
    'NOT_LEADER_OR_FOLLOWER',
    `broker ${leader} leads ${nameOf(at)} in epoch ${leaderEpoch}: refresh metadata and ask it`,
    { topic: at.topic, partition: at.partition, leader, leaderEpoch },
  );
}

export function noLeader(at: PartitionName): BarnabasError {
  return refusal('LEADER_NOT_AVAILABLE', `${nameOf(at)} has no leader now: wait and retry`, {
    topic: at.topic,
    partition: at.partition,
  });
}

/** `at` is as this broker knows it: what it says of the leader lets the caller go on there at once. */
export function fencedLeaderEpoch(at: LedPartition, asked: number): BarnabasError {
  const { topic, partition, leader, leaderEpoch } = at;
  return refusal(
    'FENCED_LEADER_EPOCH',
    `leader epoch ${asked} of ${nameOf(at)} is over, ${leaderEpoch} has begun: refresh metadata`,
    { topic, partition, asked, leader, leaderEpoch },
  );
}

export function unknownLeaderEpoch(at: PartitionName, asked: number, current: number): BarnabasError {
  return refusal(
    'UNKNOWN_LEADER_EPOCH',
    `this broker has not heard of leader epoch ${asked} of ${nameOf(at)} yet, it knows ${current}: retry`,
    { topic: at.topic, partition: at.partition, asked, current },
  );
}

export function offline(at: PartitionName, reason: string): BarnabasError {
  return refusal('KAFKA_STORAGE_ERROR', `the log of ${nameOf(at)} is offline: ${reason}`, {
    topic: at.topic,
    partition: at.partition,
  });
}

export function notEnoughReplicas(at: PartitionName, isr: number, required: number): BarnabasError {
  return refusal(
    'NOT_ENOUGH_REPLICAS',
    `${nameOf(at)} has ${isr} in-sync replicas, min.insync.replicas is ${required}: nothing was written, retry`,
    { topic: at.topic, partition: at.partition, isr, required },
  );
}

export function notEnoughReplicasAfterAppend(at: PartitionName, isr: number, required: number): BarnabasError {
  return refusal(
    'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
    `${nameOf(at)} was written, but only ${isr} in-sync replicas are left of the ${required} of min.insync.replicas`,
    { topic: at.topic, partition: at.partition, isr, required },
  );
}

export function timedOut(at: PartitionName): BarnabasError {
  return refusal(
    'REQUEST_TIMED_OUT',
    `${nameOf(at)} did not reach the acks asked for in time: the records may be there, retry with an idempotent producer`,
    { topic: at.topic, partition: at.partition },
  );
}

export function unknownTopicId({ topicId, partition }: { topicId: string; partition: number }): BarnabasError {
  return refusal(
    'UNKNOWN_TOPIC_ID',
    `this broker holds no replica of partition ${partition} of topic id ${topicId}: metadata is on its way, retry`,
    { topicId, partition },
  );
}

export function notReplica(at: PartitionName, brokerId: number): BarnabasError {
  return refusal(
    'NOT_LEADER_OR_FOLLOWER',
    `broker ${brokerId} holds no replica of ${nameOf(at)} as this leader knows: metadata is on its way, retry`,
    { topic: at.topic, partition: at.partition, brokerId },
  );
}

export function replicaNotReady(at: PartitionName, why: string): BarnabasError {
  return refusal('REPLICA_NOT_AVAILABLE', `${nameOf(at)} cannot be followed now: ${why}, retry`, {
    topic: at.topic,
    partition: at.partition,
  });
}

export function replicaTruncates(at: PartitionName): BarnabasError {
  return refusal(
    'NOT_LEADER_OR_FOLLOWER',
    `this replica of ${nameOf(at)} is being brought in line with its leader: ask the leader`,
    { topic: at.topic, partition: at.partition },
  );
}

export function staleFollower(brokerId: number, brokerEpoch: number, known: number): BarnabasError {
  return refusal(
    'STALE_BROKER_EPOCH',
    `broker ${brokerId} speaks under broker epoch ${brokerEpoch}, and has spoken under ${known} since`,
    { brokerId, brokerEpoch, known },
  );
}

/** Who leads instead, if anybody does. */
export function notServed(at: LedPartition): BarnabasError {
  return at.leader === -1 ? noLeader(at) : notLeader(at, at.leader, at.leaderEpoch);
}

/**
 * For an entry that is in this log when this broker ceases to lead. Not NOT_LEADER_OR_FOLLOWER: that name
 * says that nothing was done, and whoever sends a batch without a sequence again on its word writes it twice.
 */
export function undecided(at: LedPartition): BarnabasError {
  const { topic, partition, leader, leaderEpoch } = at;
  const who = leader === -1 ? 'nobody leads now' : `broker ${leader} leads in epoch ${leaderEpoch}`;
  return refusal(
    'REQUEST_TIMED_OUT',
    `this broker wrote to ${nameOf(at)} and ceased to lead before it was committed (${who}): the records may be kept, retry with an idempotent producer`,
    { topic, partition, leader, leaderEpoch },
  );
}

/** For followers of an epoch that has ended. */
/** The same, when the replica is taken away: the others may have what is in its log. */
export function removedUndecided(at: PartitionName): BarnabasError {
  return refusal(
    'REQUEST_TIMED_OUT',
    `this broker wrote to ${nameOf(at)}, and its replica was removed before that was committed: if the partition still exists, the records may be kept, retry with an idempotent producer`,
    { topic: at.topic, partition: at.partition },
  );
}

export function leadershipOver(at: LedPartition): BarnabasError {
  return fencedLeaderEpoch(at, -1);
}

export function offsetNotAvailable(at: PartitionName): BarnabasError {
  return refusal(
    'OFFSET_NOT_AVAILABLE',
    `the new leader of ${nameOf(at)} is finding out what is committed: wait and retry`,
    { topic: at.topic, partition: at.partition },
  );
}

export function notDeletedEverywhere(at: PartitionName, beforeOffset: number): BarnabasError {
  return refusal(
    'REQUEST_TIMED_OUT',
    `records of ${nameOf(at)} below ${beforeOffset} are gone from its leader, and not from all replicas yet: ask again`,
    { topic: at.topic, partition: at.partition, beforeOffset },
  );
}

export function notReachedHere(at: PartitionName, offset: number, highWatermark: number): BarnabasError {
  return refusal(
    'OFFSET_NOT_AVAILABLE',
    `this replica of ${nameOf(at)} knows of offsets up to ${highWatermark}, not ${offset}: read from the leader`,
    { topic: at.topic, partition: at.partition, offset, highWatermark },
  );
}
