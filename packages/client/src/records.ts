/**
 * Records as an application gives and gets them, and the names of partitions.
 * The bytes they travel in are @barnabas/protocol's business.
 */

/** One partition of a topic. */
export interface TopicPartition {
  readonly topic: string;
  /** From 0. */
  readonly partition: number;
}

/** Text is written as UTF-8. */
export type RecordBytes = string | Uint8Array;

/** Headers as an object, or, where names repeat or order matters, as a list. */
export type ProducerHeaders =
  | Readonly<Record<string, RecordBytes | null>>
  | readonly { readonly key: string; readonly value: RecordBytes | null }[];

/** A record to send. */
export interface ProducerRecord {
  readonly topic: string;
  /** Where it must go; otherwise the partitioner decides. */
  readonly partition?: number;
  /** Records with the same key go to the same partition. */
  readonly key?: RecordBytes | null;
  /** null is a tombstone in a compacted topic. */
  readonly value: RecordBytes | null;
  readonly headers?: ProducerHeaders;
  /** Milliseconds since the Unix epoch; default now. */
  readonly timestamp?: number;
}

/** Where a record has got to. */
export interface RecordMetadata {
  readonly topic: string;
  readonly partition: number;
  /** -1 with acks 0, and for a batch that the leader had already but no longer remembers the place of. */
  readonly offset: number;
  /** Milliseconds since the Unix epoch: the broker's where the topic has LogAppendTime, else the record's own. */
  readonly timestamp: number;
}

/** A header as read. The value is a view: copy it to keep it longer than the batch. */
export interface ConsumerHeader {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** A record as read. Key and value are views of its batch: copy them to keep them without the batch. */
export interface ConsumerRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since the Unix epoch; -1 if the record has none. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly ConsumerHeader[];
}

/** Where to begin reading: an end, an offset, or the first record at or after a time (milliseconds since 1970). */
export type Position = 'earliest' | 'latest' | { readonly offset: number } | { readonly timestamp: number };

/** A partition to read and where to begin; without a position, auto.offset.reset decides. */
export interface Assignment extends TopicPartition {
  readonly position?: Position;
}

/** An offset found by time. */
export interface OffsetAndTimestamp {
  readonly offset: number;
  readonly timestamp: number;
  /** -1 if unknown. */
  readonly leaderEpoch: number;
}

/** `topic-partition`, as Kafka writes it: for messages and as a key. */
export function partitionName(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}
