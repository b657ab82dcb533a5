/**
 * Reads and checks batch headers. The hot path of every broker: records are not decoded here.
 *
 *   readBatchHeader        structure: lengths, magic, counts, ranges
 *   validateBatch          and the CRC, and a size limit
 *   validateProducerBatch  and what a producer in particular may send
 *
 * Whatever passes has sizes that lie within the buffer, so nobody behind it reads too far.
 */
import { COMPRESSION_TYPES } from '../compression/types.js';
import { crc32c } from '../crc32c.js';
import { BarnabasError } from '../errors.js';
import type { ErrorName } from '../error-table.js';
import * as layout from './layout.js';
import type { BatchHeader } from './types.js';

export interface BatchLimits {
  /** max.message.bytes: the largest batch, its header included. */
  readonly maxBatchBytes?: number;
}

/** The header of the batch at `at`. Does not look at the CRC. */
export function readBatchHeader(buffer: Buffer, at = 0): BatchHeader {
  const sizeInBytes = readSize(buffer, at);
  const attributes = buffer.readUInt16BE(at + layout.ATTRIBUTES_AT);
  const compression = COMPRESSION_TYPES[attributes & layout.COMPRESSION_MASK];
  if (compression === undefined) throw unknownCompression(attributes & layout.COMPRESSION_MASK, at);
  if ((attributes & ~layout.KNOWN_ATTRIBUTES) !== 0) {
    throw refused('UNSUPPORTED_FOR_MESSAGE_FORMAT', 'its attributes use bits that no version defines', at, attributes);
  }
  const baseOffset = layout.readInt64(buffer, at + layout.BASE_OFFSET_AT);
  const lastOffsetDelta = buffer.readInt32BE(at + layout.LAST_OFFSET_DELTA_AT);
  const header: BatchHeader = {
    baseOffset,
    sizeInBytes,
    partitionLeaderEpoch: buffer.readInt32BE(at + layout.PARTITION_LEADER_EPOCH_AT),
    crc: buffer.readUInt32BE(at + layout.CRC_AT),
    compression,
    timestampType: (attributes & layout.LOG_APPEND_TIME_BIT) === 0 ? 'CreateTime' : 'LogAppendTime',
    isTransactional: (attributes & layout.TRANSACTIONAL_BIT) !== 0,
    isControl: (attributes & layout.CONTROL_BIT) !== 0,
    hasDeleteHorizon: (attributes & layout.DELETE_HORIZON_BIT) !== 0,
    lastOffsetDelta,
    baseTimestamp: layout.readInt64(buffer, at + layout.BASE_TIMESTAMP_AT),
    maxTimestamp: layout.readInt64(buffer, at + layout.MAX_TIMESTAMP_AT),
    producerId: layout.readInt64(buffer, at + layout.PRODUCER_ID_AT),
    producerEpoch: buffer.readInt16BE(at + layout.PRODUCER_EPOCH_AT),
    baseSequence: buffer.readInt32BE(at + layout.BASE_SEQUENCE_AT),
    recordCount: buffer.readInt32BE(at + layout.RECORD_COUNT_AT),
    lastOffset: baseOffset + lastOffsetDelta,
  };
  checkRanges(header, at);
  checkCount(header, at);
  return header;
}

/** The header of the batch at `at`, whose CRC is right and whose size is within the limits. */
export function validateBatch(buffer: Buffer, at = 0, limits: BatchLimits = {}): BatchHeader {
  const header = readBatchHeader(buffer, at);
  const { maxBatchBytes } = limits;
  if (maxBatchBytes !== undefined && header.sizeInBytes > maxBatchBytes) {
    throw new BarnabasError(
      'MESSAGE_TOO_LARGE',
      `a batch of ${header.sizeInBytes} bytes is larger than max.message.bytes (${maxBatchBytes}): send smaller batches`,
      { sizeInBytes: header.sizeInBytes, maxBatchBytes },
    );
  }
  const crc = computeCrc(buffer, at, header.sizeInBytes);
  if (crc !== header.crc) {
    throw new BarnabasError(
      'CORRUPT_MESSAGE',
      `the batch at byte ${at} fails its CRC: its bytes have changed since it was built`,
      {
        at,
        baseOffset: header.baseOffset,
        expected: header.crc,
        actual: crc,
      },
    );
  }
  return header;
}

/** Refuses with INVALID_RECORD what a stored batch may be but a producer may not send. */
export function validateProducerBatch(header: BatchHeader): void {
  const { recordCount, lastOffsetDelta, producerId, producerEpoch, baseSequence } = header;
  if (recordCount === 0) throw invalid('it is empty');
  // With strictly increasing deltas, which decoding checks, this makes them 0 to recordCount - 1.
  if (lastOffsetDelta !== recordCount - 1) throw invalid(`its last offset delta must be ${recordCount - 1}`);
  if (header.isControl) throw invalid('only the server writes control batches');
  if (header.hasDeleteHorizon) throw invalid('only compaction sets a delete horizon');
  if (header.timestampType === 'LogAppendTime') {
    throw new BarnabasError('INVALID_TIMESTAMP', 'a producer sends CreateTime; the topic decides on LogAppendTime');
  }
  if (producerId === -1) {
    if (header.isTransactional) throw invalid('a transactional batch needs a producer id');
  } else if (producerEpoch < 0 || baseSequence < 0) {
    throw invalid('a producer id comes with an epoch and a base sequence of 0 or more');
  }
}

/** One batch among others in a buffer. `bytes` is a view. */
export interface BatchSlice {
  readonly header: BatchHeader;
  /** Where it begins in the buffer. */
  readonly at: number;
  readonly bytes: Buffer;
}

/** The batches of a buffer one after the other; a rest that is no batch is an error. */
export function* splitBatches(buffer: Buffer): Generator<BatchSlice, void, undefined> {
  let at = 0;
  while (at < buffer.length) {
    const header = readBatchHeader(buffer, at);
    yield { header, at, bytes: buffer.subarray(at, at + header.sizeInBytes) };
    at += header.sizeInBytes;
  }
}

/** The same without slices, for hot paths. */
export function forEachBatch(buffer: Buffer, visit: (header: BatchHeader, at: number) => void): void {
  let at = 0;
  while (at < buffer.length) {
    const header = readBatchHeader(buffer, at);
    visit(header, at);
    at += header.sizeInBytes;
  }
}

/**
 * The leader epoch of the last batch of a buffer of whole batches; -1 if there is none, or if what is
 * there is no batch: whoever reads it finds out what is wrong.
 */
export function lastLeaderEpoch(buffer: Buffer): number {
  let epoch = -1;
  for (let at = 0; at + layout.RECORDS_AT <= buffer.length; ) {
    const batchLength = buffer.readInt32BE(at + layout.BATCH_LENGTH_AT);
    if (batchLength + layout.LENGTH_OVERHEAD_BYTES < layout.RECORDS_AT) return -1;
    epoch = buffer.readInt32BE(at + layout.PARTITION_LEADER_EPOCH_AT);
    at += batchLength + layout.LENGTH_OVERHEAD_BYTES;
  }
  return epoch;
}

/** CRC32C over what the CRC covers. The batch is known to lie within the buffer. */
export function computeCrc(buffer: Buffer, at: number, sizeInBytes: number): number {
  return crc32c(buffer.subarray(at + layout.ATTRIBUTES_AT, at + sizeInBytes));
}

/** Magic and length: nothing else of a batch may be read before these are known to be right. */
function readSize(buffer: Buffer, at: number): number {
  const available = buffer.length - at;
  if (available > layout.MAGIC_AT) {
    const magic = buffer.readInt8(at + layout.MAGIC_AT);
    if (magic === 0 || magic === 1) {
      throw refused('UNSUPPORTED_FOR_MESSAGE_FORMAT', 'it is a message set of before Kafka 0.11', at, magic);
    }
    if (magic !== layout.MAGIC) throw refused('CORRUPT_MESSAGE', `its magic is not ${layout.MAGIC}`, at, magic);
  }
  if (available < layout.RECORDS_AT) throw refused('CORRUPT_MESSAGE', 'its header is cut short', at, available);
  const batchLength = buffer.readInt32BE(at + layout.BATCH_LENGTH_AT);
  const sizeInBytes = batchLength + layout.LENGTH_OVERHEAD_BYTES;
  if (sizeInBytes < layout.RECORDS_AT) {
    throw refused('CORRUPT_MESSAGE', 'its length is too small for a header', at, batchLength);
  }
  if (sizeInBytes > available) throw refused('CORRUPT_MESSAGE', 'it is cut short', at, batchLength);
  return sizeInBytes;
}

function checkRanges(header: BatchHeader, at: number): void {
  checkFrom(0, header.baseOffset, 'base offset', at);
  checkFrom(-1, header.partitionLeaderEpoch, 'partition leader epoch', at);
  checkFrom(0, header.lastOffsetDelta, 'last offset delta', at);
  checkFrom(0, header.lastOffset, 'last offset', at);
  checkFrom(-1, header.baseTimestamp, 'base timestamp', at);
  checkFrom(-1, header.maxTimestamp, 'max timestamp', at);
  checkFrom(-1, header.producerId, 'producer id', at);
  checkFrom(-1, header.producerEpoch, 'producer epoch', at);
  checkFrom(-1, header.baseSequence, 'base sequence', at);
}

function checkFrom(lowest: number, value: number, field: string, at: number): void {
  if (value < lowest || value > Number.MAX_SAFE_INTEGER) {
    throw refused('CORRUPT_MESSAGE', `its ${field} is out of range`, at, value);
  }
}

/** A count that the bytes cannot hold is refused before anyone makes an array of that length. */
function checkCount(header: BatchHeader, at: number): void {
  const { recordCount, lastOffsetDelta, compression } = header;
  const payloadBytes = header.sizeInBytes - layout.RECORDS_AT;
  if (recordCount < 0 || recordCount > lastOffsetDelta + 1) {
    throw refused('CORRUPT_MESSAGE', 'its record count does not fit its offsets', at, recordCount);
  }
  const fewestBytes = compression === 'none' ? recordCount * layout.SMALLEST_RECORD_BYTES : Math.min(recordCount, 1);
  if (payloadBytes < fewestBytes) {
    throw refused('CORRUPT_MESSAGE', 'its record count is more than its bytes can hold', at, recordCount);
  }
  if (recordCount === 0 && payloadBytes !== 0) {
    throw refused('CORRUPT_MESSAGE', 'it has no records but bytes behind its header', at, payloadBytes);
  }
}

function unknownCompression(code: number, at: number): BarnabasError {
  return refused('UNSUPPORTED_COMPRESSION_TYPE', `its compression type ${code} is not known`, at, code);
}

function refused(name: ErrorName, why: string, at: number, value: number): BarnabasError {
  return new BarnabasError(name, `the batch at byte ${at} is refused: ${why}`, { at, value });
}

function invalid(why: string): BarnabasError {
  return new BarnabasError('INVALID_RECORD', `a producer may not send this batch: ${why}`);
}
