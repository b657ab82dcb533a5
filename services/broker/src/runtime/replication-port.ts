/** What the driver of replicas and the streams between brokers have to do with each other. */
import type { Follow, IsrProposal } from '../core/index.js';
import type { ReplicaPartition } from './replica-partition.js';

/** Where a follower's log ends, for its leader. */
export type Question = Omit<Follow, 'brokerId' | 'brokerEpoch'>;

/** The streams to leaders, and the way to the controller. */
export interface ReplicationPort {
  attach(partition: ReplicaPartition, leader: number): void;
  detach(partition: ReplicaPartition, leader: number): void;
  ask(partition: ReplicaPartition, handle: number, question: Question): void;
  acknowledge(partition: ReplicaPartition, handle: number): void;
  /** Tells the controller that a replica cannot be used. */
  reportOffline(partition: ReplicaPartition, leaderEpoch: number): void;
  /** `again`: not at once. */
  propose(partition: ReplicaPartition, proposal: IsrProposal, again: boolean): void;
}

/** A leader's batches on their way into the log; `release` when they no longer take memory. */
export interface InboundBatches {
  readonly bytes: Uint8Array;
  /** The log has them: `release` follows. */
  taken: boolean;
  release(): void;
}
