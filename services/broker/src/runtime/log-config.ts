/** A topic's configuration as its logs want it. */
import type { LogConfig } from '@barnabas/log';
import type { TopicConfig } from '@barnabas/metadata';

export function logConfigOf(config: TopicConfig): LogConfig {
  return {
    cleanupPolicy: config['cleanup.policy'],
    compressionType: config['compression.type'],
    compressionGzipLevel: config['compression.gzip.level'],
    compressionZstdLevel: config['compression.zstd.level'],
    deleteRetentionMs: config['delete.retention.ms'],
    minCleanableDirtyRatio: config['min.cleanable.dirty.ratio'],
    minCompactionLagMs: config['min.compaction.lag.ms'],
    maxCompactionLagMs: config['max.compaction.lag.ms'],
    fileDeleteDelayMs: config['file.delete.delay.ms'],
    flushMessages: config['flush.messages'],
    flushMs: config['flush.ms'],
    maxMessageBytes: config['max.message.bytes'],
    messageTimestampType: config['message.timestamp.type'],
    messageTimestampBeforeMaxMs: config['message.timestamp.before.max.ms'],
    messageTimestampAfterMaxMs: config['message.timestamp.after.max.ms'],
    retentionBytes: config['retention.bytes'],
    retentionMs: config['retention.ms'],
    segmentBytes: config['segment.bytes'],
    segmentMs: config['segment.ms'],
  };
}
