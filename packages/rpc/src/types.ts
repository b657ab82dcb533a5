/**
 * How services talk, without saying over what. Handlers are written against these types, and are
 * served over gRPC or called directly by a role in the same process: neither side can tell.
 *
 * Rules that both transports keep:
 *   R1  messages of one stream arrive whole, in order, at most once
 *   R2  after `onClose` nothing more is delivered; it comes exactly once, whatever ends the stream
 *   R3  every failure that reaches a caller is a BarnabasError
 *   R4  a message handed over is not changed afterwards by either side; byte fields may be views of
 *       a larger buffer, so whoever keeps one copies it. A message that came over the network (peer
 *       other than LOCAL_PEER) is nobody else's: its receiver may keep it, and change it
 *   R5  `write` never throws and never blocks; false means: wait for `onDrain`
 */
import type { InvariantError } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';

/** Encodes and decodes a message; what the generated code offers. */
export interface MessageType<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(input: Uint8Array): T;
}

/** One method, as the generated code describes it. */
export interface MethodDefinition<Req, Res> {
  readonly name: string;
  readonly requestType: MessageType<Req>;
  readonly requestStream: boolean;
  readonly responseType: MessageType<Res>;
  readonly responseStream: boolean;
}

/** One service, as the generated code describes it. */
export interface ServiceDefinition {
  readonly name: string;
  readonly fullName: string;
  readonly methods: Readonly<Record<string, MethodDefinition<unknown, unknown>>>;
}

/** The address of a caller in the same process. Its messages are its own; those of any other are the handler's alone. */
export const LOCAL_PEER = 'local';

/** A caller's address without its port, which says nothing to people. */
export function peerHost(peer: string): string {
  return peer.replace(/:\d+$/, '');
}

/** What a handler knows about a call beside its message. */
export interface CallContext {
  /** The service's full name and the method's name: `barnabas.v1.LogService/Produce`. */
  readonly method: string;
  /** The caller's address, or LOCAL_PEER for a role in the same process. */
  readonly peer: string;
  /** Value of the `barnabas-client-id` header; empty if the client gave none. */
  readonly clientId: string;
  /** Other request headers, lower case; the first value of each. */
  readonly headers: ReadonlyMap<string, string>;
  /** Aborted when the caller is gone, has cancelled, or its deadline has passed. */
  readonly signal: AbortSignal;
  /** Milliseconds left until the caller's deadline when the call came in; undefined if it set none. */
  readonly timeoutMs: number | undefined;
}

/** What one end of a stream is told. Set before the first message by `handle`. */
export interface StreamListener<In> {
  onMessage(message: In): void;
  /** The other side has said all it will say. A server may still write. */
  onEnd?(): void;
  /** `write` may be called again after it returned false. */
  onDrain?(): void;
  /** The stream is over: undefined if both sides ended it in good order. */
  onClose(error: BarnabasError | undefined): void;
}

/** One end of a stream of messages. */
export interface MessageStream<In, Out> {
  /** Must be called once, in the turn in which the stream was got. */
  handle(listener: StreamListener<In>): void;
  /** False: the transport's buffer is full; go on after onDrain. After the stream is over it does nothing and returns true. */
  write(message: Out): boolean;
  /** No more messages from this side. On a server, with an error: the call fails with it. */
  end(error?: BarnabasError): void;
  /** Breaks the stream off at once, in both directions. */
  cancel(): void;
  /** Stops delivery of incoming messages, and in time the sender; what is on its way may still come. */
  pause(): void;
  resume(): void;
  /**
   * Resolves once the other side's machine has answered, though its program may be busy and read nothing; does
   * not while nothing comes back, and rejects when the connection is given up. Absent where the other side cannot
   * be gone without this side being told, and on a client, whose channel watches its server by itself.
   */
  ping?(): Promise<void>;
  /** Bytes written and not yet handed to the operating system, as far as the transport knows. */
  readonly bufferedBytes: number;
}

/** The sending end of a server stream. */
export type ResponseStream<Out> = MessageStream<never, Out>;

type RequestOf<M> = M extends { requestType: MessageType<infer T> } ? T : never;
type ResponseOf<M> = M extends { responseType: MessageType<infer T> } ? T : never;

export type UnaryHandler<Req, Res> = (request: Req, context: CallContext) => Promise<Res>;
export type ServerStreamHandler<Req, Res> = (request: Req, stream: ResponseStream<Res>, context: CallContext) => void;
export type BidiHandler<Req, Res> = (stream: MessageStream<Req, Res>, context: CallContext) => void;

type HandlerOf<M> = M extends { requestStream: true }
  ? BidiHandler<RequestOf<M>, ResponseOf<M>>
  : M extends { responseStream: true }
    ? ServerStreamHandler<RequestOf<M>, ResponseOf<M>>
    : UnaryHandler<RequestOf<M>, ResponseOf<M>>;

/** A handler for every method of a service. */
export type Handlers<S extends { methods: object }> = {
  readonly [K in keyof S['methods']]: HandlerOf<S['methods'][K]>;
};

/** Options of one call. */
export interface CallOptions {
  /** Fails with REQUEST_TIMED_OUT after this long. Streams have none by default, unary calls 30,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

type CallerOf<M> = M extends { requestStream: true }
  ? (options?: CallOptions) => MessageStream<ResponseOf<M>, RequestOf<M>>
  : M extends { responseStream: true }
    ? (request: RequestOf<M>, options?: CallOptions) => MessageStream<ResponseOf<M>, never>
    : (request: RequestOf<M>, options?: CallOptions) => Promise<ResponseOf<M>>;

/** A typed client of a service over some channel. */
export type ServiceClient<S extends { methods: object }> = {
  readonly [K in keyof S['methods']]: CallerOf<S['methods'][K]>;
};

/** A way to one address. Reconnects by itself; calls made while it is down fail with NETWORK_EXCEPTION. */
export interface Channel {
  /** `host:port`. */
  readonly address: string;
  client<S extends ServiceDefinition>(service: S): ServiceClient<S>;
  close(): void;
}

/** Opens channels; one channel for each address is shared. */
export interface Connector {
  channel(address: string): Channel;
  close(): void;
}

/** Told of every broken invariant that code called by this package ran into. */
export type FaultListener = (fault: InvariantError, method: string) => void;

/** Runs around every call: authentication and tracing plug in here. */
export interface ServerInterceptor {
  /** Throws a BarnabasError to refuse. May return a changed context. Runs before any message is delivered. */
  admit(context: CallContext): CallContext | Promise<CallContext>;
}

/** Adds to every call a client makes. */
export interface ClientInterceptor {
  /** Headers for the call, for example credentials or a trace id. */
  headers(method: string): Readonly<Record<string, string>>;
}

/** A running server. */
export interface RunningServer {
  /** The port it listens on: the one asked for, or the one the system gave for 0. */
  readonly port: number;
  /** Health for one service, or for the whole node with ''. */
  setServing(service: string, serving: boolean): void;
  /** Refuses new calls, waits up to `graceMs` for running ones, then breaks them off. */
  stop(graceMs: number): Promise<void>;
}
