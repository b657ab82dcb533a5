/**
 * Fetched batches as a repeated field of ConsumedRecord, protobuf-encoded straight from the batches: one
 * copy of each record's bytes, and no object for any of them. Topic and partition are left empty: the
 * message that carries the records names them once. Whoever frames the field says how much room to
 * leave around it, so that nothing is copied twice.
 *
 * Invariants:
 *   E1  records come in offset order, each once, none below `from`; control batches are passed over
 *   E2  a call gives at most `maxRecords`, and stops with the record that reaches `maxBytes`, or makes
 *       the field CHUNK_BYTES long: by one record it may be more
 *   E3  what stands before a batch that is refused is given first; the next call throws
 */
import { readBatchHeader, validateBatch } from './header.js';
import { RecordReader } from './records.js';
import type { RecordSpan } from './records.js';
import type { BatchHeader, RecordHeader } from './types.js';

export interface EncodedSource {
  /** Whole batches one after another. */
  readonly batches: Buffer;
  /** First offset wanted. */
  readonly from: number;
  /** The offset after the last batch. */
  readonly nextOffset: number;
}

/** What stands around the field in its message. */
export interface EncodeFrame {
  /** The field's tag: its number shifted by three, plus 2. Below 128. */
  readonly tag: number;
  readonly headBytes: number;
  readonly tailBytes: number;
}

export interface EncodeLimits {
  /** At least 1. */
  readonly maxRecords: number;
  /** Of keys, values and headers; at least 1. */
  readonly maxBytes: number;
}

export interface EncodedRecords {
  /** The field from `start` to `end`, with the room asked for on both sides. */
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  readonly records: number;
  /** Of keys, values and headers. */
  readonly bytes: number;
  /** Where to go on. */
  readonly nextOffset: number;
  /** Of the last record, or of the last batch where there is none. */
  readonly leaderEpoch: number;
}

const CHUNK_BYTES = 256 * 1024;
/** Tags, lengths and numbers of a record without its bytes: more than they ever take. */
const RECORD_OVERHEAD_BYTES = 48;
const HEADER_OVERHEAD_BYTES = 24;

const OFFSET_TAG = (3 << 3) | 0;
const TIMESTAMP_TAG = (4 << 3) | 0;
const KEY_TAG = (5 << 3) | 2;
const VALUE_TAG = (6 << 3) | 2;
const HEADER_TAG = (7 << 3) | 2;
const HEADER_KEY_TAG = (1 << 3) | 2;
const HEADER_VALUE_TAG = (2 << 3) | 2;

export class ConsumedRecordsEncoder {
  readonly #source: EncodedSource;
  readonly #span: RecordSpan = {
    offset: -1,
    timestamp: -1,
    keyAt: 0,
    keyLength: -1,
    valueAt: 0,
    valueLength: -1,
    headers: [],
  };
  /** Where the next batch begins. */
  #at = 0;
  #reader: RecordReader | undefined;
  #position: number;
  #leaderEpoch = -1;
  /** A record that was read and not given, for there was no room. */
  #isPending = false;
  #refusal: { readonly error: unknown } | undefined;

  constructor(source: EncodedSource) {
    this.#source = source;
    this.#position = source.from;
    this.#settle();
  }

  /** Everything has been given. */
  get isDone(): boolean {
    return !this.#isPending && this.#refusal === undefined;
  }

  /** The next records; without any where there are none left. Throws CORRUPT_MESSAGE, INVALID_RECORD and what else a batch is refused with. */
  next(frame: EncodeFrame, limits: EncodeLimits): EncodedRecords {
    if (!this.#isPending && this.#refusal !== undefined) throw this.#refusal.error;
    const { headBytes, tailBytes, tag } = frame;
    let buffer: Buffer = Buffer.allocUnsafe(headBytes + this.#roomFor(limits) + tailBytes);
    let at = headBytes;
    let records = 0;
    let bytes = 0;
    while (this.#isPending && records < limits.maxRecords && bytes < limits.maxBytes && at - headBytes < CHUNK_BYTES) {
      const span = this.#span;
      const content = this.#content;
      const weight = weightOf(span);
      buffer = withRoom(buffer, at, at + RECORD_OVERHEAD_BYTES + weight + overheadOf(span) + tailBytes);
      at = writeRecord(buffer, at, tag, span, content);
      records += 1;
      bytes += weight;
      this.#position = span.offset + 1;
      this.#isPending = false;
      this.#settle();
    }
    if (this.isDone) this.#position = Math.max(this.#position, this.#source.nextOffset);
    return {
      buffer,
      start: headBytes,
      end: at,
      records,
      bytes,
      nextOffset: this.#position,
      leaderEpoch: this.#leaderEpoch,
    };
  }

  get #content(): Buffer {
    return (this.#reader as RecordReader).content;
  }

  /** Reads on to the next record that is wanted. */
  #settle(): void {
    try {
      while (!this.#isPending) {
        const reader = this.#reader ?? this.#open();
        if (reader === undefined) return;
        if (reader.remaining === 0) {
          reader.finish();
          this.#reader = undefined;
          continue;
        }
        reader.readSpan(this.#span);
        this.#isPending = this.#span.offset >= this.#source.from;
        this.#leaderEpoch = reader.header.partitionLeaderEpoch;
      }
    } catch (error) {
      this.#isPending = false;
      this.#refusal = { error };
    }
  }

  /** The next batch with records; undefined at the end. */
  #open(): RecordReader | undefined {
    const { batches } = this.#source;
    while (this.#at < batches.length) {
      const at = this.#at;
      const header = readBatchHeader(batches, at);
      validateBatch(batches, at);
      this.#at += header.sizeInBytes;
      if (isPassedOver(header, this.#source.from)) {
        if (this.#leaderEpoch === -1) this.#leaderEpoch = header.partitionLeaderEpoch;
        continue;
      }
      this.#reader = new RecordReader(batches, at);
      return this.#reader;
    }
    return undefined;
  }

  /** About what is left, but no more than a message may have. */
  #roomFor({ maxBytes, maxRecords }: EncodeLimits): number {
    if (!this.#isPending) return 0;
    const left = this.#source.batches.length - this.#at + (this.#reader?.content.length ?? 0);
    const wanted = Math.min(
      left + left / 8,
      CHUNK_BYTES + RECORD_OVERHEAD_BYTES,
      maxBytes + maxRecords * RECORD_OVERHEAD_BYTES,
    );
    return Math.ceil(wanted) + RECORD_OVERHEAD_BYTES;
  }
}

function isPassedOver(header: BatchHeader, from: number): boolean {
  return header.isControl || header.recordCount === 0 || header.lastOffset < from;
}

function weightOf({ keyLength, valueLength, headers }: RecordSpan): number {
  let bytes = Math.max(0, keyLength) + Math.max(0, valueLength);
  for (const header of headers) bytes += Buffer.byteLength(header.key) + (header.value?.length ?? 0);
  return bytes;
}

function overheadOf({ headers }: RecordSpan): number {
  return headers.length * HEADER_OVERHEAD_BYTES;
}

function withRoom(buffer: Buffer, used: number, needed: number): Buffer {
  if (needed <= buffer.length) return buffer;
  const larger = Buffer.allocUnsafe(Math.max(needed, buffer.length * 2));
  buffer.copy(larger, 0, 0, used);
  return larger;
}

function writeRecord(buffer: Buffer, start: number, tag: number, span: RecordSpan, content: Buffer): number {
  const { offset, timestamp, keyAt, keyLength, valueAt, valueLength, headers } = span;
  buffer[start] = tag;
  let at = writeUnsigned(buffer, start + 1, sizeOf(span));
  if (offset !== 0) at = writeNumber(buffer, at, OFFSET_TAG, offset);
  if (timestamp !== 0) at = writeNumber(buffer, at, TIMESTAMP_TAG, timestamp);
  if (keyLength >= 0) at = writeBytes(buffer, at, KEY_TAG, content, keyAt, keyLength);
  if (valueLength >= 0) at = writeBytes(buffer, at, VALUE_TAG, content, valueAt, valueLength);
  for (const header of headers) at = writeHeader(buffer, at, header);
  return at;
}

function sizeOf({ offset, timestamp, keyLength, valueLength, headers }: RecordSpan): number {
  let size = 0;
  if (offset !== 0) size += 1 + sizeOfUnsigned(offset);
  if (timestamp !== 0) size += 1 + sizeOfUnsigned(timestamp);
  if (keyLength >= 0) size += 1 + sizeOfUnsigned(keyLength) + keyLength;
  if (valueLength >= 0) size += 1 + sizeOfUnsigned(valueLength) + valueLength;
  for (const header of headers) {
    const inner = sizeOfHeader(header);
    size += 1 + sizeOfUnsigned(inner) + inner;
  }
  return size;
}

function sizeOfHeader({ key, value }: RecordHeader): number {
  const keyBytes = Buffer.byteLength(key);
  const keySize = keyBytes === 0 ? 0 : 1 + sizeOfUnsigned(keyBytes) + keyBytes;
  return value === null ? keySize : keySize + 1 + sizeOfUnsigned(value.length) + value.length;
}

function writeHeader(buffer: Buffer, start: number, header: RecordHeader): number {
  buffer[start] = HEADER_TAG;
  let at = writeUnsigned(buffer, start + 1, sizeOfHeader(header));
  const keyBytes = Buffer.byteLength(header.key);
  if (keyBytes > 0) {
    buffer[at] = HEADER_KEY_TAG;
    at = writeUnsigned(buffer, at + 1, keyBytes);
    at += buffer.write(header.key, at, keyBytes, 'utf8');
  }
  const { value } = header;
  if (value === null) return at;
  buffer[at] = HEADER_VALUE_TAG;
  at = writeUnsigned(buffer, at + 1, value.length);
  buffer.set(value, at);
  return at + value.length;
}

function writeNumber(buffer: Buffer, at: number, tag: number, value: number): number {
  buffer[at] = tag;
  return writeUnsigned(buffer, at + 1, value);
}

function writeBytes(buffer: Buffer, at: number, tag: number, from: Buffer, start: number, length: number): number {
  buffer[at] = tag;
  const place = writeUnsigned(buffer, at + 1, length);
  from.copy(buffer, place, start, start + length);
  return place + length;
}

const INT32_BOUND = 2 ** 31;
/** A negative int64, of which -1 is the only one here, takes ten bytes. */
const NEGATIVE_BYTES = 10;

/** Bytes of a protobuf varint of a safe integer from -1 on. */
export function sizeOfUnsigned(value: number): number {
  if (value < 0) return NEGATIVE_BYTES;
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
  return size;
}

/** Writes a protobuf varint of a safe integer from -1 on, and returns the position after it. The caller has made room. */
export function writeUnsigned(bytes: Uint8Array, start: number, value: number): number {
  let at = start;
  if (value < 0) {
    for (; at < start + NEGATIVE_BYTES - 1; at += 1) bytes[at] = 0xff;
    bytes[at] = 0x01;
    return at + 1;
  }
  let rest = value;
  while (rest >= INT32_BOUND) {
    bytes[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}
