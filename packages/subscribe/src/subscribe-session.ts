/**
 * One Subscribe stream: brings a client, a membership and a fetch session together, and does what the
 * subscription between them decides.
 *
 * Owns: when the stream, the membership and the fetches begin and end. Does not own: what is pushed,
 * committed and let go (core/), heartbeats (Membership), who leads what (FetchSession).
 *
 * Back pressure: while the transport is full nothing is pushed, and nothing is read from the client. What
 * is fetched and not pushed is bounded by the session's window, whatever the credit; the leaders get credit
 * again only for what has been pushed.
 *
 * Invariants:
 *   N1  a stream that breaks, and a node that stops, say nothing to the coordinator: the session runs
 *   N2  after the stream is over nothing of it goes on
 *   N3  the member is kept alive by its client alone: a heartbeat goes when the client's machine has just been
 *       heard of. A client behind a network that swallows everything has its session from then, and not from when
 *       the connection is given up, which may be half a minute later
 */
import { FetchSession, Membership } from '@barnabas/client';
import type { ClusterRouter, FetchedData, FetchedOffset, FetchSubscription } from '@barnabas/client';
import { InvariantError } from '@barnabas/common';
import type { Timer } from '@barnabas/common';
import { BarnabasError, toBarnabasError, v1 } from '@barnabas/protocol';
import { LOCAL_PEER, peerHost } from '@barnabas/rpc';
import type { CallContext, FaultListener, MessageStream } from '@barnabas/rpc';
import { Subscription } from './core/index.js';
import type { Assigned, Effect, Located, Push } from './core/index.js';
import { FetchedBatches, headOf } from './fetched-batches.js';
import type { SubscribeMetrics } from './metrics.js';
import { lookUp } from './offset-lookup.js';
import type { LookUp } from './offset-lookup.js';
import { checkStart, checkSubscription } from './start-check.js';
import type { CheckedStart } from './start-check.js';
import type { EncodedResponse, SubscribeOutput } from './wire.js';

export interface SubscribeParts {
  readonly router: ClusterRouter;
  readonly metrics: SubscribeMetrics;
  /** Bytes fetched for one stream and not pushed. */
  readonly bufferBytes: number;
  /** The largest message of a leader, but always one batch. */
  readonly maxMessageBytes: number;
  readonly onFault: FaultListener;
}

/** Kafka's default of max.partition.fetch.bytes. */
const PARTITION_BYTES = 1024 * 1024;
/** For the coordinator to hear that a member leaves. */
const LEAVE_MS = 5_000;
/**
 * A client that cancels may look for a moment like one that closes: Node's HTTP/2 ends the sending side of a
 * stream before it resets it. Two timers, so that a process that stood still reads in between what came.
 */
const RESET_MAY_FOLLOW_MS = 50;
const TURNS_UNTIL_LEAVING = 2;
/** A client that was heard of so short a time ago is there. */
const FRESH_MS = 1_000;
/** A commit that is not answered by then is tried again, or its client told. */
const COMMIT_MS = 30_000;

type Stream = MessageStream<v1.SubscribeRequest, SubscribeOutput>;

/** What there is once the client has said who joins. */
interface Running {
  readonly start: CheckedStart;
  readonly subscription: Subscription;
  readonly membership: Membership;
  readonly fetches: FetchSession;
}

export class SubscribeSession {
  readonly #stream: Stream;
  readonly #context: Pick<CallContext, 'peer' | 'method'>;
  readonly #parts: SubscribeParts;
  readonly #onOver: () => void;
  readonly #fetching = new Map<number, FetchSubscription>();
  #running: Running | undefined;
  #timer: Timer | undefined;
  #timerAtMs = Infinity;
  #isBlocked = false;
  #isPaused = false;
  #isPumping = false;
  #isOver = false;
  #lastHeardMs: number;

  constructor(
    stream: Stream,
    context: Pick<CallContext, 'peer' | 'method'>,
    parts: SubscribeParts,
    onOver: () => void,
  ) {
    this.#stream = stream;
    this.#context = context;
    this.#parts = parts;
    this.#onOver = onOver;
    this.#lastHeardMs = this.#now();
    stream.handle({
      onMessage: (message) => {
        this.#lastHeardMs = this.#now();
        this.#input(() => this.#receive(message));
      },
      onEnd: () => this.#input(() => this.#clientClosed()),
      onDrain: () =>
        this.#input(() => {
          this.#isBlocked = false;
        }),
      onClose: () => this.#close(),
    });
  }

  get unacknowledgedRecords(): number {
    return this.#running?.subscription.unacknowledgedRecords ?? 0;
  }

  /** The node stops: the client resumes elsewhere. */
  stop(error: BarnabasError): void {
    this.#fail(error);
  }

  #receive(message: v1.SubscribeRequest): void {
    const { request } = message;
    if (this.#running === undefined) {
      if (request?.$case !== 'start') {
        throw new BarnabasError('INVALID_REQUEST', 'the first message of Subscribe is start: it says who joins');
      }
      this.#begin(checkStart(request.start));
      return;
    }
    if (request?.$case === 'change') checkSubscription(request.change.topics, request.change.pattern);
    this.#running.subscription.request(message, this.#now());
  }

  #begin(start: CheckedStart): void {
    const { router, bufferBytes, maxMessageBytes } = this.#parts;
    const { isolationLevel, rackId } = start;
    const subscription = new Subscription(start.settings, this.#now());
    const fetches = new FetchSession(router, {
      windowBytes: bufferBytes,
      maxBytes: Math.min(PARTITION_BYTES, maxMessageBytes),
      minBytes: 0,
      maxWaitMs: 0,
      isolationLevel,
      rack: rackId,
    });
    const clientHost = peerHost(this.#context.peer);
    const canAsk = this.#stream.ping !== undefined;
    const options = { ...start.membership, clientHost, ...(canAsk && { isThere: () => this.#whenHeard() }) };
    const membership = new Membership(router, options, {
      onJoined: (identity) => this.#input(() => subscription.joined(identity)),
      onEpoch: ({ memberEpoch }) => this.#input(() => subscription.epochMoved(memberEpoch)),
      onAssigned: (_partitions, committed) =>
        this.#input(() => subscription.assigned(committed.map(toAssigned), membership.identity.memberEpoch)),
      onRevoked: (partitions, graceMs) =>
        this.#input(() => subscription.revoked(partitions.map(named), graceMs, this.#now())),
      onLost: (_partitions, error) => this.#input(() => subscription.lost(error, this.#now())),
      onFatal: (error) => this.#fail(error),
    });
    this.#running = { start, subscription, membership, fetches };
    membership.start();
  }

  /** Resolves at once where the client has just been heard of. */
  async #whenHeard(): Promise<void> {
    if (this.#now() - this.#lastHeardMs < FRESH_MS) return;
    await this.#stream.ping?.();
    this.#lastHeardMs = this.#now();
  }

  #clientClosed(): void {
    if (this.#running === undefined) this.#end(undefined);
    else this.#running.subscription.clientClosed(this.#now());
  }

  /** Lets something happen, and then does what follows from it. */
  #input(happen: () => void): void {
    if (this.#isOver) return;
    try {
      happen();
      this.#pump();
    } catch (error) {
      this.#onError(error);
    }
  }

  #pump(): void {
    const running = this.#running;
    if (running === undefined || this.#isPumping || this.#isOver) return;
    // What is done may bring more in, in the same turn.
    this.#isPumping = true;
    try {
      this.#flow(running);
    } finally {
      this.#isPumping = false;
    }
    if (this.#isOver) return;
    this.#pauseOrResume(running);
    this.#arm(running);
  }

  #flow(running: Running): void {
    const { subscription } = running;
    while (!this.#isOver) {
      const effects = subscription.takeEffects();
      const lookUps: LookUp[] = [];
      for (const effect of effects) this.#perform(running, effect, lookUps);
      if (lookUps.length > 0) this.#lookUp(running, lookUps);
      const push = this.#isBlocked ? undefined : subscription.nextPush(this.#now());
      if (push !== undefined) this.#push(push);
      else if (!subscription.hasEffects) return;
    }
  }

  #perform(running: Running, effect: Effect, lookUps: LookUp[]): void {
    const { subscription, membership } = running;
    switch (effect.kind) {
      case 'send':
        this.#write({ response: effect.message });
        return;
      case 'fetch':
        this.#fetch(running, effect);
        return;
      case 'stop-fetch':
        this.#fetching.get(effect.generation)?.close();
        this.#fetching.delete(effect.generation);
        return;
      case 'drop':
        (effect.records as FetchedBatches).release();
        return;
      case 'locate':
        lookUps.push({ ...named(effect.partition), generation: effect.generation, end: effect.end });
        return;
      case 'commit':
        this.#commit(subscription, membership, effect);
        return;
      case 'release':
        membership.released(effect.partitions);
        return;
      case 'change':
        membership.subscribe(effect.topics, effect.pattern);
        return;
      case 'rebalance':
        membership.enforceRebalance();
        return;
      case 'leave':
        if (effect.error === undefined) this.#leaveSoon(membership);
        else this.#leave(membership, effect.error);
    }
  }

  #fetch({ subscription, start, fetches }: Running, effect: Effect & { readonly kind: 'fetch' }): void {
    const { partition, generation, offset, leaderEpoch } = effect;
    const head = headOf(partition);
    let from = offset;
    const isCommitted = start.isolationLevel === v1.IsolationLevel.READ_COMMITTED;
    const fetch = fetches.subscribe(
      named(partition),
      { offset, lastEpoch: leaderEpoch },
      {
        onData: (data: FetchedData) => {
          if (data.batches.length === 0) {
            data.release();
            return;
          }
          const endOffset = isCommitted ? data.lastStableOffset : data.highWatermark;
          const records = new FetchedBatches(head, data, from, endOffset);
          from = data.nextOffset;
          this.#input(() => subscription.fetched(generation, records));
        },
        onError: (error) => {
          this.#fetching.delete(generation);
          this.#input(() => subscription.fetchEnded(generation, error, this.#now()));
        },
      },
    );
    this.#fetching.set(generation, fetch);
  }

  #lookUp({ subscription, start }: Running, entries: readonly LookUp[]): void {
    const ports = {
      isWanted: (generation: number) => !this.#isOver && subscription.isCurrent(generation),
      onFound: (found: readonly Located[]) => this.#input(() => subscription.located(found, this.#now())),
    };
    lookUp(this.#parts.router, entries, start.isolationLevel, ports).catch((error: unknown) => this.#onError(error));
  }

  #commit(subscription: Subscription, membership: Membership, effect: Effect & { readonly kind: 'commit' }): void {
    const { commitId, offsets } = effect;
    membership.commit(offsets, { timeoutMs: COMMIT_MS }).then(
      (outcomes) => {
        const errors = outcomes.map(({ error }) => error);
        this.#input(() => subscription.committed(commitId, errors, this.#now()));
      },
      (error: unknown) =>
        this.#input(() => {
          if (error instanceof InvariantError) throw error;
          subscription.committed(commitId, toBarnabasError(error), this.#now());
        }),
    );
  }

  #push({ partition, parcel }: Push): void {
    const { records, bytes, payload } = parcel;
    this.#parts.metrics.pushed(partition.topic, records, bytes);
    const encoded = payload as EncodedResponse;
    this.#write(this.#context.peer === LOCAL_PEER ? encoded.decode() : encoded);
  }

  #write(message: SubscribeOutput): void {
    if (!this.#stream.write(message)) this.#isBlocked = true;
  }

  #pauseOrResume({ subscription }: Running): void {
    const isPaused = this.#isBlocked || subscription.isBusy;
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#stream.pause();
    else this.#stream.resume();
  }

  #arm({ subscription }: Running): void {
    const { deadlineMs } = subscription;
    // A timer that comes early costs less than one that is set anew for every message.
    if (this.#timer !== undefined && this.#timerAtMs <= deadlineMs) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAtMs = deadlineMs;
    if (deadlineMs === Infinity) return;
    this.#timer = this.#parts.router.environment.timers.after(Math.max(0, deadlineMs - this.#now()), () => {
      this.#timer = undefined;
      this.#input(() => subscription.tick(this.#now()));
    });
  }

  /** The client has closed: unless it turns out to have broken off, its member leaves. */
  #leaveSoon(membership: Membership, turns = TURNS_UNTIL_LEAVING): void {
    this.#stopFetching();
    this.#parts.router.environment.timers.after(RESET_MAY_FOLLOW_MS, () => {
      if (this.#isOver) return;
      if (turns > 1) this.#leaveSoon(membership, turns - 1);
      else this.#leave(membership, undefined);
    });
  }

  /** The last that is heard of the member; then the client hears that it is over. */
  #leave(membership: Membership, error: BarnabasError | undefined): void {
    this.#stopFetching();
    membership.leave(LEAVE_MS).then(
      () => this.#end(error),
      (thrown: unknown) => this.#onError(thrown),
    );
  }

  #onError(error: unknown): void {
    if (error instanceof InvariantError) {
      this.#parts.onFault(error, this.#context.method);
      this.#fail(new BarnabasError('UNKNOWN_SERVER_ERROR', 'the node found itself in an impossible state and stops'));
      return;
    }
    this.#fail(toBarnabasError(error));
  }

  /** The stream is over, and the session runs: the client, or this node, is gone, or has said what it may not. */
  #fail(error: BarnabasError): void {
    this.#end(error);
  }

  #end(error: BarnabasError | undefined): void {
    if (this.#isOver) return;
    if (error !== undefined) this.#parts.metrics.failed(error.errorName);
    this.#close();
    this.#stream.end(error);
  }

  #close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    this.#stopFetching();
    // Of one that has left nothing is left to abandon.
    this.#running?.membership.abandon();
    this.#onOver();
  }

  #stopFetching(): void {
    this.#fetching.clear();
    this.#running?.fetches.close();
  }

  #now(): number {
    return this.#parts.router.environment.clock.monotonic();
  }
}

function named({ topic, partition }: { readonly topic: string; readonly partition: number }) {
  return { topic, partition };
}

function toAssigned({ topic, partition, offset, leaderEpoch, metadata, rewinds, error }: FetchedOffset): Assigned {
  const committed = error ?? (offset < 0 ? undefined : { offset, leaderEpoch, metadata });
  return { topic, partition, committed, rewinds: error === undefined ? rewinds : undefined };
}
