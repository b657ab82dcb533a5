/**
 * What we use of grpc-js beyond its public API, all in one place. package.json pins the exact version;
 * whoever raises it reads this file and runs its test, which looks at the wire.
 *
 *   commonServerOptions, createHttp2Server   a server's HTTP/2 settings: public options only widen a client's
 *                                            window, and a server's default of 64 KiB halves uploads or worse
 *   call.stream                              a server cannot reset a stream whose peer does not read through
 *                                            the public API: its status would wait behind the data; nor can it
 *                                            ask whether a caller is still there, but by ending whom it was not
 */
import { InvariantError } from '@barnabas/common';
import { callerGone } from '../call-errors.js';
import type { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Http2Server, Http2Session, ServerHttp2Session, ServerHttp2Stream, ServerOptions } from 'node:http2';
import { constants } from 'node:http2';
import type { ServerLimits } from '../limits.js';

interface ServerInsides {
  commonServerOptions: ServerOptions;
  createHttp2Server(credentials: ServerCredentials): Http2Server;
}

/** Connections of a server, for as long as they are open. */
export type Sessions = ReadonlySet<ServerHttp2Session>;

/** Applies the limits that are HTTP/2's. Call before the server is bound. */
export function tuneServer(server: Server, limits: ServerLimits): Sessions {
  const insides = server as unknown as ServerInsides;
  if (typeof insides.commonServerOptions !== 'object' || typeof insides.createHttp2Server !== 'function') {
    throw new InvariantError('grpc-js has changed inside: packages/rpc/src/grpc/insides.ts must follow it');
  }
  insides.commonServerOptions = {
    ...insides.commonServerOptions,
    settings: {
      ...insides.commonServerOptions.settings,
      initialWindowSize: limits.streamWindowBytes,
      maxConcurrentStreams: limits.maxStreamsPerConnection,
      maxHeaderListSize: limits.maxHeaderBytes,
    },
  };
  const sessions = new Set<ServerHttp2Session>();
  const create = insides.createHttp2Server;
  insides.createHttp2Server = (credentials) => {
    const http2Server = create.call(server, credentials);
    http2Server.maxConnections = limits.maxConnections;
    http2Server.on('session', (session) => {
      sessions.add(session);
      session.once('close', () => sessions.delete(session));
      session.setLocalWindowSize(limits.connectionWindowBytes);
    });
    // grpc-js listens for one error a stream and for none of a session; a second one must not end the process.
    http2Server.prependListener('stream', (stream: ServerHttp2Stream) => stream.on('error', () => {}));
    http2Server.on('sessionError', () => {});
    http2Server.on('error', () => {});
    return http2Server;
  };
  return sessions;
}

/** One for all streams of a connection that ask at once: Node has room for ten on their way. */
const pings = new WeakMap<Http2Session, Promise<void>>();

/** Resolves when the caller's HTTP/2 has answered. Rejects when its connection is closed. */
export function pingPeer(call: object): Promise<void> {
  const { session } = streamOf(call);
  if (session === undefined || session.destroyed) return Promise.reject(callerGone());
  const known = pings.get(session);
  if (known !== undefined) return known;
  const ping = new Promise<void>((resolve, reject) => {
    const isSent = session.ping((error) => (error === null ? resolve() : reject(callerGone())));
    if (!isSent) reject(callerGone());
  }).finally(() => pings.delete(session));
  pings.set(session, ping);
  return ping;
}

function streamOf(call: object): ServerHttp2Stream {
  const stream = (call as { call?: { stream?: Partial<ServerHttp2Stream> } }).call?.stream;
  if (typeof stream?.close !== 'function') {
    throw new InvariantError('grpc-js has changed inside: packages/rpc/src/grpc/insides.ts must follow it');
  }
  return stream as ServerHttp2Stream;
}

/** Breaks a call off at once, whatever still waits to be sent. */
export function resetStream(call: object, reason: 'cancelled' | 'too-slow'): void {
  streamOf(call).close(reason === 'cancelled' ? constants.NGHTTP2_CANCEL : constants.NGHTTP2_ENHANCE_YOUR_CALM);
}
