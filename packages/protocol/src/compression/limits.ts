/**
 * What every codec shares: the cap on decompressed size and the two ways to refuse.
 *
 * A codec learns an upper bound of the decompressed size (declared, or found by walking the frame)
 * and refuses before it allocates; where a format allows no such bound (gzip), it streams and stops
 * at the cap. No codec hands out more than `maxBytes` bytes, and none allocates more than a small
 * multiple of them.
 */
import { BarnabasError } from '../errors.js';
import type { CompressionType } from './types.js';

/** The cap where the caller names none. */
export const DEFAULT_MAX_DECOMPRESSED_BYTES = 64 * 1024 * 1024;

/** The data decompresses to more than the reader allows. */
export function tooLargeWhenDecompressed(type: CompressionType, maxBytes: number): BarnabasError {
  return new BarnabasError(
    'MESSAGE_TOO_LARGE',
    `the ${type} data of a batch decompresses to more than ${maxBytes} bytes: send smaller batches`,
    { compression: type, maxBytes },
  );
}

/** The compressed data does not follow its format. `why` is what a codec threw, or our own words. */
export function undecodable(type: CompressionType, why: unknown): BarnabasError {
  return new BarnabasError('CORRUPT_MESSAGE', `the ${type} data of a batch cannot be decompressed: ${String(why)}`);
}

/** Whether node:zlib stopped because its output reached `maxOutputLength`. */
export function isOverCap(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
}
