/**
 * LZ4 in the frame format, as Kafka has it in batches of magic 2: independent blocks, no content
 * checksum when writing; any valid single frame when reading.
 */
import { compressFrameSync, decompressFrameSync } from 'lz4-napi';
import { undecodable } from './limits.js';
import { lz4ContentSize } from './lz4-frame.js';

export function lz4Compress(data: Uint8Array): Buffer {
  return compressFrameSync(asBuffer(data));
}

export function lz4Decompress(data: Uint8Array, maxBytes: number): Buffer {
  const size = lz4ContentSize(data, maxBytes);
  let content: Buffer;
  try {
    content = decompressFrameSync(asBuffer(data));
  } catch (error) {
    throw undecodable('lz4', error);
  }
  if (content.length !== size) throw undecodable('lz4', 'the content is not as long as its blocks say');
  return content;
}

function asBuffer(data: Uint8Array): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.length);
}
