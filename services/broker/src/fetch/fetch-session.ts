/**
 * One fetch stream: its subscriptions, its credit, and whose turn it is. Knows nothing of transports:
 * Fetch sends what comes out over gRPC, Consume decodes it.
 *
 * Invariants:
 *   F1  nothing at or above the high watermark is sent
 *   F2  batches of a subscription go out in order, each once, and nothing follows its `ended`
 *   F3  a message with batches goes out only while credit is above 0, so that it is overdrawn by at most one message
 *   F4  at most MAX_READS messages are read ahead of a client that does not read or grants no credit
 * Fairness: subscriptions that have something to send take turns, one message each.
 * Protocol: docs/protocols/fetch.md.
 */
import { InvariantError, assert } from '@barnabas/common';
import type { Timers } from '@barnabas/common';
import type { ReadResult } from '@barnabas/log';
import { BarnabasError, errorToProto, toBarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { Fifo } from '../core/fifo.js';
import { refusals } from '../core/index.js';
import type { LeaderLookup } from '../runtime/leader-lookup.js';
import type { BrokerMetrics } from '../runtime/metrics.js';
import type { ReplicaDriver } from '../runtime/replica-driver.js';
import type { ReadReplicaSelector } from './read-replica.js';
import { Subscription } from './subscription.js';

/** Reads on their way for one stream: enough to keep a disk busy while messages go out. */
const MAX_READS = 4;
/** Far more than a consumer has partitions; each costs memory, so there is an end. */
const MAX_SUBSCRIPTIONS = 10_000;

const NO_BATCHES = Buffer.alloc(0);

/** What sessions share. */
export interface FetchDependencies {
  readonly lookup: LeaderLookup;
  readonly driver: ReplicaDriver;
  /** replica.selector.class; undefined: readers read from leaders. */
  readonly selector: ReadReplicaSelector | undefined;
  readonly timers: Timers;
  readonly metrics: BrokerMetrics;
  /** fetch.max.bytes. */
  readonly maxMessageBytes: number;
  readonly onFault: (fault: InvariantError) => void;
}

/** Ends a fetch or consume stream with the error. */
export type EndReader = (error: BarnabasError) => void;

/** Takes a message; false: full, `drained` will be called. */
export type FetchSink = (message: v1.FetchResponse) => boolean;

interface Unsent {
  readonly subscription: Subscription;
  readonly result: ReadResult;
  readonly bytes: number;
}

export class FetchSession {
  readonly #subscriptions = new Map<number, Subscription>();
  readonly #ready = new Fifo<Subscription>();
  /** Read, and waiting for credit or for the sink. */
  readonly #unsent = new Fifo<Unsent>();
  #credit = 0;
  /** Bytes that reads on their way may bring. */
  #reserved = 0;
  #reads = 0;
  #blocked = false;
  #closed = false;
  /** Set once the client can say no more: called when nothing more can come of what it has said. */
  #onExhausted: (() => void) | undefined;

  constructor(
    private readonly dependencies: FetchDependencies,
    private readonly sink: FetchSink,
  ) {}

  get subscriptions(): number {
    return this.#subscriptions.size;
  }

  /** Throws INVALID_REQUEST for what a client must never do; everything else ends the subscription. */
  subscribe(request: v1.FetchSubscribe): void {
    const { subscriptionId: id } = request;
    if (this.#subscriptions.has(id)) {
      throw new BarnabasError('INVALID_REQUEST', `subscription ${id} is in use on this stream: choose another id`);
    }
    if (this.#subscriptions.size >= MAX_SUBSCRIPTIONS) {
      throw new BarnabasError('INVALID_REQUEST', `a fetch stream has at most ${MAX_SUBSCRIPTIONS} subscriptions`);
    }
    try {
      this.#start(request);
    } catch (caught) {
      this.#sendEnded(id, request.topic, this.#typed(caught));
    }
  }

  /** One that has ended meanwhile is ignored: the client has been told. */
  unsubscribe(id: number): void {
    const subscription = this.#subscriptions.get(id);
    if (subscription !== undefined) this.#end(subscription, undefined);
  }

  grant(bytes: number): void {
    this.#credit += bytes;
    this.#pump();
  }

  /** The sink takes messages again. */
  drained(): void {
    this.#blocked = false;
    this.#pump();
  }

  /** The client will say no more. `onExhausted` is called once nothing more can follow: no credit or no subscription is left. */
  finish(onExhausted: () => void): void {
    this.#onExhausted = onExhausted;
    this.#checkExhausted();
  }

  close(): void {
    this.#closed = true;
    for (const subscription of this.#subscriptions.values()) subscription.end();
    this.#subscriptions.clear();
    this.#ready.drain();
    this.#unsent.drain();
  }

  // --- subscriptions ---

  #start(request: v1.FetchSubscribe): void {
    checkRange(request);
    const { lookup, driver, timers, maxMessageBytes } = this.dependencies;
    const { topic, rack = '' } = request;
    const at = (rack === '' ? lookup.partition : lookup.readable).bind(lookup);
    const partition = at(topic, request.partition, request.leaderEpoch);
    // Of an epoch that has not begun here nothing can be compared: this replica is behind the reader, and
    // what its log lacks may well be committed.
    const { lastFetchedEpoch = -1 } = request;
    if (lastFetchedEpoch > partition.leaderEpoch) {
      throw refusals.unknownLeaderEpoch(partition, lastFetchedEpoch, partition.leaderEpoch);
    }
    const preferred = this.dependencies.selector?.preferred(partition, rack, request.offset);
    if (preferred !== undefined) {
      this.#send(endedMessage(request.subscriptionId, { preferredReadReplica: preferred }));
      return;
    }
    const subscription = new Subscription(request, partition, maxMessageBytes, timers);
    this.#subscriptions.set(subscription.id, subscription);
    subscription.unlisten = driver.listen(partition, {
      onHighWatermark: () => this.#consider(subscription),
      onUnavailable: (error) => this.#end(subscription, error),
    });
    driver.openForReading(partition).then(
      (log) => {
        if (subscription.state !== 'opening') return;
        subscription.log = log;
        this.#opened(subscription);
      },
      (error: unknown) => this.#end(subscription, this.#typed(error)),
    );
  }

  #opened(subscription: Subscription): void {
    const { partition, position } = subscription;
    if (!partition.isLeader && position > partition.highWatermark) {
      // There may be more, which only the leader knows: what this log lacks is on its way, not gone.
      this.#end(subscription, refusals.notReachedHere(partition, position, partition.highWatermark));
      return;
    }
    const parting = partingOf(subscription);
    if (parting !== undefined) {
      this.#end(subscription, diverged(subscription, parting), parting);
      return;
    }
    if (position < partition.logStartOffset || position > partition.logEndOffset) {
      this.#end(subscription, outOfRange(subscription));
      return;
    }
    subscription.state = 'waiting';
    // Tells the client where the partition stands, also when there is nothing to read.
    this.#send(this.#message(subscription, NO_BATCHES, position));
    this.#consider(subscription);
  }

  /** Puts the subscription in line if it has something to send and is not in line already. */
  #consider(subscription: Subscription): void {
    if (subscription.state !== 'waiting') return;
    if (!subscription.isDue(() => this.#consider(subscription))) return;
    subscription.state = 'ready';
    this.#ready.push(subscription);
    this.#pump();
  }

  #end(subscription: Subscription, error: BarnabasError | undefined, diverging?: v1.DivergingLog): void {
    if (subscription.state === 'ended') return;
    subscription.end();
    this.#subscriptions.delete(subscription.id);
    this.#sendEnded(subscription.id, subscription.partition.topic, error, diverging);
    this.#checkExhausted();
  }

  #checkExhausted(): void {
    if (this.#onExhausted === undefined || this.#closed) return;
    if (this.#credit <= 0 || this.#subscriptions.size === 0) this.#onExhausted();
  }

  // --- reading and sending ---

  /** Sends what was read and starts reads, as far as credit, sink and turns allow. */
  #pump(): void {
    this.#flush();
    while (!this.#blocked && this.#reads + this.#unsent.length < MAX_READS && this.#credit > this.#reserved) {
      const subscription = this.#ready.shift();
      if (subscription === undefined) return;
      if (subscription.state === 'ready') this.#read(subscription);
    }
  }

  #read(subscription: Subscription): void {
    const { log, position: offset, limit: maxOffset } = subscription;
    assert(log !== undefined, 'a subscription that is ready has its log open');
    const maxBytes = Math.min(subscription.maxBytes, this.#credit - this.#reserved);
    subscription.state = 'reading';
    this.#reads += 1;
    this.#reserved += maxBytes;
    log
      .read({ offset, maxBytes, maxOffset, minOneBatch: true })
      .then((result) => {
        assert(result.nextOffset <= maxOffset, 'F1: nothing at or above the high watermark is read', {
          nextOffset: result.nextOffset,
          maxOffset,
        });
        this.#hasRead(subscription, maxBytes, () => this.#take(subscription, result, maxOffset));
      })
      .catch((error: unknown) => {
        this.#hasRead(subscription, maxBytes, () => this.#end(subscription, this.#typed(error)));
      });
  }

  #hasRead(subscription: Subscription, reserved: number, use: () => void): void {
    this.#reads -= 1;
    this.#reserved -= reserved;
    if (this.#closed) return;
    if (subscription.state === 'reading') use();
    this.#pump();
  }

  #take(subscription: Subscription, result: ReadResult, maxOffset: number): void {
    let bytes = 0;
    for (const batch of result.batches) bytes += batch.length;
    if (bytes === 0 && result.nextOffset === subscription.position) {
      // A gap up to the limit: wait for it to move.
      subscription.state = 'waiting';
    } else if (subscription.holdsBack(bytes, result.nextOffset >= maxOffset)) {
      subscription.state = 'waiting';
      this.#consider(subscription);
    } else {
      this.#unsent.push({ subscription, result, bytes });
    }
  }

  #flush(): void {
    for (let next = this.#unsent.peek(); next !== undefined; next = this.#unsent.peek()) {
      if (next.subscription.state === 'reading') {
        if (this.#blocked || this.#credit <= 0) return;
        this.#deliver(next);
      }
      this.#unsent.shift();
    }
  }

  #deliver({ subscription, result, bytes }: Unsent): void {
    this.#credit -= bytes;
    subscription.sent(result.nextOffset);
    subscription.state = 'waiting';
    this.dependencies.metrics.fetched(subscription.partition.topic, bytes);
    this.#send(this.#message(subscription, joined(result.batches), result.nextOffset));
    this.#checkExhausted();
    // To the end of the line: the others first.
    if (subscription.isDue(() => this.#consider(subscription))) {
      subscription.state = 'ready';
      this.#ready.push(subscription);
    }
  }

  #message({ id, partition }: Subscription, batches: Buffer, nextOffset: number): v1.FetchResponse {
    return {
      subscriptionId: id,
      batches,
      highWatermark: partition.highWatermark,
      logStartOffset: partition.logStartOffset,
      lastStableOffset: partition.lastStableOffset,
      leaderEpoch: partition.leaderEpoch,
      nextOffset,
      ended: false,
      error: undefined,
      diverging: undefined,
      preferredReadReplica: undefined,
    };
  }

  #sendEnded(
    subscriptionId: number,
    topic: string,
    error: BarnabasError | undefined,
    diverging?: v1.DivergingLog,
  ): void {
    if (error !== undefined) this.dependencies.metrics.fetchFailed(topic, error.errorName);
    this.#send(
      endedMessage(subscriptionId, { error: error === undefined ? undefined : errorToProto(error), diverging }),
    );
  }

  #send(message: v1.FetchResponse): void {
    if (this.#closed) return;
    if (!this.sink(message)) this.#blocked = true;
  }

  #typed(caught: unknown): BarnabasError {
    if (caught instanceof InvariantError) this.dependencies.onFault(caught);
    return toBarnabasError(caught);
  }
}

function endedMessage(subscriptionId: number, why: Partial<v1.FetchResponse>): v1.FetchResponse {
  return {
    subscriptionId,
    batches: NO_BATCHES,
    highWatermark: -1,
    logStartOffset: -1,
    lastStableOffset: -1,
    leaderEpoch: -1,
    nextOffset: -1,
    ended: true,
    error: undefined,
    diverging: undefined,
    preferredReadReplica: undefined,
    ...why,
  };
}

function checkRange({ offset, maxBytes, minBytes, maxWaitMs }: v1.FetchSubscribe): void {
  if (offset < 0) {
    throw new BarnabasError('OFFSET_OUT_OF_RANGE', 'an offset is 0 or more: ListOffsets tells where to begin', {
      offset,
    });
  }
  if (maxBytes < 0 || minBytes < 0 || maxWaitMs < 0) {
    throw new BarnabasError('INVALID_REQUEST', 'max_bytes, min_bytes and max_wait_ms must not be negative');
  }
}

/**
 * Where the log parts from what the client has read; undefined if it does not, or nobody can tell. The
 * record before the position must be of the epoch that the client read it in: an epoch has one leader,
 * which wrote one log.
 */
function partingOf({ log, lastFetchedEpoch, partition, position }: Subscription): v1.DivergingLog | undefined {
  const { logStartOffset } = partition;
  // What was deleted cannot be compared, and need not be.
  if (log === undefined || lastFetchedEpoch < 0 || position <= logStartOffset) return undefined;
  const found = log.endOffsetForEpoch(lastFetchedEpoch);
  if (found === undefined) return { leaderEpoch: -1, endOffset: logStartOffset };
  if (found.leaderEpoch === lastFetchedEpoch && found.endOffset >= position) return undefined;
  return { leaderEpoch: found.leaderEpoch, endOffset: Math.max(logStartOffset, Math.min(found.endOffset, position)) };
}

function diverged(
  { partition, position, lastFetchedEpoch }: Subscription,
  { endOffset }: v1.DivergingLog,
): BarnabasError {
  const { topic } = partition;
  return new BarnabasError(
    'OFFSET_OUT_OF_RANGE',
    `${topic}-${partition.partition} has been truncated: what was read up to offset ${position} in leader epoch ${lastFetchedEpoch} is gone from offset ${endOffset} on, at the latest`,
    { topic, partition: partition.partition, position, lastFetchedEpoch, endOffset },
  );
}

function outOfRange({ position, partition }: Subscription): BarnabasError {
  const { topic, logStartOffset, logEndOffset } = partition;
  return new BarnabasError(
    'OFFSET_OUT_OF_RANGE',
    `offset ${position} of ${topic}-${partition.partition} is outside of the log, which has ${logStartOffset} to ${logEndOffset}`,
    { topic, partition: partition.partition, position, logStartOffset, logEndOffset },
  );
}

function joined(batches: readonly Buffer[]): Buffer {
  const [only] = batches;
  return batches.length === 1 && only !== undefined ? only : Buffer.concat(batches);
}
