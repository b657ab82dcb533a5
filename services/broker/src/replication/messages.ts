/** Makes messages of the replication stream from what the core says, and back. */
import { BarnabasError, errorToProto } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import type { MessageStream } from '@barnabas/rpc';
import type { FollowPosition, LeaderMark } from '../core/index.js';
import { GatheredStream } from './gathered-stream.js';

/** As a follower holds it. */
export type LeaderStream = MessageStream<internal.LeaderPart, internal.FollowerPart>;
/** As a leader holds it. */
export type FollowerStream = MessageStream<internal.FollowerPart, internal.LeaderPart>;

type RequestPart = NonNullable<internal.FollowerPart['part']>;
type ResponsePart = NonNullable<internal.LeaderPart['part']>;

export const request = (part: RequestPart): internal.FollowerPart => ({ part });
export const response = (part: ResponsePart): internal.LeaderPart => ({ part });

/** A stream as the follower's side of the wire gives it. */
export function gatheredLeaderStream(
  stream: MessageStream<internal.ReplicateResponse, internal.ReplicateRequest>,
): LeaderStream {
  return new GatheredStream(stream, () => SMALL);
}

/** A stream as the leader's side of the wire gives it. */
export function gatheredFollowerStream(
  stream: MessageStream<internal.ReplicateRequest, internal.ReplicateResponse>,
): FollowerStream {
  return new GatheredStream(stream, ({ part }) => (part?.$case === 'batches' ? part.batches.batches.length : SMALL));
}

/** Bytes of a part without batches, about. */
const SMALL = 64;

export function markToProto(handle: number, mark: LeaderMark): internal.LeaderMark {
  const { highWatermark, logStartOffset, logEndOffset } = mark;
  return { handle, highWatermark, logStartOffset, logEndOffset };
}

export function positionToProto(handle: number, position: FollowPosition, mark: LeaderMark): internal.FollowPosition {
  return { handle, answer: answerToProto(position), mark: markToProto(0, mark) };
}

/** Throws INVALID_REQUEST where the leader has said nothing that this version knows. */
export function positionFromProto({ answer }: internal.FollowPosition): FollowPosition {
  switch (answer?.$case) {
    case 'agreed':
      return { kind: 'agreed' };
    case 'diverging':
      return { kind: 'diverging', epoch: answer.diverging.epoch, endOffset: answer.diverging.endOffset };
    case 'restart':
      return { kind: 'restart', offset: answer.restart.offset };
    case undefined:
      throw new BarnabasError('INVALID_REQUEST', 'the leader has answered with a position of no kind');
  }
}

export function ended(handle: number, error: BarnabasError): internal.LeaderPart {
  return response({ $case: 'ended', ended: { handle, error: errorToProto(error) } });
}

function answerToProto(position: FollowPosition): NonNullable<internal.FollowPosition['answer']> {
  switch (position.kind) {
    case 'agreed':
      return { $case: 'agreed', agreed: {} };
    case 'diverging':
      return { $case: 'diverging', diverging: { epoch: position.epoch, endOffset: position.endOffset } };
    case 'restart':
      return { $case: 'restart', restart: { offset: position.offset } };
  }
}
