/** The compression types of record batches and their numbers in the batch attributes. */

/** Kafka's `compression.type` of a producer. */
export type CompressionType = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';

/** By number in the batch attributes. */
export const COMPRESSION_TYPES = [
  'none',
  'gzip',
  'snappy',
  'lz4',
  'zstd',
] as const satisfies readonly CompressionType[];

/** The number that stands in the batch attributes. */
export function compressionCode(type: CompressionType): number {
  return COMPRESSION_TYPES.indexOf(type);
}
