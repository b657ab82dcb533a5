/**
 * Makes batches what the topic's compression.type asks for, before they are appended. Nearly every
 * topic says 'producer', and then nothing is done; otherwise records are decoded and encoded again.
 * Pure, and the only place of the log that decodes records to write them.
 */
import { BarnabasError, BatchBuilder, decodeRecords, splitBatches, validateBatch } from '@barnabas/protocol';
import type { BatchHeader, CompressionType } from '@barnabas/protocol';
import type { LogConfig } from './log-config.js';

/** The most that one batch may decompress to, so that a small request cannot take all memory. */
const MAX_DECOMPRESSED_BYTES = 64 * 1024 * 1024;

/** Control batches stay as they are. */
function conforms(header: BatchHeader, config: LogConfig): boolean {
  return config.compressionType === 'producer' || header.isControl || header.compression === wanted(config);
}

/**
 * The same buffer when there is nothing to do. Throws CORRUPT_MESSAGE or INVALID_RECORD for batches
 * that do not decode, MESSAGE_TOO_LARGE for ones that decompress beyond all measure.
 */
export function conformBatches(batches: Buffer, config: LogConfig): Buffer {
  if (config.compressionType === 'producer') return batches;
  const slices = [...splitBatches(batches)];
  if (slices.every(({ header }) => conforms(header, config))) return batches;
  return Buffer.concat(
    slices.map(({ header, bytes }) => {
      if (conforms(header, config)) return bytes;
      validateBatch(bytes, 0, { maxBatchBytes: config.maxMessageBytes });
      return reencode(header, bytes, config);
    }),
  );
}

function reencode(header: BatchHeader, batch: Buffer, config: LogConfig): Buffer {
  const compression = wanted(config);
  const level = levelFor(compression, config);
  const builder = new BatchBuilder({
    compression,
    ...(level === undefined ? {} : { compressionLevel: level }),
    maxBytes: MAX_DECOMPRESSED_BYTES,
    maxBatchBytes: MAX_DECOMPRESSED_BYTES,
  });
  for (const record of decodeRecords(batch, 0, { maxDecompressedBytes: MAX_DECOMPRESSED_BYTES })) {
    if (!builder.tryAppend(record)) {
      throw new BarnabasError(
        'MESSAGE_TOO_LARGE',
        `a batch decompresses to more than ${MAX_DECOMPRESSED_BYTES} bytes: send smaller batches`,
        { maxBytes: MAX_DECOMPRESSED_BYTES },
      );
    }
  }
  const { producerId, producerEpoch, baseSequence, isTransactional } = header;
  return builder.build({ producerId, producerEpoch, baseSequence, isTransactional });
}

function wanted(config: LogConfig): CompressionType {
  const { compressionType } = config;
  return compressionType === 'uncompressed' || compressionType === 'producer' ? 'none' : compressionType;
}

/** Undefined leaves the choice to the codec. */
function levelFor(compression: CompressionType, config: LogConfig): number | undefined {
  if (compression === 'gzip') return config.compressionGzipLevel === -1 ? undefined : config.compressionGzipLevel;
  return compression === 'zstd' ? config.compressionZstdLevel : undefined;
}
