/**
 * Walks a zstd frame without decompressing it and bounds the size of its content.
 *
 * A frame may declare its content size and need not (Java's does not, since it streams). Every block
 * is behind a header, though: raw and run-length blocks tell their size, a compressed one makes at
 * most the block maximum. So the bound is tight to within 128 KiB a compressed block.
 * Format: RFC 8878, section 3.1.1.
 */
import { tooLargeWhenDecompressed, undecodable } from './limits.js';

const MAGIC = 0xfd2fb528;
const BLOCK_MAX_BYTES = 128 * 1024;
/** What zstd itself allows without being told otherwise (--long=27). */
const WINDOW_MAX_BYTES = 128 * 1024 * 1024;
const CONTENT_SIZE_BYTES: readonly number[] = [0, 2, 4, 8];

export interface ZstdFrame {
  /** No more than this comes out. */
  readonly contentBound: number;
  /** Exactly this comes out, where the frame says so. */
  readonly contentSize: number | undefined;
}

interface ZstdFrameHeader {
  readonly headerBytes: number;
  readonly checksumBytes: 0 | 4;
  readonly blockMaxBytes: number;
  readonly contentSize: number | undefined;
}

/** Refuses anything but one whole frame whose content can be `maxBytes` or less. */
export function walkZstdFrame(data: Uint8Array, maxBytes: number): ZstdFrame {
  const frame = Buffer.from(data.buffer, data.byteOffset, data.length);
  const header = readHeader(frame);
  const { contentSize } = header;
  if (contentSize !== undefined && contentSize > maxBytes) throw tooLargeWhenDecompressed('zstd', maxBytes);
  let at = header.headerBytes;
  let atLeast = 0;
  let atMost = 0;
  let isLast = false;
  while (!isLast) {
    if (at + 3 > frame.length) throw undecodable('zstd', 'the frame has no last block');
    const word = frame.readUIntLE(at, 3);
    at += 3;
    isLast = (word & 1) === 1;
    const size = word >>> 3;
    if (size > header.blockMaxBytes) throw undecodable('zstd', 'a block is larger than its frame allows');
    switch ((word >>> 1) & 3) {
      case 0: // raw
        at += size;
        atLeast += size;
        atMost += size;
        break;
      case 1: // one byte, repeated
        at += 1;
        atLeast += size;
        atMost += size;
        break;
      case 2: // compressed
        at += size;
        atMost += header.blockMaxBytes;
        break;
      default:
        throw undecodable('zstd', 'a block is of the reserved type');
    }
    if (atLeast > maxBytes) throw tooLargeWhenDecompressed('zstd', maxBytes);
  }
  if (at + header.checksumBytes !== frame.length) throw undecodable('zstd', 'the frame does not end with the data');
  if (contentSize !== undefined && contentSize > atMost)
    throw undecodable('zstd', 'the frame declares more than it holds');
  return { contentBound: Math.min(contentSize ?? atMost, maxBytes), contentSize };
}

function readHeader(frame: Buffer): ZstdFrameHeader {
  if (frame.length < 6 || frame.readUInt32LE(0) !== MAGIC) throw undecodable('zstd', 'this is no zstd frame');
  const descriptor = frame.readUInt8(4);
  if ((descriptor & 0x08) !== 0) throw undecodable('zstd', 'the frame uses reserved bits');
  if ((descriptor & 0x03) !== 0) throw undecodable('zstd', 'the frame wants a dictionary');
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >>> 6;
  const sizeBytes = sizeFlag === 0 && isSingleSegment ? 1 : (CONTENT_SIZE_BYTES[sizeFlag] ?? 0);
  const sizeAt = 5 + (isSingleSegment ? 0 : 1);
  const headerBytes = sizeAt + sizeBytes;
  if (frame.length < headerBytes) throw undecodable('zstd', 'the frame header is cut short');
  const contentSize = readContentSize(frame, sizeAt, sizeBytes);
  const windowBytes = isSingleSegment ? (contentSize ?? 0) : windowSize(frame.readUInt8(5));
  if (!isSingleSegment && windowBytes > WINDOW_MAX_BYTES)
    throw undecodable('zstd', 'the window is larger than 128 MiB');
  return {
    headerBytes,
    checksumBytes: (descriptor & 0x04) === 0 ? 0 : 4,
    blockMaxBytes: Math.min(windowBytes, BLOCK_MAX_BYTES),
    contentSize,
  };
}

function readContentSize(frame: Buffer, at: number, bytes: number): number | undefined {
  switch (bytes) {
    case 0:
      return undefined;
    case 1:
      return frame.readUInt8(at);
    case 2:
      return frame.readUInt16LE(at) + 256;
    case 4:
      return frame.readUInt32LE(at);
    default:
      return frame.readUInt32LE(at) + frame.readUInt32LE(at + 4) * 2 ** 32;
  }
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >>> 3));
  return base + (base / 8) * (descriptor & 7);
}
