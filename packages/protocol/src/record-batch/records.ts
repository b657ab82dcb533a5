/**
 * Decodes the records of a batch, one at a time or all at once.
 *
 * The batch header is checked here, its CRC is not: a reader that does not trust the bytes calls
 * validateBatch first. Keys, values and header values are views: of the batch where it is not
 * compressed, of the decompressed bytes otherwise. Copy them to keep them longer than the batch.
 *
 * Record := length attributes timestampDelta offsetDelta key value headerCount (name value)*
 *   length, offsetDelta, headerCount => varint;  timestampDelta => varlong;  attributes => int8
 *   key, value, name => varint length (-1 is null, not for a name), then the bytes
 */
import { DEFAULT_MAX_DECOMPRESSED_BYTES, decompress } from '../compression/index.js';
import { BarnabasError } from '../errors.js';
import { VarintReader } from '../varint.js';
import { readBatchHeader } from './header.js';
import { RECORDS_AT, SMALLEST_RECORD_BYTES } from './layout.js';
import type { BatchHeader, RecordHeader, StoredRecord } from './types.js';

export interface DecodeOptions {
  /** The most that compressed records may expand to. */
  readonly maxDecompressedBytes?: number;
}

/** Where a record's parts stand in a reader's `content`; one object serves for many records. */
export interface RecordSpan {
  offset: number;
  timestamp: number;
  keyAt: number;
  /** -1: null. */
  keyLength: number;
  valueAt: number;
  /** -1: null. */
  valueLength: number;
  headers: readonly RecordHeader[];
}

const NO_HEADERS: readonly RecordHeader[] = Object.freeze([]);
/** A name and a value, each with a length of one byte. */
const SMALLEST_HEADER_BYTES = 2;

/** All records of the batch at `at`. */
export function decodeRecords(batch: Buffer, at = 0, options: DecodeOptions = {}): StoredRecord[] {
  const reader = new RecordReader(batch, at, options);
  const records = new Array<StoredRecord>(reader.header.recordCount);
  for (let index = 0; index < records.length; index++) records[index] = reader.read();
  reader.finish();
  return records;
}

/** The records of the batch at `at` as they are asked for; whoever stops early pays for no more. */
export function* iterateRecords(
  batch: Buffer,
  at = 0,
  options: DecodeOptions = {},
): Generator<StoredRecord, void, undefined> {
  const reader = new RecordReader(batch, at, options);
  while (reader.remaining > 0) yield reader.read();
  reader.finish();
}

/** Reads the records of one batch in order. */
export class RecordReader {
  readonly header: BatchHeader;
  readonly #bytes: Buffer;
  readonly #varints: VarintReader;
  readonly #hasOwnTimestamps: boolean;
  #remaining: number;
  #lastDelta = -1;

  constructor(batch: Buffer, at = 0, options: DecodeOptions = {}) {
    const header = readBatchHeader(batch, at);
    const { compression, recordCount, sizeInBytes } = header;
    const end = at + sizeInBytes;
    this.header = header;
    this.#hasOwnTimestamps = header.timestampType === 'CreateTime';
    this.#remaining = recordCount;
    if (compression === 'none' || recordCount === 0) {
      this.#bytes = batch;
      this.#varints = new VarintReader(batch, at + RECORDS_AT, end);
      return;
    }
    const maxBytes = options.maxDecompressedBytes ?? DEFAULT_MAX_DECOMPRESSED_BYTES;
    const content = decompress(compression, batch.subarray(at + RECORDS_AT, end), maxBytes);
    if (recordCount * SMALLEST_RECORD_BYTES > content.length) {
      throw new BarnabasError('CORRUPT_MESSAGE', 'a batch counts more records than its bytes can hold', {
        recordCount,
        bytes: content.length,
      });
    }
    this.#bytes = content;
    this.#varints = new VarintReader(content, 0, content.length);
  }

  /** Records not read yet. */
  get remaining(): number {
    return this.#remaining;
  }

  /** The records' bytes, decompressed where they were compressed. */
  get content(): Buffer {
    return this.#bytes;
  }

  /** Where the next record begins in `content`. */
  get position(): number {
    return this.#varints.position;
  }

  /** The next record; only while `remaining` is above 0. */
  read(): StoredRecord {
    const varints = this.#varints;
    const end = this.#recordEnd();
    const timestamp = this.#timestamp(varints.readVarlong());
    const offset = this.#offset(varints.readVarint());
    const key = this.#nullableBytes(end);
    const value = this.#nullableBytes(end);
    const headers = this.#headers(end);
    this.#endRecord(end);
    return { offset, timestamp, key, value, headers };
  }

  /** The same as `read`, but says only where things stand in `content`: allocates nothing for a record without headers. */
  readSpan(span: RecordSpan): void {
    const varints = this.#varints;
    const end = this.#recordEnd();
    span.timestamp = this.#timestamp(varints.readVarlong());
    span.offset = this.#offset(varints.readVarint());
    span.keyLength = this.#skipNullableBytes(end);
    span.keyAt = varints.position - Math.max(0, span.keyLength);
    span.valueLength = this.#skipNullableBytes(end);
    span.valueAt = varints.position - Math.max(0, span.valueLength);
    span.headers = this.#headers(end);
    this.#endRecord(end);
  }

  /** Checks that nothing stands behind the last record. */
  finish(): void {
    const { position, end } = this.#varints;
    if (position !== end) throw invalid(`${end - position} bytes follow the last record`, position);
  }

  #timestamp(delta: number): number {
    if (!this.#hasOwnTimestamps) return this.header.maxTimestamp;
    const timestamp = this.header.baseTimestamp + delta;
    if (timestamp < -1 || timestamp > Number.MAX_SAFE_INTEGER) {
      throw invalid('its timestamp is out of range', this.#varints.position);
    }
    return timestamp;
  }

  #offset(delta: number): number {
    if (delta <= this.#lastDelta || delta > this.header.lastOffsetDelta) {
      throw invalid('offsets must grow and end at the last offset of the batch', this.#varints.position);
    }
    this.#lastDelta = delta;
    return this.header.baseOffset + delta;
  }

  /** Where the record ends whose length comes next. */
  #recordEnd(): number {
    const varints = this.#varints;
    if (this.#remaining <= 0) throw invalid('there is no record left', varints.position);
    const length = varints.readVarint();
    const end = varints.position + length;
    if (length < SMALLEST_RECORD_BYTES - 1 || end > varints.end) throw invalid('its length is wrong', varints.position);
    varints.position++; // attributes: no bit is in use
    return end;
  }

  #endRecord(end: number): void {
    const { position } = this.#varints;
    if (position !== end) throw invalid('it is not as long as it says', position);
    this.#remaining--;
  }

  #nullableBytes(end: number): Buffer | null {
    const length = this.#skipNullableBytes(end);
    if (length === -1) return null;
    const { position } = this.#varints;
    return this.#bytes.subarray(position - length, position);
  }

  /** Passes bytes over, and says how many there were; -1: null. */
  #skipNullableBytes(end: number): number {
    const varints = this.#varints;
    const length = varints.readVarint();
    if (length === -1) return -1;
    const start = varints.position;
    if (length < 0 || length > end - start) throw invalid('a length in it is wrong', start);
    varints.position = start + length;
    return length;
  }

  #headers(end: number): readonly RecordHeader[] {
    const varints = this.#varints;
    const count = varints.readVarint();
    if (count === 0) return NO_HEADERS;
    if (count < 0 || count > (end - varints.position) / SMALLEST_HEADER_BYTES) {
      throw invalid('it counts more headers than its bytes can hold', varints.position);
    }
    const headers = new Array<RecordHeader>(count);
    for (let index = 0; index < count; index++) {
      headers[index] = { key: this.#headerName(end), value: this.#nullableBytes(end) };
    }
    return headers;
  }

  #headerName(end: number): string {
    const varints = this.#varints;
    const length = varints.readVarint();
    const start = varints.position;
    if (length < 0 || length > end - start) throw invalid('the length of a header name is wrong', start);
    varints.position = start + length;
    return this.#bytes.toString('utf8', start, start + length);
  }
}

function invalid(why: string, position: number): BarnabasError {
  return new BarnabasError('INVALID_RECORD', `a record before byte ${position} is refused: ${why}`, { position });
}
