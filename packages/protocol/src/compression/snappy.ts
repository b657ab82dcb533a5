/**
 * Snappy, as Java's Kafka client frames it: a 16-byte xerial header, then blocks, each behind its
 * length. Bare snappy blocks, which other clients write, are read as well.
 *
 * Every snappy block begins with its decompressed size, so the total is known before anything is
 * allocated. A block that declares more than snappy can reach is refused: a few bytes must not
 * reserve megabytes.
 */
import { compressSync, uncompressSync } from 'snappy';
import { tooLargeWhenDecompressed, undecodable } from './limits.js';

/** 0x82 "SNAPPY" 0x00, version 1, compatible version 1. */
const XERIAL_HEADER = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
const XERIAL_MAGIC_BYTES = 8;
/** What Java's SnappyOutputStream puts into one block. */
const XERIAL_BLOCK_BYTES = 32 * 1024;
/** The densest element, a copy with a two-byte offset, makes 64 bytes out of 3. */
const MAX_EXPANSION = 64 / 3;

export function snappyCompress(data: Uint8Array): Buffer {
  const parts: Buffer[] = [XERIAL_HEADER];
  for (let at = 0; at < data.length; at += XERIAL_BLOCK_BYTES) {
    const block = compressSync(data.subarray(at, at + XERIAL_BLOCK_BYTES));
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

export function snappyDecompress(data: Uint8Array, maxBytes: number): Buffer {
  const blocks = isXerial(data) ? xerialBlocks(data) : [data];
  const sizes = blocks.map(declaredSize);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total > maxBytes) throw tooLargeWhenDecompressed('snappy', maxBytes);
  const [only] = blocks;
  if (blocks.length === 1 && only !== undefined) return uncompressBlock(only);
  return Buffer.concat(blocks.map(uncompressBlock), total);
}

function isXerial(data: Uint8Array): boolean {
  if (data.length < XERIAL_HEADER.length) return false;
  for (let index = 0; index < XERIAL_MAGIC_BYTES; index++) if (data[index] !== XERIAL_HEADER[index]) return false;
  return true;
}

function xerialBlocks(data: Uint8Array): Uint8Array[] {
  const view = Buffer.from(data.buffer, data.byteOffset, data.length);
  if (view.readUInt32BE(12) !== 1) throw undecodable('snappy', 'this xerial framing needs a newer reader');
  const blocks: Uint8Array[] = [];
  let at = XERIAL_HEADER.length;
  while (at < view.length) {
    if (at + 4 > view.length) throw undecodable('snappy', 'a block length is cut short');
    const length = view.readUInt32BE(at);
    at += 4;
    if (length > view.length - at) throw undecodable('snappy', 'a block is cut short');
    blocks.push(view.subarray(at, at + length));
    at += length;
  }
  return blocks;
}

/** The varint in front of a block: an unsigned 32-bit number. */
function declaredSize(block: Uint8Array): number {
  let size = 0;
  for (let index = 0; index < 5; index++) {
    const byte = block[index];
    if (byte === undefined) throw undecodable('snappy', 'a block has no size');
    size += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) {
      if (size > block.length * MAX_EXPANSION) throw undecodable('snappy', 'a block declares more than it can hold');
      return size;
    }
  }
  throw undecodable('snappy', 'the size of a block is no 32-bit number');
}

function uncompressBlock(block: Uint8Array): Buffer {
  try {
    return uncompressSync(block, { asBuffer: true }) as Buffer;
  } catch (error) {
    throw undecodable('snappy', error);
  }
}
