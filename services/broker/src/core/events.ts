/**
 * What goes into the replica manager and what comes out of it. Events are facts: something was
 * asked, something has happened. Effects are orders to the runtime, to be carried out in their
 * order before the next event. One event and one list of effects for a batch, whatever it holds.
 */
import type { BarnabasError } from '@barnabas/protocol';
import type { AssignmentChange } from './assignment.js';
import type { Partition } from './partition.js';
import type { PendingProduce, ProduceInput, ProduceOutcome } from './pending-produce.js';

export type ReplicaEvent<Token> =
  /** The metadata log says what this broker holds. */
  | { readonly type: 'assigned'; readonly changes: readonly AssignmentChange[] }
  /** A partition's log is about to be used. */
  | { readonly type: 'wanted'; readonly partition: Partition<Token> }
  /** The log is open. Everything in it is stable. */
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
  /** A follower has everything below on its disk, in the leader epoch given. */
  | {
      readonly type: 'followerProgress';
      readonly partition: Partition<Token>;
      readonly brokerId: number;
      readonly leaderEpoch: number;
      readonly logEndOffset: number;
    }
  /** Old records are gone. */
  | { readonly type: 'logStartMoved'; readonly partition: Partition<Token>; readonly logStartOffset: number }
  /** The log cannot be used any more. */
  | { readonly type: 'logFailed'; readonly partition: Partition<Token>; readonly reason: string }
  /** Time has passed: deadlines are due. */
  | { readonly type: 'tick'; readonly now: number };

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
  /** The replica does not belong here any more: close the log and remove it from disk. */
  | { readonly type: 'deleteLog'; readonly partition: Partition<Token> }
  | { readonly type: 'respond'; readonly token: Token; readonly outcome: ProduceOutcome }
  /** Send `tick` at this time (monotonic milliseconds); replaces an earlier wish. */
  | { readonly type: 'wakeAt'; readonly at: number };
