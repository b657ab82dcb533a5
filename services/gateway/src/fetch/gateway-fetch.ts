/**
 * One client's fetch stream, fed by the streams of many leaders. The client's subscriptions become
 * those of a FetchSession, which finds leaders, moves with them and goes on where it stopped; the
 * client sees one node that always leads.
 *
 *   leader ── credit for what the gateway may hold ──▶ queue ── credit of the client ──▶ client
 *
 * Invariants:
 *   F1  the queue holds at most barnabas.fetch.stream.buffer.bytes, and one message more a leader: a
 *       leader gets credit again only for what the client's transport has taken
 *   F2  a message with batches goes out only while the client's credit is above 0, so that it is
 *       overdrawn by at most one message
 *   F3  data of a subscription goes out in offset order, and nothing follows its `ended`
 *   F4  a subscription of a topic that is deleted, or deleted and made again, ends
 *
 * Errors of a subscription come in its `ended` message: INVALID_TOPIC_EXCEPTION,
 * UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_LEADER_EPOCH, OFFSET_OUT_OF_RANGE,
 * INVALID_REQUEST, KAFKA_STORAGE_ERROR. The stream as a whole fails with INVALID_REQUEST (an id used
 * twice, too many subscriptions, an empty message).
 * Protocol: docs/protocols/fetch.md.
 */
import { FetchSession } from '@barnabas/client';
import type { ClusterRouter, FetchedData, FetchLimits, FetchSubscription } from '@barnabas/client';
import { InvariantError } from '@barnabas/common';
import type { v1 } from '@barnabas/protocol';
import { BarnabasError, errorToProto, toBarnabasError } from '@barnabas/protocol';
import type { MessageStream } from '@barnabas/rpc';
import type { FollowedView } from '@barnabas/subscribe/cluster';
import { checkPartition } from '../cluster/checks.js';
import type { GatewayMetrics } from '../metrics.js';
import { checkSubscribe, fetchLimits, sessionDefaults } from './subscribe-check.js';

type Stream = MessageStream<v1.FetchRequest, v1.FetchResponse>;

export interface FetchParts {
  readonly router: ClusterRouter;
  readonly view: FollowedView;
  readonly metrics: GatewayMetrics;
  /** barnabas.fetch.stream.buffer.bytes. */
  readonly bufferBytes: number;
  /** barnabas.fetch.max.stream.subscriptions. */
  readonly maxSubscriptions: number;
  /** fetch.max.bytes. */
  readonly maxMessageBytes: number;
}

interface Subscription {
  readonly id: number;
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly source: FetchSubscription;
}

interface Queued {
  readonly subscription: Subscription;
  readonly data: FetchedData;
}

const NO_BATCHES = Buffer.alloc(0);

export class GatewayFetch {
  readonly #stream: Stream;
  readonly #parts: FetchParts;
  readonly #session: FetchSession;
  readonly #subscriptions = new Map<number, Subscription>();
  readonly #stopWatching: () => void;
  #queue: Queued[] = [];
  #queuedBytes = 0;
  #credit = 0;
  #isBlocked = false;
  /** The client has said all it will say. */
  #isHalfClosed = false;
  #isOver = false;

  constructor(stream: Stream, parts: FetchParts, onClose: () => void) {
    this.#stream = stream;
    this.#parts = parts;
    this.#session = new FetchSession(parts.router, { windowBytes: parts.bufferBytes, ...sessionDefaults });
    this.#stopWatching = parts.view.onChange(() => this.#endDeleted());
    stream.handle({
      onMessage: (message) => this.#receive(message),
      onDrain: () => this.#drained(),
      onEnd: () => {
        this.#isHalfClosed = true;
        this.#endWhenExhausted();
      },
      onClose: () => {
        this.#close();
        onClose();
      },
    });
  }

  /** Bytes that wait for the client. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** The gateway stops: the client begins again elsewhere, at the offsets it has. */
  stop(error: BarnabasError): void {
    this.#fail(error);
  }

  #receive({ request }: v1.FetchRequest): void {
    try {
      switch (request?.$case) {
        case 'subscribe':
          return this.#subscribe(request.subscribe);
        case 'unsubscribe':
          return this.#end(request.unsubscribe.subscriptionId, undefined);
        case 'credit':
          this.#credit += request.credit.bytes;
          return this.#pump();
        case undefined:
          throw new BarnabasError('INVALID_REQUEST', 'a message subscribes, unsubscribes or grants credit');
      }
    } catch (caught) {
      if (caught instanceof InvariantError) throw caught;
      this.#fail(toBarnabasError(caught));
    }
  }

  /** Throws INVALID_REQUEST for what a client must never do; everything else ends the subscription. */
  #subscribe(request: v1.FetchSubscribe): void {
    const { subscriptionId: id } = request;
    const { maxSubscriptions } = this.#parts;
    if (this.#subscriptions.has(id)) {
      throw new BarnabasError('INVALID_REQUEST', `subscription ${id} is in use on this stream: choose another id`);
    }
    if (this.#subscriptions.size >= maxSubscriptions) {
      throw new BarnabasError('INVALID_REQUEST', `a fetch stream has at most ${maxSubscriptions} subscriptions`);
    }
    try {
      this.#start(request);
    } catch (caught) {
      if (caught instanceof InvariantError) throw caught;
      this.#sendEnded(id, toBarnabasError(caught));
    }
  }

  #start(request: v1.FetchSubscribe): void {
    const { view, maxMessageBytes } = this.#parts;
    const topic = view.knownTopic(request.topic);
    checkPartition(topic, request.partition);
    checkSubscribe(request, topic);
    const limits: FetchLimits = fetchLimits(request, maxMessageBytes);
    const { subscriptionId: id, partition, offset, lastFetchedEpoch: lastEpoch = -1 } = request;
    const source = this.#session.subscribe(
      { topic: topic.name, partition },
      { offset, lastEpoch },
      {
        onData: (data) => this.#enqueue(subscription, data),
        onError: (error) => this.#end(id, error),
      },
      limits,
    );
    const subscription: Subscription = { id, topic: topic.name, topicId: topic.topicId, partition, source };
    this.#subscriptions.set(id, subscription);
  }

  #enqueue(subscription: Subscription, data: FetchedData): void {
    this.#queue.push({ subscription, data });
    this.#queuedBytes += data.batches.length;
    this.#pump();
  }

  /** Sends what is queued, as far as the client's credit and transport allow. */
  #pump(): void {
    let sent = 0;
    for (const { subscription, data } of this.#queue) {
      const isLive = this.#subscriptions.get(subscription.id) === subscription;
      if (isLive && (this.#isBlocked || (data.batches.length > 0 && this.#credit <= 0))) break;
      sent += 1;
      this.#queuedBytes -= data.batches.length;
      if (isLive) this.#send(subscription, data);
      data.release();
    }
    if (sent > 0) this.#queue = this.#queue.slice(sent);
    this.#endWhenExhausted();
  }

  #send({ id, topic }: Subscription, data: FetchedData): void {
    const { batches, highWatermark, logStartOffset, lastStableOffset, leaderEpoch, nextOffset } = data;
    this.#credit -= batches.length;
    this.#parts.metrics.fetched(topic, batches.length);
    this.#write({
      subscriptionId: id,
      batches,
      highWatermark,
      logStartOffset,
      lastStableOffset,
      leaderEpoch,
      nextOffset,
      ended: false,
      error: undefined,
      diverging: undefined,
    });
  }

  /** One that has ended meanwhile is ignored: the client has been told. */
  #end(id: number, error: BarnabasError | undefined): void {
    const subscription = this.#subscriptions.get(id);
    if (subscription === undefined) return;
    this.#subscriptions.delete(id);
    subscription.source.close();
    this.#sendEnded(id, error);
    // What is queued for it is released.
    this.#pump();
  }

  #endDeleted(): void {
    for (const { id, topic, topicId, partition } of [...this.#subscriptions.values()]) {
      const now = this.#parts.view.topic(topic);
      if (now?.topicId === topicId) continue;
      const text = `topic ${topic} has been deleted`;
      this.#end(id, new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', text, { topic, partition }));
    }
  }

  #sendEnded(subscriptionId: number, error: BarnabasError | undefined): void {
    if (error !== undefined) this.#parts.metrics.fetchFailed(error.errorName);
    this.#write({
      subscriptionId,
      batches: NO_BATCHES,
      highWatermark: -1,
      logStartOffset: -1,
      lastStableOffset: -1,
      leaderEpoch: -1,
      nextOffset: -1,
      ended: true,
      error: error === undefined ? undefined : errorToProto(error),
      diverging: divergingOf(error),
    });
  }

  /** A client that does not read is not read from either: nothing it sends can make this side hold more. */
  #write(message: v1.FetchResponse): void {
    if (this.#isOver || this.#stream.write(message)) return;
    this.#isBlocked = true;
    this.#stream.pause();
  }

  #drained(): void {
    this.#isBlocked = false;
    this.#stream.resume();
    this.#pump();
  }

  /** After the client's half-close: ends once nothing more can follow, without credit or without subscriptions. */
  #endWhenExhausted(): void {
    if (!this.#isHalfClosed || this.#isOver) return;
    if (this.#credit > 0 && this.#subscriptions.size > 0) return;
    this.#close();
    this.#stream.end();
  }

  #fail(error: BarnabasError): void {
    if (this.#isOver) return;
    this.#close();
    this.#stream.end(error);
  }

  #close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopWatching();
    this.#session.close();
    this.#subscriptions.clear();
    this.#queue = [];
    this.#queuedBytes = 0;
  }
}

/** The leader found that the log is not what the client has read: passed on as it came. */
function divergingOf(error: BarnabasError | undefined): v1.DivergingLog | undefined {
  const { divergingEpoch, divergingOffset } = error?.facts ?? {};
  if (typeof divergingEpoch !== 'number' || typeof divergingOffset !== 'number') return undefined;
  return { leaderEpoch: divergingEpoch, endOffset: divergingOffset };
}
