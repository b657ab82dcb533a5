/** What a call is told about endings that no handler chose; the same words over both transports. */
import { BarnabasError } from '@barnabas/protocol';

export function cancelledHere(): BarnabasError {
  return new BarnabasError('NETWORK_EXCEPTION', 'the call was cancelled by its caller', { cancelled: true });
}

export function brokenOffHere(): BarnabasError {
  return new BarnabasError('NETWORK_EXCEPTION', 'the server broke the stream off', { cancelled: true });
}

/** For a server: its caller has cancelled, closed its connection or lost it. */
export function callerGone(): BarnabasError {
  return new BarnabasError('NETWORK_EXCEPTION', 'the caller has cancelled the call or is gone');
}

export function deadlinePassed(): BarnabasError {
  return new BarnabasError('REQUEST_TIMED_OUT', 'the deadline of the call has passed; it may have taken effect');
}

export function readsTooSlowly(bufferedBytes: number, maxBufferedBytes: number): BarnabasError {
  return new BarnabasError(
    'THROTTLING_QUOTA_EXCEEDED',
    'the other side reads too slowly: too much waits for it, so the stream was broken off',
    { bufferedBytes, maxBufferedBytes },
  );
}

export function tooLarge(bytes: number, maxBytes: number): BarnabasError {
  return new BarnabasError('MESSAGE_TOO_LARGE', `the message has ${bytes} bytes; at most ${maxBytes} are allowed`, {
    bytes,
    maxBytes,
  });
}

export function notServed(method: string): BarnabasError {
  return new BarnabasError('UNSUPPORTED_VERSION', `nothing at this address serves ${method}`, { method });
}
