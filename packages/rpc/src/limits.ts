/**
 * What one call, stream or connection may cost. Every limit is checked where bytes enter or leave;
 * a peer that sends too much or never reads costs at most what stands here.
 */
import { assert } from '@barnabas/common';

const KiB = 1024;
const MiB = 1024 * KiB;

/** Limits of one call, for both sides and both transports. */
export interface Limits {
  /**
   * Largest message, sent or received; larger ones fail with MESSAGE_TOO_LARGE. Must leave room for
   * the largest batch (message.max.bytes) and its envelope. Default 16 MiB.
   */
  readonly maxMessageBytes: number;
  /** `write` returns false from this many buffered bytes on; `onDrain` comes at half of it. Default 1 MiB. */
  readonly writeHighWaterBytes: number;
  /**
   * A stream that has more than this waiting for its peer, because whoever writes ignores `write`'s
   * false, is broken off. A single larger message is allowed when nothing else waits. Default 64 MiB.
   */
  readonly maxBufferedBytes: number;
}

/** Limits of a server, on top of those of a call. */
export interface ServerLimits extends Limits {
  /** Connections at once; further ones are closed as they come. Default 10,000. */
  readonly maxConnections: number;
  /** Calls at once on one connection. Default 1,000. */
  readonly maxStreamsPerConnection: number;
  /** Request headers of one call, all together. Default 16 KiB. */
  readonly maxHeaderBytes: number;
  /** Bytes that a client may send on one stream ahead of its reader (HTTP/2 window). Default 1 MiB. */
  readonly streamWindowBytes: number;
  /** The same for all streams of a connection together. Default 8 MiB. */
  readonly connectionWindowBytes: number;
}

/** Limits of a connector, on top of those of a call. */
export interface ClientLimits extends Limits {
  /** Bytes that a server may send ahead of the reader, on a stream and on a connection. Default 4 MiB. */
  readonly flowControlWindowBytes: number;
}

const CALL_DEFAULTS: Limits = {
  maxMessageBytes: 16 * MiB,
  writeHighWaterBytes: 1 * MiB,
  maxBufferedBytes: 64 * MiB,
};

const SERVER_DEFAULTS: ServerLimits = {
  ...CALL_DEFAULTS,
  maxConnections: 10_000,
  maxStreamsPerConnection: 1_000,
  maxHeaderBytes: 16 * KiB,
  streamWindowBytes: 1 * MiB,
  connectionWindowBytes: 8 * MiB,
};

const CLIENT_DEFAULTS: ClientLimits = { ...CALL_DEFAULTS, flowControlWindowBytes: 4 * MiB };

/** HTTP/2 windows and gRPC's message length are 31 and 32 bits wide. */
const GREATEST = 2 ** 31 - 1;

function checked<L extends Limits>(limits: L): L {
  for (const [name, value] of Object.entries(limits) as [string, number][]) {
    assert(Number.isInteger(value) && value > 0 && value <= GREATEST, 'a limit is a positive 31-bit integer', {
      name,
      value,
    });
  }
  assert(limits.maxBufferedBytes >= limits.writeHighWaterBytes, 'maxBufferedBytes is at least writeHighWaterBytes');
  return limits;
}

export function callLimits(given: Partial<Limits> = {}): Limits {
  return checked({ ...CALL_DEFAULTS, ...given });
}

export function serverLimits(given: Partial<ServerLimits> = {}): ServerLimits {
  return checked({ ...SERVER_DEFAULTS, ...given });
}

export function clientLimits(given: Partial<ClientLimits> = {}): ClientLimits {
  return checked({ ...CLIENT_DEFAULTS, ...given });
}
