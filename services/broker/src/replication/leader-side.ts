/**
 * barnabas.internal.v1.ReplicationService as leaders serve it: takes streams in, keeps one for each
 * follower broker, and gives up those that have gone silent. What is said on a stream is leader-session.ts.
 *
 * Errors of a stream: INCONSISTENT_CLUSTER_ID, INVALID_REQUEST, STALE_BROKER_EPOCH,
 * BROKER_NOT_AVAILABLE, NETWORK_EXCEPTION (nothing heard for replica.socket.timeout.ms).
 *
 * Invariant: of one follower broker only the latest stream counts, by broker epoch and session; two
 * lives of its logs never speak at once (docs/protocols/replication.md, races 11 and 12).
 */
import type { Clock, Timer, Timers } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import { LeaderSession } from './leader-session.js';
import type { LeaderSessionOptions } from './leader-session.js';
import { response } from './messages.js';
import type { FollowerStream } from './messages.js';

export interface LeaderSideOptions extends LeaderSessionOptions {
  readonly nodeId: number;
  readonly clusterId: string;
  /** Of this broker's registration; undefined while there is none. */
  readonly brokerEpoch: () => number | undefined;
  /** What the metadata log has as a broker's epoch. */
  readonly knownEpoch: (brokerId: number) => number | undefined;
  /** replica.socket.timeout.ms. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
}

interface Accepted {
  readonly followerEpoch: number;
  readonly session: number;
  end(error: BarnabasError): void;
}

export class LeaderSide {
  readonly #byFollower = new Map<number, Accepted>();
  readonly #streams = new Set<(error: BarnabasError) => void>();
  #stopped = false;

  constructor(private readonly options: LeaderSideOptions) {}

  /** Serves a stream that a follower has opened. */
  replicate(stream: FollowerStream): void {
    if (this.#stopped) {
      stream.handle({ onMessage() {}, onClose() {} });
      stream.end(stopping());
      return;
    }
    new ServedStream(stream, this.options, this.#streams, (hello, accepted) => this.#accept(hello, accepted));
  }

  stop(): void {
    this.#stopped = true;
    for (const end of [...this.#streams]) end(stopping());
    this.options.throttle.stop();
  }

  /** Throws why this follower may not have a stream; otherwise its earlier one is over. */
  #accept(hello: internal.FollowerHello, end: (error: BarnabasError) => void): void {
    const { followerId, followerEpoch, session } = hello;
    const { nodeId, clusterId, knownEpoch } = this.options;
    if (hello.clusterId !== clusterId) {
      throw new BarnabasError(
        'INCONSISTENT_CLUSTER_ID',
        `broker ${followerId} belongs to cluster ${hello.clusterId}, this one to ${clusterId}: check addresses`,
      );
    }
    if (hello.leaderId !== nodeId) {
      throw new BarnabasError('INVALID_REQUEST', `this is broker ${nodeId}, not ${hello.leaderId}: check addresses`);
    }
    const known = knownEpoch(followerId) ?? -1;
    const before = this.#byFollower.get(followerId);
    if (followerEpoch < Math.max(known, before?.followerEpoch ?? -1)) throw stale(hello);
    if (before !== undefined && before.followerEpoch === followerEpoch && session <= before.session) throw stale(hello);
    // Not forgotten when the stream ends: an earlier one may still come.
    this.#byFollower.set(followerId, { followerEpoch, session, end });
    before?.end(new BarnabasError('NETWORK_EXCEPTION', 'the follower has opened another stream'));
  }
}

/** One stream from its first message to its end. */
class ServedStream {
  #session: LeaderSession | undefined;
  #heardAt: number;
  #timer: Timer | undefined;
  #over = false;

  constructor(
    private readonly stream: FollowerStream,
    private readonly options: LeaderSideOptions,
    private readonly registry: Set<(error: BarnabasError) => void>,
    private readonly accept: (hello: internal.FollowerHello, end: (error: BarnabasError) => void) => void,
  ) {
    this.#heardAt = options.clock.monotonic();
    registry.add(this.#end);
    stream.handle({
      onMessage: (message) => this.#receive(message),
      onDrain: () => {
        stream.resume();
        this.#session?.drained();
      },
      onEnd: () => this.#end(undefined),
      onClose: () => this.#close(),
    });
    this.#watch();
  }

  #receive(message: internal.FollowerPart): void {
    this.#heardAt = this.options.clock.monotonic();
    try {
      this.#dispatch(message);
    } catch (error) {
      if (!(error instanceof BarnabasError)) throw error;
      this.#end(error);
    }
  }

  #dispatch({ part }: internal.FollowerPart): void {
    if (part?.$case === 'hello') {
      this.#begin(part.hello);
      return;
    }
    const session = this.#session;
    if (session === undefined) throw new BarnabasError('INVALID_REQUEST', 'a replication stream begins with a hello');
    switch (part?.$case) {
      case 'follow':
        return session.follow(part.follow);
      case 'unfollow':
        return session.unfollow(part.unfollow.handle);
      case 'acknowledge':
        return session.acknowledge(part.acknowledge);
      case 'credit':
        return session.grant(part.credit);
      case 'throttle':
        return session.throttle(part.throttle);
      case 'ping':
        this.#write(response({ $case: 'pong', pong: { number: part.ping.number } }));
        return;
      case undefined:
        throw new BarnabasError('INVALID_REQUEST', 'a message of a replication stream says something');
    }
  }

  #begin(hello: internal.FollowerHello): void {
    if (this.#session !== undefined) throw new BarnabasError('INVALID_REQUEST', 'a stream has one hello');
    const { nodeId: leaderId, brokerEpoch } = this.options;
    const leaderBrokerEpoch = brokerEpoch();
    if (leaderBrokerEpoch === undefined) throw stopping();
    this.accept(hello, this.#end);
    const follower = { brokerId: hello.followerId, brokerEpoch: hello.followerEpoch };
    this.#session = new LeaderSession(this.options, follower, (message) => this.#write(message));
    this.#write(response({ $case: 'hello', hello: { leaderId, leaderBrokerEpoch } }));
  }

  /** A follower that does not read is not read from either. */
  #write(message: internal.LeaderPart): boolean {
    const goOn = this.stream.write(message);
    if (!goOn) this.stream.pause();
    return goOn;
  }

  readonly #end = (error: BarnabasError | undefined): void => {
    if (this.#over) return;
    this.#close();
    this.stream.end(error);
  };

  #close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    this.registry.delete(this.#end);
    this.#session?.close();
  }

  #watch(): void {
    const { timers, clock, timeoutMs } = this.options;
    this.#timer = timers.after(timeoutMs, () => {
      if (clock.monotonic() - this.#heardAt >= timeoutMs) {
        this.#close();
        this.stream.cancel();
      } else {
        this.#watch();
      }
    });
  }
}

function stale({ followerId, followerEpoch, session }: internal.FollowerHello): BarnabasError {
  return new BarnabasError(
    'STALE_BROKER_EPOCH',
    `broker ${followerId} has registered, or connected, again since broker epoch ${followerEpoch}, session ${session}`,
    { followerId, followerEpoch, session },
  );
}

function stopping(): BarnabasError {
  return new BarnabasError('BROKER_NOT_AVAILABLE', 'this broker is starting or stopping: try again later');
}
