/**
 * The bytes of a segment end: what is known at an offset without reading the batches before it.
 * Pure. Byte table: docs/protocols/partition-log.md, section 3.
 *
 * All of it is derived from batches, so a damaged one is no loss: recovery reads further back.
 */
import { crc32c } from '@barnabas/protocol';
import type { EpochStart } from './leader-epochs.js';
import type { ProducedBatch, ProducerEntry } from './producer-states.js';
import type { SegmentSummary } from './segments.js';
import type { TimeIndexEntry } from './time-index.js';

export interface SegmentEnd {
  /**
   * This segment last, before it up to SUMMARIES - 1 older ones, so that opening a log of many
   * segments reads few segment ends. Empty where a log was made to begin at this offset.
   */
  readonly segments: readonly SegmentSummary[];
  /** Of this segment. */
  readonly timeIndex: readonly TimeIndexEntry[];
  readonly epochs: readonly EpochStart[];
  readonly producers: readonly ProducerEntry[];
}

/** Segments that one segment end lists. */
export const SUMMARIES = 128;

const VERSION = 1;
const CRC_AT = 1;
const BODY_AT = 5;

export function encodeSegmentEnd(end: SegmentEnd): Buffer {
  const writer = new ByteWriter(BODY_AT);
  writer.list(end.segments, (segment) => {
    writer.int64(segment.baseOffset);
    writer.int64(segment.endOffset);
    writer.int64(segment.sizeInBytes);
    writer.int64(segment.firstTimestamp);
    writer.int64(segment.maxTimestamp);
    writer.int64(segment.maxTimestampBatch);
  });
  writer.list(end.timeIndex, (entry) => {
    writer.int64(entry.timestamp);
    writer.int64(entry.baseOffset);
  });
  writer.list(end.epochs, (epoch) => {
    writer.int32(epoch.leaderEpoch);
    writer.int64(epoch.startOffset);
  });
  writer.list(end.producers, (producer) => {
    writer.int64(producer.producerId);
    writer.int32(producer.producerEpoch);
    writer.int64(producer.lastSeenMs);
    writer.list(producer.batches, (batch) => {
      writer.int32(batch.baseSequence);
      writer.int32(batch.lastSequence);
      writer.int64(batch.baseOffset);
      writer.int64(batch.lastOffset);
      writer.int64(batch.timestamp);
    });
  });
  const bytes = writer.bytes();
  bytes.writeUInt8(VERSION, 0);
  bytes.writeUInt32BE(crc32c(bytes.subarray(BODY_AT)), CRC_AT);
  return bytes;
}

/** Undefined for bytes that are damaged, or of a version that this code does not know. */
export function decodeSegmentEnd(bytes: Buffer): SegmentEnd | undefined {
  if (bytes.length < BODY_AT || bytes.readUInt8(0) !== VERSION) return undefined;
  if (bytes.readUInt32BE(CRC_AT) !== crc32c(bytes.subarray(BODY_AT))) return undefined;
  const reader = new ByteReader(bytes, BODY_AT);
  const segments = reader.list(() => ({
    baseOffset: reader.int64(),
    endOffset: reader.int64(),
    sizeInBytes: reader.int64(),
    firstTimestamp: reader.int64(),
    maxTimestamp: reader.int64(),
    maxTimestampBatch: reader.int64(),
  }));
  const timeIndex = reader.list(() => ({ timestamp: reader.int64(), baseOffset: reader.int64() }));
  const epochs = reader.list(() => ({ leaderEpoch: reader.int32(), startOffset: reader.int64() }));
  const producers = reader.list(() => ({
    producerId: reader.int64(),
    producerEpoch: reader.int32(),
    lastSeenMs: reader.int64(),
    batches: reader.list(() => readProducedBatch(reader)),
  }));
  return { segments, timeIndex, epochs, producers };
}

function readProducedBatch(reader: ByteReader): ProducedBatch {
  return {
    baseSequence: reader.int32(),
    lastSequence: reader.int32(),
    baseOffset: reader.int64(),
    lastOffset: reader.int64(),
    timestamp: reader.int64(),
  };
}

class ByteWriter {
  #buffer = Buffer.allocUnsafeSlow(1024);

  constructor(private position: number) {}

  int32(value: number): void {
    this.#reserve(4);
    this.position = this.#buffer.writeInt32BE(value, this.position);
  }

  int64(value: number): void {
    this.#reserve(8);
    this.position = this.#buffer.writeBigInt64BE(BigInt(value), this.position);
  }

  list<T>(items: readonly T[], write: (item: T) => void): void {
    this.int32(items.length);
    for (const item of items) write(item);
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.position);
  }

  #reserve(bytes: number): void {
    if (this.position + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(this.#buffer.length * 2);
    larger.set(this.#buffer.subarray(0, this.position));
    this.#buffer = larger;
  }
}

/** The CRC was right, so lengths are too: reading too far is a fault, and Buffer throws. */
class ByteReader {
  constructor(
    private readonly bytes: Buffer,
    private position: number,
  ) {}

  int32(): number {
    const value = this.bytes.readInt32BE(this.position);
    this.position += 4;
    return value;
  }

  int64(): number {
    const value = Number(this.bytes.readBigInt64BE(this.position));
    this.position += 8;
    return value;
  }

  list<T>(read: () => T): T[] {
    const items: T[] = [];
    for (let left = this.int32(); left > 0; left--) items.push(read());
    return items;
  }
}
