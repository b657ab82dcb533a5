/**
 * The invariants of group-image.ts: of a whole group after loading, and of what a decision has touched
 * after every decision, since a group of thousands of partitions changes a few of them at a time.
 */
import { InvariantError } from '@barnabas/common';
import { STATIC_LEAVING_EPOCH } from './group-image.js';
import type { GroupImage, MemberImage } from './group-image.js';

export function checkGroup(group: GroupImage): void {
  let owned = 0;
  for (const member of group.members.values()) {
    owned += checkMember(group, member);
    if (member.instanceId !== '' && !group.staticMembers.has(member.instanceId)) broken(group, 'G3', member);
  }
  if (owned !== group.owners.size) broken(group, 'G1');
  for (const [instanceId, memberId] of group.staticMembers) {
    if (group.members.get(memberId)?.instanceId !== instanceId) broken(group, 'G3');
  }
  if (group.targetEpoch > group.epoch) broken(group, 'G2');
}

/** Of members whose records have changed. */
export function checkMembers(group: GroupImage, memberIds: Iterable<string>): void {
  if (group.targetEpoch > group.epoch) broken(group, 'G2');
  for (const memberId of memberIds) {
    const member = group.members.get(memberId);
    if (member === undefined) continue;
    checkMember(group, member);
    const { instanceId } = member;
    if (instanceId === '') continue;
    const holderId = group.staticMembers.get(instanceId);
    const holder = holderId === undefined ? undefined : group.members.get(holderId);
    if (holder?.instanceId !== instanceId) broken(group, 'G3', member);
  }
}

/** How many partitions the member owns. */
function checkMember(group: GroupImage, member: MemberImage): number {
  if (member.epoch > group.targetEpoch) broken(group, 'G2', member);
  if ((member.state === 'unrevoked') !== member.pendingRevocation.size > 0) broken(group, 'G5', member);
  for (const owned of [member.assigned, member.pendingRevocation]) {
    for (const [key, epoch] of owned) {
      if (group.owners.get(key) !== member.id) broken(group, 'G1', member);
      if (epoch > Math.max(member.epoch, group.targetEpoch)) broken(group, 'G4', member);
      if (member.epoch !== STATIC_LEAVING_EPOCH && member.epoch > 0 && epoch > member.epoch)
        broken(group, 'G4', member);
    }
  }
  return member.assigned.size + member.pendingRevocation.size;
}

const INVARIANTS = {
  G1: 'G1: a partition is owned by one member at most',
  G2: 'G2: member epoch <= target epoch <= group epoch',
  G3: 'G3: a static id names a member that names it back',
  G4: 'G4: a partition was given at an epoch that its owner has reached',
  G5: 'G5: only an unrevoked member has partitions to give up',
} as const;

function broken(group: GroupImage, invariant: keyof typeof INVARIANTS, member?: MemberImage): never {
  throw new InvariantError(INVARIANTS[invariant], {
    group: group.id,
    epoch: group.epoch,
    targetEpoch: group.targetEpoch,
    member: member?.id,
    memberEpoch: member?.epoch,
    state: member?.state,
  });
}
