/**
 * Walks an LZ4 frame without decompressing it and tells how large its content is.
 *
 * Neither a frame nor a block has to declare its size, so the walk reads every block's sequences
 * (a token, literals, a match) and adds up what they make: exact, and a small part of the cost of
 * decompressing. Checksums and match offsets are left to the decoder.
 * Format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
import { tooLargeWhenDecompressed, undecodable } from './limits.js';

const MAGIC = 0x184d2204;
/** Bytes of a block by the number in the frame's block descriptor. */
const BLOCK_MAX_BYTES: readonly (number | undefined)[] = [
  undefined,
  undefined,
  undefined,
  undefined,
  64 * 1024,
  256 * 1024,
  1024 * 1024,
  4 * 1024 * 1024,
];
const UNCOMPRESSED_BLOCK = 0x8000_0000;

interface Lz4FrameHeader {
  readonly headerBytes: number;
  readonly blockMaxBytes: number;
  readonly blockChecksumBytes: 0 | 4;
  readonly contentChecksumBytes: 0 | 4;
  readonly contentSize: number | undefined;
}

/** The size of the frame's content; refuses anything but one whole frame whose content is at most `maxBytes`. */
export function lz4ContentSize(data: Uint8Array, maxBytes: number): number {
  const frame = Buffer.from(data.buffer, data.byteOffset, data.length);
  const header = readHeader(frame);
  if (header.contentSize !== undefined && header.contentSize > maxBytes)
    throw tooLargeWhenDecompressed('lz4', maxBytes);
  let at = header.headerBytes;
  let total = 0;
  for (;;) {
    if (at + 4 > frame.length) throw undecodable('lz4', 'the frame has no end mark');
    const word = frame.readUInt32LE(at);
    at += 4;
    if (word === 0) break;
    const size = word % UNCOMPRESSED_BLOCK;
    if (size > header.blockMaxBytes || size > frame.length - at) throw undecodable('lz4', 'a block is cut short');
    const contentSize = word >= UNCOMPRESSED_BLOCK ? size : blockContentSize(frame, at, at + size);
    if (contentSize > header.blockMaxBytes) throw undecodable('lz4', 'a block is larger than its frame allows');
    total += contentSize;
    if (total > maxBytes) throw tooLargeWhenDecompressed('lz4', maxBytes);
    at += size + header.blockChecksumBytes;
  }
  if (at + header.contentChecksumBytes !== frame.length)
    throw undecodable('lz4', 'the frame does not end with the data');
  if (header.contentSize !== undefined && header.contentSize !== total) {
    throw undecodable('lz4', 'the declared content size is wrong');
  }
  return total;
}

function readHeader(frame: Buffer): Lz4FrameHeader {
  if (frame.length < 7 || frame.readUInt32LE(0) !== MAGIC) throw undecodable('lz4', 'this is no LZ4 frame');
  const flags = frame.readUInt8(4);
  const descriptor = frame.readUInt8(5);
  if (flags >>> 6 !== 1 || (flags & 0x02) !== 0) throw undecodable('lz4', 'the frame version is not supported');
  if ((flags & 0x01) !== 0) throw undecodable('lz4', 'the frame wants a dictionary');
  const blockMaxBytes = BLOCK_MAX_BYTES[(descriptor >>> 4) & 0x07];
  if (blockMaxBytes === undefined || (descriptor & 0x8f) !== 0)
    throw undecodable('lz4', 'the block size is not supported');
  const hasContentSize = (flags & 0x08) !== 0;
  const headerBytes = hasContentSize ? 15 : 7;
  if (frame.length < headerBytes) throw undecodable('lz4', 'the frame header is cut short');
  return {
    headerBytes,
    blockMaxBytes,
    blockChecksumBytes: (flags & 0x10) === 0 ? 0 : 4,
    contentChecksumBytes: (flags & 0x04) === 0 ? 0 : 4,
    contentSize: hasContentSize ? frame.readUInt32LE(6) + frame.readUInt32LE(10) * 2 ** 32 : undefined,
  };
}

/** What the sequences between `start` and `end` decompress to. */
function blockContentSize(frame: Uint8Array, start: number, end: number): number {
  let at = start;
  let size = 0;
  while (at < end) {
    const token = frame[at++] as number;
    let literals = token >>> 4;
    if (literals === 15) {
      let more: number;
      do {
        if (at >= end) throw undecodable('lz4', 'a literal length is cut short');
        more = frame[at++] as number;
        literals += more;
      } while (more === 255);
    }
    at += literals;
    size += literals;
    // The last sequence has literals only.
    if (at === end) return size;
    at += 2;
    if (at > end) throw undecodable('lz4', 'a sequence is cut short');
    let match = (token & 0x0f) + 4;
    if (match === 19) {
      let more: number;
      do {
        if (at >= end) throw undecodable('lz4', 'a match length is cut short');
        more = frame[at++] as number;
        match += more;
      } while (more === 255);
    }
    size += match;
  }
  throw undecodable('lz4', 'a block does not end with literals');
}
