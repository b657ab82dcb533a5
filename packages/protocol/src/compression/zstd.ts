/** zstd by node:zlib where it has it (Node 22.15 and later), else by WebAssembly. */
import * as zlib from 'node:zlib';
import { isOverCap, tooLargeWhenDecompressed, undecodable } from './limits.js';
import { walkZstdFrame } from './zstd-frame.js';
import { zstdCompressByWasm, zstdDecompressByWasm } from './zstd-wasm.js';

export const ZSTD_LEVELS = { lowest: 1, highest: 22, default: 3 };

/** ZSTD_c_compressionLevel. */
const COMPRESSION_LEVEL = 100;
const CHUNK_BYTES = 64 * 1024;

/** What node:zlib gained in 22.15; the types of Node 20 do not know it. */
interface ZlibWithZstd {
  zstdCompressSync(data: Uint8Array, options: { params: { [parameter: number]: number } }): Buffer;
  zstdDecompressSync(data: Uint8Array, options: { maxOutputLength: number; chunkSize: number }): Buffer;
}

const native = 'zstdCompressSync' in zlib ? (zlib as unknown as ZlibWithZstd) : undefined;

export function zstdCompress(data: Uint8Array, level: number): Buffer {
  if (native === undefined) return zstdCompressByWasm(data, level);
  return native.zstdCompressSync(data, { params: { [COMPRESSION_LEVEL]: level } });
}

export function zstdDecompress(data: Uint8Array, maxBytes: number): Buffer {
  const frame = walkZstdFrame(data, maxBytes);
  const content =
    native === undefined ? zstdDecompressByWasm(data, frame, maxBytes) : decompressNatively(native, data, maxBytes);
  if (content.length > maxBytes) throw tooLargeWhenDecompressed('zstd', maxBytes);
  if (frame.contentSize !== undefined && frame.contentSize !== content.length) {
    throw undecodable('zstd', 'the declared content size is wrong');
  }
  return content;
}

function decompressNatively(zlibWithZstd: ZlibWithZstd, data: Uint8Array, maxBytes: number): Buffer {
  try {
    return zlibWithZstd.zstdDecompressSync(data, { maxOutputLength: Math.max(maxBytes, 1), chunkSize: CHUNK_BYTES });
  } catch (error) {
    if (isOverCap(error)) throw tooLargeWhenDecompressed('zstd', maxBytes);
    throw undecodable('zstd', error);
  }
}
