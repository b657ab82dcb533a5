/**
 * LogService/DeleteRecords: raises log start offsets, durably, at once, on all replicas whose brokers serve.
 *
 * The call fails with INVALID_REQUEST for too many entries. Each entry has its own error: those of
 * leader-lookup.ts, INVALID_TOPIC_EXCEPTION (an internal topic), OFFSET_OUT_OF_RANGE (above the high
 * watermark, or below -1), KAFKA_STORAGE_ERROR, REQUEST_TIMED_OUT (a replica has not followed in time; it
 * will when it can).
 * An offset below the log start changes nothing and is no error.
 */
import { InvariantError, deferred } from '@barnabas/common';
import type { Timers } from '@barnabas/common';
import { isInternalTopic } from '@barnabas/metadata';
import { BarnabasError, errorToProto, toBarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { refusals } from '../core/index.js';
import type { ReplicaPartition } from '../runtime/replica-driver.js';
import type { PartitionAccess } from './list-offsets.js';

const MAX_ENTRIES = 10_000;
/** How long replicas may take: Kafka's default of a deletion's timeout is that of its admin client. */
const REPLICAS_TIMEOUT_MS = 30_000;
/** Everything that is committed. */
const TO_HIGH_WATERMARK = -1;

interface DeletionAccess extends PartitionAccess {
  readonly timers: Timers;
}

export async function deleteRecords(
  request: v1.DeleteRecordsRequest,
  access: DeletionAccess,
): Promise<v1.DeleteRecordsResponse> {
  if (request.entries.length > MAX_ENTRIES) {
    throw new BarnabasError('INVALID_REQUEST', `records of at most ${MAX_ENTRIES} partitions can be deleted at once`);
  }
  return { results: await Promise.all(request.entries.map((entry) => cut(entry, access))) };
}

async function cut(
  { topic, partition, beforeOffset }: v1.DeleteRecordsEntry,
  access: DeletionAccess,
): Promise<v1.DeleteRecordsResult> {
  const { lookup, driver } = access;
  try {
    if (isInternalTopic(topic)) throw internal(topic);
    const replica = lookup.partition(topic, partition);
    const log = await driver.openLog(replica);
    const before = checkedOffset(beforeOffset, replica);
    await log.deleteRecordsBefore(before);
    driver.logStartMoved(replica, log.logStartOffset);
    await whenDeletedEverywhere(replica, before, access);
    return { topic, partition, logStartOffset: log.logStartOffset, error: undefined };
  } catch (error) {
    if (error instanceof InvariantError) throw error;
    return { topic, partition, logStartOffset: -1, error: errorToProto(toBarnabasError(error)) };
  }
}

/**
 * Resolves when every replica whose broker serves has a log start at or above the offset. Rejects with
 * REQUEST_TIMED_OUT, or with why this broker does not lead any more.
 */
async function whenDeletedEverywhere(
  partition: ReplicaPartition,
  offset: number,
  { driver, timers }: DeletionAccess,
): Promise<void> {
  const isDone = (): boolean => {
    const serves = (id: number): boolean => driver.broker(id)?.serves === true;
    return (partition.leading?.lowWatermark(partition.logStartOffset, serves) ?? -1) >= offset;
  };
  if (isDone()) return;
  const refusal = partition.refusal();
  if (refusal !== undefined) throw refusal;
  const done = deferred<void>();
  const timer = timers.after(REPLICAS_TIMEOUT_MS, () => done.reject(refusals.notDeletedEverywhere(partition, offset)));
  const unlisten = driver.listen(partition, {
    onReplicasMoved() {
      if (isDone()) done.resolve();
    },
    onUnavailable: (error) => done.reject(error),
  });
  try {
    await done.promise;
  } finally {
    timer.cancel();
    unlisten();
  }
}

function checkedOffset(beforeOffset: number, { topic, partition, highWatermark }: ReplicaPartition): number {
  if (beforeOffset === TO_HIGH_WATERMARK) return highWatermark;
  if (beforeOffset >= 0 && beforeOffset <= highWatermark) return beforeOffset;
  throw new BarnabasError(
    'OFFSET_OUT_OF_RANGE',
    `records of ${topic}-${partition} can be deleted up to its high watermark ${highWatermark}, not to ${beforeOffset}`,
    { topic, partition, beforeOffset, highWatermark },
  );
}

function internal(topic: string): BarnabasError {
  const why = `topic ${topic} is internal: what is in it goes by compaction, and by the word of its coordinators`;
  return new BarnabasError('INVALID_TOPIC_EXCEPTION', why, { topic });
}
