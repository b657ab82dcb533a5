/**
 * What the metadata log says of one partition that this broker holds a replica of.
 */

/** The topic's settings that the replica manager itself acts on; the log gets the rest. */
export interface ReplicaConfig {
  readonly 'min.insync.replicas': number;
}

export interface Assignment {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  /** Broker id, or -1. */
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  /** Out of the ISR, but known to hold everything committed (KIP-966). */
  readonly eligibleLeaderReplicas: readonly number[];
  readonly config: ReplicaConfig;
}

export type AssignmentChange =
  /** New here, or changed. */
  | { readonly kind: 'assign'; readonly assignment: Assignment }
  /** The topic is gone, or the replica has moved to another broker. */
  | { readonly kind: 'unassign'; readonly topicId: string; readonly partition: number; readonly deleted: boolean };
