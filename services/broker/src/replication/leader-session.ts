/**
 * One follower broker's stream, as the leader serves it: which partitions it follows, and where their
 * logs part. Decides nothing about replicas: what a follower says goes to the driver.
 *
 *   served        one partition of the stream
 *   batch-sender  whose turn it is, and how much may be sent (S1 to S3)
 *   mark-sender   how far the leader is
 * Protocol: docs/protocols/replication.md, section 3.
 */
import { InvariantError } from '@barnabas/common';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import { refusals } from '../core/index.js';
import type { Follow, FollowPosition } from '../core/index.js';
import type { ReplicaDriver } from '../runtime/replica-driver.js';
import { baseOffsetOf } from './batch-offsets.js';
import { BatchSender } from './batch-sender.js';
import type { BatchSenderOptions } from './batch-sender.js';
import { MarkSender } from './mark-sender.js';
import { ended, positionToProto, response } from './messages.js';
import { Outlet } from './outlet.js';
import type { Send } from './outlet.js';
import { Served } from './served.js';
import type { ServedEvents } from './served.js';

/** Far more than two brokers have in common; each costs memory, so there is an end. */
const MAX_HANDLES = 100_000;

/** What sessions share. */
export interface LeaderSessionOptions extends BatchSenderOptions {
  readonly driver: ReplicaDriver;
  readonly onFault: (fault: InvariantError) => void;
}

interface FollowerIdentity {
  readonly brokerId: number;
  readonly brokerEpoch: number;
}

export class LeaderSession implements ServedEvents {
  readonly #handles = new Map<number, Served>();
  readonly #outlet: Outlet;
  readonly #batches: BatchSender;
  readonly #marks: MarkSender;

  constructor(
    private readonly options: LeaderSessionOptions,
    private readonly follower: FollowerIdentity,
    send: Send,
  ) {
    this.#outlet = new Outlet(send);
    this.#batches = new BatchSender(options, follower.brokerId, this.#outlet);
    this.#marks = new MarkSender(this.#outlet);
  }

  // --- what the follower says ---

  /** Throws INVALID_REQUEST for what no sound follower does; everything else ends the handle. */
  follow(request: internal.Follow): void {
    const { handle, topicId, partition: number } = request;
    if (this.#handles.has(handle)) throw invalid(`handle ${handle} is in use on this stream`);
    if (this.#handles.size >= MAX_HANDLES) throw invalid(`a stream follows at most ${MAX_HANDLES} partitions`);
    if (request.logStartOffset < 0 || request.logEndOffset < request.logStartOffset) {
      throw invalid(`a log does not go from ${request.logStartOffset} to ${request.logEndOffset}`);
    }
    const { driver } = this.options;
    const partition = driver.findById(topicId, number);
    if (partition === undefined) {
      this.#outlet.send(ended(handle, refusals.unknownTopicId({ topicId, partition: number })));
      return;
    }
    const served = new Served(handle, partition, this.#followOf(request), request.throttled, this);
    this.#handles.set(handle, served);
    const error = partition.epochRefusal(request.leaderEpoch);
    if (error !== undefined) {
      this.ended(served, error);
      return;
    }
    driver.openLog(partition).then(
      (log) => {
        if (served.state !== 'opening') return;
        served.log = log;
        driver.followed(partition, served.follow, served);
      },
      (caught: unknown) => this.failed(served, caught),
    );
  }

  unfollow(handle: number): void {
    const served = this.#handles.get(handle);
    if (served !== undefined) this.#forget(served);
  }

  acknowledge({ partitions }: internal.Acknowledge): void {
    const { driver } = this.options;
    const { brokerId } = this.follower;
    for (const { handle, stableEndOffset, logStartOffset } of partitions) {
      const served = this.#handles.get(handle);
      // What was on its way when the handle ended says nothing any more.
      if (served === undefined || served.state === 'opening') continue;
      const { partition } = served;
      if (stableEndOffset > partition.logEndOffset || stableEndOffset < logStartOffset) {
        throw invalid(`an acknowledgement of ${stableEndOffset}, and the log ends at ${partition.logEndOffset}`);
      }
      driver.acknowledged(partition, brokerId, served, { logEndOffset: stableEndOffset, logStartOffset });
    }
  }

  grant({ bytes, throttledBytes }: internal.ReplicaCredit): void {
    this.#batches.grant(bytes, throttledBytes);
  }

  throttle({ handle, throttled }: internal.ThrottleFollow): void {
    const served = this.#handles.get(handle);
    if (served !== undefined) this.#batches.throttle(served, throttled);
  }

  /** The stream takes messages again. */
  drained(): void {
    this.#outlet.drained();
    this.#marks.drained();
    this.#batches.drained();
  }

  close(): void {
    this.#outlet.close();
    for (const served of [...this.#handles.values()]) this.#forget(served);
    this.#batches.close();
  }

  // --- what the core says ---

  positioned(served: Served, position: FollowPosition): void {
    if (served.state !== 'opening') return;
    if (position.kind === 'restart') {
      this.#restart(served, position.offset);
      return;
    }
    this.#answer(served, position);
  }

  ended(served: Served, error: BarnabasError): void {
    if (served.state === 'ended') return;
    this.#forget(served);
    this.#outlet.send(ended(served.handle, error));
  }

  moved(served: Served): void {
    if (served.state === 'opening' || served.state === 'ended') return;
    this.#batches.consider(served);
    this.#marks.moved(served);
  }

  /** What its log says. */
  failed(served: Served, caught: unknown): void {
    if (caught instanceof InvariantError) this.options.onFault(caught);
    this.ended(served, toBarnabasError(caught));
  }

  // --- positions ---

  #followOf(request: internal.Follow): Follow {
    const { leaderEpoch, partitionEpoch, lastEpoch, logStartOffset, logEndOffset } = request;
    return { ...this.follower, leaderEpoch, partitionEpoch, lastEpoch, logStartOffset, logEndOffset };
  }

  /**
   * A log start may lie inside of a batch, since records are deleted one by one and batches are stored
   * whole. A follower that begins anew begins where that batch does, or the first batch would not fit.
   */
  #restart(served: Served, logStartOffset: number): void {
    const { log, follow } = served;
    if (log === undefined) return;
    log.read({ offset: logStartOffset, maxBytes: 1, maxOffset: log.logEndOffset, minOneBatch: true }).then(
      ({ batches: [first] }) => {
        if (served.state !== 'opening') return;
        const offset = first === undefined ? logStartOffset : Math.min(logStartOffset, baseOffsetOf(first));
        const isThere = follow.lastEpoch < 0 && follow.logEndOffset === offset;
        this.#answer(served, isThere ? { kind: 'agreed' } : { kind: 'restart', offset });
      },
      (caught: unknown) => this.failed(served, caught),
    );
  }

  #answer(served: Served, position: FollowPosition): void {
    if (position.kind === 'agreed') served.state = 'waiting';
    const message = positionToProto(served.handle, position, served.mark);
    // The follower asks anew, under another handle, once it has done what this says.
    if (position.kind !== 'agreed') this.#forget(served);
    this.#outlet.send(response({ $case: 'position', position: message }));
    if (position.kind === 'agreed') this.#batches.consider(served);
  }

  #forget(served: Served): void {
    if (served.state === 'ended') return;
    served.state = 'ended';
    this.#handles.delete(served.handle);
    this.#batches.forget(served);
    this.options.driver.unfollowed(served.partition, this.follower.brokerId, served);
  }
}

function invalid(what: string): BarnabasError {
  return new BarnabasError('INVALID_REQUEST', `a replication stream is not to be used like this: ${what}`);
}
