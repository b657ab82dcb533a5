/**
 * The partition log as brokers see it. Words are Kafka's; every …EndOffset is exclusive.
 * Layout, recovery and invariants: docs/protocols/partition-log.md.
 */
import type { Clock, Logger, Metrics, Timers } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';
import type { StoreFactory } from '@barnabas/store';
import type { CompactOptions, CompactionInput, CompactionPlan, CompactionResult } from './compaction/types.js';
import type { LogConfig } from './log-config.js';

/** Names one replica on this broker for good; a topic made again under the same name has another id. */
export interface TopicPartition {
  readonly topic: string;
  /** Letters, digits, '-' and '_', 16 to 36 of them: a UUID in either of its usual spellings. */
  readonly topicId: string;
  readonly partition: number;
}

/** Everything below `endOffset` was written in an epoch no higher than `leaderEpoch`. */
export interface EpochEndOffset {
  readonly leaderEpoch: number;
  readonly endOffset: number;
}

export interface LeaderAppendOptions {
  readonly leaderEpoch: number;
  /** Milliseconds since the epoch: the log append time, and what CreateTime is compared with. */
  readonly now: number;
  /** Control batches come from coordinators only. */
  readonly origin?: 'client' | 'coordinator';
  /** The buffer is nobody else's, and most of the memory that it keeps alive is batches: the log keeps it as it is. */
  readonly handedOver?: boolean;
}

export interface AppendResult {
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** -1 where the topic keeps the producer's timestamps. */
  readonly logAppendTime: number;
  /** Resolves when the flush policy is content with the batches; rejects with KAFKA_STORAGE_ERROR. Need not be awaited. */
  readonly stable: Promise<void>;
}

export interface LeaderAppendResult extends AppendResult {
  /** These batches were appended before; the offsets are those of the first time. */
  readonly duplicate: boolean;
}

export interface ReadRequest {
  /** The first batch returned contains this offset, or is the next one after it. */
  readonly offset: number;
  readonly maxBytes: number;
  /** Exclusive: no batch that reaches this offset or beyond is returned. The high watermark for consumers. */
  readonly maxOffset: number;
  /** Returns the first batch even if it is larger than maxBytes. */
  readonly minOneBatch: boolean;
}

export interface ReadResult {
  /** Whole batches, contiguous, in order. Shared with other readers: not to be written to. */
  readonly batches: readonly Buffer[];
  /** Where to read on; the request's offset when nothing was found. */
  readonly nextOffset: number;
}

export interface TimestampAndOffset {
  readonly timestamp: number;
  readonly offset: number;
  readonly leaderEpoch: number;
}

export interface RetentionResult {
  readonly logStartOffset: number;
  readonly deletedSegments: number;
  readonly deletedBytes: number;
}

export interface VerifyReport {
  readonly batches: number;
  readonly records: number;
  readonly bytes: number;
  /** The first thing found wrong; the log is offline then. */
  readonly corruption: BarnabasError | undefined;
}

/**
 * One replica's log. Offsets are assigned synchronously by append…; the disk follows. State is
 * readable at any time, whether the database underneath is open or not.
 *
 * Errors, all BarnabasError: OFFSET_OUT_OF_RANGE; CORRUPT_MESSAGE, MESSAGE_TOO_LARGE, INVALID_RECORD,
 * INVALID_TIMESTAMP, INVALID_REQUEST, OUT_OF_ORDER_SEQUENCE_NUMBER, UNKNOWN_PRODUCER_ID and
 * INVALID_PRODUCER_EPOCH for what may not be appended (nothing is appended then); KAFKA_STORAGE_ERROR
 * from everything once the log is offline.
 */
export interface PartitionLog extends TopicPartition {
  readonly config: LogConfig;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /** What the flush policy has covered: with flush.messages=1 it is on disk, otherwise handed to the operating system. */
  readonly stableEndOffset: number;
  /** What has surely been synced to disk, whatever the policy. */
  readonly recoveryPoint: number;
  readonly sizeInBytes: number;
  /** -1 while the log has never held a batch. */
  readonly latestEpoch: number;
  /** As last noted, or at open what the checkpoint had, never above the log end offset. */
  readonly highWatermark: number;
  /** What the checkpoint had at open, wherever the log ended then: above the log end something is missing. */
  readonly checkpointedHighWatermark: number;
  /** Why the log is offline; nothing is served or appended then. */
  readonly offline: BarnabasError | undefined;

  /** New flush, size, time and retention rules; they hold from the next append on. */
  configure(config: LogConfig): void;

  /**
   * Appends a producer's batches (one or more, concatenated) behind the log end. The buffer is copied, unless it is handed over.
   * Where compression.type asks for it they are encoded anew first.
   */
  appendAsLeader(batches: Buffer, options: LeaderAppendOptions): LeaderAppendResult;
  /** Appends a leader's batches as they are; they must start at the log end. The buffer is copied, unless it is handed over. */
  appendAsFollower(batches: Buffer, options?: Pick<LeaderAppendOptions, 'handedOver'>): AppendResult;

  /** Bytes appended and not yet stable. */
  readonly unstableBytes: number;
  /** More bytes wait for the disk than should: whoever appends waits for whenDrained() first. */
  readonly isSaturated: boolean;
  whenDrained(): Promise<void>;
  /** Resolves when everything appended so far is stable. */
  whenStable(): Promise<void>;
  /** Syncs everything appended so far to disk. */
  flush(): Promise<void>;

  read(request: ReadRequest): Promise<ReadResult>;
  /** The first record at or after the timestamp, below maxOffset; undefined when there is none. */
  offsetForTimestamp(
    timestamp: number,
    options: { readonly maxOffset: number },
  ): Promise<TimestampAndOffset | undefined>;
  /** The first record at or after the offset, below maxOffset, wherever the log starts; undefined when there is none. */
  recordAtOrAfter(offset: number, options: { readonly maxOffset: number }): Promise<TimestampAndOffset | undefined>;
  /** The record with the largest timestamp, the first of them if there are several. */
  offsetOfMaxTimestamp(): Promise<TimestampAndOffset | undefined>;
  /** Where the largest epoch that is not above the given one ends; undefined when the log knows of none. */
  endOffsetForEpoch(leaderEpoch: number): EpochEndOffset | undefined;

  /** Followers only: drops everything from the offset on; a batch that holds the offset goes as a whole. */
  truncateTo(offset: number): Promise<void>;
  /** Followers only: drops everything and begins anew at the offset. */
  truncateFullyAndStartAt(offset: number): Promise<void>;
  /** Moves the log start offset up, durably. Never beyond the log end offset. */
  deleteRecordsBefore(offset: number): Promise<void>;
  /** Deletes old segments by time, size and log start offset, below the high watermark. */
  applyRetention(options: { readonly now: number; readonly highWatermark: number }): Promise<RetentionResult>;
  /** What of the log may be compacted now, and whether it should be; undefined where there is nothing. */
  compactionPlan(input: CompactionInput): CompactionPlan | undefined;
  /** Takes out the records that later ones of their key supersede, below the high watermark. Offsets stay. */
  compact(options: CompactOptions): Promise<CompactionResult>;
  /** For the checkpoint only: the log itself does not use it. */
  noteHighWatermark(offset: number): void;

  /** Reads every stored batch and checks its CRC and its place. */
  verify(): Promise<VerifyReport>;
}

/** What a log directory holds that is not known to be wanted. */
export interface StoredLog extends TopicPartition {
  readonly directory: string;
}

export interface LogManagerStats {
  readonly logs: number;
  readonly openDatabases: number;
  readonly tailCacheBytes: number;
  readonly offlineLogs: number;
}

/** All logs of one broker: one directory, one lock, one cap on open databases, one tail cache. */
export interface LogManager {
  readonly directory: string;
  /** Opens and recovers a log, making it if there is none. The same log while it stays open. */
  openLog(partition: TopicPartition, config: LogConfig): Promise<PartitionLog>;
  /** The log if it is open here. */
  log(topicId: string, partition: number): PartitionLog | undefined;
  logs(): readonly PartitionLog[];
  /** Flushes the log, stores its checkpoint and forgets it; the files stay. */
  closeLog(topicId: string, partition: number): Promise<void>;
  /** Takes the log away at once; its files go after `fileDeleteDelayMs`. */
  deleteLog(topicId: string, partition: number): Promise<void>;
  /** Every log on disk, open or not, for the broker to compare with its metadata: what is not wanted any more is stray. */
  storedLogs(): Promise<readonly StoredLog[]>;
  /** Writes high watermarks and log start offsets that changed. Also done every checkpointIntervalMs and at close. */
  checkpoint(): Promise<void>;
  stats(): LogManagerStats;
  /**
   * What the last `close` in good order was told, if nothing has been opened here since; else -1. Only one
   * start sees it: whoever crashes afterwards has not stopped in good order.
   */
  readonly cleanShutdownEpoch: number;
  /**
   * Flushes and closes everything, so that the next start has nothing to recover. `cleanShutdownEpoch` is kept
   * for that start, if all of it has succeeded.
   */
  close(options?: { readonly cleanShutdownEpoch?: number | undefined }): Promise<void>;
}

export interface LogManagerOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Kafka's log.dir. */
  readonly directory: string;
  /** A directory that belongs to another cluster or node is refused. */
  readonly clusterId: string;
  readonly nodeId: number;
  /** LevelDB unless told otherwise. */
  readonly factory?: StoreFactory;
  readonly limits?: Partial<LogLimits>;
  /** A log went offline: its disk failed or a stored batch is corrupt. */
  readonly onOffline?: (log: PartitionLog, error: BarnabasError) => void;
}

/** Broker-wide sizes and times. */
export interface LogLimits {
  /** Databases open at once (barnabas.log.max.open.partitions); those in use are never closed. */
  readonly maxOpenDatabases: number;
  /** A database unused for this long is closed. */
  readonly idleCloseMs: number;
  /** Recent batches kept in memory, over all logs. */
  readonly tailCacheBytes: number;
  /** One database's write buffer. */
  readonly writeBufferBytes: number;
  /** All write buffers together: databases opened while it is used up get smaller ones. */
  readonly totalWriteBufferBytes: number;
  /** Bytes gathered into one write at most. */
  readonly maxWriteBytes: number;
  /** A log with more unstable bytes than this is saturated. */
  readonly maxUnstableBytes: number;
  /** Kafka's producer.id.expiration.ms. */
  readonly producerIdExpirationMs: number;
  /** Kafka's replica.high.watermark.checkpoint.interval.ms. */
  readonly checkpointIntervalMs: number;
}
