/**
 * Gathers records into batches, partition by partition, within buffer.memory.
 *
 * Invariants:
 *   A1  records of one partition enter batches in the order of `add`
 *   A2  a record's promise is settled once: by its batch, or here if it never got into one
 *   A3  batches that are not settled hold no more than buffer.memory
 */
import { BarnabasError } from '@barnabas/protocol';
import type { BatchBuilderOptions, Record as BatchRecord } from '@barnabas/protocol';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import type { TopicMetadata } from '../cluster/cluster-view.js';
import type { ResolvedProducerOptions } from '../options/producer-options.js';
import type { AppendResult } from '../produce/outbound.js';
import type { ProduceDispatcher } from '../produce/produce-dispatcher.js';
import type { ProducerRecord } from '../records.js';
import { BufferPool } from './buffer-pool.js';
import { encodeRecord } from './encode.js';
import { LingerQueue } from './linger-queue.js';
import { MemoryBudget } from './memory-budget.js';
import { ProducerBatch } from './producer-batch.js';
import type { FlushToken, Resolve } from './producer-batch.js';
import type { ProducerIds } from './producer-ids.js';
import { ProducerPartition } from './producer-partition.js';
import { ProducerTopic } from './producer-topic.js';
import { WaitingRoom } from './waiting-room.js';
import type { WaitingRecord } from './waiting-room.js';

/** A buffer of the pool holds a batch header and a little, and is no burden where batch.size is very large. */
const MIN_POOLED_BYTES = 1024;
const MAX_POOLED_BYTES = 1024 * 1024;
/** What the pool keeps while nothing is sent. */
const FREE_POOL_BYTES = 8 * 1024 * 1024;

export interface AccumulatorParts {
  readonly router: ClusterRouter;
  readonly dispatcher: ProduceDispatcher;
  readonly ids: ProducerIds | undefined;
  readonly options: ResolvedProducerOptions;
  /** A batch and the promises of its records are settled. */
  readonly onSettled: (batch: ProducerBatch, outcome: AppendResult | BarnabasError) => void;
  /** A record that never got into a batch has failed. */
  readonly onRefused: (source: ProducerRecord, error: BarnabasError) => void;
}

export class Accumulator {
  readonly #parts: AccumulatorParts;
  readonly #builderOptions: BatchBuilderOptions;
  readonly #topics = new Map<string, ProducerTopic>();
  readonly #memory: MemoryBudget;
  readonly #pool: BufferPool | undefined;
  readonly #waiting: WaitingRoom;
  readonly #linger: LingerQueue;
  readonly #incomplete = new Set<ProducerBatch>();
  #drainWaiters: (() => void)[] = [];
  /** Flushes under way: nothing lingers. */
  #flushes = 0;

  constructor(parts: AccumulatorParts) {
    const { options, router } = parts;
    this.#parts = parts;
    this.#builderOptions = {
      compression: options.compressionType,
      ...(options.compressionLevel === undefined ? {} : { compressionLevel: options.compressionLevel }),
      maxBytes: options.batchSize,
      maxBatchBytes: options.maxRequestSize,
    };
    this.#memory = new MemoryBudget(options.bufferMemory);
    const bufferBytes = Math.min(Math.max(options.batchSize, MIN_POOLED_BYTES), MAX_POOLED_BYTES);
    this.#pool = options.acks === 0 ? undefined : new BufferPool(bufferBytes, FREE_POOL_BYTES / bufferBytes);
    this.#linger = new LingerQueue(options.lingerMs, router.environment, (partition) => this.#makeDue(partition));
    this.#waiting = new WaitingRoom({
      router,
      ...options,
      onTopicKnown: (metadata) => this.#topicKnown(metadata),
      tryPlace: (entry) => this.#placeWaiting(entry),
      onRefused: (entry, error) => this.#refuse(entry, error),
      onTopicsServed: () => this.#tellDrained(),
    });
  }

  /** Whether a record would be placed at once, or soon, as far as memory goes. */
  get isWritable(): boolean {
    if (this.#waiting.isMemoryAwaited || this.#waiting.isTopicAwaited) return false;
    return this.#memory.freeBytes >= this.#parts.options.batchSize;
  }

  /** Resolves when isWritable is true. */
  drained(): Promise<void> {
    if (this.isWritable) return Promise.resolve();
    return new Promise((resolve) => this.#drainWaiters.push(resolve));
  }

  /** Takes a record; its promise is settled later. Throws for one that can go nowhere. */
  add(source: ProducerRecord, resolve: Resolve): void {
    const record = encodeRecord(source, this.#parts.router.environment.clock.now());
    const topic = this.#topics.get(source.topic);
    if (topic === undefined) this.#waiting.waitForTopic({ source, record, resolve });
    else if (this.#waiting.isMemoryAwaited || !this.#place(topic, source, record, resolve)) {
      this.#waiting.waitForMemory({ source, record, resolve });
      this.#hurry();
    }
  }

  /** Sends everything now; resolves when all that has been added so far is settled. */
  async flush(): Promise<void> {
    const holders = [...this.#incomplete, ...this.#waiting.all];
    if (holders.length === 0) return;
    this.#flushes++;
    this.#hurry();
    await new Promise<void>((done) => {
      const token: FlushToken = { remaining: holders.length, done };
      for (const { flushTokens } of holders) flushTokens.push(token);
    });
    this.#flushes--;
  }

  /** What no lane has yet fails with `error`. */
  abort(error: BarnabasError): void {
    this.#linger.close();
    this.#waiting.abort(error);
    for (const partition of this.#partitions()) partition.abort(error);
    this.#tellDrained();
  }

  /** Metadata has changed. */
  refreshTopics(): void {
    for (const topic of this.#topics.values()) topic.refresh();
  }

  /** There may be a producer id now. */
  idReady(): void {
    for (const partition of this.#partitions()) {
      partition.idReady();
      this.#parts.dispatcher.ready(partition.lane, Number.POSITIVE_INFINITY);
    }
  }

  *#partitions(): Generator<ProducerPartition> {
    for (const topic of this.#topics.values()) yield* topic.partitions;
  }

  #topicKnown(metadata: TopicMetadata): void {
    if (this.#topics.has(metadata.name)) return;
    const { router, options, ids } = this.#parts;
    const makePartition = (partition: number): ProducerPartition =>
      new ProducerPartition({
        topic: metadata.name,
        partition,
        ids,
        retries: options.retries,
        onSplit: (batch, halves) => this.#split(batch, halves),
      });
    const { random } = router.environment;
    this.#topics.set(metadata.name, new ProducerTopic({ metadata, view: router.view, random, options, makePartition }));
  }

  /** Puts a record into a batch. Undefined: there is no memory for another batch. */
  #place(
    topic: ProducerTopic,
    source: ProducerRecord,
    record: BatchRecord,
    resolve: Resolve,
  ): ProducerBatch | undefined {
    const isSticky = topic.isSticky(source, record);
    for (;;) {
      const partition = topic.choose(source, record, isSticky);
      const { open } = partition;
      if (open === undefined) return this.#placeFirst(topic, partition, isSticky, source, record, resolve);
      const before = open.sizeInBytes;
      if (open.tryAppend(record, source, resolve)) {
        if (isSticky) topic.wroteSticky(open.sizeInBytes - before);
        return open;
      }
      partition.closeOpen();
      this.#parts.dispatcher.ready(partition.lane, open.deadlineMs);
      if (isSticky) topic.stickyBatchFull();
    }
  }

  /** Opens a batch with this record. */
  #placeFirst(
    topic: ProducerTopic,
    partition: ProducerPartition,
    isSticky: boolean,
    source: ProducerRecord,
    record: BatchRecord,
    resolve: Resolve,
  ): ProducerBatch | undefined {
    if (this.#memory.freeBytes < this.#parts.options.batchSize) return undefined;
    const batch = this.#newBatch(topic.name, partition.partition);
    batch.tryAppend(record, source, resolve);
    const bytes = Math.max(this.#parts.options.batchSize, batch.sizeInBytes);
    if (bytes > this.#parts.options.bufferMemory) throw tooLargeForMemory(bytes, this.#parts.options.bufferMemory);
    if (!this.#memory.tryReserve(bytes)) return undefined;
    batch.chargedBytes = bytes;
    this.#incomplete.add(batch);
    partition.open = batch;
    if (isSticky) topic.wroteSticky(batch.sizeInBytes);
    if (this.#parts.options.lingerMs === 0 || this.#flushes > 0) this.#makeDue(partition);
    else this.#linger.add(partition, batch);
    return batch;
  }

  #newBatch(topic: string, partition: number): ProducerBatch {
    const { options, ids, router } = this.#parts;
    const createdMs = router.environment.clock.monotonic();
    return new ProducerBatch({
      topic,
      partition,
      builder: this.#builderOptions,
      pool: this.#pool,
      isIdempotent: ids !== undefined,
      keepsSources: options.interceptors.length > 0,
      createdMs,
      deadlineMs: createdMs + options.deliveryTimeoutMs,
      onSettled: (batch, outcome) => this.#settled(batch, outcome),
    });
  }

  #placeWaiting({ source, record, resolve, flushTokens }: WaitingRecord): boolean {
    const topic = this.#topics.get(source.topic);
    const batch = topic === undefined ? undefined : this.#place(topic, source, record, resolve);
    if (batch === undefined) return false;
    batch.flushTokens.push(...flushTokens);
    return true;
  }

  #makeDue(partition: ProducerPartition): void {
    const { open } = partition;
    if (open === undefined) return;
    open.isDue = true;
    this.#parts.dispatcher.ready(partition.lane, open.deadlineMs);
  }

  /** Nothing that is open lingers any longer. */
  #hurry(): void {
    for (const partition of this.#partitions()) this.#makeDue(partition);
  }

  #split(batch: ProducerBatch, halves: readonly ProducerBatch[]): void {
    const [first] = halves;
    this.#incomplete.delete(batch);
    if (first !== undefined) first.chargedBytes = batch.chargedBytes;
    for (const half of halves) {
      this.#incomplete.add(half);
      half.flushTokens.push(...batch.flushTokens);
    }
    for (const token of batch.flushTokens) token.remaining += halves.length - 1;
    batch.supersede();
  }

  #settled(batch: ProducerBatch, outcome: AppendResult | BarnabasError): void {
    this.#incomplete.delete(batch);
    this.#memory.release(batch.chargedBytes);
    this.#parts.onSettled(batch, outcome);
    spend(batch.flushTokens);
    this.#waiting.placeAll();
    // What has just been placed must not linger while others wait for its memory.
    if (this.#waiting.isMemoryAwaited) this.#hurry();
    this.#tellDrained();
  }

  #refuse({ source, resolve, flushTokens }: WaitingRecord, error: BarnabasError): void {
    resolve(Promise.reject(error));
    this.#parts.onRefused(source, error);
    spend(flushTokens);
  }

  #tellDrained(): void {
    if (this.#drainWaiters.length === 0 || !this.isWritable) return;
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const resolve of waiters) resolve();
  }
}

function spend(tokens: readonly FlushToken[]): void {
  for (const token of tokens) {
    token.remaining--;
    if (token.remaining === 0) token.done();
  }
}

function tooLargeForMemory(bytes: number, bufferMemory: number): BarnabasError {
  return new BarnabasError(
    'MESSAGE_TOO_LARGE',
    `a batch of ${bytes} bytes does not fit into buffer.memory (${bufferMemory} bytes)`,
    { bytes, bufferMemory },
  );
}
