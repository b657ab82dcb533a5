/**
 * Serves services over gRPC: binds, limits, routes, stops. What a call means is in dispatch.ts.
 */
import { silentLogger } from '@barnabas/common';
import type { Logger } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Metadata, sendUnaryData, ServerDuplexStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import { callContext, Cancellation } from '../call-context.js';
import { decodeRequest, encodeMessage } from '../codec.js';
import { routesOf } from '../dispatch.js';
import type { DispatchOptions, Route } from '../dispatch.js';
import { Health } from '../health.js';
import { serverLimits } from '../limits.js';
import type { ServerLimits } from '../limits.js';
import { reflectionServices } from '../reflection.js';
import type { ServiceRegistration } from '../role.js';
import type { CallContext, FaultListener, RunningServer, ServerInterceptor } from '../types.js';
import { toWireStatus } from '../wire-status.js';
import { tuneServer } from './insides.js';
import './quiet.js';
import type { Sessions } from './insides.js';
import { GrpcServerStream, whyOver } from './server-stream.js';

/** PEM files' contents. */
export interface ServerTls {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Who signs client certificates; the system's authorities if absent. */
  readonly ca?: Buffer | undefined;
  /** Refuse clients without a certificate signed by `ca` (Kafka's ssl.client.auth=required). */
  readonly requireClientCertificate?: boolean | undefined;
}

export interface ServeOptions {
  /** Port 0 lets the system choose. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly services: readonly ServiceRegistration[];
  readonly tls?: ServerTls | undefined;
  /** In this order, around every call but health checks. */
  readonly interceptors?: readonly ServerInterceptor[] | undefined;
  readonly limits?: Partial<ServerLimits> | undefined;
  readonly logger?: Logger | undefined;
  /** Takes the faults of services registered without a listener of their own. */
  readonly onFault?: FaultListener | undefined;
}

/** Starts a server. Health begins as NOT_SERVING for the node and for each service. */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const limits = serverLimits(options.limits);
  const logger = options.logger ?? silentLogger;
  const server = new Server({
    'grpc.max_receive_message_length': limits.maxMessageBytes,
    'grpc.max_send_message_length': -1,
    // A client that vanished without a word is noticed after 30 s, and its streams end.
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.enable_channelz': 0,
  });
  const sessions = tuneServer(server, limits);

  const names = options.services.map((service) => service.definition.fullName);
  const health = new Health(names);
  const open: DispatchOptions = { interceptors: [], logger, onFault: options.onFault };
  const guarded: DispatchOptions = { ...open, interceptors: options.interceptors ?? [] };
  const routes = [
    ...routesOf([health.service], open),
    ...routesOf([...options.services, ...reflectionServices([...names, health.service.definition.fullName])], guarded),
  ];
  for (const route of routes) register(server, route, limits);

  const port = await bind(server, options);
  return {
    port,
    setServing: (service, serving) => health.set(service, serving),
    stop: (graceMs) => {
      health.stop();
      return stop(server, sessions, graceMs);
    },
  };
}

/** How long connections that are broken off may take to close: a process that stops must not wait for what the transport has lost track of. */
const CLOSING_MS = 1_000;

function bind(server: Server, { listen, tls }: ServeOptions): Promise<number> {
  const credentials =
    tls === undefined
      ? ServerCredentials.createInsecure()
      : ServerCredentials.createSsl(
          tls.ca ?? null,
          [{ cert_chain: tls.cert, private_key: tls.key }],
          tls.requireClientCertificate ?? false,
        );
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${listen.port}`, credentials, (error, port) => {
      if (error === null) {
        resolve(port);
        return;
      }
      reject(
        new BarnabasError('INVALID_CONFIG', `cannot listen on ${host}:${listen.port}: ${error.message}`, {
          host: listen.host,
          port: listen.port,
        }),
      );
    });
  });
}

/** Resolves when all connections are closed; those that are not in time are broken off, and not waited for without end. */
async function stop(server: Server, sessions: Sessions, graceMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  const brokenOff = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      for (const session of sessions) session.destroy();
      server.forceShutdown();
      timer = setTimeout(resolve, CLOSING_MS);
    }, graceMs);
  });
  await Promise.race([closed, brokenOff]);
  clearTimeout(timer);
}

function register(server: Server, route: Route, limits: ServerLimits): void {
  const path = `/${route.name}`;
  switch (route.kind) {
    case 'unary':
      server.register<Buffer, Buffer>(path, unaryHandler(route, limits), identity, identity, 'unary');
      return;
    case 'server-stream':
      server.register<Buffer, Buffer>(path, streamHandler(route, limits), identity, identity, 'serverStream');
      return;
    case 'bidi':
      server.register<Buffer, Buffer>(path, streamHandler(route, limits), identity, identity, 'bidi');
  }
}

const identity = (bytes: Buffer): Buffer => bytes;

function unaryHandler(route: Route, limits: ServerLimits) {
  return (call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>): void => {
    const cancellation = new Cancellation();
    let answered = false;
    call.once('cancelled', () => {
      if (!answered) cancellation.abort(whyOver(call));
    });
    const request = () => decodeRequest(route.method.requestType, call.request, route.name);
    route
      .unary(request, contextOf(call, route, cancellation))
      .then((response) => encodeMessage(route.method.responseType, response, limits.maxMessageBytes))
      .then(
        (bytes) => {
          answered = true;
          respond(null, bytes);
        },
        (error: unknown) => {
          answered = true;
          respond(toWireStatus(route.classify(error)));
        },
      );
  };
}

function streamHandler(route: Route, limits: ServerLimits) {
  return (call: ServerDuplexStream<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>): void => {
    const cancellation = new Cancellation();
    const stream = new GrpcServerStream(call, route, limits, cancellation);
    const request = () => {
      if (!('request' in call)) return undefined;
      return decodeRequest(route.method.requestType, call.request, route.name);
    };
    route.stream(stream, request, contextOf(call, route, cancellation));
  };
}

interface ServerCall {
  readonly metadata: Metadata;
  getPeer(): string;
  getDeadline(): Date | number;
}

function contextOf(call: ServerCall, route: Route, cancellation: Cancellation): CallContext {
  const deadline = Number(call.getDeadline());
  return callContext(
    {
      method: route.name,
      peer: call.getPeer(),
      timeoutMs: Number.isFinite(deadline) ? Math.max(0, deadline - Date.now()) : undefined,
      headers: () => firstValues(call.metadata),
    },
    cancellation,
  );
}

function firstValues(metadata: Metadata): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries(metadata.getMap())) {
    values.set(name, Buffer.isBuffer(value) ? value.toString('base64') : value);
  }
  return values;
}
