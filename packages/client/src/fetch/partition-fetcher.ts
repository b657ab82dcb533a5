/**
 * One partition being read: where it is, on which stream, and who gets what comes.
 *
 * Invariant: data is delivered in offset order without gaps. Each attachment to a stream begins at
 * the offset after the last data delivered, and data of an earlier attachment is never delivered. Each
 * says of which leader epoch the record before it was, so that a log that is another one is found out
 * (KIP-320), and which epoch is known, so that a leader of the past does not judge by a log that is behind.
 */
import { lastLeaderEpoch } from '@barnabas/protocol';
import type { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { leaderName } from '../cluster/cluster-router.js';
import type { LeaderEndpoint } from '../cluster/cluster-router.js';
import { ReportLimit } from '../cluster/report-limit.js';
import type { TopicPartition } from '../records.js';
import type { LeaderFetchStream } from './leader-fetch-stream.js';
import { NearerReplica } from './nearer-replica.js';

/** What came for a partition. */
export interface FetchedData {
  /** Whole record batches one after another, a view; empty in a message that only reports state. The first may begin before the offset asked for. */
  readonly batches: Buffer;
  readonly nextOffset: number;
  readonly highWatermark: number;
  readonly logStartOffset: number;
  readonly lastStableOffset: number;
  readonly leaderEpoch: number;
  /** The bytes are not needed any more: as many may come. Only the first call counts. */
  release(): void;
}

export interface FetchListener {
  onData(data: FetchedData): void;
  /** The session cannot go on with this partition by itself. The subscription is over. */
  onError(error: BarnabasError): void;
}

/** How a leader is to send a partition. */
export interface FetchLimits {
  /** The largest message, but always one batch. */
  readonly maxBytes: number;
  readonly minBytes: number;
  readonly maxWaitMs: number;
  readonly isolationLevel: v1.IsolationLevel;
  /** Where the reader stands: leaders may send it to a replica there. Absent or empty: nowhere. */
  readonly rack?: string;
}

/** Where to read on. */
export interface FetchPosition {
  readonly offset: number;
  /** The leader epoch of the record before it, where that has been read; -1 or absent otherwise. */
  readonly lastEpoch?: number;
  /** The id of the topic in which it was read; absent if nothing was. Epochs of another topic mean nothing. */
  readonly topicId?: string | undefined;
}

/** What an attachment needs from its session. */
export interface AttachmentPorts {
  received(bytes: number): void;
  release(bytes: number): void;
  topUp(): void;
  onEnd(error: BarnabasError): void;
  /** The leader has named a replica that is nearer. */
  onNearer(brokerId: number): void;
}

export class PartitionFetcher {
  readonly topic: string;
  readonly partition: number;
  readonly nearer: NearerReplica;
  readonly #listener: FetchListener;
  readonly #limits: FetchLimits;
  #nextOffset: number;
  /** Of the record before it; -1 if unknown. */
  #lastEpoch: number;
  /** Where the last epoch counts. */
  #topicId: string | undefined;
  /** The latest that a leader of this topic has spoken in; -1 before any has. */
  #seenEpoch = -1;
  #attached: { readonly stream: LeaderFetchStream; readonly id: number } | undefined;
  #failures = 0;
  readonly #reports = new ReportLimit();
  #retryAtMs = 0;
  #failedLeader = '';

  constructor(
    { topic, partition }: TopicPartition,
    { offset, lastEpoch = -1, topicId }: FetchPosition,
    listener: FetchListener,
    limits: FetchLimits,
  ) {
    this.topic = topic;
    this.partition = partition;
    this.#nextOffset = offset;
    this.#lastEpoch = lastEpoch;
    this.#seenEpoch = lastEpoch;
    this.#topicId = topicId;
    this.#listener = listener;
    this.#limits = limits;
    this.nearer = new NearerReplica(limits.rack ?? '');
  }

  get nextOffset(): number {
    return this.#nextOffset;
  }

  /** Of the topic that is being read; undefined before any was. */
  get topicId(): string | undefined {
    return this.#topicId;
  }

  /** The topic is this one now. False if records of an earlier one of the same name have been read. */
  isOfTopic(topicId: string | undefined): boolean {
    if (topicId === undefined || this.#topicId === topicId) return true;
    if (this.#topicId !== undefined && this.#lastEpoch >= 0) return false;
    this.#topicId = topicId;
    this.#seenEpoch = this.#lastEpoch;
    return true;
  }

  /** Failures in a row. */
  get failures(): number {
    return this.#failures;
  }

  get retryAtMs(): number {
    return this.#retryAtMs;
  }

  isAt(address: string): boolean {
    return this.#attached?.stream.address === address;
  }

  /** With another leader than the one that failed there is no reason to wait. */
  isPausing(nowMs: number, leader: LeaderEndpoint): boolean {
    return nowMs < this.#retryAtMs && leaderName(leader) === this.#failedLeader;
  }

  /** `rack`: where the reader stands, if whoever is asked is to know. */
  attach(stream: LeaderFetchStream, leader: LeaderEndpoint, rack: string, ports: AttachmentPorts): void {
    const { topic, partition } = this;
    // Also where a node between passes it on: that node may turn out to be a leader of the past.
    const leaderEpoch = Math.max(leader.leaderEpoch, this.#seenEpoch);
    const { maxBytes, minBytes, maxWaitMs, isolationLevel } = this.#limits;
    const limits = { maxBytes, minBytes, maxWaitMs, isolationLevel };
    const position = { offset: this.#nextOffset, lastFetchedEpoch: this.#lastEpoch };
    const request = { ...limits, ...position, topic, partition, leaderEpoch, rack };
    const id = stream.subscribe(request, {
      onData: (response) => this.#deliver(response, ports),
      onEnd: (error) => {
        this.#attached = undefined;
        ports.onEnd(error);
      },
      onNearer: (brokerId) => {
        this.#attached = undefined;
        ports.onNearer(brokerId);
      },
    });
    this.#attached = { stream, id };
  }

  /** Leaves its stream, if it is on one. */
  detach(): void {
    this.#attached?.stream.unsubscribe(this.#attached.id);
    this.#attached = undefined;
  }

  /** Waits until then, unless another leader comes up. */
  pause(leader: LeaderEndpoint, retryAtMs: number): void {
    this.#failures++;
    this.#retryAtMs = retryAtMs;
    this.#failedLeader = leaderName(leader);
  }

  /** Whether the reader must be told of this failure; counts it. A reader has no deadline and would otherwise wait for ever. */
  isFinal(error: BarnabasError): boolean {
    return this.#reports.isFinal(error);
  }

  fail(error: BarnabasError): void {
    this.#listener.onError(error);
  }

  #deliver(response: v1.FetchResponse, ports: AttachmentPorts): void {
    const { batches } = response;
    this.#failures = 0;
    if (batches.length > 0) {
      this.#reports.reset();
      this.#lastEpoch = lastLeaderEpoch(batches);
    }
    this.#nextOffset = response.nextOffset;
    this.#seenEpoch = Math.max(this.#seenEpoch, response.leaderEpoch);
    ports.received(batches.length);
    let isReleased = false;
    this.#listener.onData({
      batches,
      nextOffset: response.nextOffset,
      highWatermark: response.highWatermark,
      logStartOffset: response.logStartOffset,
      lastStableOffset: response.lastStableOffset,
      leaderEpoch: response.leaderEpoch,
      release: () => {
        if (isReleased) return;
        isReleased = true;
        ports.release(batches.length);
      },
    });
    ports.topUp();
  }
}
