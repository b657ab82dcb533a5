/**
 * Opens channels: one for each address, shared. A channel looks for its address in the process first
 * and on the network else, anew for every call, so that roles may come and go.
 */
import { InvariantError, silentLogger } from '@barnabas/common';
import type { Logger } from '@barnabas/common';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import { CLIENT_ID_HEADER } from './call-context.js';
import { GrpcChannel } from './grpc/channel.js';
import type { ClientTls } from './grpc/channel.js';
import { clientLimits } from './limits.js';
import type { ClientLimits } from './limits.js';
import type { OutgoingCall, Transport, TransportFinder } from './outgoing-call.js';
import type {
  CallOptions,
  Channel,
  ClientInterceptor,
  Connector,
  FaultListener,
  MessageStream,
  MethodDefinition,
  ServiceClient,
  ServiceDefinition,
  StreamListener,
} from './types.js';

/** Deadline of a unary call that names none. */
const DEFAULT_UNARY_TIMEOUT_MS = 30_000;

export interface ConnectorOptions {
  readonly tls?: ClientTls | undefined;
  /** In this order; later ones win where they name the same header. */
  readonly interceptors?: readonly ClientInterceptor[] | undefined;
  /** Sent with every call (Kafka's client.id). */
  readonly clientId?: string | undefined;
  readonly limits?: Partial<ClientLimits> | undefined;
  /** The roles of this process (a LocalNetwork), or whatever else stands in for gRPC at some addresses. */
  readonly local?: TransportFinder | undefined;
  readonly logger?: Logger | undefined;
  /** Told of every InvariantError that a stream's listener throws. */
  readonly onFault?: FaultListener | undefined;
}

export function createConnector(options: ConnectorOptions = {}): Connector {
  return new SharedConnector(options);
}

class SharedConnector implements Connector {
  readonly #channels = new Map<string, RoutingChannel>();
  readonly #limits: ClientLimits;
  #closed = false;

  constructor(private readonly options: ConnectorOptions) {
    this.#limits = clientLimits(options.limits);
  }

  channel(address: string): Channel {
    const existing = this.#channels.get(address);
    if (existing !== undefined) return existing;
    const channel = new RoutingChannel(address, this.options, this.#limits, () => this.#channels.delete(address));
    if (this.#closed) channel.close();
    else this.#channels.set(address, channel);
    return channel;
  }

  close(): void {
    this.#closed = true;
    for (const channel of [...this.#channels.values()]) channel.close();
  }
}

class RoutingChannel implements Channel {
  #network: GrpcChannel | undefined;
  #closed = false;
  readonly #clients = new WeakMap<ServiceDefinition, object>();

  constructor(
    readonly address: string,
    private readonly options: ConnectorOptions,
    private readonly limits: ClientLimits,
    private readonly onClose: () => void,
  ) {}

  client<S extends ServiceDefinition>(service: S): ServiceClient<S> {
    let client = this.#clients.get(service);
    if (client === undefined) {
      const callers = Object.entries(service.methods).map(([key, method]) => [key, this.#caller(service, method)]);
      client = Object.fromEntries(callers) as object;
      this.#clients.set(service, client);
    }
    return client as ServiceClient<S>;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#network?.close();
    this.onClose();
  }

  #caller(service: ServiceDefinition, method: MethodDefinition<unknown, unknown>): unknown {
    const name = `${service.fullName}/${method.name}`;
    if (method.requestStream) return (options?: CallOptions) => this.#stream(name, method, undefined, options);
    if (method.responseStream) {
      return (request: unknown, options?: CallOptions) => this.#stream(name, method, request, options);
    }
    return (request: unknown, options?: CallOptions) => this.#unary(name, method, request, options);
  }

  async #unary(name: string, method: MethodDefinition<unknown, unknown>, request: unknown, options?: CallOptions) {
    try {
      const call = this.#call(name, method, options, DEFAULT_UNARY_TIMEOUT_MS);
      return await this.#transport().unary(call, request);
    } catch (error) {
      throw toBarnabasError(error);
    }
  }

  #stream(
    name: string,
    method: MethodDefinition<unknown, unknown>,
    request: unknown,
    options?: CallOptions,
  ): MessageStream<unknown, unknown> {
    try {
      return this.#transport().stream(this.#call(name, method, options, undefined), request);
    } catch (error) {
      return new StillbornStream(toBarnabasError(error));
    }
  }

  #transport(): Transport {
    if (this.#closed) throw new BarnabasError('NETWORK_EXCEPTION', `the channel to ${this.address} is closed`);
    const local = this.options.local?.find(this.address);
    if (local !== undefined) return local;
    this.#network ??= new GrpcChannel(this.address, this.options.tls, this.limits);
    return this.#network;
  }

  #call(
    name: string,
    method: MethodDefinition<unknown, unknown>,
    options: CallOptions | undefined,
    defaultTimeoutMs: number | undefined,
  ): OutgoingCall {
    const { clientId, interceptors = [] } = this.options;
    const headers = Object.assign(
      clientId === undefined ? {} : { [CLIENT_ID_HEADER]: clientId },
      ...interceptors.map((interceptor) => interceptor.headers(name)),
      options?.headers,
    ) as Record<string, string>;
    return {
      name,
      method,
      headers,
      timeoutMs: options?.timeoutMs ?? defaultTimeoutMs,
      signal: options?.signal,
      classify: (error) => this.#classify(error, name),
    };
  }

  #classify(error: unknown, name: string): BarnabasError {
    if (error instanceof BarnabasError) return error;
    const { logger = silentLogger, onFault } = this.options;
    if (error instanceof InvariantError && onFault !== undefined) onFault(error, name);
    else {
      logger.error('A stream listener failed in a way that has no name', {
        action: 'report it with this line; its stream was broken off',
        method: name,
        address: this.address,
        error,
      });
    }
    return toBarnabasError(error);
  }
}

/** A stream whose call could not even start. */
class StillbornStream implements MessageStream<unknown, unknown> {
  readonly bufferedBytes = 0;

  constructor(private readonly error: BarnabasError) {}

  handle(listener: StreamListener<unknown>): void {
    queueMicrotask(() => listener.onClose(this.error));
  }

  write(): boolean {
    return true;
  }

  end(): void {}
  cancel(): void {}
  pause(): void {}
  resume(): void {}
}
