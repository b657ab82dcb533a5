/** What an administrator asks and is told about brokers, replicas and controllers. */
import type { BarnabasError } from '@barnabas/protocol';
import type { BrokerNode, PartitionMetadata, TopicMetadata } from '../cluster/cluster-view.js';
import type { TopicPartition } from '../records.js';

export interface BrokerDescription extends BrokerNode {
  /** It is about to stop: it serves, and gets no new leaderships. */
  readonly inControlledShutdown: boolean;
  /** It is being emptied: it gets no new replicas. */
  readonly decommissioning: boolean;
}

export interface ClusterDescription {
  readonly clusterId: string;
  /** Node id of the active controller, or -1. */
  readonly controllerId: number;
  readonly brokers: readonly BrokerDescription[];
  /** Those who vote. */
  readonly controllers: readonly { readonly id: number; readonly address: string }[];
}

export interface PartitionDescription extends PartitionMetadata {
  /** Out of the ISR, but known to hold everything committed (KIP-966). */
  readonly eligibleLeaderReplicas: readonly number[];
  /** Replicas that a reassignment adds, and those that it removes at its end. */
  readonly addingReplicas: readonly number[];
  readonly removingReplicas: readonly number[];
  readonly partitionEpoch: number;
}

export interface TopicDescription extends Omit<TopicMetadata, 'partitions'> {
  /** Index is the partition number. */
  readonly partitions: readonly PartitionDescription[];
}

/** Partitions of a topic; all of them unless some are named. */
export interface TopicSelection {
  readonly topic: string;
  readonly partitions?: readonly number[];
}

export interface PartitionReassignment extends TopicPartition {
  /** Brokers, the preferred leader first; null cancels the reassignment under way. */
  readonly replicas: readonly number[] | null;
}

export interface OngoingReassignment extends TopicPartition {
  /** All that hold a replica now, those coming and those going included. */
  readonly replicas: readonly number[];
  readonly addingReplicas: readonly number[];
  readonly removingReplicas: readonly number[];
}

/** `preferred`: the first replica leads, if it is in sync. `unclean`: any replica may lead, and records may be lost. */
export type ElectionType = 'preferred' | 'unclean';

export interface ElectedLeader extends TopicPartition {
  /** Broker id of the leader now. */
  readonly leader: number;
  /** False where no election was needed. */
  readonly elected: boolean;
}

export interface ReplicaDescription {
  readonly brokerId: number;
  /** First offset that it does not have on disk; -1 if unknown. */
  readonly logEndOffset: number;
  /** Records that the leader has and it has not; -1 if unknown. */
  readonly lag: number;
  /** Milliseconds since it last had everything; 0 for the leader, -1 if never or unknown. */
  readonly caughtUpMs: number;
  readonly inSync: boolean;
}

export interface PartitionReplicas extends TopicPartition {
  /** Broker id of the leader, or -1. */
  readonly leader: number;
  readonly leaderEpoch: number;
  /** -1 where the leader could not be asked; so are the next two. */
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly logEndOffset: number;
  readonly replicas: readonly ReplicaDescription[];
  /** Why the leader could not be asked; undefined if it was. */
  readonly error: BarnabasError | undefined;
}

export interface Decommission {
  /** Partitions that still have a replica on the broker. */
  readonly remainingPartitions: number;
  /** Partitions that cannot leave it, and why. */
  readonly stuck: readonly (TopicPartition & { readonly error: BarnabasError })[];
}

/** A controller, as the leader of the quorum knows it. Offsets are those of its log, not metadata offsets. */
export interface QuorumReplica {
  readonly id: number;
  /** Names its metadata directory: with a new disk it is another voter. */
  readonly directoryId: string;
  /** Where the other controllers reach it. */
  readonly address: string;
  /** First offset that it does not have on disk; -1 if unknown. */
  readonly logEndOffset: number;
  /** Entries that the leader has and it has not; -1 if unknown. */
  readonly lag: number;
  /** Milliseconds since the leader heard from it; 0 for the leader, -1 if never. */
  readonly lastContactMs: number;
}

export interface QuorumDescription {
  readonly clusterId: string;
  readonly leaderId: number;
  /** Raft's term. */
  readonly leaderEpoch: number;
  /** First offset that is not committed. */
  readonly highWatermark: number;
  /** Last offset in the leader's newest snapshot; 0 if there is none. */
  readonly snapshotOffset: number;
  readonly voters: readonly QuorumReplica[];
  /** Those who follow without a vote. */
  readonly observers: readonly QuorumReplica[];
}

export interface VoterKey {
  /** node.id */
  readonly id: number;
  /** Default: whichever directory the controller of that id has. */
  readonly directoryId?: string;
}

export interface NewVoter extends VoterKey {
  /** `host:port` where the other controllers reach it. Default: where it says itself. */
  readonly address?: string;
}

export interface Feature {
  readonly name: string;
  /** 0 means off. */
  readonly level: number;
  readonly minSupported: number;
  readonly maxSupported: number;
}

export interface FeatureUpdate {
  readonly name: string;
  /** 0 means off. */
  readonly level: number;
  /** Default false: a lower level than now is refused. */
  readonly allowDowngrade?: boolean;
}
