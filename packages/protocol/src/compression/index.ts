/**
 * Compression of a batch's records: one way in, one way out, whatever the type.
 * Framing of each type: docs/protocols/record-batch.md, section 5.
 */
import { BarnabasError } from '../errors.js';
import { GZIP_LEVELS, gzipCompress, gzipDecompress } from './gzip.js';
import { DEFAULT_MAX_DECOMPRESSED_BYTES, tooLargeWhenDecompressed } from './limits.js';
import { lz4Compress, lz4Decompress } from './lz4.js';
import { snappyCompress, snappyDecompress } from './snappy.js';
import type { CompressionType } from './types.js';
import { ZSTD_LEVELS, zstdCompress, zstdDecompress } from './zstd.js';

export { DEFAULT_MAX_DECOMPRESSED_BYTES } from './limits.js';
export * from './types.js';

interface Levels {
  readonly lowest: number;
  readonly highest: number;
  readonly default: number;
}

/** Which types have levels, and which (Kafka's compression.gzip.level and compression.zstd.level). */
export const COMPRESSION_LEVELS: { readonly [Type in CompressionType]: Levels | undefined } = {
  none: undefined,
  gzip: GZIP_LEVELS,
  snappy: undefined,
  lz4: undefined,
  zstd: ZSTD_LEVELS,
};

/** The level to use; refuses one that the type does not have. */
export function compressionLevel(type: CompressionType, level: number | undefined): number {
  const levels = COMPRESSION_LEVELS[type];
  if (level === undefined) return levels?.default ?? 0;
  if (levels === undefined) throw new BarnabasError('INVALID_CONFIG', `${type} has no compression level: leave it out`);
  if (!Number.isInteger(level) || level < levels.lowest || level > levels.highest) {
    throw new BarnabasError(
      'INVALID_CONFIG',
      `the compression level of ${type} must be ${levels.lowest} to ${levels.highest}, not ${level}`,
      { level },
    );
  }
  return level;
}

/** `data` compressed; for 'none' the same bytes, not a copy. */
export function compress(type: CompressionType, data: Uint8Array, level?: number): Buffer {
  const checkedLevel = compressionLevel(type, level);
  switch (type) {
    case 'none':
      return view(data);
    case 'gzip':
      return gzipCompress(data, checkedLevel);
    case 'snappy':
      return snappyCompress(data);
    case 'lz4':
      return lz4Compress(data);
    case 'zstd':
      return zstdCompress(data, checkedLevel);
  }
}

/**
 * `data` decompressed; for 'none' the same bytes, not a copy. Never yields more than `maxBytes`:
 * MESSAGE_TOO_LARGE then, and CORRUPT_MESSAGE for data that does not follow its format.
 */
export function decompress(
  type: CompressionType,
  data: Uint8Array,
  maxBytes: number = DEFAULT_MAX_DECOMPRESSED_BYTES,
): Buffer {
  switch (type) {
    case 'none':
      if (data.length > maxBytes) throw tooLargeWhenDecompressed('none', maxBytes);
      return view(data);
    case 'gzip':
      return gzipDecompress(data, maxBytes);
    case 'snappy':
      return snappyDecompress(data, maxBytes);
    case 'lz4':
      return lz4Decompress(data, maxBytes);
    case 'zstd':
      return zstdDecompress(data, maxBytes);
  }
}

function view(data: Uint8Array): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.length);
}
