/** A topic's configuration as far as its logs act on it: Kafka's topic keys in camel case, with Kafka's defaults unless noted. */
import type { CompressionType } from '@barnabas/protocol';

/** Kafka's Long.MAX_VALUE for counts and times: never reached. */
export const UNLIMITED = Number.MAX_SAFE_INTEGER;

export interface LogConfig {
  readonly cleanupPolicy: readonly ('delete' | 'compact')[];
  /** Milliseconds that tombstones stay once compaction has passed them. */
  readonly deleteRetentionMs: number;
  /** The dirty part of a log, 0 to 1, above which it is compacted. */
  readonly minCleanableDirtyRatio: number;
  /** Records younger than this are not compacted. */
  readonly minCompactionLagMs: number;
  /** Dirty records older than this make a log due whatever its ratio. */
  readonly maxCompactionLagMs: number;
  /** 'producer' keeps what the producer chose. */
  readonly compressionType: 'producer' | 'uncompressed' | Exclude<CompressionType, 'none'>;
  /** -1 leaves it to zlib. */
  readonly compressionGzipLevel: number;
  readonly compressionZstdLevel: number;
  /** Milliseconds between a log's deletion and that of its files. */
  readonly fileDeleteDelayMs: number;
  /** A sync after this many records; 1, unlike Kafka's default, syncs every write before it is acknowledged. */
  readonly flushMessages: number;
  /** A sync at the latest this long after a write. */
  readonly flushMs: number;
  readonly maxMessageBytes: number;
  readonly messageTimestampType: 'CreateTime' | 'LogAppendTime';
  readonly messageTimestampBeforeMaxMs: number;
  readonly messageTimestampAfterMaxMs: number;
  /** -1 is unlimited. */
  readonly retentionBytes: number;
  /** -1 is unlimited. */
  readonly retentionMs: number;
  /** Segments are closed at this size or at 64 MiB, whichever comes first. */
  readonly segmentBytes: number;
  readonly segmentMs: number;
}

const HOUR_MS = 3_600_000;

export const DEFAULT_LOG_CONFIG: LogConfig = Object.freeze({
  cleanupPolicy: Object.freeze(['delete'] as const),
  deleteRetentionMs: 24 * HOUR_MS,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: UNLIMITED,
  compressionType: 'producer',
  compressionGzipLevel: -1,
  compressionZstdLevel: 3,
  fileDeleteDelayMs: 60_000,
  flushMessages: 1,
  flushMs: UNLIMITED,
  maxMessageBytes: 1_048_588,
  messageTimestampType: 'CreateTime',
  messageTimestampBeforeMaxMs: UNLIMITED,
  messageTimestampAfterMaxMs: HOUR_MS,
  retentionBytes: -1,
  retentionMs: 7 * 24 * HOUR_MS,
  segmentBytes: 1_073_741_824,
  segmentMs: 7 * 24 * HOUR_MS,
});
