/** What an administrator asks and is told about groups. */
import type { BarnabasError } from '@barnabas/protocol';
import type { GroupSubscription, GroupTopicPartition } from '../group/group-types.js';

/** Kafka's names. `Unknown` is what this version has no name for. */
export type GroupState = 'Empty' | 'Assigning' | 'Reconciling' | 'Stable' | 'Dead' | 'Unknown';

export interface GroupListing {
  readonly groupId: string;
  readonly state: GroupState;
  readonly members: number;
  /** Broker id of the coordinator. */
  readonly coordinatorId: number;
}

export interface GroupMemberDescription {
  readonly memberId: string;
  /** Empty for members that are not static. */
  readonly instanceId: string;
  readonly rackId: string;
  readonly clientId: string;
  /** Where it is. */
  readonly clientHost: string;
  readonly subscription: GroupSubscription;
  /** How far it has come. */
  readonly epoch: number;
  /** What it owns, what it is giving up included. */
  readonly assignment: readonly GroupTopicPartition[];
  /** What it shall own. */
  readonly target: readonly GroupTopicPartition[];
}

export interface GroupDescription {
  readonly groupId: string;
  readonly state: GroupState;
  /** Grows when the members or what they subscribe to change. */
  readonly epoch: number;
  /** The epoch that the target assignment was made for. */
  readonly targetEpoch: number;
  /** The assignor that made the target. */
  readonly assignor: string;
  readonly coordinatorId: number;
  /** In order of ids. */
  readonly members: readonly GroupMemberDescription[];
}

/** How far a group is in one partition: of each that it has committed, and of each that a member owns. */
export interface PartitionLag extends GroupTopicPartition {
  /** The next offset to read; undefined where nothing is committed. */
  readonly committedOffset: number | undefined;
  readonly metadata: string;
  /** The high watermark; undefined where the leader could not be asked. */
  readonly logEndOffset: number | undefined;
  /** Records not consumed; undefined where one of the two is not known. */
  readonly lag: number | undefined;
  /**
   * How long the first record that is not consumed has been waiting: now minus its timestamp, in
   * milliseconds; 0 where there is none. Undefined where it is not known, or the record has no timestamp.
   */
  readonly lagMs: number | undefined;
  /** Who owns it. */
  readonly member: GroupMemberDescription | undefined;
  /** Why the leader could not be asked. */
  readonly error: BarnabasError | undefined;
}

export interface GroupLag extends GroupDescription {
  /** In order of topics and partitions. */
  readonly partitions: readonly PartitionLag[];
}
