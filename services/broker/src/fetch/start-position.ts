/** From where a reader wants to begin to the offset that this is in a partition. */
import type { PartitionLog } from '@barnabas/log';
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import type { ReplicaPartition } from '../runtime/replica-driver.js';

/** OFFSET_OUT_OF_RANGE for an offset outside of the log; INVALID_REQUEST for a negative time. */
export async function startOffset(
  start: v1.StartPosition | undefined,
  partition: ReplicaPartition,
  log: PartitionLog,
): Promise<number> {
  const { position } = start ?? {};
  switch (position?.$case) {
    case 'earliest':
      return partition.logStartOffset;
    case 'offset':
      return checkedOffset(position.offset, partition);
    case 'timestampMs':
      return offsetAt(position.timestampMs, partition, log);
    case 'latest':
    case undefined:
      return partition.highWatermark;
  }
}

function checkedOffset(offset: number, { topic, partition, logStartOffset, logEndOffset }: ReplicaPartition): number {
  if (offset >= logStartOffset && offset <= logEndOffset) return offset;
  throw new BarnabasError(
    'OFFSET_OUT_OF_RANGE',
    `offset ${offset} of ${topic}-${partition} is outside of the log, which has ${logStartOffset} to ${logEndOffset}`,
    { topic, partition, offset, logStartOffset, logEndOffset },
  );
}

async function offsetAt(timestampMs: number, partition: ReplicaPartition, log: PartitionLog): Promise<number> {
  if (timestampMs < 0) throw new BarnabasError('INVALID_REQUEST', 'timestamp_ms must not be negative');
  const { highWatermark } = partition;
  const found = await log.offsetForTimestamp(timestampMs, { maxOffset: highWatermark });
  return found?.offset ?? highWatermark;
}
