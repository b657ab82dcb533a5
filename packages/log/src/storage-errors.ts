/** Why a log goes, or is, offline. All are KAFKA_STORAGE_ERROR, name the partition and say what to do. */
import { BarnabasError } from '@barnabas/protocol';
import { StoreError } from '@barnabas/store';
import type { TopicPartition } from './types.js';

export function nameOf({ topic, partition }: Pick<TopicPartition, 'topic' | 'partition'>): string {
  return `${topic}-${partition}`;
}

const REPLACE_IT = 'let it be fetched again from a replica in sync, or restore the directory';
const WHAT_TO_DO = `nothing of this replica is served until its copy is replaced: ${REPLACE_IT}`;

/** What validation found wrong with a batch from disk. */
export function damagedBatch({ message }: BarnabasError): string {
  return `the stored batch is damaged (${message})`;
}

/** The same for one who reads the directory without a broker. */
export function damagedBatchOffline(error: BarnabasError): string {
  return `${damagedBatch(error)}; the copy of this replica must be replaced: ${REPLACE_IT}`;
}

/** What is on disk is not what was written. */
export function corruptLog(log: TopicPartition, offset: number, why: string, cause?: unknown): BarnabasError {
  return new BarnabasError(
    'KAFKA_STORAGE_ERROR',
    `${nameOf(log)} is corrupt at offset ${offset}: ${why}; ${WHAT_TO_DO}`,
    { topic: log.topic, partition: log.partition, topicId: log.topicId, offset, corrupt: true },
    { cause },
  );
}

/** The disk refused. */
export function failedStorage(log: TopicPartition, error: unknown): BarnabasError {
  if (error instanceof BarnabasError && error.errorName === 'KAFKA_STORAGE_ERROR') return error;
  const why = error instanceof Error ? error.message : String(error);
  const kind = error instanceof StoreError ? error.kind : 'unknown';
  return new BarnabasError(
    'KAFKA_STORAGE_ERROR',
    `${nameOf(log)} is offline: ${why}; repair the disk and restart the broker`,
    { topic: log.topic, partition: log.partition, topicId: log.topicId, kind },
    { cause: error },
  );
}

/** The log was closed or deleted while it was used. */
export function closedLog(log: TopicPartition): BarnabasError {
  return new BarnabasError(
    'KAFKA_STORAGE_ERROR',
    `${nameOf(log)} is closed on this broker: refresh metadata and retry`,
    { topic: log.topic, partition: log.partition, topicId: log.topicId },
  );
}
