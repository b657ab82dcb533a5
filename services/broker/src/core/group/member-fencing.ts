/**
 * For whom a request speaks, and whether it still may: FENCED_INSTANCE_ID (another member has taken over),
 * UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH (another stream of the member, or another epoch).
 * Protocol: docs/protocols/groups.md, sections 4 to 6.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { GroupImage, MemberImage } from './group-image.js';
import type { HeartbeatRequest } from './heartbeat-request.js';
import { partitionKey } from './partition-key.js';

/** The member that a request speaks for. */
export function validMember(
  group: GroupImage | undefined,
  request: Pick<HeartbeatRequest, 'groupId' | 'memberId' | 'incarnation' | 'instanceId'>,
): MemberImage {
  const { groupId, memberId, instanceId } = request;
  if (instanceId !== undefined && instanceId !== '') {
    const holder = group?.staticMembers.get(instanceId);
    if (holder !== undefined && holder !== memberId) {
      throw new BarnabasError(
        'FENCED_INSTANCE_ID',
        `member ${holder} has taken over group.instance.id ${instanceId} from member ${memberId}: stop this one`,
      );
    }
  }
  const member = group?.members.get(memberId);
  if (member === undefined) {
    throw new BarnabasError(
      'UNKNOWN_MEMBER_ID',
      `group ${groupId} has no member ${memberId}: give up all partitions and join again`,
    );
  }
  checkIncarnation(member, request);
  return member;
}

/** A stream of a member that goes on in a later one is over. */
export function checkIncarnation(member: MemberImage, { incarnation }: Pick<HeartbeatRequest, 'incarnation'>): void {
  if (incarnation >= member.incarnation) return;
  throw new BarnabasError(
    'FENCED_MEMBER_EPOCH',
    `member ${member.id} goes on in a later stream (${member.incarnation}); this one (${incarnation}) is over`,
    { incarnation, current: member.incarnation },
  );
}

/**
 * The epoch before is accepted once more: the answer that brought the new one may have been lost. But
 * only of a member that owns no more than the new epoch gives it, or it has missed more than an answer.
 */
export function checkMemberEpoch(member: MemberImage, { memberEpoch, owned }: HeartbeatRequest): void {
  if (memberEpoch === member.epoch) return;
  const isPrevious = memberEpoch < member.epoch && memberEpoch === member.previousEpoch;
  if (isPrevious && owned?.every((one) => member.assigned.has(partitionKey(one.topicId, one.partition))) === true) {
    return;
  }
  throw fencedEpoch(member, memberEpoch);
}

function fencedEpoch(member: MemberImage, memberEpoch: number): BarnabasError {
  return new BarnabasError(
    'FENCED_MEMBER_EPOCH',
    `member ${member.id} is at epoch ${member.epoch}, not ${memberEpoch}: give up all partitions and join again`,
    { memberEpoch, current: member.epoch },
  );
}
