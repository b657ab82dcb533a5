/**
 * ConsumerGroupHeartbeat: the one call by which members join, live, confirm what they gave up, and
 * leave (KIP-848, KIP-345). Decides; changes nothing.
 *
 * Errors: INVALID_GROUP_ID, INVALID_REQUEST, INVALID_TOPIC_EXCEPTION, INVALID_REGULAR_EXPRESSION,
 * UNSUPPORTED_ASSIGNOR (the request); GROUP_MAX_SIZE_REACHED; UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH
 * (join again, owning nothing); FENCED_INSTANCE_ID (another member has taken over: stop);
 * UNRELEASED_INSTANCE_ID (another member still has the instance id: try again later).
 * Protocol: docs/protocols/groups.md, sections 4 to 6.
 */
import { BarnabasError } from '@barnabas/protocol';
import { JOINING_EPOCH, LEAVING_EPOCH, STATIC_LEAVING_EPOCH, sortedMembers, targetOf } from './group-image.js';
import type { GroupImage, MemberImage } from './group-image.js';
import { checkGroupId, checkId, checkPartitionCount, checkTopicNames } from './limits.js';
import {
  currentAssignmentRecord,
  groupRecord,
  memberRecord,
  memberTombstones,
  targetMemberRecord,
} from './member-records.js';
import type { MemberDescription } from './member-records.js';
import type { PartitionKey, TopicPartitionId } from './partition-key.js';
import { parsePartitionKey, partitionKey } from './partition-key.js';
import type { Now, Plan } from './plan.js';
import { OWNS_NOTHING, UNKNOWN_OWNERSHIP, reconcile } from './reconciliation.js';
import type { OwnershipReport } from './reconciliation.js';
import { checkAssignorName, refreshTarget } from './target-assignment.js';
import type { AssignmentContext } from './target-assignment.js';

export interface HeartbeatRequest {
  readonly groupId: string;
  /** Chosen by the client's side, unique in the group. */
  readonly memberId: string;
  /** The member's, as last told; JOINING_EPOCH, LEAVING_EPOCH or STATIC_LEAVING_EPOCH. */
  readonly memberEpoch: number;
  /** Which of the member's streams speaks: each one opened later has a higher number. */
  readonly incarnation: number;
  /** A new epoch and target although nothing has changed (Kafka's enforceRebalance). */
  readonly enforceRebalance?: boolean;
  // Absent from here on: as it was. Joining needs topics or a pattern, and a rebalance timeout.
  readonly clientId?: string;
  readonly clientHost?: string;
  readonly instanceId?: string;
  readonly rackId?: string;
  readonly rebalanceTimeoutMs?: number;
  readonly topicNames?: readonly string[];
  /** Empty takes the pattern away. */
  readonly topicPattern?: string;
  /** Empty leaves the choice to the group. */
  readonly serverAssignor?: string;
  /** What the member owns now. */
  readonly owned?: readonly TopicPartitionId[];
  /** The assignment that `owned` is the outcome of; a report of an older one does not count. */
  readonly appliedVersion?: number;
}

export interface MemberAssignment {
  readonly version: number;
  readonly partitions: readonly TopicPartitionId[];
}

export interface HeartbeatResponse {
  readonly memberId: string;
  readonly memberEpoch: number;
  readonly heartbeatIntervalMs: number;
  /** What the member is to own; absent while it has not changed since the version it has applied. */
  readonly assignment: MemberAssignment | undefined;
}

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
  const description = describe(undefined, { ...request, instanceId: request.instanceId ?? known?.instanceId ?? '' });
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
  const isChanged = describeTo(plan, request, describe(member, request), member);
  return settle(plan, request, isChanged, reportOf(member, request), context);
}

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

function checkIncarnation(member: MemberImage, { incarnation }: Pick<HeartbeatRequest, 'incarnation'>): void {
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
function checkMemberEpoch(member: MemberImage, { memberEpoch, owned }: HeartbeatRequest): void {
  if (memberEpoch === member.epoch) return;
  const isPrevious = memberEpoch < member.epoch && memberEpoch === member.previousEpoch;
  if (isPrevious && owned?.every((one) => member.assigned.has(partitionKey(one.topicId, one.partition))) === true) {
    return;
  }
  throw fencedEpoch(member, memberEpoch);
}

export function fencedEpoch(member: MemberImage, memberEpoch: number): BarnabasError {
  return new BarnabasError(
    'FENCED_MEMBER_EPOCH',
    `member ${member.id} is at epoch ${member.epoch}, not ${memberEpoch}: give up all partitions and join again`,
    { memberEpoch, current: member.epoch },
  );
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

function describe(before: MemberImage | undefined, request: HeartbeatRequest): MemberDescription {
  return {
    instanceId: request.instanceId ?? before?.instanceId ?? '',
    rackId: request.rackId ?? before?.rackId ?? '',
    clientId: request.clientId ?? before?.clientId ?? '',
    clientHost: request.clientHost ?? before?.clientHost ?? '',
    topicNames: request.topicNames === undefined ? (before?.topicNames ?? []) : [...new Set(request.topicNames)].sort(),
    topicPattern: request.topicPattern ?? before?.topicPattern ?? '',
    rebalanceTimeoutMs: request.rebalanceTimeoutMs ?? before?.rebalanceTimeoutMs ?? 0,
    serverAssignor: request.serverAssignor ?? before?.serverAssignor ?? '',
    incarnation: request.incarnation,
  };
}

function sameDescription(one: MemberDescription, other: MemberDescription): boolean {
  return (
    sameSubscription(one, other) &&
    one.instanceId === other.instanceId &&
    one.clientId === other.clientId &&
    one.clientHost === other.clientHost &&
    one.rebalanceTimeoutMs === other.rebalanceTimeoutMs &&
    one.incarnation === other.incarnation
  );
}

/** What a target assignment depends on. */
function sameSubscription(one: MemberDescription, other: MemberDescription): boolean {
  return (
    one.rackId === other.rackId &&
    one.serverAssignor === other.serverAssignor &&
    one.topicPattern === other.topicPattern &&
    one.topicNames.length === other.topicNames.length &&
    one.topicNames.every((name, index) => name === other.topicNames[index])
  );
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

// --- at the door ---

function checkRequest(request: HeartbeatRequest, { settings, patterns }: AssignmentContext): void {
  checkGroupId(request.groupId);
  checkId('member id', request.memberId, { mayBeEmpty: false });
  checkId('group.instance.id', request.instanceId ?? '', { mayBeEmpty: true });
  checkId('rack', request.rackId ?? '', { mayBeEmpty: true });
  checkId('client id', request.clientId ?? '', { mayBeEmpty: true });
  checkId('client host', request.clientHost ?? '', { mayBeEmpty: true });
  checkNumbers(request, settings.maxRebalanceTimeoutMs);
  checkTopicNames(request.topicNames ?? []);
  checkPartitionCount(request.owned?.length ?? 0);
  checkAssignorName(request.serverAssignor ?? '', settings);
  if (request.topicPattern !== undefined && request.topicPattern !== '') patterns.check(request.topicPattern);
  if (request.memberEpoch === JOINING_EPOCH) checkJoin(request);
}

function checkNumbers({ memberEpoch, incarnation, rebalanceTimeoutMs }: HeartbeatRequest, longest: number): void {
  if (!Number.isSafeInteger(memberEpoch) || memberEpoch < STATIC_LEAVING_EPOCH) {
    throw new BarnabasError(
      'INVALID_REQUEST',
      `a member epoch is ${STATIC_LEAVING_EPOCH} or greater, not ${memberEpoch}`,
    );
  }
  if (!Number.isSafeInteger(incarnation) || incarnation < 0) {
    throw new BarnabasError('INVALID_REQUEST', `an incarnation is 0 or greater, not ${incarnation}`);
  }
  if (rebalanceTimeoutMs !== undefined && !(rebalanceTimeoutMs > 0 && rebalanceTimeoutMs <= longest)) {
    throw new BarnabasError(
      'INVALID_REQUEST',
      `a rebalance timeout is from 1 to ${longest} milliseconds, not ${rebalanceTimeoutMs}`,
    );
  }
}

function checkJoin({ topicNames, topicPattern, rebalanceTimeoutMs, owned }: HeartbeatRequest): void {
  const hasTopics = topicNames !== undefined || (topicPattern !== undefined && topicPattern !== '');
  if (!hasTopics || rebalanceTimeoutMs === undefined) {
    throw new BarnabasError('INVALID_REQUEST', 'to join, name topics or a pattern, and a rebalance timeout');
  }
  if (owned !== undefined && owned.length > 0) {
    throw new BarnabasError('INVALID_REQUEST', 'a member that joins owns nothing: give up all partitions first');
  }
}
