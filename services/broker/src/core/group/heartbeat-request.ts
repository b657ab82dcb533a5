/**
 * What a member says in a heartbeat and is answered, and what of it is refused at the door, whatever the
 * group: INVALID_GROUP_ID, INVALID_REQUEST, INVALID_TOPIC_EXCEPTION, INVALID_REGULAR_EXPRESSION,
 * UNSUPPORTED_ASSIGNOR.
 */
import { BarnabasError } from '@barnabas/protocol';
import { JOINING_EPOCH, STATIC_LEAVING_EPOCH } from './group-image.js';
import { checkGroupId, checkId, checkPartitionCount, checkTopicNames } from './limits.js';
import type { TopicPartitionId } from './partition-key.js';
import { checkAssignorName } from './target-assignment.js';
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

/** Throws for what no sound member says, whatever group it is of. */
export function checkRequest(request: HeartbeatRequest, { settings, patterns }: AssignmentContext): void {
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
