/** What is said to a client, as the wire has it. */
import { errorToProto } from '@barnabas/protocol';
import type { BarnabasError, v1 } from '@barnabas/protocol';
import type { MemberIdentity, Position, ServerMessage, TopicPartition } from './types.js';

export function joinedMessage(identity: MemberIdentity): ServerMessage {
  return { $case: 'joined', joined: { ...identity } };
}

export function assignedMessage(
  memberEpoch: number,
  partitions: readonly (TopicPartition & { readonly position: number; readonly positionEpoch: number })[],
): ServerMessage {
  const positions = partitions.map((owned) =>
    positionMessage(owned, { offset: owned.position, leaderEpoch: owned.positionEpoch, metadata: '' }),
  );
  return { $case: 'assigned', assigned: { memberEpoch, positions } };
}

export function revokedMessage(partitions: readonly TopicPartition[], graceMs: number): ServerMessage {
  return { $case: 'revoked', revoked: { partitions: partitions.map(partitionMessage), graceMs } };
}

export function lostMessage(partitions: readonly TopicPartition[], error: BarnabasError): ServerMessage {
  return { $case: 'lost', lost: { partitions: partitions.map(partitionMessage), error: errorToProto(error) } };
}

export function soughtMessage(correlationId: number, positions: v1.SubscribePosition[]): ServerMessage {
  return { $case: 'sought', sought: { correlationId, positions } };
}

export function committedMessage(
  correlationId: number,
  results: v1.CommittedOffsetResult[],
  error: BarnabasError | undefined,
): ServerMessage {
  return { $case: 'committed', committed: { correlationId, results, error: error && errorToProto(error) } };
}

export function partitionErrorMessage(partition: TopicPartition | undefined, error: BarnabasError): ServerMessage {
  return {
    $case: 'partitionError',
    partitionError: { partition: partition && partitionMessage(partition), error: errorToProto(error) },
  };
}

export function positionMessage(
  { topic, partition }: TopicPartition,
  { offset, leaderEpoch, metadata }: Position,
): v1.SubscribePosition {
  return { topic, partition, offset, leaderEpoch, metadata };
}

export function partitionMessage({ topic, partition }: TopicPartition): v1.GroupPartition {
  return { topic, topicId: '', partition };
}
