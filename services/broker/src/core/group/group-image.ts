/**
 * One group as its records say it is. Immutable: a decision plans on successors of the image without
 * touching the one in force, and a group of thousands of members changes one of them cheaply.
 *
 * Made only by apply-record.ts. Holds facts; sessions and timers are not facts (member-timers.ts).
 *
 * Invariants (checked by check-group.ts after every change):
 *   G1  a partition is owned by one member at most; `owners` says by whom
 *   G2  targetEpoch <= epoch, and no member's epoch is above targetEpoch
 *   G3  a static id names a member that names it back
 *   G4  a partition was given to its owner at an epoch no higher than the owner's, which is its own
 *       or the next one of the group
 *   G5  only a member in state unrevoked has partitions to give up, and it has some
 */
import { PersistentMap } from '@barnabas/metadata';
import type { OwnedPartitions, PartitionKey } from './partition-key.js';

/** Epoch with which a member joins. */
export const JOINING_EPOCH = 0;
/** Epoch with which a member leaves for good. */
export const LEAVING_EPOCH = -1;
/** Epoch with which a static member leaves for a moment. */
export const STATIC_LEAVING_EPOCH = -2;

export type MemberState = 'stable' | 'unrevoked' | 'unreleased';

export interface MemberImage {
  readonly id: string;
  /** Empty for a dynamic member. */
  readonly instanceId: string;
  readonly rackId: string;
  readonly clientId: string;
  readonly clientHost: string;
  /** Sorted, none twice. */
  readonly topicNames: readonly string[];
  /** Empty: none. */
  readonly topicPattern: string;
  readonly rebalanceTimeoutMs: number;
  /** Empty: the group's choice. */
  readonly serverAssignor: string;
  readonly incarnation: number;
  readonly epoch: number;
  readonly previousEpoch: number;
  readonly state: MemberState;
  readonly assigned: OwnedPartitions;
  readonly pendingRevocation: OwnedPartitions;
  readonly assignmentVersion: number;
}

export interface CommittedOffset {
  readonly topicId: string;
  /** As it was called at the commit. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** -1: not known. */
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly commitTimestampMs: number;
  /** How often the group had gone back in the partition. */
  readonly rewinds: number;
}

export interface GroupImage {
  readonly id: string;
  /** Whether a record says that the group exists; a group of commits alone has none. */
  readonly isRecorded: boolean;
  readonly epoch: number;
  readonly metadataHash: number;
  /** -1 while there are members, or where nothing is recorded. */
  readonly emptySinceMs: number;
  readonly members: PersistentMap<string, MemberImage>;
  /** Member ids by group.instance.id. */
  readonly staticMembers: PersistentMap<string, string>;
  /** The group epoch that the target assignment was made for. */
  readonly targetEpoch: number;
  readonly targets: PersistentMap<string, ReadonlySet<PartitionKey>>;
  /** Who owns a partition, also while giving it up. */
  readonly owners: PersistentMap<PartitionKey, string>;
  readonly offsets: PersistentMap<PartitionKey, CommittedOffset>;
}

export function emptyGroup(id: string): GroupImage {
  return {
    id,
    isRecorded: false,
    epoch: 0,
    metadataHash: 0,
    emptySinceMs: -1,
    members: PersistentMap.empty(),
    staticMembers: PersistentMap.empty(),
    targetEpoch: 0,
    targets: PersistentMap.empty(),
    owners: PersistentMap.empty(),
    offsets: PersistentMap.empty(),
  };
}

/** Nothing is known of it any more. */
export function isGone(group: GroupImage): boolean {
  return !group.isRecorded && group.members.size === 0 && group.offsets.size === 0;
}

/** Kafka's names of group states. */
export type GroupState = 'Empty' | 'Assigning' | 'Reconciling' | 'Stable' | 'Dead';

export function stateOf(group: GroupImage): GroupState {
  if (isGone(group)) return 'Dead';
  if (group.members.size === 0) return 'Empty';
  if (group.epoch > group.targetEpoch) return 'Assigning';
  for (const member of group.members.values()) {
    if (member.state !== 'stable' || member.epoch !== group.targetEpoch) return 'Reconciling';
  }
  return 'Stable';
}

const NO_TARGET: ReadonlySet<PartitionKey> = new Set();

export function targetOf(group: GroupImage, memberId: string): ReadonlySet<PartitionKey> {
  return group.targets.get(memberId) ?? NO_TARGET;
}

/** Members in order of their ids: the same in every process. */
export function sortedMembers(group: GroupImage): MemberImage[] {
  return [...group.members.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
}
