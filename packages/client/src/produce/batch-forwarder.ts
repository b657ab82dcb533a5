/**
 * Appends finished batches of others: what a gateway does with the batches of its clients. Each lane
 * keeps the order of its own batches; lanes of different clients do not wait for each other.
 *
 * A batch without producer id and sequence is sent again only where the first attempt is known not
 * to have been appended. With them it is sent again until its deadline, in order, and what the leader
 * says about sequences goes back to the client, who numbered the batches. The client takes a clear refusal
 * for a proof that the batch is nowhere: after an attempt without a clear answer it gets none.
 */
import { BarnabasError, forEachBatch, v1 } from '@barnabas/protocol';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import { MAX_IN_FLIGHT_WITH_IDEMPOTENCE } from '../options/producer-options.js';
import { isFailure, mayHaveBeenAppended } from './outbound.js';
import type { AppendResult, BatchSize, OutboundBatch } from './outbound.js';
import { PartitionLane } from './partition-lane.js';
import type { LaneFeed, Verdict } from './partition-lane.js';
import { ProduceDispatcher } from './produce-dispatcher.js';

export interface BatchForwarderOptions {
  /** Requests on their way to one leader at once. */
  readonly maxInFlight: number;
  /** Bytes of batches in one request; a larger batch goes alone. */
  readonly maxRequestSize: number;
  readonly requestTimeoutMs: number;
}

export class BatchForwarder {
  readonly #router: ClusterRouter;
  readonly #dispatchers: ReadonlyMap<v1.Acks, ProduceDispatcher>;

  constructor(router: ClusterRouter, options: BatchForwarderOptions) {
    this.#router = router;
    const dispatcher = (acks: v1.Acks, isAnswered: boolean): [v1.Acks, ProduceDispatcher] => [
      acks,
      new ProduceDispatcher(router, { ...options, acks, isAnswered }),
    ];
    this.#dispatchers = new Map([
      dispatcher(v1.Acks.ALL, true),
      dispatcher(v1.Acks.LEADER, true),
      dispatcher(v1.Acks.NONE, false),
    ]);
  }

  /** An ordered way to a partition. Costs little; make one for each client stream, partition and acks. */
  lane(topic: string, partition: number, acks: v1.Acks): ForwardLane {
    const dispatcher = this.#dispatchers.get(acks === v1.Acks.UNSPECIFIED ? v1.Acks.ALL : acks);
    if (dispatcher === undefined) throw new BarnabasError('INVALID_REQUIRED_ACKS', `acks ${acks} is not known`);
    return new ForwardLane(this.#router, dispatcher, topic, partition);
  }

  close(): void {
    const error = new BarnabasError('NETWORK_EXCEPTION', 'this node is stopping: send again to another');
    for (const dispatcher of this.#dispatchers.values()) dispatcher.close(error);
  }
}

export class ForwardLane {
  readonly #router: ClusterRouter;
  readonly #dispatcher: ProduceDispatcher;
  readonly #lane: PartitionLane<ForwardedBatch>;
  readonly #feed = new ForwardFeed();

  constructor(router: ClusterRouter, dispatcher: ProduceDispatcher, topic: string, partition: number) {
    this.#router = router;
    this.#dispatcher = dispatcher;
    this.#lane = new PartitionLane(topic, partition, this.#feed, MAX_IN_FLIGHT_WITH_IDEMPOTENCE);
  }

  /**
   * Appends batches, after all that were given to this lane before. Rejects with what the leader said,
   * or with REQUEST_TIMED_OUT after `timeoutMs`. Keeps a view of `batches` until then.
   */
  append(batches: Buffer, timeoutMs: number): Promise<AppendResult> {
    return new Promise((resolve, reject) => {
      const deadlineMs = this.#router.environment.clock.monotonic() + timeoutMs;
      const batch = new ForwardedBatch(batches, deadlineMs, (outcome) => {
        if (isFailure(outcome)) reject(outcome);
        else resolve(outcome);
      });
      this.#feed.push(batch);
      this.#dispatcher.ready(this.#lane, deadlineMs);
    });
  }
}

class ForwardedBatch implements OutboundBatch {
  readonly isIdempotent: boolean;
  readonly recordCount: number;
  attempts = 0;
  ordinal = 0;
  isUncertain = false;
  isSettled = false;
  readonly #onSettled: (outcome: AppendResult | BarnabasError) => void;

  /** Refuses bytes that are not record batches. */
  constructor(
    readonly bytes: Buffer,
    readonly deadlineMs: number,
    onSettled: (outcome: AppendResult | BarnabasError) => void,
  ) {
    this.#onSettled = onSettled;
    let isIdempotent = true;
    let records = 0;
    forEachBatch(bytes, ({ producerId, lastOffsetDelta }) => {
      if (producerId < 0) isIdempotent = false;
      records += lastOffsetDelta + 1;
    });
    this.isIdempotent = isIdempotent;
    this.recordCount = records;
  }

  get sizeInBytes(): number {
    return this.bytes.length;
  }

  settle(outcome: AppendResult | BarnabasError): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.#onSettled(outcome);
  }
}

class ForwardFeed implements LaneFeed<ForwardedBatch> {
  readonly isBlocked = false;
  readonly #queue: ForwardedBatch[] = [];

  push(batch: ForwardedBatch): void {
    this.#queue.push(batch);
  }

  peek(): BatchSize | undefined {
    return this.#queue[0];
  }

  next(): ForwardedBatch {
    return this.#queue.shift() as ForwardedBatch;
  }

  judge(batch: ForwardedBatch, error: BarnabasError, isOldest: boolean): Verdict<ForwardedBatch> {
    // A gap behind a batch that is still to be sent again is no gap of the client's making.
    const isGap = error.errorName === 'OUT_OF_ORDER_SEQUENCE_NUMBER' || error.errorName === 'UNKNOWN_PRODUCER_ID';
    const isOwnGap = isGap && !isOldest;
    const maySendAgain = batch.isIdempotent || !batch.isUncertain;
    if (isOwnGap || (error.retriable && maySendAgain)) return { kind: 'retry' };
    const isClear = !mayHaveBeenAppended(error);
    return { kind: 'fail', error: batch.isUncertain && isClear ? perhapsAppended(error) : error };
  }

  expire(nowMs: number): number {
    for (const batch of [...this.#queue]) {
      if (batch.deadlineMs > nowMs) continue;
      this.#queue.splice(this.#queue.indexOf(batch), 1);
      batch.settle(new BarnabasError('REQUEST_TIMED_OUT', 'the leader could not be reached in time; nothing was sent'));
    }
    return this.#queue.reduce((next, { deadlineMs }) => Math.min(next, deadlineMs), Number.POSITIVE_INFINITY);
  }

  failed(): void {}
  accepted(): void {}
  drained(): void {}
}

function perhapsAppended(error: BarnabasError): BarnabasError {
  return new BarnabasError(
    'NETWORK_EXCEPTION',
    `a leader did not answer, and the batch may be in its log; the next one answered: ${error.message}`,
    error.facts,
    { cause: error },
  );
}
