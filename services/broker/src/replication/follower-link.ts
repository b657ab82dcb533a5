/**
 * A broker's stream to one leader broker, for all partitions that it follows there: opened while there
 * are any, opened again with growing pauses when it breaks or goes silent.
 *
 *   idle        nothing to follow                          -> connecting
 *   connecting  has said hello, waits for the leader's     -> open, waiting
 *   open        partitions ask and are sent                -> waiting, idle
 *   waiting     for the next attempt                       -> connecting, idle
 *
 * Decides nothing about replicas: what a leader says goes to the driver.
 * Protocol: docs/protocols/replication.md, section 3.
 */
import type { Clock, Logger, Random, Timer, Timers } from '@barnabas/common';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import type { LeaderMark } from '../core/index.js';
import { growingPauseMs } from '../runtime/growing-pause.js';
import type { ReplicaDriver, ReplicaPartition } from '../runtime/replica-driver.js';
import type { Question } from '../runtime/replication-port.js';
import { positionFromProto, request } from './messages.js';
import type { LeaderStream } from './messages.js';
import type { ThrottledCredit } from './throttled-credit.js';

/** What links share. */
export interface FollowerLinkOptions {
  readonly nodeId: number;
  readonly clusterId: string;
  readonly driver: ReplicaDriver;
  /** Of this broker's registration; undefined while there is none. */
  readonly brokerEpoch: () => number | undefined;
  /** A stream to that broker; undefined while nobody knows where it is. */
  readonly openStream: (leaderId: number) => LeaderStream | undefined;
  /** replica.fetch.response.max.bytes. */
  readonly windowBytes: number;
  /** replica.socket.timeout.ms. */
  readonly timeoutMs: number;
  /** Whether a partition is to use the throttled credit now. */
  readonly isThrottled: (partition: ReplicaPartition) => boolean;
  readonly newThrottledCredit: (grant: (bytes: number) => void) => ThrottledCredit;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
}

const BACKOFF = { firstMs: 20, longestMs: 1_000 };
/** Room is granted again in parts of the window, not for each batch. */
const GRANT_PARTS = 8;
const PINGS_IN_TIMEOUT = 3;

interface Open {
  readonly stream: LeaderStream;
  readonly brokerEpoch: number;
  /** The leader has answered the hello. */
  isReady: boolean;
}

/** A partition that has asked on this stream. */
interface Asked {
  readonly partition: ReplicaPartition;
  throttled: boolean;
}

export class FollowerLink {
  readonly #partitions = new Set<ReplicaPartition>();
  readonly #asked = new Map<number, Asked>();
  /** Of one partition only the latest question is open. */
  readonly #handles = new Map<ReplicaPartition, number>();
  /** To be acknowledged with the next message. */
  readonly #unacknowledged = new Map<number, ReplicaPartition>();
  readonly #throttled: ThrottledCredit;
  #open: Open | undefined;
  #released = 0;
  #heardAt = 0;
  #pings = 0;
  #failures = 0;
  #isFull = false;
  #flushDue = false;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(
    readonly leaderId: number,
    private readonly options: FollowerLinkOptions,
    /** Streams are numbered over all links, so that a later one is known as such. */
    private readonly nextSession: () => number,
  ) {
    this.#throttled = options.newThrottledCredit((throttledBytes) => this.#grant(0, throttledBytes));
  }

  get isIdle(): boolean {
    return this.#partitions.size === 0;
  }

  /** The partition wants to ask as soon as it may. */
  attach(partition: ReplicaPartition): void {
    this.#partitions.add(partition);
    if (this.#open?.isReady === true) this.options.driver.linked(partition);
    else if (this.#open === undefined && this.#timer === undefined) this.#connect();
  }

  detach(partition: ReplicaPartition): void {
    this.#partitions.delete(partition);
    this.#unfollow(partition);
    if (this.isIdle) this.#close(undefined);
  }

  ask(partition: ReplicaPartition, handle: number, question: Question): void {
    const { driver, isThrottled } = this.options;
    if (this.#open?.isReady !== true) {
      driver.unlinked(partition, handle);
      return;
    }
    const throttled = isThrottled(partition);
    this.#unfollow(partition);
    this.#asked.set(handle, { partition, throttled });
    this.#handles.set(partition, handle);
    this.#throttled.concerns(this.#throttledHandles());
    const { topicId, partition: number } = partition;
    this.#write(request({ $case: 'follow', follow: { handle, topicId, partition: number, throttled, ...question } }));
  }

  /** The message says how far the partition is when it leaves, for all that happens in this turn of the event loop. */
  acknowledge(partition: ReplicaPartition, handle: number): void {
    if (!this.#asked.has(handle)) return;
    this.#unacknowledged.set(handle, partition);
    this.#flushSoon();
  }

  /** ISR or rules have changed: what was throttled may not be any more. */
  reconsiderThrottles(): void {
    for (const [handle, asked] of this.#asked) {
      const throttled = this.options.isThrottled(asked.partition);
      if (throttled === asked.throttled) continue;
      asked.throttled = throttled;
      this.#write(request({ $case: 'throttle', throttle: { handle, throttled } }));
    }
    this.#throttled.concerns(this.#throttledHandles());
  }

  /** This broker has registered again: a stream under the earlier registration proves nothing any more. */
  registeredAs(brokerEpoch: number): void {
    if (this.#open === undefined || this.#open.brokerEpoch === brokerEpoch) return;
    this.#breakOff(new BarnabasError('STALE_BROKER_EPOCH', 'this broker has registered again'));
  }

  stop(): void {
    this.#stopped = true;
    this.#close(undefined);
  }

  // --- the life of a stream ---

  #connect(): void {
    // What ends with the link wants to be followed anew, in the same turn: a stream opened then would
    // outlive the broker's stop and keep its process.
    if (this.#stopped) return;
    const { nodeId: followerId, clusterId, brokerEpoch, openStream, timeoutMs, clock } = this.options;
    const followerEpoch = brokerEpoch();
    const stream = followerEpoch === undefined ? undefined : openStream(this.leaderId);
    if (stream === undefined || followerEpoch === undefined) {
      this.#retryLater();
      return;
    }
    const open: Open = { stream, brokerEpoch: followerEpoch, isReady: false };
    this.#open = open;
    this.#isFull = false;
    this.#released = 0;
    this.#heardAt = clock.monotonic();
    stream.handle({
      onMessage: (message) => {
        if (this.#open === open) this.#receive(message);
      },
      onDrain: () => {
        if (this.#open === open) this.#drained();
      },
      onEnd: () => this.#lost(open, undefined),
      onClose: (error) => this.#lost(open, error),
    });
    const session = this.nextSession();
    const hello = { clusterId, followerId, followerEpoch, session, leaderId: this.leaderId };
    this.#write(request({ $case: 'hello', hello }));
    this.#watch(timeoutMs / PINGS_IN_TIMEOUT);
  }

  #ready(hello: internal.LeaderHello): void {
    const { driver, windowBytes } = this.options;
    if (this.#open === undefined || this.#open.isReady || hello.leaderId !== this.leaderId) {
      throw new BarnabasError('INVALID_REQUEST', `broker ${hello.leaderId} says hello where ${this.leaderId} should`);
    }
    this.#open.isReady = true;
    this.#grant(windowBytes, 0);
    this.#throttled.begin();
    for (const partition of [...this.#partitions]) driver.linked(partition);
  }

  /** The stream is over, or this side has given it up. */
  #lost(open: Open, error: BarnabasError | undefined): void {
    if (this.#open !== open) return;
    const wasReady = open.isReady;
    this.#forgetStream();
    if (wasReady) this.#failures = 0;
    this.#note(error);
    for (const [handle, { partition }] of this.#takeAsked()) this.options.driver.unlinked(partition, handle);
    // Who was unlinked wants to be followed anew, in the same turn: there may be a stream, or a pause, again.
    const isOver = this.#open === undefined && this.#timer === undefined;
    if (!this.isIdle && !this.#stopped && isOver) this.#retryLater();
  }

  #breakOff(error: BarnabasError): void {
    const open = this.#open;
    if (open === undefined) return;
    open.stream.cancel();
    this.#lost(open, error);
  }

  /** Nothing is followed here any more. */
  #close(error: BarnabasError | undefined): void {
    const open = this.#open;
    this.#forgetStream();
    this.#failures = 0;
    for (const [handle, { partition }] of this.#takeAsked()) this.options.driver.unlinked(partition, handle);
    open?.stream.end(error);
    open?.stream.cancel();
  }

  #forgetStream(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#open = undefined;
    this.#unacknowledged.clear();
    this.#throttled.end();
  }

  #takeAsked(): [number, Asked][] {
    const asked = [...this.#asked];
    this.#asked.clear();
    this.#handles.clear();
    return asked;
  }

  #retryLater(): void {
    const { timers, random } = this.options;
    this.#failures += 1;
    const pauseMs = growingPauseMs(BACKOFF, this.#failures);
    this.#timer = timers.after(pauseMs / 2 + random.below(Math.ceil(pauseMs / 2)), () => {
      this.#timer = undefined;
      if (!this.isIdle && !this.#stopped) this.#connect();
    });
  }

  #note(error: BarnabasError | undefined): void {
    this.options.logger.debug('The stream to a leader is over', {
      leader: this.leaderId,
      partitions: this.#partitions.size,
      failures: this.#failures,
      error: error?.message,
    });
  }

  /** Pings, and gives the stream up when nothing has come for too long. */
  #watch(everyMs: number): void {
    const { timers, clock, timeoutMs } = this.options;
    this.#timer = timers.after(everyMs, () => {
      this.#timer = undefined;
      if (clock.monotonic() - this.#heardAt >= timeoutMs) {
        this.#breakOff(new BarnabasError('NETWORK_EXCEPTION', `nothing was heard for ${timeoutMs} ms`));
        return;
      }
      this.#pings += 1;
      if (this.#open?.isReady === true) this.#write(request({ $case: 'ping', ping: { number: this.#pings } }));
      this.#watch(everyMs);
    });
  }

  // --- what the leader says ---

  #receive(message: internal.LeaderPart): void {
    this.#heardAt = this.options.clock.monotonic();
    try {
      this.#dispatch(message);
    } catch (caught) {
      const error = toBarnabasError(caught);
      if (!(caught instanceof BarnabasError)) throw caught;
      this.#breakOff(error);
    }
  }

  #dispatch({ part }: internal.LeaderPart): void {
    const { driver } = this.options;
    switch (part?.$case) {
      case 'hello':
        return this.#ready(part.hello);
      case 'position': {
        const { handle, mark } = part.position;
        const asked = this.#asked.get(handle);
        if (asked === undefined) return;
        const position = positionFromProto(part.position);
        driver.positioned(asked.partition, handle, position, markOf(mark));
        return;
      }
      case 'batches':
        return this.#batches(part.batches);
      case 'marks':
        for (const mark of part.marks.partitions) {
          const asked = this.#asked.get(mark.handle);
          if (asked !== undefined) driver.marked(asked.partition, mark.handle, mark);
        }
        return;
      case 'ended': {
        const { handle } = part.ended;
        const asked = this.#forget(handle);
        if (asked !== undefined) driver.followEnded(asked.partition, handle);
        return;
      }
      case 'pong':
        return;
      case undefined:
        throw new BarnabasError('INVALID_REQUEST', 'a leader has said nothing that this version knows');
    }
  }

  #batches({ handle, batches, mark }: internal.ReplicatedBatches): void {
    const asked = this.#asked.get(handle);
    const bytes = batches.length;
    const throttled = asked?.throttled === true;
    const open = this.#open;
    const release = (): void => {
      if (this.#open === open) this.#release(bytes, throttled);
    };
    if (asked === undefined) release();
    else this.options.driver.batches(asked.partition, handle, { bytes: batches, taken: false, release }, markOf(mark));
  }

  // --- credit and acknowledgements ---

  #release(bytes: number, throttled: boolean): void {
    if (throttled) {
      this.#throttled.released(bytes);
      return;
    }
    this.#released += bytes;
    if (this.#released * GRANT_PARTS >= this.options.windowBytes) {
      const granted = this.#released;
      this.#released = 0;
      this.#grant(granted, 0);
    }
  }

  #grant(bytes: number, throttledBytes: number): void {
    if (this.#open?.isReady === true) this.#write(request({ $case: 'credit', credit: { bytes, throttledBytes } }));
  }

  #throttledHandles(): number {
    let count = 0;
    for (const { throttled } of this.#asked.values()) if (throttled) count += 1;
    return count;
  }

  #unfollow(partition: ReplicaPartition): void {
    const handle = this.#handles.get(partition);
    if (handle === undefined) return;
    this.#forget(handle);
    this.#write(request({ $case: 'unfollow', unfollow: { handle } }));
  }

  #forget(handle: number): Asked | undefined {
    const asked = this.#asked.get(handle);
    if (asked === undefined) return undefined;
    this.#asked.delete(handle);
    this.#handles.delete(asked.partition);
    this.#unacknowledged.delete(handle);
    return asked;
  }

  #flushSoon(): void {
    if (this.#flushDue) return;
    this.#flushDue = true;
    void Promise.resolve().then(() => {
      this.#flushDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#isFull || this.#unacknowledged.size === 0 || this.#open?.isReady !== true) return;
    const partitions: internal.Acknowledgement[] = [];
    for (const [handle, { stableEndOffset, logStartOffset }] of this.#unacknowledged) {
      partitions.push({ handle, stableEndOffset, logStartOffset });
    }
    this.#unacknowledged.clear();
    this.#write(request({ $case: 'acknowledge', acknowledge: { partitions } }));
  }

  #drained(): void {
    this.#isFull = false;
    this.#flush();
  }

  #write(message: internal.FollowerPart): void {
    if (this.#open !== undefined && !this.#open.stream.write(message)) this.#isFull = true;
  }
}

function markOf(mark: internal.LeaderMark | undefined): LeaderMark {
  if (mark === undefined) throw new BarnabasError('INVALID_REQUEST', 'a leader has left out how far it is');
  return mark;
}
