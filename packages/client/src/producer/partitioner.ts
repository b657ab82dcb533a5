/**
 * How a record finds its partition when it names none.
 *
 * Without a partitioner of its own a producer does as Kafka's: murmur2 of the key; without a key
 * sticky-partitions.ts.
 */
import type { ProducerRecord } from '../records.js';

/** A topic as a partitioner sees it. */
export interface PartitionerTopic {
  readonly name: string;
  readonly partitionCount: number;
  /** Whether the partition has a leader now. */
  isAvailable(partition: number): boolean;
}

/** Chooses a partition from 0 to partitionCount - 1. `key` is the record's key as bytes. */
export type Partitioner = (record: ProducerRecord, key: Uint8Array | null, topic: PartitionerTopic) => number;
