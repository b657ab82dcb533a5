/**
 * Takes produce requests in: finished batches go to the leaders of their partitions through lanes that
 * keep their order; records go to the shared producers, which choose partitions and make batches.
 *
 * Each entry is answered on its own: INVALID_TOPIC_EXCEPTION, UNKNOWN_TOPIC_OR_PARTITION,
 * INVALID_REQUEST (a batch without a partition, an entry without anything), CORRUPT_MESSAGE,
 * REQUEST_TIMED_OUT (not acknowledged in time), and whatever the leader says that trying again does
 * not mend. Errors that refuse a whole request are in request-check.ts.
 * Protocol: docs/protocols/wire.md, section "Produce".
 */
import type { BatchForwarder, ForwardLane, TopicMetadata } from '@barnabas/client';
import type { Timers } from '@barnabas/common';
import { BarnabasError, toBarnabasError, v1 } from '@barnabas/protocol';
import type { FollowedView } from '@barnabas/subscribe/cluster';
import { checkNotBehind, checkPartition } from '../cluster/checks.js';
import type { GatewayMetrics } from '../metrics.js';
import { failed, toResult } from './placement.js';
import type { Placement } from './placement.js';
import type { RecordAppender } from './record-appender.js';

export interface ProduceParts {
  readonly view: FollowedView;
  readonly forwarder: BatchForwarder;
  readonly records: RecordAppender;
  readonly timers: Timers;
  readonly metrics: GatewayMetrics;
}

/** Kafka's default of request.timeout.ms. */
const DEFAULT_TIMEOUT_MS = 30_000;

/**
 * The requests of one client call or stream, whose entries for one partition are appended in the
 * order in which they came.
 */
export class ProduceSession {
  readonly #parts: ProduceParts;
  readonly #lanes = new Map<string, ForwardLane>();
  /** Topics that are being created: what comes for them waits its turn. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor(parts: ProduceParts) {
    this.#parts = parts;
  }

  /** Hands every entry on. Resolves when each has its answer; never rejects. */
  async append(request: v1.ProduceRequest): Promise<v1.ProduceResponse> {
    const timeoutMs = request.timeoutMs === 0 ? DEFAULT_TIMEOUT_MS : request.timeoutMs;
    const acks = request.acks === v1.Acks.UNSPECIFIED ? v1.Acks.ALL : request.acks;
    const results = request.entries.map((entry, index) => this.#entry(entry, index, acks, timeoutMs));
    return { results: (await Promise.all(results)).flat() };
  }

  async #entry(entry: v1.ProduceEntry, index: number, acks: v1.Acks, timeoutMs: number): Promise<v1.ProduceResult[]> {
    const { metrics } = this.#parts;
    try {
      const placements = await this.#inTurn(entry, timeoutMs, (topic) => this.#route(topic, entry, acks, timeoutMs));
      metrics.produced(entry.topic, placements);
      return placements.map((placement) => toResult(entry.topic, index, placement));
    } catch (caught) {
      const error = toBarnabasError(caught);
      metrics.produceFailed(error.errorName);
      return [toResult(entry.topic, index, failed(entry.partition ?? -1, error))];
    }
  }

  /** Runs at once where the topic is known; else after it has been created, behind what came before. */
  #inTurn<T>({ topic }: v1.ProduceEntry, timeoutMs: number, run: (topic: TopicMetadata) => Promise<T>): Promise<T> {
    const { view } = this.#parts;
    const known = view.topic(topic);
    const before = this.#turns.get(topic);
    if (known !== undefined && before === undefined) return run(known);
    const begun = (before ?? Promise.resolve()).then(async () => {
      const found = await view.ensureTopic(topic, { timeoutMs, allowAutoTopicCreation: true });
      // Wrapped, or the next in line would wait until this one is appended, not only until it is on its way.
      return { appended: run(found) };
    });
    const turn: Promise<void> = begun.then(
      () => this.#endTurn(topic, turn),
      () => this.#endTurn(topic, turn),
    );
    this.#turns.set(topic, turn);
    return begun.then(({ appended }) => appended);
  }

  #endTurn(topic: string, turn: Promise<void>): void {
    if (this.#turns.get(topic) === turn) this.#turns.delete(topic);
  }

  async #route(
    topic: TopicMetadata,
    { partition, payload, currentLeaderEpoch }: v1.ProduceEntry,
    acks: v1.Acks,
    timeoutMs: number,
  ): Promise<readonly Placement[]> {
    if (partition !== undefined) {
      checkPartition(topic, partition);
      checkNotBehind(topic, partition, currentLeaderEpoch);
    }
    switch (payload?.$case) {
      case 'batch': {
        if (partition === undefined) {
          throw new BarnabasError('INVALID_REQUEST', 'a batch names its partition: only records are given one here');
        }
        if (payload.batch.length === 0) throw new BarnabasError('INVALID_REQUEST', 'an entry has at least one batch');
        const lane = this.#lane(topic.name, partition, acks);
        const { baseOffset, logAppendTimeMs, logStartOffset } = await lane.append(payload.batch, timeoutMs);
        return [{ partition, baseOffset, logAppendTimeMs, logStartOffset, error: undefined, recordIndexes: [] }];
      }
      case 'records':
        if (payload.records.records.length === 0) {
          throw new BarnabasError('INVALID_REQUEST', 'an entry has at least one record');
        }
        return this.#withDeadline(
          this.#parts.records.append(topic, partition, payload.records.records, acks),
          timeoutMs,
        );
      case undefined:
        throw new BarnabasError('INVALID_REQUEST', 'an entry carries either a batch or records');
    }
  }

  #lane(topic: string, partition: number, acks: v1.Acks): ForwardLane {
    const key = `${acks}/${topic}/${partition}`;
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = this.#parts.forwarder.lane(topic, partition, acks);
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  /** A shared producer has a delivery timeout of its own; this client may want its answer sooner. */
  #withDeadline<T>(appended: Promise<T>, timeoutMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.#parts.timers.after(timeoutMs, () =>
        reject(
          new BarnabasError(
            'REQUEST_TIMED_OUT',
            `the records were not acknowledged within ${timeoutMs} ms; whether they are appended is unknown`,
          ),
        ),
      );
      appended.then(resolve, reject).finally(() => timer.cancel());
    });
  }
}
