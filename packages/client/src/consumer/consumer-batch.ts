/**
 * A record batch as a consumer hands it out: its header at once, its records when they are asked for.
 */
import { decodeRecords } from '@barnabas/protocol';
import type { BatchHeader, CompressionType, TimestampType } from '@barnabas/protocol';
import type { ConsumerInterceptor } from '../interceptors.js';
import type { ConsumerRecord } from '../records.js';

/** A record of a batch, which knows topic and partition. */
export type BatchRecord = Omit<ConsumerRecord, 'topic' | 'partition'>;

export interface ConsumerBatchParts {
  readonly topic: string;
  readonly partition: number;
  readonly header: BatchHeader;
  /** The batch, from its first byte. */
  readonly bytes: Buffer;
  /** Records below it are left out. */
  readonly fromOffset: number;
  readonly maxDecompressedBytes: number;
  /** Gets the records before anybody else; undefined if there are no interceptors. */
  readonly intercept: ((records: readonly ConsumerRecord[]) => readonly ConsumerRecord[]) | undefined;
}

export class ConsumerBatch implements Iterable<BatchRecord> {
  readonly #parts: ConsumerBatchParts;
  #records: readonly BatchRecord[] | undefined;

  constructor(parts: ConsumerBatchParts) {
    this.#parts = parts;
  }

  get topic(): string {
    return this.#parts.topic;
  }

  get partition(): number {
    return this.#parts.partition;
  }

  /** Offset of the batch's first record, which may lie below the position asked for. */
  get baseOffset(): number {
    return this.#parts.header.baseOffset;
  }

  get lastOffset(): number {
    return this.#parts.header.lastOffset;
  }

  /** Where reading goes on after this batch. */
  get nextOffset(): number {
    return this.#parts.header.lastOffset + 1;
  }

  get compression(): CompressionType {
    return this.#parts.header.compression;
  }

  get timestampType(): TimestampType {
    return this.#parts.header.timestampType;
  }

  /** Milliseconds since the Unix epoch; -1 where no record has a timestamp. */
  get maxTimestamp(): number {
    return this.#parts.header.maxTimestamp;
  }

  get leaderEpoch(): number {
    return this.#parts.header.partitionLeaderEpoch;
  }

  /** As stored, compressed perhaps, header included. */
  get sizeInBytes(): number {
    return this.#parts.header.sizeInBytes;
  }

  /** As stored: to pass on without decoding. A view. */
  get bytes(): Buffer {
    return this.#parts.bytes;
  }

  /**
   * The records from the position on; decoded the first time this is read. Keys and values are views.
   * Throws CORRUPT_MESSAGE or INVALID_RECORD where the bytes are not what the header says.
   */
  get records(): readonly BatchRecord[] {
    this.#records ??= this.#decode();
    return this.#records;
  }

  [Symbol.iterator](): Iterator<BatchRecord> {
    return this.records[Symbol.iterator]();
  }

  /** The same with the records below `offset` left out. */
  from(offset: number): ConsumerBatch {
    return new ConsumerBatch({ ...this.#parts, fromOffset: offset });
  }

  #decode(): readonly BatchRecord[] {
    const { topic, partition, bytes, fromOffset, maxDecompressedBytes, intercept } = this.#parts;
    // The decoder makes keys and values as views of a Buffer, which are Buffers.
    const all = decodeRecords(bytes, 0, { maxDecompressedBytes }) as unknown as readonly BatchRecord[];
    const isWhole = fromOffset <= this.baseOffset;
    const records = isWhole ? all : all.filter(({ offset }) => offset >= fromOffset);
    return intercept === undefined ? records : intercept(records.map((record) => ({ topic, partition, ...record })));
  }
}

/** Runs records through interceptors; one that throws is passed over. */
export function interceptRecords(
  interceptors: readonly ConsumerInterceptor[],
  records: readonly ConsumerRecord[],
  onThrown: (error: unknown) => void,
): readonly ConsumerRecord[] {
  return interceptors.reduce((current, interceptor) => {
    try {
      return interceptor.onConsume?.(current) ?? current;
    } catch (error) {
      onThrown(error);
      return current;
    }
  }, records);
}
