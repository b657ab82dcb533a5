/**
 * Reads partitions from their leaders: one Fetch stream a node, shared by the session's partitions,
 * within one window of bytes. Follows leaders as they move and streams as they break, and goes on
 * where the last data ended: nothing is lost and nothing comes twice. A reader that says in which rack it
 * stands reads from the replica that its leader names, and from the leader when that one fails it.
 *
 * The session does not decode batches and does not choose offsets; what it cannot mend by itself
 * (an offset out of range, a truncated log, a topic made anew, a missing permission) ends the subscription.
 */
import type { Timer } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { backoffMs } from '../cluster/backoff.js';
import type { ClusterRouter, LeaderEndpoint } from '../cluster/cluster-router.js';
import { isUnreachable } from '../cluster/node-pool.js';
import type { TopicPartition } from '../records.js';
import { CreditWindow } from './credit-window.js';
import { LeaderFetchStream } from './leader-fetch-stream.js';
import { PartitionFetcher } from './partition-fetcher.js';
import type { FetchLimits, FetchListener, FetchPosition } from './partition-fetcher.js';

export interface FetchSessionOptions extends FetchLimits {
  /** Bytes received and not released, and credit for more, in all. Each node may overdraw it by one message. */
  readonly windowBytes: number;
}

/** A partition being read. */
export interface FetchSubscription {
  /** The offset after the last data delivered. */
  readonly nextOffset: number;
  /** Of the topic that is being read; undefined before any was. */
  readonly topicId: string | undefined;
  /** Nothing more is delivered. What was delivered must still be released. */
  close(): void;
}

interface Attached {
  readonly stream: LeaderFetchStream;
  readonly endpoint: LeaderEndpoint;
}

export class FetchSession {
  readonly #router: ClusterRouter;
  readonly #options: FetchSessionOptions;
  readonly #window: CreditWindow<LeaderFetchStream>;
  readonly #fetchers = new Set<PartitionFetcher>();
  readonly #streams = new Map<string, Attached>();
  readonly #stopListening: () => void;
  #isPassDue = false;
  #isClosed = false;
  #wakeTimer: Timer | undefined;
  #wakeAtMs = Number.POSITIVE_INFINITY;

  constructor(router: ClusterRouter, options: FetchSessionOptions) {
    this.#router = router;
    this.#options = options;
    this.#window = new CreditWindow(options.windowBytes);
    this.#stopListening = router.onChange(() => this.#requestPass());
  }

  /** Bytes delivered and not released. */
  get unreleasedBytes(): number {
    return this.#window.unreleased;
  }

  /** Begins to read a partition at an offset; with `limits` in place of the session's own. */
  subscribe(
    partition: TopicPartition,
    position: FetchPosition,
    listener: FetchListener,
    limits: FetchLimits = this.#options,
  ): FetchSubscription {
    const fetcher = new PartitionFetcher(partition, position, listener, limits);
    this.#fetchers.add(fetcher);
    this.#requestPass();
    return {
      get nextOffset() {
        return fetcher.nextOffset;
      },
      get topicId() {
        return fetcher.topicId;
      },
      close: () => this.#closeFetcher(fetcher),
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#stopListening();
    this.#wakeTimer?.cancel();
    for (const { stream } of this.#streams.values()) stream.cancel();
    this.#streams.clear();
    this.#fetchers.clear();
  }

  #requestPass(): void {
    if (this.#isPassDue || this.#isClosed) return;
    this.#isPassDue = true;
    queueMicrotask(() => {
      this.#isPassDue = false;
      if (!this.#isClosed) this.#pass();
    });
  }

  /** Brings every partition to the node that serves it now. */
  #pass(): void {
    const nowMs = this.#now();
    for (const fetcher of this.#fetchers) this.#route(fetcher, nowMs);
    for (const [address, { stream }] of this.#streams) {
      if (stream.subscriptions === 0) this.#dropStream(address);
    }
  }

  #route(fetcher: PartitionFetcher, nowMs: number): void {
    if (!fetcher.isOfTopic(this.#router.view.topic(fetcher.topic)?.topicId)) {
      this.#closeFetcher(fetcher);
      fetcher.fail(madeAnew(fetcher));
      return;
    }
    const leader = this.#router.leader(fetcher.topic, fetcher.partition);
    if (leader === undefined) {
      // A partition whose old leader is gone is read from it no more; onChange or this brings the next try.
      this.#wakeAt(nowMs + this.#router.options.retryBackoffMaxMs);
      return;
    }
    const { nearer } = fetcher;
    const nearerId = nearer.under(leader.leaderEpoch, nowMs);
    // Until it can be reached the leader serves.
    const replica = nearerId === undefined ? undefined : this.#router.replica(leader, nearerId);
    const endpoint = replica ?? leader;
    if (fetcher.isAt(endpoint.address) && nowMs < nearer.askAtMs) {
      this.#wakeAt(nearer.askAtMs);
      return;
    }
    if (fetcher.isPausing(nowMs, endpoint)) {
      this.#wakeAt(fetcher.retryAtMs);
      return;
    }
    fetcher.detach();
    const { stream } = this.#attach(endpoint);
    const rack = replica === undefined ? nearer.askLeader(nowMs) : nearer.rack;
    this.#wakeAt(nearer.askAtMs);
    fetcher.attach(stream, endpoint, rack, {
      received: (bytes) => this.#window.received(stream, bytes),
      release: (bytes) => this.#window.release(stream, bytes),
      topUp: () => this.#window.distribute(),
      onEnd: (error) => {
        if (replica === undefined) this.#onEnd(fetcher, endpoint, error);
        else this.#onReplicaEnd(fetcher, endpoint, error);
      },
      onNearer: (brokerId) => {
        nearer.named(brokerId, leader.leaderEpoch, this.#now());
        this.#requestPass();
      },
    });
  }

  #attach(endpoint: LeaderEndpoint): Attached {
    const { address } = endpoint;
    const known = this.#streams.get(address);
    if (known !== undefined) return known;
    const stream: LeaderFetchStream = new LeaderFetchStream({
      channel: this.#router.channel(address),
      onDropped: () => this.#window.distribute(),
      onClosed: (error) => {
        if (this.#streams.get(address)?.stream === stream) this.#streams.delete(address);
        this.#window.remove(stream);
        if (isUnreachable(error)) this.#router.reportUnreachable(endpoint);
      },
    });
    const attached = { stream, endpoint };
    this.#streams.set(address, attached);
    this.#window.add(stream);
    return attached;
  }

  #onEnd(fetcher: PartitionFetcher, endpoint: LeaderEndpoint, error: BarnabasError): void {
    const { environment, options } = this.#router;
    this.#router.reportRefusal(endpoint, fetcher, error);
    if (fetcher.isFinal(error)) {
      this.#fetchers.delete(fetcher);
      fetcher.fail(error);
      return;
    }
    const policy = { baseMs: options.retryBackoffMs, maxMs: options.retryBackoffMaxMs };
    fetcher.pause(endpoint, this.#now() + backoffMs(policy, fetcher.failures + 1, environment.random));
    this.#requestPass();
  }

  /** Whatever it was, the leader knows better: also what is out of range, or gone. */
  #onReplicaEnd(fetcher: PartitionFetcher, endpoint: LeaderEndpoint, error: BarnabasError): void {
    this.#router.reportRefusal(endpoint, fetcher, error);
    fetcher.nearer.failed(this.#now());
    this.#requestPass();
  }

  #closeFetcher(fetcher: PartitionFetcher): void {
    this.#fetchers.delete(fetcher);
    fetcher.detach();
    this.#requestPass();
  }

  #dropStream(address: string): void {
    const attached = this.#streams.get(address);
    if (attached === undefined) return;
    this.#streams.delete(address);
    attached.stream.cancel();
    this.#window.remove(attached.stream);
  }

  #wakeAt(atMs: number): void {
    if (atMs >= this.#wakeAtMs) return;
    this.#wakeTimer?.cancel();
    this.#wakeAtMs = atMs;
    this.#wakeTimer = this.#router.environment.timers.after(atMs - this.#now(), () => {
      this.#wakeAtMs = Number.POSITIVE_INFINITY;
      this.#requestPass();
    });
  }

  #now(): number {
    return this.#router.environment.clock.monotonic();
  }
}

/** As a log that parts from what was read at its very beginning. */
function madeAnew({ topic, partition, nextOffset }: PartitionFetcher): BarnabasError {
  return new BarnabasError(
    'OFFSET_OUT_OF_RANGE',
    `topic ${topic} was deleted and created again: what was read of partition ${partition} up to offset ${nextOffset} is gone`,
    { topic, partition, divergingEpoch: -1, divergingOffset: 0 },
  );
}
