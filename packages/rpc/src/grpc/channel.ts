/**
 * Calls to one address over gRPC. The connection is made by the first call, and again after it breaks.
 * Nothing is retried here: whether a call may be sent again is for its caller to know.
 */
import { BarnabasError } from '@barnabas/protocol';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import type { ChannelCredentials, ClientOptions } from '@grpc/grpc-js';
import { cancelledHere } from '../call-errors.js';
import { decodeResponse, encodeMessage } from '../codec.js';
import type { ClientLimits } from '../limits.js';
import type { OutgoingCall } from '../outgoing-call.js';
import type { StreamEnd } from '../stream-end.js';
import { fromWireStatus } from '../wire-status.js';
import { GrpcClientStream } from './client-stream.js';
import './quiet.js';

/** PEM files' contents. */
export interface ClientTls {
  /** Who signs server certificates; the system's authorities if absent. */
  readonly ca?: Buffer | undefined;
  /** The client's own certificate, with `key`, where servers ask for one. */
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  /** The name that the server's certificate must have, where it is not the one in the address. */
  readonly serverName?: string | undefined;
}

export class GrpcChannel {
  readonly #client: Client;

  constructor(
    address: string,
    tls: ClientTls | undefined,
    private readonly limits: ClientLimits,
  ) {
    this.#client = new Client(address, channelCredentials(tls), channelOptions(limits, tls));
  }

  close(): void {
    this.#client.close();
  }

  unary(call: OutgoingCall, request: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (call.signal?.aborted === true) throw cancelledHere();
      let cancelled = false;
      const onAbort = () => {
        cancelled = true;
        grpcCall.cancel();
      };
      const grpcCall = this.#client.makeUnaryRequest<Buffer, Buffer>(
        `/${call.name}`,
        identity,
        identity,
        encodeMessage(call.method.requestType, request, this.limits.maxMessageBytes),
        metadataOf(call),
        deadlineOf(call),
        (error, bytes) => {
          call.signal?.removeEventListener('abort', onAbort);
          if (error !== null) reject(cancelled ? cancelledHere() : fromWireStatus(error));
          else settle(resolve, reject, () => decodeResponse(call.method.responseType, bytes ?? NOTHING, call.name));
        },
      );
      call.signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** `request` is absent for a bidirectional stream. Throws a BarnabasError if the call cannot even start. */
  stream(call: OutgoingCall, request: unknown): StreamEnd<unknown, unknown> {
    const path = `/${call.name}`;
    const grpcCall = call.method.requestStream
      ? this.#client.makeBidiStreamRequest<Buffer, Buffer>(path, identity, identity, metadataOf(call), deadlineOf(call))
      : this.#client.makeServerStreamRequest<Buffer, Buffer>(
          path,
          identity,
          identity,
          encodeMessage(call.method.requestType, request, this.limits.maxMessageBytes),
          metadataOf(call),
          deadlineOf(call),
        );
    const onAbort = () => stream.cancel();
    const stream = new GrpcClientStream(grpcCall, call.method, call.name, this.limits, call.classify, () =>
      call.signal?.removeEventListener('abort', onAbort),
    );
    if (call.signal?.aborted === true) onAbort();
    else call.signal?.addEventListener('abort', onAbort, { once: true });
    return stream;
  }
}

const NOTHING = Buffer.alloc(0);
const identity = (bytes: Buffer): Buffer => bytes;

function settle<T>(resolve: (value: T) => void, reject: (error: unknown) => void, result: () => T): void {
  try {
    resolve(result());
  } catch (error) {
    reject(error);
  }
}

function metadataOf(call: OutgoingCall): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(call.headers)) {
    try {
      metadata.set(name, value);
    } catch (error) {
      throw new BarnabasError('INVALID_REQUEST', `the header ${name} cannot be sent: ${String(error)}`, { name });
    }
  }
  return metadata;
}

function deadlineOf(call: OutgoingCall): { deadline?: number } {
  return call.timeoutMs === undefined ? {} : { deadline: Date.now() + call.timeoutMs };
}

function channelCredentials(tls: ClientTls | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  return credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null);
}

function channelOptions(limits: ClientLimits, tls: ClientTls | undefined): ClientOptions {
  return {
    'grpc.max_receive_message_length': limits.maxMessageBytes,
    'grpc.max_send_message_length': -1,
    'grpc-node.flow_control_window': limits.flowControlWindowBytes,
    // A server that vanished without a word is noticed within 15 s of a call's waiting.
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1_000,
    // A pod that was replaced has a new address under its old name.
    'grpc.dns_min_time_between_resolutions_ms': 1_000,
    'grpc.enable_retries': 0,
    // grpc-js calls a write back as soon as its message is in this buffer, retries or not. It lets writes overlap
    // (measured: uploads of 64 KiB at twice the speed) and adds at most this much to a stream's bufferedBytes.
    'grpc.per_rpc_retry_buffer_size': 1024 * 1024,
    'grpc.retry_buffer_size': 16 * 1024 * 1024,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_channelz': 0,
    'grpc.use_local_subchannel_pool': 1,
    ...(tls?.serverName === undefined
      ? {}
      : { 'grpc.ssl_target_name_override': tls.serverName, 'grpc.default_authority': tls.serverName }),
  };
}
