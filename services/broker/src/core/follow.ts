/**
 * Where the logs of a leader and a follower part, and what the follower does about it. Pure functions
 * over numbers; both ends use them, the real ones and those of models.
 *
 * Protocol: docs/protocols/replication.md, section 3, "Where logs part".
 */
import type { EpochEndOffset } from '@barnabas/log';
import type { BarnabasError } from '@barnabas/protocol';

/** What a follower says of itself when it asks a leader to go on from its log end. */
export interface Follow {
  readonly brokerId: number;
  /** Of the registration that the stream's hello named. */
  readonly brokerEpoch: number;
  /** In which the follower believes the other side to lead. */
  readonly leaderEpoch: number;
  /** Of the partition as the follower knows it. */
  readonly partitionEpoch: number;
  /** Of the follower's last batch; -1 if it has never held one. */
  readonly lastEpoch: number;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
}

/** The leader's answer. */
export type FollowPosition =
  /** The follower's whole log is a part of the leader's. */
  | { readonly kind: 'agreed' }
  /** The largest epoch of the leader's log that is not above the follower's last, and where it ends. */
  | { readonly kind: 'diverging'; readonly epoch: number; readonly endOffset: number }
  /** Nothing of the follower's log is of use: it begins anew at this offset. */
  | { readonly kind: 'restart'; readonly offset: number };

/** How far a leader is. */
export interface LeaderMark {
  readonly highWatermark: number;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
}

/** The leader's end of one followed partition: told what becomes of it. The core only passes
 * it on. */
export interface FollowSink {
  positioned(position: FollowPosition): void;
  /** Refused, or over; nothing follows. */
  ended(error: BarnabasError): void;
  /** The leader's log end, high watermark or log start has moved. */
  moved(): void;
}

/** What a follower does to its log before it asks again. */
export type Reshape =
  | { readonly kind: 'truncate'; readonly to: number }
  | { readonly kind: 'restart'; readonly at: number };

interface LogBounds {
  readonly logStartOffset: number;
  readonly logEndOffset: number;
}

/** `found` is what the leader's log has for the largest epoch that is not above the follower's last. */
export function positionOf(leader: LogBounds, follow: Follow, found: EpochEndOffset | undefined): FollowPosition {
  const restart: FollowPosition = { kind: 'restart', offset: leader.logStartOffset };
  if (follow.logEndOffset < leader.logStartOffset) return restart;
  if (follow.lastEpoch < 0) return follow.logEndOffset <= leader.logEndOffset ? { kind: 'agreed' } : restart;
  if (found === undefined) return restart;
  if (found.leaderEpoch === follow.lastEpoch && follow.logEndOffset <= found.endOffset) return { kind: 'agreed' };
  return { kind: 'diverging', epoch: found.leaderEpoch, endOffset: found.endOffset };
}

/**
 * What to cut off. `found` is what the follower's own log has for the largest epoch that is not above
 * the answered one. The log becomes strictly shorter, or begins anew, so that asking again comes to an end.
 */
export function reshapeFor(
  own: LogBounds,
  position: Exclude<FollowPosition, { kind: 'agreed' }>,
  found: EpochEndOffset | undefined,
  leaderLogStart: number,
): Reshape {
  if (position.kind === 'restart') return { kind: 'restart', at: position.offset };
  // Every batch here is of an epoch that the leader's log does not have. What was below our log start was
  // committed, so the leader has it or has deleted it, too: this log begins anew where it began, not below.
  // Otherwise, with a deletion of records that reached this replica and not the one that leads now:
  //   1. F is eligible and holds 8 to 17 of epoch 2, deleted below 8; 8 was the high watermark.
  //   2. L leads with 0 to 7 of epochs 0 and 1, which is all that was committed.
  //   3. F begins anew at 0. L dies, F is elected, and gives out offsets below 8 a second time.
  if (found === undefined) {
    const isEmpty = own.logEndOffset === own.logStartOffset;
    return isEmpty ? { kind: 'restart', at: leaderLogStart } : { kind: 'truncate', to: own.logStartOffset };
  }
  // Of an epoch that only the leader knows nothing can be said yet: the next question is about ours before it.
  const to = found.leaderEpoch === position.epoch ? Math.min(found.endOffset, position.endOffset) : found.endOffset;
  return to < own.logEndOffset ? { kind: 'truncate', to } : { kind: 'restart', at: leaderLogStart };
}
