/**
 * One partition that the client owns: where it is in it, and what is on its way to it.
 *
 * Invariants:
 *   O1  acknowledged <= pushedUntil <= position, where they are known
 *   O2  what was fetched under another generation than the present one is not here
 */
import { Unacknowledged } from './unacknowledged.js';
import { keyOf } from './types.js';
import type { FetchedRecords, Parcel, Position, TopicPartition } from './types.js';
import type { BarnabasError } from '@barnabas/protocol';

/**
 *   resumed    the client says that it owns it; the coordinator has not said so yet
 *   locating   where to begin is being looked up
 *   reading    it is fetched, unless it is paused
 *   ended      the fetch is over; what came of it is still to be pushed
 *   stopped    nothing is fetched until the client seeks, or until `retryAtMs`
 */
export type ReadingState = 'resumed' | 'locating' | 'reading' | 'ended' | 'stopped';

/** A parcel that waits for its commit, with delivery at most once. */
export interface HeldParcel {
  readonly parcel: Parcel;
  isCommitted: boolean;
}

/** On the way to being another's. */
export interface Revocation {
  readonly deadlineMs: number;
  /** The client is done with it, or its time is over. */
  isDue: boolean;
  /** The last commit of it failed: another try would only take the time of whoever is to have it. */
  hasFailed: boolean;
}

export class OwnedPartition implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  readonly key: string;
  /** The client has heard of it. */
  isTold = false;
  /** Names the fetch or look-up that counts; 0: none. */
  generation = 0;
  reading: ReadingState = 'locating';
  isPaused = false;
  /** How often the client, or the log, has moved it: a commit from before is of another life. */
  seeks = 0;
  /** How often the group had gone back in it when it became the client's; undefined where that is not known. */
  rewinds: number | undefined;
  /** Offset and epoch of what is pushed next; with delivery at most once also of what is held. */
  position = -1;
  positionEpoch = -1;
  pushedUntil = -1;
  acknowledged: Position | undefined;
  committed: Position | undefined;
  /** Of which life that is. */
  committedSeeks = 0;
  /** An acknowledged position that the coordinator will not take: not tried again. */
  refused: Position | undefined;
  fetched: FetchedRecords[] = [];
  held: HeldParcel[] = [];
  /** Something of it was held, and dropped: what is committed, or being committed, may be ahead of what was pushed. */
  isAhead = false;
  readonly unacknowledged = new Unacknowledged();
  /** Why the fetch is over. */
  end: BarnabasError | undefined;
  retryAtMs = Infinity;
  revocation: Revocation | undefined;
  /** Stands in the line of those that have something to push. */
  isInLine = false;

  constructor({ topic, partition }: TopicPartition) {
    this.topic = topic;
    this.partition = partition;
    this.key = keyOf({ topic, partition });
  }

  /** Acknowledged, and not committed. */
  get isDirty(): boolean {
    const { acknowledged, committed, refused } = this;
    if (acknowledged === undefined || acknowledged === refused) return false;
    if (committed === undefined || this.committedSeeks < this.seeks) return true;
    if (acknowledged.offset > committed.offset) return true;
    return acknowledged.offset === committed.offset && acknowledged.metadata !== committed.metadata;
  }

  /** Goes on from there; whatever came before is void. */
  moveTo(position: Position): void {
    this.position = position.offset;
    this.positionEpoch = position.leaderEpoch;
    this.pushedUntil = position.offset;
    this.acknowledged = position;
  }

  get heldBytes(): number {
    let bytes = 0;
    for (const { parcel } of this.held) bytes += parcel.bytes;
    return bytes;
  }
}
