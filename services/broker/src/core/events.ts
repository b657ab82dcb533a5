/**
 * What goes into the replica manager and what comes out of it. Events are facts: something was
 * asked, something has happened. Effects are orders to the runtime, to be carried out in their
 * order before the next event. One event and one list of effects for a batch, whatever it holds.
 *
 * `now` is monotonic milliseconds.
 */
import type { EpochEndOffset } from '@barnabas/log';
import type { BarnabasError } from '@barnabas/protocol';
import type { AssignmentChange } from './assignment.js';
import type { Follow, FollowPosition, FollowSink, LeaderMark } from './follow.js';
import type { IsrAnswer, IsrProposal } from './isr.js';
import type { BrokerView } from './leader-state.js';
import type { Partition } from './partition.js';
import type { PendingProduce, ProduceInput, ProduceOutcome } from './pending-produce.js';

/** A leader's batches; the core only passes them on. */
export interface ReplicatedData {
  readonly bytes: Uint8Array;
}

export type ReplicaEvent<Token> =
  /** The metadata log says what this broker holds. */
  | { readonly type: 'assigned'; readonly changes: readonly AssignmentChange[]; readonly now: number }
  /** The metadata log says which brokers there are. */
  | { readonly type: 'brokers'; readonly brokers: ReadonlyMap<number, BrokerView> }
  /** The broker is registered and unfenced: replication begins. Until then it follows nobody and proposes nothing. */
  | { readonly type: 'started' }
  /** A partition's log is about to be used. */
  | { readonly type: 'wanted'; readonly partition: Partition<Token> }
  /** The log is open, truncated or made anew. Everything in it is stable. */
  | {
      readonly type: 'opened';
      readonly partition: Partition<Token>;
      readonly logStartOffset: number;
      readonly logEndOffset: number;
      /** As checkpointed; only a lower bound. */
      readonly highWatermark: number;
    }
  | { readonly type: 'produce'; readonly partition: Partition<Token>; readonly input: ProduceInput<Token> }
  /** An append effect has been carried out: offsets are assigned, nothing is promised yet. */
  | {
      readonly type: 'appended';
      readonly partition: Partition<Token>;
      readonly produce: PendingProduce<Token>;
      readonly baseOffset: number;
      /** Exclusive. */
      readonly endOffset: number;
      readonly logAppendTimeMs: number;
      /** The log had these batches before and has answered with where they are. */
      readonly duplicate: boolean;
    }
  /** The log has refused an append and is as it was. */
  | {
      readonly type: 'refused';
      readonly partition: Partition<Token>;
      readonly produce: PendingProduce<Token>;
      readonly error: BarnabasError;
    }
  /** Everything below is as durable as flush.messages asks. */
  | { readonly type: 'stable'; readonly partition: Partition<Token>; readonly endOffset: number }
  /** Old records are gone. */
  | { readonly type: 'logStartMoved'; readonly partition: Partition<Token>; readonly logStartOffset: number }
  /** The log cannot be used any more. */
  | {
      readonly type: 'logFailed';
      readonly partition: Partition<Token>;
      readonly reason: string;
      /** What is on disk is not what was written: opening it again would not help. */
      readonly corrupt: boolean;
    }
  /** The controller knows that the replica is offline; the metadata log shows it at this offset. */
  | { readonly type: 'offlineReported'; readonly partition: Partition<Token>; readonly metadataOffset: number }
  /** The metadata log has been applied up to this offset. */
  | { readonly type: 'caughtUp'; readonly metadataOffset: number }
  /** Time has passed: deadlines are due. */
  | { readonly type: 'tick'; readonly now: number }

  // The leader's part.

  /** A follower asks to be sent a partition. */
  | {
      readonly type: 'followed';
      readonly partition: Partition<Token>;
      readonly follow: Follow;
      readonly sink: FollowSink;
    }
  /** It does not any more. */
  | {
      readonly type: 'unfollowed';
      readonly partition: Partition<Token>;
      readonly brokerId: number;
      readonly sink: FollowSink;
    }
  /** A follower has everything below on its disk, and its log begins there. */
  | {
      readonly type: 'followerProgress';
      readonly partition: Partition<Token>;
      readonly brokerId: number;
      /** On which it was said: of another than the follower's current one it does not count. */
      readonly sink: FollowSink;
      readonly logEndOffset: number;
      readonly logStartOffset: number;
      readonly now: number;
    }
  /** Time to look for followers that lag. */
  | { readonly type: 'isrCheck'; readonly now: number }
  /** What became of a proposal. */
  | {
      readonly type: 'isrAnswered';
      readonly partition: Partition<Token>;
      readonly proposal: IsrProposal;
      readonly answer: IsrAnswer;
      readonly now: number;
    }

  // The follower's part.

  /** There is a stream to the leader: the partition may ask. */
  | { readonly type: 'linked'; readonly partition: Partition<Token> }
  /** The stream on which this handle was asked is gone. */
  | { readonly type: 'unlinked'; readonly partition: Partition<Token>; readonly handle: number }
  /** The leader has answered where the logs part. */
  | {
      readonly type: 'positioned';
      readonly partition: Partition<Token>;
      readonly handle: number;
      readonly position: FollowPosition;
      readonly mark: LeaderMark;
      /** What the own log has for the epoch of a diverging position. */
      readonly own: EpochEndOffset | undefined;
    }
  /** Batches have come. */
  | {
      readonly type: 'batches';
      readonly partition: Partition<Token>;
      readonly handle: number;
      readonly batches: ReplicatedData;
      readonly mark: LeaderMark;
    }
  /** They have been appended. */
  | {
      readonly type: 'replicated';
      readonly partition: Partition<Token>;
      readonly handle: number;
      readonly endOffset: number;
    }
  /** The leader says how far it is. */
  | {
      readonly type: 'marked';
      readonly partition: Partition<Token>;
      readonly handle: number;
      readonly mark: LeaderMark;
    }
  /** The leader has refused or ended it, or has sent what does not fit. */
  | { readonly type: 'followEnded'; readonly partition: Partition<Token>; readonly handle: number }
  /** A pause is over. */
  | { readonly type: 'paused'; readonly partition: Partition<Token>; readonly handle: number };

export type ReplicaEffect<Token> =
  /** Open the log; answer with `opened` or `logFailed`. */
  | { readonly type: 'openLog'; readonly partition: Partition<Token> }
  /** The log is open and offsets are known: reads may begin. */
  | { readonly type: 'online'; readonly partition: Partition<Token> }
  /**
   * Append now. `appended` or `refused` goes in before any other event, so that nothing can change
   * between the decision and the append; `stable` or `logFailed` follows when the disk has spoken.
   */
  | {
      readonly type: 'append';
      readonly partition: Partition<Token>;
      readonly produce: PendingProduce<Token>;
      readonly leaderEpoch: number;
    }
  /** More is readable. */
  | { readonly type: 'highWatermark'; readonly partition: Partition<Token> }
  /** Whoever reads this partition here must be told this and stop. */
  | { readonly type: 'unavailable'; readonly partition: Partition<Token>; readonly error: BarnabasError }
  | { readonly type: 'closeLog'; readonly partition: Partition<Token> }
  /** Tell the controller that the replica is offline; answer with `offlineReported`. */
  | { readonly type: 'reportOffline'; readonly partition: Partition<Token>; readonly leaderEpoch: number }
  /**
   * Open the log again, made anew if it was corrupt, after a pause that grows with the attempts; answer
   * with `opened` or `logFailed`.
   */
  | {
      readonly type: 'reviveLog';
      readonly partition: Partition<Token>;
      readonly corrupt: boolean;
      readonly attempt: number;
    }
  /** The replica does not belong here any more: close the log and remove it from disk. */
  | { readonly type: 'deleteLog'; readonly partition: Partition<Token> }
  | { readonly type: 'respond'; readonly token: Token; readonly outcome: ProduceOutcome }
  /** Send `tick` at this time (monotonic milliseconds); replaces an earlier wish. */
  | { readonly type: 'wakeAt'; readonly at: number }

  // The leader's part.

  /** Look up where the logs part and tell the follower, in this turn. */
  | {
      readonly type: 'position';
      readonly partition: Partition<Token>;
      readonly follow: Follow;
      readonly sink: FollowSink;
    }
  /** Tell a follower that it is served no longer. */
  | { readonly type: 'endFollow'; readonly sink: FollowSink; readonly error: BarnabasError }
  /** Tell the controller; answer with `isrAnswered`. A proposal that is `again` waits a little. */
  | {
      readonly type: 'proposeIsr';
      readonly partition: Partition<Token>;
      readonly proposal: IsrProposal;
      readonly again: boolean;
    }
  /** Committed ISR, log starts of followers, or who serves: what waits for those may go on. */
  | { readonly type: 'replicasMoved'; readonly partition: Partition<Token> }
  /** The ISR has changed; for metrics and logs. */
  | { readonly type: 'isrChanged'; readonly partition: Partition<Token>; readonly from: readonly number[] }

  // The follower's part.

  /** Send `linked` as soon as there is a stream to the leader. Doing it twice is harmless. */
  | { readonly type: 'attach'; readonly partition: Partition<Token>; readonly leader: number }
  /** No stream to that leader is needed for this partition any more. */
  | { readonly type: 'detach'; readonly partition: Partition<Token>; readonly leader: number }
  /** Ask the leader where the logs part, with what the log says of its end now. */
  | { readonly type: 'ask'; readonly partition: Partition<Token>; readonly handle: number }
  /** Bring the log to this end; answer with `opened` or `logFailed`. */
  | { readonly type: 'truncateLog'; readonly partition: Partition<Token>; readonly to: number }
  /** Begin the log anew; answer with `opened` or `logFailed`. */
  | { readonly type: 'restartLog'; readonly partition: Partition<Token>; readonly at: number }
  /** Append a leader's batches now; `replicated`, `followEnded` or `logFailed` goes in before any other event. */
  | {
      readonly type: 'replicate';
      readonly partition: Partition<Token>;
      readonly handle: number;
      readonly batches: ReplicatedData;
    }
  /** Tell the leader the stable end and the log start, as they are when the message leaves. */
  | { readonly type: 'acknowledge'; readonly partition: Partition<Token>; readonly handle: number }
  /** Cut off what is below; answer with `logStartMoved`. */
  | { readonly type: 'followLogStart'; readonly partition: Partition<Token>; readonly logStartOffset: number }
  /** Send `paused` after a pause that grows with the attempts. */
  | { readonly type: 'pause'; readonly partition: Partition<Token>; readonly handle: number; readonly attempt: number };

/** Takes the effects of an event in their order. */
export type Emit<Token> = (effect: ReplicaEffect<Token>) => void;

export type EventOf<Token, T extends ReplicaEvent<Token>['type']> = Extract<ReplicaEvent<Token>, { type: T }>;
