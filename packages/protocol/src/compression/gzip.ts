/** gzip by node:zlib. The format bounds nothing in advance, so inflation streams and stops at the cap. */
import { gunzipSync, gzipSync } from 'node:zlib';
import { isOverCap, tooLargeWhenDecompressed, undecodable } from './limits.js';

export const GZIP_LEVELS = { lowest: 1, highest: 9, default: 1 };

export function gzipCompress(data: Uint8Array, level: number): Buffer {
  return gzipSync(data, { level });
}

/** Inflation works in pieces of this size, so that it overshoots the cap by no more. */
const CHUNK_BYTES = 64 * 1024;

interface InflatedWithInfo {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

export function gzipDecompress(data: Uint8Array, maxBytes: number): Buffer {
  let inflated: InflatedWithInfo;
  try {
    // `info` is documented, but missing from the types: it tells how much of the input was used.
    const options = { maxOutputLength: Math.max(maxBytes, 1), chunkSize: CHUNK_BYTES, info: true };
    inflated = gunzipSync(data, options) as unknown as InflatedWithInfo;
  } catch (error) {
    if (isOverCap(error)) throw tooLargeWhenDecompressed('gzip', maxBytes);
    throw undecodable('gzip', error);
  }
  if (inflated.engine.bytesWritten !== data.length) throw undecodable('gzip', 'bytes follow the end of the stream');
  if (inflated.buffer.length > maxBytes) throw tooLargeWhenDecompressed('gzip', maxBytes);
  return inflated.buffer;
}
