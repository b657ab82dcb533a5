/**
 * One partition on one follower's stream, as the leader serves it, by the handle that the follower has
 * given it.
 *
 *   opening   its log is being opened, or the core has not answered yet -> waiting
 *   waiting   nothing to send                                          -> ready
 *   ready     in line for its turn                                     -> reading
 *   reading   a read is on its way, or read and in line to be sent     -> waiting, ready
 *   ended     final
 */
import type { PartitionLog } from '@barnabas/log';
import type { BarnabasError } from '@barnabas/protocol';
import type { Follow, FollowPosition, FollowSink, LeaderMark } from '../core/index.js';
import type { ReplicaPartition } from '../runtime/replica-driver.js';

type ServedState = 'opening' | 'waiting' | 'ready' | 'reading' | 'ended';

/** What the stream is told of what it serves. */
export interface ServedEvents {
  positioned(served: Served, position: FollowPosition): void;
  ended(served: Served, error: BarnabasError): void;
  moved(served: Served): void;
  /** Its log cannot be opened or read. */
  failed(served: Served, caught: unknown): void;
}

export class Served implements FollowSink {
  state: ServedState = 'opening';
  log: PartitionLog | undefined;
  /** Offset of the next batch to send. */
  position: number;
  /** Its marks are to be sent. */
  isMarked = false;

  constructor(
    readonly handle: number,
    readonly partition: ReplicaPartition,
    readonly follow: Follow,
    public throttled: boolean,
    private readonly session: ServedEvents,
  ) {
    this.position = follow.logEndOffset;
  }

  get mark(): LeaderMark {
    return this.partition;
  }

  positioned(position: FollowPosition): void {
    this.session.positioned(this, position);
  }

  ended(error: BarnabasError): void {
    this.session.ended(this, error);
  }

  moved(): void {
    this.session.moved(this);
  }

  failed(caught: unknown): void {
    this.session.failed(this, caught);
  }
}
