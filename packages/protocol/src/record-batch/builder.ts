/**
 * Builds one batch. Each record is written once, straight into the bytes that will be sent;
 * the header is filled in at the end, when it is known. Without compression the finished batch is a
 * view of the builder's own buffer, so a builder makes one batch and is then thrown away.
 */
import { assert } from '@barnabas/common';
import { compress, compressionCode, compressionLevel } from '../compression/index.js';
import type { CompressionType } from '../compression/index.js';
import { BarnabasError } from '../errors.js';
import { sizeOfVarint, sizeOfVarlong, writeVarint, writeVarlong } from '../varint.js';
import { computeCrc } from './header.js';
import * as layout from './layout.js';
import { patchBatch, writeProducerState } from './patch.js';
import { NO_PRODUCER } from './types.js';
import type { ProducerState, Record, RecordHeader } from './types.js';

/** Kafka's default of max.message.bytes, and of max.request.size on the producer's side. */
export const DEFAULT_MAX_BATCH_BYTES = 1024 * 1024;

export interface BatchBuilderOptions {
  readonly compression?: CompressionType;
  /** For gzip and zstd. */
  readonly compressionLevel?: number;
  /** Full at this size before compression (batch.size). The first record is taken even if it is larger. */
  readonly maxBytes: number;
  /** No batch, not even of one record, is larger than this before compression. */
  readonly maxBatchBytes?: number;
  /** Memory to build in. Without compression the batch is a view of it, so it is not to be used again before the batch is done with. */
  readonly buffer?: Buffer;
}

export interface BatchFields extends ProducerState {
  readonly isTransactional?: boolean;
  readonly isControl?: boolean;
  /** Left at 0 by producers: the leader assigns it. */
  readonly baseOffset?: number;
  /** Left at -1 by producers: the leader assigns it. */
  readonly partitionLeaderEpoch?: number;
}

const INITIAL_BYTES = 4096;
/** Any two timestamps up to this one, and -1, differ by a safe integer. */
const MAX_TIMESTAMP = Number.MAX_SAFE_INTEGER - 1;
/** Below this a loop is faster than TypedArray.set. */
const COPY_BY_LOOP_BELOW = 24;

export class BatchBuilder {
  readonly #compression: CompressionType;
  readonly #level: number | undefined;
  readonly #maxBytes: number;
  readonly #maxBatchBytes: number;
  #buffer: Buffer;
  #position = layout.RECORDS_AT;
  #recordCount = 0;
  #baseTimestamp = -1;
  #maxTimestamp = -1;
  #isBuilt = false;

  constructor(options: BatchBuilderOptions) {
    const { compression = 'none', maxBytes, maxBatchBytes = DEFAULT_MAX_BATCH_BYTES } = options;
    // Both throw now what would otherwise be thrown when the batch is sent.
    compressionLevel(compression, options.compressionLevel);
    this.#compression = compression;
    this.#level = options.compressionLevel;
    this.#maxBytes = Math.min(maxBytes, maxBatchBytes);
    this.#maxBatchBytes = maxBatchBytes;
    this.#buffer = options.buffer ?? Buffer.allocUnsafeSlow(INITIAL_BYTES);
    assert(this.#buffer.length >= layout.RECORDS_AT, 'a batch needs room for its header');
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  /** What the batch would take without compression, its header included. */
  get sizeInBytes(): number {
    return this.#position;
  }

  /** -1 where no record has a timestamp yet. */
  get maxTimestamp(): number {
    return this.#maxTimestamp;
  }

  /**
   * Writes the record, or returns false where it no longer fits. Throws MESSAGE_TOO_LARGE for a
   * record that fits no batch, INVALID_TIMESTAMP for one whose timestamp is no time.
   */
  tryAppend(record: Record): boolean {
    assert(!this.#isBuilt, 'a builder makes one batch');
    const { key, value, headers, timestamp } = record;
    if (!Number.isSafeInteger(timestamp) || timestamp < -1 || timestamp > MAX_TIMESTAMP)
      throw invalidTimestamp(timestamp);
    const count = this.#recordCount;
    const timestampDelta = count === 0 ? 0 : timestamp - this.#baseTimestamp;
    const bodyBytes =
      1 +
      sizeOfVarlong(timestampDelta) +
      sizeOfVarint(count) +
      sizeOfNullable(key) +
      sizeOfNullable(value) +
      sizeOfHeaders(headers);
    const recordBytes = sizeOfVarint(bodyBytes) + bodyBytes;
    const end = this.#position + recordBytes;
    if (end > this.#maxBytes && !this.#acceptsAnyway(recordBytes)) return false;
    if (end > this.#buffer.length) this.#grow(end);
    this.#write(record, bodyBytes, timestampDelta);
    if (count === 0) this.#baseTimestamp = timestamp;
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp;
    this.#recordCount = count + 1;
    return true;
  }

  /** Fills in the header and returns the batch. The builder is finished. */
  build(fields: BatchFields = NO_PRODUCER): Buffer {
    assert(!this.#isBuilt, 'a builder makes one batch');
    assert(this.#recordCount > 0, 'a batch has records');
    this.#isBuilt = true;
    const batch = this.#batchWithoutHeader();
    patchBatch(batch, 0, {
      baseOffset: fields.baseOffset ?? 0,
      partitionLeaderEpoch: fields.partitionLeaderEpoch ?? -1,
    });
    batch.writeInt32BE(batch.length - layout.LENGTH_OVERHEAD_BYTES, layout.BATCH_LENGTH_AT);
    batch.writeInt8(layout.MAGIC, layout.MAGIC_AT);
    batch.writeUInt16BE(this.#attributes(fields), layout.ATTRIBUTES_AT);
    batch.writeInt32BE(this.#recordCount - 1, layout.LAST_OFFSET_DELTA_AT);
    layout.writeInt64(batch, this.#baseTimestamp, layout.BASE_TIMESTAMP_AT);
    layout.writeInt64(batch, this.#maxTimestamp, layout.MAX_TIMESTAMP_AT);
    writeProducerState(batch, 0, fields);
    batch.writeInt32BE(this.#recordCount, layout.RECORD_COUNT_AT);
    batch.writeUInt32BE(computeCrc(batch, 0, batch.length), layout.CRC_AT);
    return batch;
  }

  /** A record beyond maxBytes is taken when it is the first; one that fits nowhere is an error at once. */
  #acceptsAnyway(recordBytes: number): boolean {
    const alone = layout.RECORDS_AT + recordBytes;
    if (alone > this.#maxBatchBytes) {
      throw new BarnabasError(
        'MESSAGE_TOO_LARGE',
        `a record of ${recordBytes} bytes makes a batch larger than ${this.#maxBatchBytes} bytes`,
        { recordBytes, maxBatchBytes: this.#maxBatchBytes },
      );
    }
    return this.#recordCount === 0;
  }

  #grow(neededBytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(neededBytes, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, this.#position));
    this.#buffer = larger;
  }

  #write(record: Record, bodyBytes: number, timestampDelta: number): void {
    const buffer = this.#buffer;
    let position = writeVarint(buffer, this.#position, bodyBytes);
    buffer[position++] = 0; // attributes
    position = writeVarlong(buffer, position, timestampDelta);
    position = writeVarint(buffer, position, this.#recordCount);
    position = writeNullable(buffer, position, record.key);
    position = writeNullable(buffer, position, record.value);
    const { headers } = record;
    position = writeVarint(buffer, position, headers.length);
    for (let index = 0; index < headers.length; index++) {
      position = writeHeader(buffer, position, headers[index] as RecordHeader);
    }
    this.#position = position;
  }

  #batchWithoutHeader(): Buffer {
    const records = this.#buffer.subarray(layout.RECORDS_AT, this.#position);
    if (this.#compression === 'none') return this.#buffer.subarray(0, this.#position);
    const compressed = compress(this.#compression, records, this.#level);
    const batch = Buffer.allocUnsafeSlow(layout.RECORDS_AT + compressed.length);
    batch.set(compressed, layout.RECORDS_AT);
    return batch;
  }

  #attributes(fields: BatchFields): number {
    return (
      compressionCode(this.#compression) |
      (fields.isTransactional === true ? layout.TRANSACTIONAL_BIT : 0) |
      (fields.isControl === true ? layout.CONTROL_BIT : 0)
    );
  }
}

function sizeOfNullable(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : sizeOfVarint(bytes.length) + bytes.length;
}

function sizeOfHeaders(headers: readonly RecordHeader[]): number {
  let size = sizeOfVarint(headers.length);
  for (let index = 0; index < headers.length; index++) {
    const { key, value } = headers[index] as RecordHeader;
    const keyBytes = Buffer.byteLength(key);
    size += sizeOfVarint(keyBytes) + keyBytes + sizeOfNullable(value);
  }
  return size;
}

function writeNullable(buffer: Buffer, position: number, bytes: Uint8Array | null): number {
  if (bytes === null) {
    buffer[position] = 1; // -1
    return position + 1;
  }
  const length = bytes.length;
  const start = writeVarint(buffer, position, length);
  if (length < COPY_BY_LOOP_BELOW) {
    for (let index = 0; index < length; index++) buffer[start + index] = bytes[index] as number;
  } else {
    buffer.set(bytes, start);
  }
  return start + length;
}

function writeHeader(buffer: Buffer, position: number, header: RecordHeader): number {
  const keyBytes = Buffer.byteLength(header.key);
  const start = writeVarint(buffer, position, keyBytes);
  buffer.write(header.key, start, keyBytes, 'utf8');
  return writeNullable(buffer, start + keyBytes, header.value);
}

function invalidTimestamp(timestamp: number): BarnabasError {
  return new BarnabasError(
    'INVALID_TIMESTAMP',
    `a timestamp is milliseconds since 1970, or -1 for none: ${timestamp}`,
    {
      timestamp,
    },
  );
}
