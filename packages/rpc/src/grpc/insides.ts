/**
 * What we use of grpc-js beyond its public API, all in one place. package.json pins the exact version;
 * whoever raises it reads this file and runs its test, which looks at the wire.
 *
 *   commonServerOptions, createHttp2Server   a server's HTTP/2 settings: public options only widen a client's
 *                                            window, and a server's default of 64 KiB halves uploads or worse
 *   call.stream                              a server cannot reset a stream whose peer does not read through
 *                                            the public API: its status would wait behind the data
 */
import { InvariantError } from '@barnabas/common';
import type { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Http2Server, ServerHttp2Session, ServerHttp2Stream, ServerOptions } from 'node:http2';
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

/** Breaks a call off at once, whatever still waits to be sent. */
export function resetStream(call: object, reason: 'cancelled' | 'too-slow'): void {
  const stream = (call as { call?: { stream?: Partial<ServerHttp2Stream> } }).call?.stream;
  if (typeof stream?.close !== 'function') {
    throw new InvariantError('grpc-js has changed inside: packages/rpc/src/grpc/insides.ts must follow it');
  }
  stream.close(reason === 'cancelled' ? constants.NGHTTP2_CANCEL : constants.NGHTTP2_ENHANCE_YOUR_CALM);
}
