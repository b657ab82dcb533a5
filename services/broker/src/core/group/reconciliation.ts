/**
 * How a member gets from what it owns to what it is to own (KIP-848, "current assignment"). Pure: a
 * member, its target and who owns what, to the member's next assignment.
 *
 *   state       means                                          left when
 *   stable      has all that the target of its epoch gives it   the target epoch moves on
 *   unrevoked   was told to give partitions up                  it confirms; or is fenced for being late
 *   unreleased  waits for partitions that others own            they are free; or the target epoch moves on
 *
 * Only what moves stops: what is in the old and the new target is kept throughout. A partition is given
 * only when nobody owns it, and its owner owns it until it has confirmed to have let it go, or is
 * removed from the group. That is the whole of the safety argument; epochs order what members say.
 *
 * The member's epoch becomes the target's when it has nothing left to give up. Until then it stays, so
 * that what it commits for what it still owns is accepted.
 */
import type { MemberImage, MemberState } from './group-image.js';
import type { OwnedPartitions, PartitionKey } from './partition-key.js';

/** What the member has said about what it owns. */
export type OwnershipReport =
  /** Nothing that counts. */
  | { readonly kind: 'unknown' }
  /** It has applied the assignment in force, and owns this. */
  | { readonly kind: 'owns'; readonly partitions: ReadonlySet<PartitionKey> };

export const UNKNOWN_OWNERSHIP: OwnershipReport = { kind: 'unknown' };
/** It has begun anew. */
export const OWNS_NOTHING: OwnershipReport = { kind: 'owns', partitions: new Set() };

export interface Reconciliation {
  readonly target: ReadonlySet<PartitionKey>;
  readonly targetEpoch: number;
  readonly report: OwnershipReport;
  /** Who owns a partition now, also while giving it up. */
  readonly ownerOf: (partition: PartitionKey) => string | undefined;
}

/** What a current-assignment record holds. */
export type CurrentAssignment = Pick<
  MemberImage,
  'epoch' | 'previousEpoch' | 'state' | 'assigned' | 'pendingRevocation' | 'assignmentVersion'
>;

/** The same object when there is nothing to do. */
export function reconcile(member: MemberImage, input: Reconciliation): CurrentAssignment {
  switch (member.state) {
    case 'unrevoked':
      return [...member.pendingRevocation.keys()].some((key) => mayOwn(input.report, key))
        ? member
        : next(member, input);
    case 'stable':
      return member.epoch === input.targetEpoch ? member : next(member, input);
    case 'unreleased':
      return next(member, input);
  }
}

function next(member: MemberImage, { target, targetEpoch, report, ownerOf }: Reconciliation): CurrentAssignment {
  const kept = new Map<PartitionKey, number>();
  const surplus = new Map<PartitionKey, number>();
  for (const [key, epoch] of member.assigned) (target.has(key) ? kept : surplus).set(key, epoch);
  if ([...surplus.keys()].some((key) => mayOwn(report, key))) {
    const { epoch, previousEpoch } = member;
    return versioned(member, { epoch, previousEpoch, state: 'unrevoked', assigned: kept, pendingRevocation: surplus });
  }
  const assigned = new Map(kept);
  let isWaiting = false;
  for (const key of target) {
    if (kept.has(key)) continue;
    const owner = ownerOf(key);
    if (owner === undefined || owner === member.id) assigned.set(key, targetEpoch);
    else isWaiting = true;
  }
  const state: MemberState = isWaiting ? 'unreleased' : 'stable';
  const previousEpoch = member.epoch === targetEpoch ? member.previousEpoch : member.epoch;
  return versioned(member, { epoch: targetEpoch, previousEpoch, state, assigned, pendingRevocation: new Map() });
}

function mayOwn(report: OwnershipReport, key: PartitionKey): boolean {
  return report.kind === 'unknown' || report.partitions.has(key);
}

/** A new version where what the member owns has changed; the member itself where nothing has. */
function versioned(member: MemberImage, to: Omit<CurrentAssignment, 'assignmentVersion'>): CurrentAssignment {
  const isSameOwned =
    sameOwned(member.assigned, to.assigned) && sameOwned(member.pendingRevocation, to.pendingRevocation);
  const isSame = isSameOwned && member.epoch === to.epoch && member.state === to.state;
  if (isSame) return member;
  return { ...to, assignmentVersion: member.assignmentVersion + (isSameOwned ? 0 : 1) };
}

function sameOwned(one: OwnedPartitions, other: OwnedPartitions): boolean {
  return one.size === other.size && [...one].every(([key, epoch]) => other.get(key) === epoch);
}
