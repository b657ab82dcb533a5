/**
 * ConsumerGroupHeartbeat: the one call by which members join, live, confirm what they gave up, and
 * leave (KIP-848, KIP-345). Decides; changes nothing.
 *
 * Errors: those of heartbeat-request.ts (what is said) and of member-fencing.ts (UNKNOWN_MEMBER_ID,
 * FENCED_MEMBER_EPOCH: join again, owning nothing; FENCED_INSTANCE_ID: another member has taken over,
 * stop); GROUP_MAX_SIZE_REACHED; UNRELEASED_INSTANCE_ID (another member still has the instance id: try
 * again later); INVALID_REQUEST (another instance id, or a leave for a moment without one).
 * Protocol: docs/protocols/groups.md, sections 4 to 6.
 */
import { BarnabasError } from '@barnabas/protocol';
import { JOINING_EPOCH, LEAVING_EPOCH, STATIC_LEAVING_EPOCH, sortedMembers, targetOf } from './group-image.js';
import type { GroupImage, MemberImage } from './group-image.js';
import { checkRequest } from './heartbeat-request.js';
import type { HeartbeatRequest, HeartbeatResponse } from './heartbeat-request.js';
import { descriptionOf, sameDescription, sameSubscription } from './member-description.js';
import type { MemberDescription } from './member-description.js';
import { checkIncarnation, checkMemberEpoch, validMember } from './member-fencing.js';
import {
  currentAssignmentRecord,
  groupRecord,
  memberRecord,
  memberTombstones,
  targetMemberRecord,
} from './member-records.js';
import type { PartitionKey, TopicPartitionId } from './partition-key.js';
import { parsePartitionKey, partitionKey } from './partition-key.js';
import type { Now, Plan } from './plan.js';
import { OWNS_NOTHING, UNKNOWN_OWNERSHIP, reconcile } from './reconciliation.js';
import type { OwnershipReport } from './reconciliation.js';
import { refreshTarget } from './target-assignment.js';
import type { AssignmentContext } from './target-assignment.js';

export function heartbeat(
  plan: Plan,
  request: HeartbeatRequest,
  now: Now,
  context: AssignmentContext,
): HeartbeatResponse {
  checkRequest(request, context);
  switch (request.memberEpoch) {
    case LEAVING_EPOCH:
      return leave(plan, request, now, context);
    case STATIC_LEAVING_EPOCH:
      return leaveForAMoment(plan, request);
    case JOINING_EPOCH:
      return join(plan, request, context);
    default:
      return live(plan, request, context);
  }
}

/** Takes a member out of its group: it left, or was not heard from, or was late to give partitions up. */
export function removeMember(
  plan: Plan,
  groupId: string,
  memberId: string,
  now: Now,
  context: AssignmentContext,
): void {
  plan.add(...memberTombstones(groupId, memberId));
  const left = plan.group(groupId);
  if (left.members.size === 0)
    plan.add(groupRecord(left, { epoch: left.epoch + 1, metadataHash: 0, emptySinceMs: now.wallMs }));
  refreshTarget(plan, groupId, left.members.size > 0 ? 'changed' : 'none', context);
  nudgeOthers(plan, groupId, undefined);
}

/** Members that would get or have to give something if they were heard from now. */
export function nudgeOthers(plan: Plan, groupId: string, except: string | undefined): void {
  const group = plan.group(groupId);
  const concerned = sortedMembers(group).filter(
    (member) => member.id !== except && member.epoch > 0 && reconciled(group, member, UNKNOWN_OWNERSHIP) !== member,
  );
  plan.nudge(
    groupId,
    concerned.map(({ id }) => id),
  );
}

// --- joining ---

function join(plan: Plan, request: HeartbeatRequest, context: AssignmentContext): HeartbeatResponse {
  const { groupId, memberId } = request;
  const group = plan.group(groupId);
  const known = joiningMember(group, request);
  const holder = heldInstance(group, request);
  if (known === undefined && holder === undefined && group.members.size >= context.settings.maxSize) {
    throw new BarnabasError(
      'GROUP_MAX_SIZE_REACHED',
      `group ${groupId} has ${group.members.size} members, as many as group.consumer.max.size allows`,
    );
  }
  // A member that begins anew owns nothing, and says so with a higher incarnation. The same incarnation
  // once more is an answer that was lost, or a request that was late:
  //   1. M joins; the answer is slow, and its node asks again. The second request is answered, M owns p.
  //   2. p is to move; M is told to give it up and works on.
  //   3. The first request arrives. Taken as "I own nothing", p would go to another while M works on it.
  const isNewLife =
    known === undefined || known.epoch === STATIC_LEAVING_EPOCH || request.incarnation > known.incarnation;
  const description = descriptionOf(undefined, {
    ...request,
    instanceId: request.instanceId ?? known?.instanceId ?? '',
  });
  if (holder !== undefined) takeOver(plan, groupId, holder, memberId, description);
  const isChanged = describeTo(plan, request, description, known ?? holder);
  const report = isNewLife ? OWNS_NOTHING : UNKNOWN_OWNERSHIP;
  return settle(plan, request, isChanged, report, context);
}

/** The member that joins again; undefined for a new one. */
function joiningMember(group: GroupImage, request: HeartbeatRequest): MemberImage | undefined {
  const known = group.members.get(request.memberId);
  if (known === undefined) return undefined;
  checkIncarnation(known, request);
  if ((request.instanceId ?? known.instanceId) === known.instanceId) return known;
  throw new BarnabasError(
    'INVALID_REQUEST',
    `member ${known.id} cannot change its group.instance.id: join as another member`,
  );
}

/** The static member whose place the joining one takes; undefined if it takes nobody's. */
function heldInstance(group: GroupImage, { instanceId, memberId }: HeartbeatRequest): MemberImage | undefined {
  const holderId = instanceId === undefined || instanceId === '' ? undefined : group.staticMembers.get(instanceId);
  const holder = holderId === undefined || holderId === memberId ? undefined : group.members.get(holderId);
  if (holder === undefined) return undefined;
  if (holder.epoch === STATIC_LEAVING_EPOCH) return holder;
  throw new BarnabasError(
    'UNRELEASED_INSTANCE_ID',
    `member ${holder.id} has group.instance.id ${holder.instanceId}: stop it, or try again when its session is over`,
  );
}

/** The new member gets what the old one had: nothing moves. */
function takeOver(plan: Plan, groupId: string, old: MemberImage, memberId: string, to: MemberDescription): void {
  const target = targetOf(plan.group(groupId), old.id);
  const { assigned, assignmentVersion } = old;
  const current = { epoch: 0, previousEpoch: 0, state: 'stable', assigned, assignmentVersion } as const;
  plan.add(
    ...memberTombstones(groupId, old.id),
    memberRecord(groupId, memberId, to),
    targetMemberRecord(groupId, memberId, target),
    currentAssignmentRecord(groupId, memberId, { ...current, pendingRevocation: new Map() }),
  );
}

// --- living ---

function live(plan: Plan, request: HeartbeatRequest, context: AssignmentContext): HeartbeatResponse {
  const member = validMember(plan.find(request.groupId), request);
  checkMemberEpoch(member, request);
  const isChanged = describeTo(plan, request, descriptionOf(member, request), member);
  return settle(plan, request, isChanged, reportOf(member, request), context);
}

/** What the request proves about what the member owns. */
function reportOf(member: MemberImage, { owned, appliedVersion }: HeartbeatRequest): OwnershipReport {
  if (owned === undefined) return UNKNOWN_OWNERSHIP;
  // A heartbeat that was on its way for long, or sent twice, speaks of what was:
  //   1. M, at version 1, says that it owns q alone. The request is slow; its node sends another.
  //   2. p becomes free and is given to M, version 2. Then p is to move on: version 3 takes it away.
  //   3. The first request arrives. "q alone" would confirm what M has not been told yet.
  if (appliedVersion !== undefined && appliedVersion !== member.assignmentVersion) return UNKNOWN_OWNERSHIP;
  return new ListedPartitions(owned);
}

/** Most heartbeats report what they own and change nothing: the set is made when somebody looks into it. */
class ListedPartitions {
  readonly kind = 'owns';
  #partitions: ReadonlySet<PartitionKey> | undefined;

  constructor(private readonly owned: readonly TopicPartitionId[]) {}

  get partitions(): ReadonlySet<PartitionKey> {
    this.#partitions ??= new Set(this.owned.map((one) => partitionKey(one.topicId, one.partition)));
    return this.#partitions;
  }
}

/** Writes down how the member describes itself, if that has changed; true if its subscription has. */
function describeTo(
  plan: Plan,
  { groupId, memberId }: HeartbeatRequest,
  description: MemberDescription,
  before: MemberImage | undefined,
): boolean {
  const known = plan.group(groupId).members.get(memberId);
  if (known === undefined || !sameDescription(known, description)) {
    plan.add(memberRecord(groupId, memberId, description));
  }
  const { emptySinceMs } = plan.group(groupId);
  if (emptySinceMs !== -1) plan.add(groupRecord(plan.group(groupId), { emptySinceMs: -1 }));
  return before === undefined || !sameSubscription(before, description);
}

/** Brings the target up to date and the member as near to it as can be. */
function settle(
  plan: Plan,
  request: HeartbeatRequest,
  isChanged: boolean,
  report: OwnershipReport,
  context: AssignmentContext,
): HeartbeatResponse {
  const { groupId, memberId } = request;
  const epochBefore = plan.group(groupId).targetEpoch;
  const isDue = isChanged || request.enforceRebalance === true;
  refreshTarget(plan, groupId, isDue ? 'changed' : 'none', context);
  const group = plan.group(groupId);
  const member = group.members.get(memberId);
  if (member === undefined) throw fencedEpochOfNobody(memberId);
  const current = reconciled(group, member, report);
  if (current !== member) plan.add(currentAssignmentRecord(groupId, memberId, current));
  const freed = [...member.assigned.keys(), ...member.pendingRevocation.keys()].some(
    (key) => !current.assigned.has(key) && !current.pendingRevocation.has(key),
  );
  if (freed || group.targetEpoch !== epochBefore) nudgeOthers(plan, groupId, memberId);
  const after = plan.group(groupId).members.get(memberId) ?? member;
  return answer(request, after, current !== member, context);
}

function reconciled(group: GroupImage, member: MemberImage, report: OwnershipReport): ReturnType<typeof reconcile> {
  return reconcile(member, {
    target: targetOf(group, member.id),
    targetEpoch: group.targetEpoch,
    report,
    ownerOf: (key: PartitionKey) => group.owners.get(key),
  });
}

function answer(
  request: HeartbeatRequest,
  member: MemberImage,
  hasChanged: boolean,
  { settings }: AssignmentContext,
): HeartbeatResponse {
  const hasIt =
    request.appliedVersion === undefined ? !hasChanged : request.appliedVersion === member.assignmentVersion;
  const isJoining = request.memberEpoch === JOINING_EPOCH;
  return {
    memberId: member.id,
    memberEpoch: member.epoch,
    heartbeatIntervalMs: settings.heartbeatIntervalMs,
    assignment:
      hasIt && !isJoining
        ? undefined
        : { version: member.assignmentVersion, partitions: [...member.assigned.keys()].map(parsePartitionKey) },
  };
}

// --- leaving ---

function leave(plan: Plan, request: HeartbeatRequest, now: Now, context: AssignmentContext): HeartbeatResponse {
  const { groupId, memberId } = request;
  validMember(plan.find(groupId), request);
  removeMember(plan, groupId, memberId, now, context);
  return gone(memberId, LEAVING_EPOCH);
}

/** A static member's place is kept until its session is over; what it was giving up is given up. */
function leaveForAMoment(plan: Plan, request: HeartbeatRequest): HeartbeatResponse {
  const { groupId, memberId } = request;
  const member = validMember(plan.find(groupId), request);
  if (member.instanceId === '') {
    throw new BarnabasError(
      'INVALID_REQUEST',
      `member ${memberId} has no group.instance.id and cannot leave for a moment: leave with epoch ${LEAVING_EPOCH}`,
    );
  }
  if (member.epoch !== STATIC_LEAVING_EPOCH) {
    plan.add(
      currentAssignmentRecord(groupId, memberId, {
        epoch: STATIC_LEAVING_EPOCH,
        previousEpoch: member.epoch,
        state: 'stable',
        assigned: member.assigned,
        pendingRevocation: new Map(),
        assignmentVersion: member.assignmentVersion + 1,
      }),
    );
    if (member.pendingRevocation.size > 0) nudgeOthers(plan, groupId, memberId);
  }
  return gone(memberId, STATIC_LEAVING_EPOCH);
}

function gone(memberId: string, memberEpoch: number): HeartbeatResponse {
  return { memberId, memberEpoch, heartbeatIntervalMs: 0, assignment: undefined };
}

function fencedEpochOfNobody(memberId: string): BarnabasError {
  return new BarnabasError('UNKNOWN_MEMBER_ID', `member ${memberId} is not in the group: join again`);
}
