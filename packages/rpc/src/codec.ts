/**
 * Messages to bytes and back, at the edge of the process. grpc-js itself only sees Buffers, so that
 * a message that does not decode becomes a typed refusal instead of an internal error.
 */
import { BarnabasError } from '@barnabas/protocol';
import { tooLarge } from './call-errors.js';
import type { MessageType } from './types.js';

/** Encodes a message to send. Throws MESSAGE_TOO_LARGE. */
export function encodeMessage<T>(type: MessageType<T>, message: T, maxBytes: number): Buffer {
  const bytes = type.encode(message).finish();
  if (bytes.byteLength > maxBytes) throw tooLarge(bytes.byteLength, maxBytes);
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Decodes a caller's message. Throws INVALID_REQUEST for malformed bytes and for integers beyond 2^53. */
export function decodeRequest<T>(type: MessageType<T>, bytes: Uint8Array, method: string): T {
  try {
    return type.decode(bytes);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new BarnabasError('INVALID_REQUEST', `the request message of ${method} does not decode: ${text}`, {
      method,
      bytes: bytes.byteLength,
    });
  }
}

/** Decodes a server's message; one that does not decode is the server's failure. */
export function decodeResponse<T>(type: MessageType<T>, bytes: Uint8Array, method: string): T {
  try {
    return type.decode(bytes);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new BarnabasError('UNKNOWN_SERVER_ERROR', `the answer of ${method} does not decode: ${text}`, {
      method,
      bytes: bytes.byteLength,
    });
  }
}
