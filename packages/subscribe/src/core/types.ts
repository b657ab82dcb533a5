/** What goes into a subscription and what comes out of it. */
import type { BarnabasError, v1 } from '@barnabas/protocol';

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** Where a client is in a partition: the next offset, and what is committed with it. */
export interface Position {
  readonly offset: number;
  /** Of the record before the offset; -1 if not known. */
  readonly leaderEpoch: number;
  readonly metadata: string;
}

export interface CreditAmount {
  readonly records: number;
  /** Of keys, values and headers. */
  readonly bytes: number;
}

export interface SubscriptionSettings {
  /** Whether positions are committed after they were acknowledged, or before records are pushed. */
  readonly delivery: 'at-least-once' | 'at-most-once';
  /** Whether what is acknowledged, and what is taken away, gives its credit back. */
  readonly creditMode: 'by-ack' | 'explicit';
  readonly credit: CreditAmount;
  /** Undefined: only the client commits. */
  readonly autoCommitIntervalMs: number | undefined;
  readonly maxPollIntervalMs: number;
  readonly autoOffsetReset: 'latest' | 'earliest' | 'none';
  /** What a client that resumes says it owns, and where it goes on. */
  readonly resumed: readonly (TopicPartition & Position)[];
}

/** The member as its coordinator knows it. */
export interface MemberIdentity {
  readonly memberId: string;
  readonly memberEpoch: number;
  readonly incarnation: number;
  readonly sessionTimeoutMs: number;
}

/** A partition that the member owns from now on. */
export interface Assigned extends TopicPartition {
  /** Undefined where nothing is committed; an error where that cannot be told. */
  readonly committed: Position | BarnabasError | undefined;
  /** How often the group has gone back in it; undefined where that cannot be told. */
  readonly rewinds: number | undefined;
}

/** How much may be taken of fetched records. */
export interface TakeLimits {
  readonly maxRecords: number;
  readonly maxBytes: number;
}

/** Records that go to the client in one message; without any where only the position moves. */
export interface Parcel extends CreditAmount {
  readonly nextOffset: number;
  readonly leaderEpoch: number;
  /** What is written to the stream. */
  readonly payload: unknown;
}

/** What came for a partition, and is cut into parcels as credit allows. */
export interface FetchedRecords {
  /** Everything has been taken. */
  readonly isDone: boolean;
  /** Throws what a batch is refused with. */
  take(limits: TakeLimits): Parcel;
}

/** What a look-up has found. */
export interface Located {
  readonly generation: number;
  readonly offset: number | BarnabasError;
}

export interface OffsetToCommit extends TopicPartition, Position {
  /** How often the group has gone back in the partition, this commit's own going back included; undefined: as before. */
  readonly rewinds: number | undefined;
}

/** One for each offset of a commit, in its order; undefined: it is committed. */
export type CommitOutcomes = readonly (BarnabasError | undefined)[];

export type ServerMessage = NonNullable<v1.SubscribeResponse['response']>;

/** What is to be done, in order. */
export type Effect =
  | { readonly kind: 'send'; readonly message: ServerMessage }
  | {
      readonly kind: 'fetch';
      readonly partition: TopicPartition;
      readonly generation: number;
      readonly offset: number;
      readonly leaderEpoch: number;
    }
  | { readonly kind: 'stop-fetch'; readonly generation: number }
  /** Fetched records are not needed any more. */
  | { readonly kind: 'drop'; readonly records: FetchedRecords }
  /** Where a log begins or ends; answered by `located`. */
  | {
      readonly kind: 'locate';
      readonly partition: TopicPartition;
      readonly generation: number;
      readonly end: 'earliest' | 'latest';
    }
  | {
      readonly kind: 'commit';
      readonly commitId: number;
      readonly offsets: readonly OffsetToCommit[];
    }
  /** The partitions may go to other members. */
  | { readonly kind: 'release'; readonly partitions: readonly TopicPartition[] }
  | { readonly kind: 'change'; readonly topics: readonly string[]; readonly pattern: string }
  | { readonly kind: 'rebalance' }
  /** The member leaves its group, and the stream ends: with the error, if there is one. */
  | { readonly kind: 'leave'; readonly error: BarnabasError | undefined };

export interface Push {
  readonly partition: TopicPartition;
  readonly parcel: Parcel;
}

export function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}
