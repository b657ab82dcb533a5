/**
 * A consumer without a group: it reads the partitions it is told to read, from where it is told, and
 * hands records out by async iteration.
 *
 * Whatever is fetched ahead stays within fetch.max.bytes: leaders get credit for as much as the
 * application has taken. Positions move when records are handed out, so that `position` is always the
 * offset after the last record that the application got.
 */
import { BarnabasError, toBarnabasError, v1 } from '@barnabas/protocol';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import { FetchSession } from '../fetch/fetch-session.js';
import type { FetchedData } from '../fetch/partition-fetcher.js';
import { resolveConsumerOptions } from '../options/consumer-options.js';
import type { ConsumerOptions, ResolvedConsumerOptions } from '../options/consumer-options.js';
import { partitionName } from '../records.js';
import type { Assignment, ConsumerRecord, TopicPartition } from '../records.js';
import { AssignedPartition } from './assigned-partition.js';
import { BatchReader, unreadable } from './batch-reader.js';
import type { NextItem } from './batch-reader.js';
import { interceptRecords } from './consumer-batch.js';
import type { BatchRecord, ConsumerBatch } from './consumer-batch.js';
import { ConsumerIterator } from './consumer-iterator.js';
import { listOffsets } from './list-offsets.js';
import type { FoundOffset, OffsetQuestion } from './list-offsets.js';
import { startOffsets } from './start-positions.js';

/** A batch being handed out record by record. */
interface Current {
  readonly assigned: AssignedPartition;
  readonly generation: number;
  readonly batch: ConsumerBatch;
  readonly records: readonly BatchRecord[];
  index: number;
}

/** Bytes handed out before the event loop has its turn. */
const YIELD_AFTER_BYTES = 1024 * 1024;

export class Consumer implements AsyncIterable<ConsumerRecord> {
  readonly #router: ClusterRouter;
  readonly #options: ResolvedConsumerOptions;
  readonly #isolationLevel: v1.IsolationLevel;
  readonly #session: FetchSession;
  readonly #reader: BatchReader;
  readonly #onClosed: () => void;
  #assigned = new Map<string, AssignedPartition>();
  #assignments = 0;
  #current: Current | undefined;
  #wake: (() => void) | undefined;
  #isIterating = false;
  /** Somebody has begun to iterate: from then on data is fetched ahead. */
  #isStarted = false;
  #isClosed = false;
  #yieldedAtBytes = 0;

  /** Made by BarnabasClient.consumer. */
  constructor(router: ClusterRouter, given: ConsumerOptions = {}, onClosed: () => void = () => undefined) {
    const options = resolveConsumerOptions(given);
    this.#router = router;
    this.#options = options;
    this.#onClosed = onClosed;
    this.#isolationLevel =
      options.isolationLevel === 'read_committed'
        ? v1.IsolationLevel.READ_COMMITTED
        : v1.IsolationLevel.READ_UNCOMMITTED;
    this.#session = new FetchSession(router, {
      windowBytes: options.fetchMaxBytes,
      maxBytes: Math.min(options.maxPartitionFetchBytes, options.fetchMaxBytes),
      minBytes: options.fetchMinBytes,
      maxWaitMs: options.fetchMaxWaitMs,
      isolationLevel: this.#isolationLevel,
      rack: options.clientRack,
    });
    this.#reader = new BatchReader({ ...options, intercept: this.#interceptor() });
  }

  /**
   * Reads these partitions and no others. Resolves when their positions are known; until then what was
   * assigned before goes on. Rejects, and changes nothing, if one of them does not exist.
   */
  async assign(assignments: readonly Assignment[]): Promise<void> {
    this.#checkOpen();
    const names = new Set(assignments.map(({ topic, partition }) => partitionName(topic, partition)));
    if (names.size < assignments.length) throw new BarnabasError('INVALID_REQUEST', 'a partition is assigned twice');
    const version = ++this.#assignments;
    const offsets = await startOffsets(this.#lookup(), assignments);
    // A later call has the last word.
    if (version !== this.#assignments || this.#isClosed) return;
    for (const assigned of this.#assigned.values()) assigned.interrupt();
    this.#reader.dropStale();
    this.#assigned = new Map(
      assignments.map((assignment, index) => [
        partitionName(assignment.topic, assignment.partition),
        new AssignedPartition(assignment, offsets[index] ?? 0),
      ]),
    );
    this.#fetch();
  }

  /** What is assigned. */
  assignment(): readonly TopicPartition[] {
    return [...this.#assigned.values()].map(({ topic, partition }) => ({ topic, partition }));
  }

  /** The next record of the partition to be handed out is the first at or after `offset`. */
  seek(partition: TopicPartition, offset: number): void {
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new BarnabasError('INVALID_REQUEST', `an offset is a whole number from 0, not ${offset}`);
    }
    this.#find(partition).seek(offset);
    this.#changed();
  }

  /** To the first record there is; all assigned partitions if none are named. */
  seekToBeginning(partitions: readonly TopicPartition[] = this.assignment()): Promise<void> {
    return this.#seekTo(partitions, 'earliest');
  }

  /** Behind the last record there is; all assigned partitions if none are named. */
  seekToEnd(partitions: readonly TopicPartition[] = this.assignment()): Promise<void> {
    return this.#seekTo(partitions, 'latest');
  }

  /** Offset of the next record that will be handed out. */
  position(partition: TopicPartition): number {
    return this.#find(partition).position;
  }

  /** Hands out and fetches nothing more of these partitions. */
  pause(partitions: readonly TopicPartition[]): void {
    for (const assigned of partitions.map((partition) => this.#find(partition))) assigned.pause();
    this.#changed();
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const assigned of partitions.map((partition) => this.#find(partition))) assigned.resume();
    this.#changed();
  }

  /** What is paused. */
  paused(): readonly TopicPartition[] {
    return this.assignment().filter((partition) => this.#find(partition).isPaused);
  }

  /** How many offsets the position is behind the end of the partition as last heard; undefined before anything was. */
  currentLag(partition: TopicPartition): number | undefined {
    const { endOffset, position } = this.#find(partition);
    return endOffset === undefined ? undefined : Math.max(0, endOffset - position);
  }

  /** The first offset that each partition has; they need not be assigned. */
  beginningOffsets(partitions: readonly TopicPartition[]): Promise<readonly FoundOffset[]> {
    return this.#listOffsets(partitions.map(({ topic, partition }) => ({ topic, partition, spec: 'earliest' })));
  }

  /** The offset after the last record that may be read of each partition; they need not be assigned. */
  endOffsets(partitions: readonly TopicPartition[]): Promise<readonly FoundOffset[]> {
    return this.#listOffsets(partitions.map(({ topic, partition }) => ({ topic, partition, spec: 'latest' })));
  }

  /** The first record at or after each time; undefined where there is none. */
  async offsetsForTimes(
    times: readonly (TopicPartition & { readonly timestamp: number })[],
  ): Promise<readonly (FoundOffset | undefined)[]> {
    const questions = times.map(({ topic, partition, timestamp }) => ({ topic, partition, spec: { timestamp } }));
    return (await this.#listOffsets(questions)).map((found) => (found.offset < 0 ? undefined : found));
  }

  /**
   * Records as they come, for ever: ordered within each partition. Leaving the loop keeps the place;
   * a new loop goes on there. Ends when the consumer is closed; fails with what cannot be mended here
   * (a batch that fails its CRC, OFFSET_OUT_OF_RANGE with auto.offset.reset none, which also tells that
   * records that were read are gone), and can be started
   * again after a seek. One loop at a time.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<ConsumerRecord> {
    return this.#iterate(() => this.#takeRecord());
  }

  /** The same by record batches, whose records are decoded when they are asked for: the fastest way. */
  batches(): AsyncIterableIterator<ConsumerBatch> {
    return this.#iterate(() => this.#takeBatch());
  }

  /** Ends iteration and fetching. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#session.close();
    this.#signal();
    this.#onClosed();
    return Promise.resolve();
  }

  #iterate<T>(take: () => T | undefined): ConsumerIterator<T> {
    this.#checkOpen();
    if (this.#isIterating) {
      throw new BarnabasError('INVALID_REQUEST', 'the consumer is being iterated already: leave that loop first');
    }
    this.#isIterating = true;
    this.#isStarted = true;
    this.#fetch();
    return new ConsumerIterator({
      take: () => (this.#isClosed ? undefined : take()),
      whenMore: () => this.#whenMore(),
      shouldYield: () => this.#shouldYield(),
      release: () => {
        this.#isIterating = false;
      },
    });
  }

  #shouldYield(): boolean {
    const { takenBytes } = this.#reader;
    if (takenBytes - this.#yieldedAtBytes < YIELD_AFTER_BYTES) return false;
    this.#yieldedAtBytes = takenBytes;
    return true;
  }

  async #whenMore(): Promise<boolean> {
    if (!this.#isClosed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return !this.#isClosed;
  }

  #takeRecord(): ConsumerRecord | undefined {
    for (;;) {
      const current = this.#liveCurrent() ?? this.#advance();
      if (current === undefined) return undefined;
      const { assigned, batch, records } = current;
      const record = records[current.index++];
      if (record !== undefined) {
        const { offset, timestamp, key, value, headers } = record;
        assigned.advance(offset + 1, batch.leaderEpoch);
        return { topic: assigned.topic, partition: assigned.partition, offset, timestamp, key, value, headers };
      }
      // The last offsets of a batch may have been removed by compaction.
      assigned.advance(Math.max(assigned.position, batch.nextOffset), batch.leaderEpoch);
      this.#current = undefined;
    }
  }

  #takeBatch(): ConsumerBatch | undefined {
    const begun = this.#liveCurrent();
    this.#current = undefined;
    if (begun !== undefined && begun.index < begun.records.length) {
      const rest = begun.batch.from(begun.assigned.position);
      begun.assigned.advance(rest.nextOffset, rest.leaderEpoch);
      return rest;
    }
    const item = this.#nextBatch();
    if (item === undefined) return undefined;
    item.assigned.advance(item.batch.nextOffset, item.batch.leaderEpoch);
    return item.batch;
  }

  #liveCurrent(): Current | undefined {
    const current = this.#current;
    return current?.generation === current?.assigned.generation ? current : undefined;
  }

  #advance(): Current | undefined {
    this.#current = undefined;
    const item = this.#nextBatch();
    if (item === undefined) return undefined;
    const { assigned, batch } = item;
    this.#current = { assigned, generation: assigned.generation, batch, records: decoded(assigned, batch), index: 0 };
    return this.#current;
  }

  #nextBatch(): (NextItem & { readonly kind: 'batch' }) | undefined {
    for (let item = this.#reader.next(); item !== undefined; item = this.#reader.next()) {
      if (item.kind === 'batch') return item;
      this.#onEnd(item.assigned, item.error);
    }
    return undefined;
  }

  /** A subscription has ended, and everything that came before has been handed out. */
  #onEnd(assigned: AssignedPartition, error: BarnabasError): void {
    const { autoOffsetReset } = this.#options;
    if (error.errorName === 'OFFSET_OUT_OF_RANGE' && autoOffsetReset !== 'none') {
      const divergingOffset = error.facts?.['divergingOffset'];
      if (typeof divergingOffset === 'number') this.#goBack(assigned, divergingOffset);
      else void this.#reset(assigned, autoOffsetReset);
      return;
    }
    // Fetched again from the same position if the application goes on without a seek.
    throw unreadable(assigned, error);
  }

  /** Records that were read are gone; from where the log parts from them there may be others (KIP-320). */
  #goBack(assigned: AssignedPartition, divergingOffset: number): void {
    const { topic, partition, position } = assigned;
    const to = Math.min(position, divergingOffset);
    this.#router.environment.logger.warn('records that were read are no longer in the log', {
      partition: partitionName(topic, partition),
      from: position,
      to,
      action:
        'a leader was elected without them, or the topic was made anew: look at unclean.leader.election.enable, and at what was made of them',
    });
    assigned.seek(to);
    this.#changed();
  }

  async #reset(assigned: AssignedPartition, position: 'earliest' | 'latest'): Promise<void> {
    const { generation, topic, partition } = assigned;
    const { logger } = this.#router.environment;
    try {
      const [offset = 0] = await startOffsets(this.#lookup(), [{ topic, partition, position }]);
      if (assigned.generation !== generation) return;
      logger.warn('a position was out of range and has been reset', {
        partition: partitionName(topic, partition),
        from: assigned.position,
        to: offset,
        action: 'if records were lost to retention, raise it or consume faster',
      });
      assigned.seek(offset);
      this.#changed();
    } catch (error) {
      this.#reader.pushEnd(assigned, generation, toBarnabasError(error));
      this.#signal();
    }
  }

  /** Subscribes what is not and should be. */
  #fetch(): void {
    if (!this.#isStarted || this.#isClosed) return;
    for (const assigned of this.#assigned.values()) if (assigned.wantsFetching) this.#subscribe(assigned);
  }

  #subscribe(assigned: AssignedPartition): void {
    const { generation } = assigned;
    const position = { offset: assigned.position, lastEpoch: assigned.positionEpoch, topicId: assigned.topicId };
    const subscription = this.#session.subscribe(assigned, position, {
      onData: (data) => this.#onData(assigned, generation, data),
      onError: (error) => {
        assigned.hold();
        this.#reader.pushEnd(assigned, generation, error);
        this.#signal();
      },
    });
    assigned.attach(subscription);
  }

  #onData(assigned: AssignedPartition, generation: number, data: FetchedData): void {
    const isCommitted = this.#isolationLevel === v1.IsolationLevel.READ_COMMITTED;
    assigned.endOffset = isCommitted ? data.lastStableOffset : data.highWatermark;
    this.#reader.push(assigned, generation, data);
    this.#signal();
  }

  async #seekTo(partitions: readonly TopicPartition[], position: 'earliest' | 'latest'): Promise<void> {
    const targets = partitions.map((partition) => this.#find(partition));
    const generations = targets.map(({ generation }) => generation);
    const assignments = targets.map(({ topic, partition }) => ({ topic, partition, position }));
    const offsets = await startOffsets(this.#lookup(), assignments);
    targets.forEach((assigned, index) => {
      // A later seek has the last word.
      if (assigned.generation === generations[index]) assigned.seek(offsets[index] ?? 0);
    });
    this.#changed();
  }

  #changed(): void {
    this.#reader.dropStale();
    this.#fetch();
  }

  #signal(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #listOffsets(questions: readonly OffsetQuestion[]): Promise<FoundOffset[]> {
    const { defaultApiTimeoutMs } = this.#options;
    return listOffsets(this.#router, questions, {
      isolationLevel: this.#isolationLevel,
      timeoutMs: defaultApiTimeoutMs,
    });
  }

  #lookup(): Parameters<typeof startOffsets>[0] {
    return { router: this.#router, options: this.#options, isolationLevel: this.#isolationLevel };
  }

  #interceptor(): ((records: readonly ConsumerRecord[]) => readonly ConsumerRecord[]) | undefined {
    const { interceptors } = this.#options;
    if (interceptors.length === 0) return undefined;
    return (records) =>
      interceptRecords(interceptors, records, (error) =>
        this.#router.environment.logger.warn('a consumer interceptor threw and was passed over', {
          error,
          action: 'correct the interceptor',
        }),
      );
  }

  #find({ topic, partition }: TopicPartition): AssignedPartition {
    const assigned = this.#assigned.get(partitionName(topic, partition));
    if (assigned !== undefined) return assigned;
    throw new BarnabasError('INVALID_REQUEST', `${partitionName(topic, partition)} is not assigned: assign it first`);
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new BarnabasError('INVALID_REQUEST', 'the consumer is closed');
  }
}

function decoded(assigned: AssignedPartition, batch: ConsumerBatch): readonly BatchRecord[] {
  try {
    return batch.records;
  } catch (error) {
    throw unreadable(assigned, error);
  }
}
