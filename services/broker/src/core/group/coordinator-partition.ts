/** Which partition of __consumer_offsets a group belongs to: as in Kafka, so that tools agree. */
import { assert } from '@barnabas/common';

/** Java's `String.hashCode`, made positive as Kafka does, modulo the partitions. */
export function coordinatorPartition(groupId: string, partitions: number): number {
  assert(partitions > 0, '__consumer_offsets has partitions');
  let hash = 0;
  for (let index = 0; index < groupId.length; index++) hash = (Math.imul(hash, 31) + groupId.charCodeAt(index)) | 0;
  return (hash & 0x7fff_ffff) % partitions;
}
