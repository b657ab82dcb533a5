/**
 * A partition log over one database: puts the parts together and owns none of their rules.
 *
 *   append-plan    what may be appended        log-state      what is known of it afterwards
 *   log-writer     how it gets to disk         log-reader     how it comes back
 *   recovery       what a database is worth    log-start      what goes at its beginning
 *   log-health     whether it may be used      compaction/    what later records supersede
 *
 * Invariants: L1 to L8 of docs/protocols/partition-log.md. Changes of the log's shape (truncation,
 * retention, closing, verification) run one at a time; appends and reads need no turn.
 */
import { assert, EventQueue } from '@barnabas/common';
import type { Clock, Logger, Timers } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';
import type { KeyValueStore } from '@barnabas/store';
import { planFollowerAppend, planLeaderAppend } from './append-plan.js';
import type { PlannedBatch } from './append-plan.js';
import { NEVER_CLEANED, truncatedTo } from './compaction/cleaner-checkpoint.js';
import type { CleanerCheckpoint } from './compaction/cleaner-checkpoint.js';
import { LogCompaction } from './compaction/log-compaction.js';
import type { CompactOptions, CompactionInput, CompactionPlan, CompactionResult } from './compaction/types.js';
import type { LogConfig } from './log-config.js';
import type { LogMetrics } from './log-metrics.js';
import { LogHealth } from './log-health.js';
import { LogReader } from './log-reader.js';
import { LogStart } from './log-start.js';
import type { LogState } from './log-state.js';
import { LogWriter } from './log-writer.js';
import type { StoreHandle } from './open-stores.js';
import { deleteFrom, recover, restartAt } from './recovery.js';
import type { Recovered } from './recovery.js';
import { reportRecovery } from './report-recovery.js';
import type { Checkpointed } from './report-recovery.js';
import type { RetentionInput } from './retention.js';
import { encodeSegmentEnd } from './segment-end.js';
import { corruptLog, failedStorage } from './storage-errors.js';
import { batchStart, CorruptEntry } from './stored-batches.js';
import type { LogTail } from './tail-cache.js';
import type {
  AppendResult,
  EpochEndOffset,
  LeaderAppendOptions,
  LeaderAppendResult,
  LogLimits,
  PartitionLog,
  ReadRequest,
  ReadResult,
  RetentionResult,
  TimestampAndOffset,
  TopicPartition,
  VerifyReport,
} from './types.js';

export interface LogEnvironment {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly metrics: LogMetrics;
  readonly limits: LogLimits;
  readonly store: StoreHandle;
  readonly tail: LogTail;
  /** Puts the log start offset on disk, so that deleted records do not come back. */
  readonly persistLogStart: () => Promise<void>;
  /** Puts on disk how far the log is compacted. */
  readonly persistCleaner: (checkpoint: CleanerCheckpoint) => Promise<void>;
  readonly onOffline: (log: PartitionLog, error: BarnabasError) => void;
}

/** Where a log begins anew: nothing is known of what was before. */
const EMPTY_SEGMENT_END = encodeSegmentEnd({ segments: [], timeIndex: [], epochs: [], producers: [] });

export class StoredPartitionLog implements PartitionLog {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly checkpointedHighWatermark: number;
  readonly #health: LogHealth;
  readonly #writer: LogWriter;
  readonly #reader: LogReader;
  readonly #compaction: LogCompaction;
  readonly #start: LogStart;
  readonly #maintenance = new EventQueue();
  #state: LogState;
  #highWatermark: number;
  /** Whether the last append was a leader's: only then does the tail stay in memory. */
  #isLeading = false;

  private constructor(
    partition: TopicPartition,
    private currentConfig: LogConfig,
    private readonly environment: LogEnvironment,
    recovered: Recovered,
    checkpointed: Checkpointed,
    cleaner: CleanerCheckpoint,
  ) {
    this.topic = partition.topic;
    this.topicId = partition.topicId;
    this.partition = partition.partition;
    this.#state = recovered.state;
    this.checkpointedHighWatermark = checkpointed.highWatermark;
    this.#highWatermark = Math.min(checkpointed.highWatermark, this.logEndOffset);
    this.#writer = new LogWriter(
      {
        store: environment.store,
        clock: environment.clock,
        timers: environment.timers,
        metrics: environment.metrics,
        maxWriteBytes: environment.limits.maxWriteBytes,
        maxUnstableBytes: environment.limits.maxUnstableBytes,
        policy: () => this.currentConfig,
        onWritten: (endOffset) => environment.tail.written(endOffset, this.#isLeading),
        onFailure: (error) => this.#health.blameWrite(error),
      },
      this.logEndOffset,
    );
    this.#health = new LogHealth(this, {
      logger: environment.logger,
      onOffline: (error) => {
        this.#writer.stop(error);
        environment.tail.forget();
        environment.onOffline(this, error);
      },
    });
    this.#reader = new LogReader({
      log: this,
      health: this.#health,
      metrics: environment.metrics,
      store: environment.store,
      tail: environment.tail,
      state: () => this.#state,
      writtenTo: () => this.stableEndOffset,
    });
    this.#compaction = new LogCompaction(
      {
        store: environment.store,
        state: () => this.#state,
        config: () => this.currentConfig,
        flush: () => this.#writer.flush(),
        inTurn: (job) => this.#maintain(job),
        rewriting: (change) => this.#reader.rewriting(change),
        forgetCached: (endOffset) => environment.tail.forgetBelow(endOffset),
        persist: (checkpoint) => environment.persistCleaner(checkpoint),
      },
      cleaner,
    );
    this.#start = new LogStart(
      {
        store: environment.store,
        state: () => this.#state,
        config: () => this.currentConfig,
        flush: () => this.#writer.flush(),
        closeSegment: () => this.#closeSegment(),
        inTurn: (job) => this.#maintain(job),
        persist: () => environment.persistLogStart(),
        producerIdExpirationMs: environment.limits.producerIdExpirationMs,
      },
      Math.min(checkpointed.logStartOffset, this.logStartOffset),
    );
  }

  /** Recovers the log. Throws KAFKA_STORAGE_ERROR, which says where, when its database is damaged. */
  static async open(
    partition: TopicPartition,
    config: LogConfig,
    environment: LogEnvironment,
    checkpointed: Checkpointed,
    cleaner: CleanerCheckpoint = NEVER_CLEANED,
  ): Promise<StoredPartitionLog> {
    const began = environment.clock.monotonic();
    try {
      const recovered = await environment.store.use(async (store) => {
        const found = await recover(store, {
          logStartOffset: checkpointed.logStartOffset,
          now: environment.clock.now(),
        });
        await store.sync();
        return found;
      });
      reportRecovery(partition, recovered, checkpointed, environment, began);
      const cleanedAsFar = truncatedTo(cleaner, recovered.state.logEndOffset);
      if (cleanedAsFar !== cleaner) await environment.persistCleaner(cleanedAsFar);
      return new StoredPartitionLog(partition, config, environment, recovered, checkpointed, cleanedAsFar);
    } catch (error) {
      if (error instanceof CorruptEntry) throw corruptLog(partition, error.offset, error.message, error);
      throw failedStorage(partition, error);
    }
  }

  get config(): LogConfig {
    return this.currentConfig;
  }

  get logStartOffset(): number {
    return this.#state.logStartOffset;
  }

  get logEndOffset(): number {
    return this.#state.logEndOffset;
  }

  get stableEndOffset(): number {
    return this.#writer.stableEndOffset;
  }

  get recoveryPoint(): number {
    return this.#writer.recoveryPoint;
  }

  get sizeInBytes(): number {
    return this.#state.segments.sizeInBytes;
  }

  get latestEpoch(): number {
    return this.#state.epochs.latest;
  }

  get highWatermark(): number {
    return this.#highWatermark;
  }

  get offline(): BarnabasError | undefined {
    return this.#health.offline;
  }

  get unstableBytes(): number {
    return this.#writer.unstableBytes;
  }

  get isSaturated(): boolean {
    return this.#writer.isSaturated;
  }

  configure(config: LogConfig): void {
    this.currentConfig = config;
  }

  noteHighWatermark(offset: number): void {
    assert(offset <= this.logEndOffset, 'the high watermark is not above the log end', {
      highWatermark: offset,
      logEndOffset: this.logEndOffset,
    });
    this.#highWatermark = offset;
  }

  appendAsLeader(batches: Buffer, options: LeaderAppendOptions): LeaderAppendResult {
    this.#health.mustBeUsable();
    const plan = planLeaderAppend(this.#state, this.currentConfig, batches, options);
    if (plan.kind === 'append') {
      const result = this.#append(plan.batches, options.now, true);
      return { ...result, logAppendTime: plan.logAppendTime, duplicate: false };
    }
    const { baseOffset, lastOffset } = plan;
    const stable = lastOffset < this.stableEndOffset ? Promise.resolve() : this.#writer.whenStable();
    return { baseOffset, lastOffset, logAppendTime: -1, duplicate: true, stable };
  }

  appendAsFollower(batches: Buffer, { handedOver = false }: { readonly handedOver?: boolean } = {}): AppendResult {
    this.#health.mustBeUsable();
    const planned = planFollowerAppend(this.#state, batches, handedOver);
    return this.#append(planned, this.environment.clock.now(), false);
  }

  whenDrained(): Promise<void> {
    return this.#writer.whenDrained();
  }

  whenStable(): Promise<void> {
    return this.#writer.whenStable();
  }

  flush(): Promise<void> {
    return this.#writer.flush();
  }

  read(request: ReadRequest): Promise<ReadResult> {
    return this.#reader.read(request);
  }

  offsetForTimestamp(
    timestamp: number,
    options: { readonly maxOffset: number },
  ): Promise<TimestampAndOffset | undefined> {
    return this.#reader.offsetForTimestamp(timestamp, options.maxOffset);
  }

  recordAtOrAfter(
    offset: number,
    { maxOffset }: { readonly maxOffset: number },
  ): Promise<TimestampAndOffset | undefined> {
    return this.#reader.recordAtOrAfter(offset, maxOffset);
  }

  offsetOfMaxTimestamp(): Promise<TimestampAndOffset | undefined> {
    return this.#reader.offsetOfMaxTimestamp();
  }

  endOffsetForEpoch(leaderEpoch: number): EpochEndOffset | undefined {
    return this.#state.epochs.endOffsetFor(leaderEpoch, this.logEndOffset);
  }

  truncateTo(offset: number): Promise<void> {
    if (offset < this.logStartOffset) return this.truncateFullyAndStartAt(offset);
    if (offset >= this.logEndOffset) return Promise.resolve();
    return this.#reshape(async (store) => {
      const from = await batchStart(store, offset);
      await this.#compaction.truncating(from);
      // The batch reaches below the log start: nothing is left, and the log start does not move down.
      if (from < this.logStartOffset) await restartAt(store, this.logStartOffset, EMPTY_SEGMENT_END);
      else await deleteFrom(store, from);
    });
  }

  truncateFullyAndStartAt(offset: number): Promise<void> {
    return this.#reshape(async (store) => {
      await this.#compaction.truncating(0);
      await restartAt(store, offset, EMPTY_SEGMENT_END);
    }, offset);
  }

  async deleteRecordsBefore(offset: number): Promise<void> {
    this.#health.mustBeUsable();
    if (offset < 0 || offset > this.logEndOffset) throw this.#reader.outOfRange(offset);
    await this.#start.raiseTo(offset);
  }

  applyRetention(input: RetentionInput): Promise<RetentionResult> {
    return this.#start.applyRetention(input);
  }

  compactionPlan(input: CompactionInput): CompactionPlan | undefined {
    return this.#compaction.plan(input);
  }

  compact(options: CompactOptions): Promise<CompactionResult> {
    this.#health.mustBeUsable();
    return this.#compaction.run(options);
  }

  verify(): Promise<VerifyReport> {
    return this.#maintain(() => this.#reader.verify());
  }

  /** Leaves nothing to recover: all on disk, behind a segment end. The database may be closed then. */
  async close(): Promise<void> {
    if (this.offline === undefined && !this.#health.isClosed) {
      await this.#maintain(async () => {
        await this.#writer.flush();
        if (!this.#state.segments.active.isEmpty) await this.#closeSegment();
      }).catch((error: unknown) => {
        // Whatever took the log offline was reported then.
        if (this.offline === undefined) throw error;
      });
    }
    await this.abandon();
  }

  /** Stops without leaving anything in order, as before a deletion. Nothing uses the database afterwards. */
  async abandon(): Promise<void> {
    this.#writer.stop(this.#health.close());
    this.environment.tail.forget();
    await this.#maintenance.close();
    await this.#writer.whenIdle();
  }

  #append(batches: readonly PlannedBatch[], now: number, asLeader: boolean): AppendResult {
    const [first, last] = [batches[0], batches.at(-1)];
    assert(first !== undefined && last !== undefined, 'an append holds a batch');
    this.#isLeading = asLeader;
    const { active } = this.#state.segments;
    const segmentEnd = active.isFull(first.header, this.currentConfig) ? this.#encodedSegmentEnd(now) : undefined;
    for (const batch of batches) {
      this.#state.appended(batch.header, now);
      this.environment.tail.append(batch);
    }
    const stable = this.#writer.enqueue(first.header.baseOffset, segmentEnd, batches);
    return { baseOffset: first.header.baseOffset, lastOffset: last.header.lastOffset, logAppendTime: -1, stable };
  }

  #encodedSegmentEnd(now: number): Buffer {
    this.#state.producers.expire(now, this.environment.limits.producerIdExpirationMs);
    return encodeSegmentEnd(this.#state.closeSegment());
  }

  /** Closes the active segment without waiting for it to fill. */
  #closeSegment(): Promise<void> {
    return this.#writer.enqueue(this.logEndOffset, this.#encodedSegmentEnd(this.environment.clock.now()), []);
  }

  /** Changes what the database holds, then recovers the state from it: nothing of the old state survives by accident. */
  #reshape(change: (store: KeyValueStore) => Promise<void>, newStart?: number): Promise<void> {
    return this.#maintain(async () => {
      await this.#writer.whileIdle(async () => {
        this.#health.mustBeUsable();
        const endBefore = this.logEndOffset;
        await this.#reader.changing(async () => {
          const recovered = await this.environment.store.use(async (store) => {
            await change(store);
            const now = this.environment.clock.now();
            return recover(store, { logStartOffset: newStart ?? this.logStartOffset, now });
          });
          assert(this.logEndOffset === endBefore, 'nothing is appended while a log is truncated');
          this.#state = recovered.state;
        });
        return this.logEndOffset;
      });
      this.#highWatermark = Math.min(this.#highWatermark, this.logEndOffset);
      if (newStart !== undefined) await this.#start.persist();
    });
  }

  /** One at a time; a failure of the disk, or corruption, takes the log offline. */
  async #maintain<T>(job: () => Promise<T>): Promise<T> {
    this.#health.mustBeUsable();
    try {
      return await this.#maintenance.push(async () => {
        this.#health.mustBeUsable();
        return job();
      });
    } catch (error) {
      throw this.#health.blame(error);
    }
  }
}
