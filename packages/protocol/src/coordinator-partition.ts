/**
 * Where groups live: the topic, and which of its partitions a group belongs to. The leader of that
 * partition is the group's coordinator. Brokers, gateways and clients ask this one function, as Kafka's
 * tools do theirs, so that all of them agree.
 */
import { assert } from '@barnabas/common';

/** The internal topic that remembers groups and what they have committed (Kafka's name for it). */
export const CONSUMER_OFFSETS_TOPIC = '__consumer_offsets';

/** Java's `String.hashCode`, made positive as Kafka does, modulo the partitions. */
export function coordinatorPartition(groupId: string, partitions: number): number {
  assert(partitions > 0, '__consumer_offsets has partitions');
  let hash = 0;
  for (let index = 0; index < groupId.length; index++) hash = (Math.imul(hash, 31) + groupId.charCodeAt(index)) | 0;
  return (hash & 0x7fff_ffff) % partitions;
}
