/**
 * The stream to one leader broker: opened while somebody wants it, opened again with growing pauses when
 * it breaks or goes silent. What is said on it of partitions is follower-link.ts.
 *
 *   idle        nothing to follow                          -> connecting
 *   connecting  has said hello, waits for the leader's     -> open, waiting
 *   open        partitions ask and are sent                -> waiting, idle
 *   waiting     for the next attempt                       -> connecting, idle
 *
 * Invariant: there is at most one stream, and one timer: of a stream that is watched, or of a pause.
 * Protocol: docs/protocols/replication.md, section 3.
 */
import type { Clock, Logger, Random, Timer, Timers } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import { growingPauseMs } from '../runtime/growing-pause.js';
import { request } from './messages.js';
import type { LeaderStream } from './messages.js';

export interface LeaderConnectionOptions {
  readonly nodeId: number;
  readonly clusterId: string;
  /** Of this broker's registration; undefined while there is none. */
  readonly brokerEpoch: () => number | undefined;
  /** A stream to that broker; undefined while nobody knows where it is. */
  readonly openStream: (leaderId: number) => LeaderStream | undefined;
  /** replica.socket.timeout.ms. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
}

/** Who talks over the connection. */
export interface ConnectionUser {
  /** Partitions that want it: a stream that is lost is opened again while there are any. */
  readonly partitions: number;
  /** The leader has answered the hello. */
  onReady(): void;
  /** A BarnabasError that this throws breaks the stream off. */
  onMessage(message: internal.LeaderPart): void;
  /** The stream takes messages again. */
  onDrain(): void;
  /** The stream is gone, and with it all that was asked on it. */
  onOver(): void;
}

const BACKOFF = { firstMs: 20, longestMs: 1_000 };
const PINGS_IN_TIMEOUT = 3;

interface Open {
  readonly stream: LeaderStream;
  readonly brokerEpoch: number;
  readonly session: number;
  /** The leader has answered the hello. */
  isReady: boolean;
}

export class LeaderConnection {
  #open: Open | undefined;
  #heardAt = 0;
  #pings = 0;
  #failures = 0;
  #isFull = false;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(
    private readonly leaderId: number,
    private readonly options: LeaderConnectionOptions,
    private readonly user: ConnectionUser,
    /** Streams are numbered over all leaders, so that a later one is known as such. */
    private readonly nextSession: () => number,
  ) {}

  /** The leader may be told and asked things. */
  get isReady(): boolean {
    return this.#open?.isReady === true;
  }

  /** The number of the stream that is open; undefined while there is none. */
  get session(): number | undefined {
    return this.#open?.session;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** Somebody wants it. */
  open(): void {
    if (this.#open === undefined && this.#timer === undefined) this.#connect();
  }

  /** Dropped while there is no stream. */
  write(message: internal.FollowerPart): void {
    if (this.#open !== undefined && !this.#open.stream.write(message)) this.#isFull = true;
  }

  /** This broker has registered again: a stream under the earlier registration proves nothing any more. */
  registeredAs(brokerEpoch: number): void {
    if (this.#open === undefined || this.#open.brokerEpoch === brokerEpoch) return;
    this.#breakOff(new BarnabasError('STALE_BROKER_EPOCH', 'this broker has registered again'));
  }

  /** Nothing is followed here any more. */
  close(): void {
    const open = this.#open;
    this.#forgetStream();
    this.#failures = 0;
    this.user.onOver();
    open?.stream.end();
    open?.stream.cancel();
  }

  stop(): void {
    this.#stopped = true;
    this.close();
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
    const session = this.nextSession();
    const open: Open = { stream, brokerEpoch: followerEpoch, session, isReady: false };
    this.#open = open;
    this.#isFull = false;
    this.#heardAt = clock.monotonic();
    stream.handle({
      onMessage: (message) => {
        if (this.#open === open) this.#receive(open, message);
      },
      onDrain: () => {
        if (this.#open !== open) return;
        this.#isFull = false;
        this.user.onDrain();
      },
      onEnd: () => this.#lost(open, undefined),
      onClose: (error) => this.#lost(open, error),
    });
    const hello = { clusterId, followerId, followerEpoch, session, leaderId: this.leaderId };
    this.write(request({ $case: 'hello', hello }));
    this.#watch(timeoutMs / PINGS_IN_TIMEOUT);
  }

  #receive(open: Open, message: internal.LeaderPart): void {
    this.#heardAt = this.options.clock.monotonic();
    try {
      if (message.part?.$case === 'hello') this.#greeted(open, message.part.hello);
      else if (message.part?.$case !== 'pong') this.user.onMessage(message);
    } catch (caught) {
      if (!(caught instanceof BarnabasError)) throw caught;
      this.#breakOff(caught);
    }
  }

  #greeted(open: Open, { leaderId }: internal.LeaderHello): void {
    if (open.isReady || leaderId !== this.leaderId) {
      throw new BarnabasError('INVALID_REQUEST', `broker ${leaderId} says hello where ${this.leaderId} should`);
    }
    open.isReady = true;
    this.user.onReady();
  }

  /** The stream is over, or this side has given it up. */
  #lost(open: Open, error: BarnabasError | undefined): void {
    if (this.#open !== open) return;
    this.#forgetStream();
    if (open.isReady) this.#failures = 0;
    this.#note(error);
    this.user.onOver();
    // Who was unlinked wants to be followed anew, in the same turn: there may be a stream, or a pause, again.
    const isOver = this.#open === undefined && this.#timer === undefined;
    if (this.user.partitions > 0 && !this.#stopped && isOver) this.#retryLater();
  }

  #breakOff(error: BarnabasError): void {
    const open = this.#open;
    if (open === undefined) return;
    open.stream.cancel();
    this.#lost(open, error);
  }

  #forgetStream(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#open = undefined;
  }

  #retryLater(): void {
    const { timers, random } = this.options;
    this.#failures += 1;
    const pauseMs = growingPauseMs(BACKOFF, this.#failures);
    this.#timer = timers.after(pauseMs / 2 + random.below(Math.ceil(pauseMs / 2)), () => {
      this.#timer = undefined;
      if (this.user.partitions > 0 && !this.#stopped) this.#connect();
    });
  }

  #note(error: BarnabasError | undefined): void {
    this.options.logger.debug('The stream to a leader is over', {
      leader: this.leaderId,
      partitions: this.user.partitions,
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
      if (this.isReady) this.write(request({ $case: 'ping', ping: { number: this.#pings } }));
      this.#watch(everyMs);
    });
  }
}
