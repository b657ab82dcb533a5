/** One call over a connection, from its first parcel to the end of both ends. */
import { callContext, deadlinePassed, cancelledHere, notServed } from '@barnabas/rpc/transport';
import type { OutgoingCall, Route } from '@barnabas/rpc/transport';
import type { Scope } from '../../kernel/scheduler.js';
import { ClientEnd, ServerEnd } from './ends.js';
import { Lane } from './lane.js';
import type { LaneParts, Parcel } from './lane.js';

/** A process that takes calls. */
export interface Listener {
  readonly scope: Scope;
  readonly routes: ReadonlyMap<string, Route>;
}

/** What a message is, for whoever may change it on the way. */
export interface Envelope {
  readonly method: string;
  readonly from: string;
  readonly to: string;
  readonly isRequest: boolean;
  readonly message: unknown;
  /** The same for all messages of one call. */
  readonly call: object;
}

export interface CallParts {
  readonly client: { readonly name: string; readonly scope: Scope };
  readonly serverName: string;
  readonly lane: Omit<LaneParts, 'from' | 'to' | 'what' | 'handOver' | 'onDrained'>;
  readonly heard: (envelope: Envelope) => unknown;
  /** A parcel has come to the server's machine: is there still the process that this connection is with? */
  readonly atServer: () => Listener | 'nobody' | 'silence';
  readonly atClient: () => boolean;
  /** This side has heard that the connection is dead. */
  readonly onReset: (side: 'client' | 'server') => void;
  readonly onOver: () => void;
}

export class Call {
  readonly client: ClientEnd;
  server: ServerEnd | undefined;
  readonly toServer: Lane;
  readonly toClient: Lane;
  #isClientOver = false;
  #isServerOver = false;

  constructor(
    private readonly call: OutgoingCall,
    private readonly parts: CallParts,
    request: unknown,
  ) {
    const { client, serverName, lane } = parts;
    const what = call.method.name;
    this.toServer = new Lane({
      ...{ ...lane, what, from: client.name, to: serverName },
      handOver: (parcel, taken) => this.#atServer(parcel, taken),
      onDrained: () => this.client.drained(),
    });
    this.toClient = new Lane({
      ...{ ...lane, what: `${what} answer`, from: serverName, to: client.name },
      handOver: (parcel, taken) => this.#atClient(parcel, taken),
      onDrained: () => this.server?.drained(),
    });
    this.client = this.#makeClient();
    const { requestType, requestStream } = call.method;
    this.toServer.push({ kind: 'open', bytes: requestStream ? undefined : requestType.encode(request).finish() });
  }

  /** The server's process is dead, or was never there. */
  refuse(): void {
    this.toClient.breakOff('reset');
  }

  #makeClient(): ClientEnd {
    const { call, parts } = this;
    const { scope } = parts.client;
    const { method, timeoutMs, signal } = call;
    const onAbort = (): void => end.breakOff(cancelledHere());
    const deadline =
      timeoutMs === undefined
        ? undefined
        : scope.after(timeoutMs, () => end.breakOff(deadlinePassed()), `${method.name} deadline`);
    signal?.addEventListener('abort', onAbort, { once: true });
    const end: ClientEnd = new ClientEnd({
      ...{ classify: call.classify, scope, out: this.toServer, incoming: this.toClient },
      ...{ outType: method.requestType, inType: method.responseType },
      heard: (message) => this.#heard(message, false),
      onOver: () => {
        deadline?.cancel();
        signal?.removeEventListener('abort', onAbort);
        this.#isClientOver = true;
        this.#over();
      },
    });
    return end;
  }

  #heard(message: unknown, isRequest: boolean): unknown {
    const { client, serverName, heard } = this.parts;
    const way = isRequest ? { from: client.name, to: serverName } : { from: serverName, to: client.name };
    return heard({ method: this.call.method.name, ...way, isRequest, message, call: this });
  }

  #atServer(parcel: Parcel, taken: () => void): void {
    const there = this.parts.atServer();
    if (there === 'silence') return taken();
    if (there === 'nobody') {
      this.refuse();
      return taken();
    }
    there.scope.whenMoving(() => {
      if (parcel.kind === 'open') this.#begin(there, parcel.bytes);
      else if (parcel.kind === 'reset') this.parts.onReset('server');
      else this.server?.arrive(parcel);
      taken();
    });
  }

  #atClient(parcel: Parcel, taken: () => void): void {
    if (!this.parts.atClient()) return taken();
    this.parts.client.scope.whenMoving(() => {
      if (parcel.kind === 'reset') this.parts.onReset('client');
      else this.client.arrive(parcel);
      taken();
    });
  }

  #begin({ scope, routes }: Listener, bytes: Uint8Array | undefined): void {
    const { call } = this;
    const route = routes.get(call.name);
    if (route === undefined) {
      this.toClient.push({ kind: 'status', error: notServed(call.name) });
      return;
    }
    const { requestType, responseType } = route.method;
    const end = new ServerEnd({
      ...{ classify: route.classify, scope, out: this.toClient, incoming: this.toServer },
      ...{ outType: responseType, inType: requestType },
      heard: (message) => this.#heard(message, true),
      onOver: () => {
        this.#isServerOver = true;
        this.#over();
      },
    });
    this.server = end;
    const request = (): unknown => this.#heard(requestType.decode(bytes ?? new Uint8Array()), true);
    if (route.kind === 'unary') this.#runUnary(route, end, request);
    else route.stream(end, request, this.#context(end));
  }

  #runUnary(route: Route, end: ServerEnd, request: () => unknown): void {
    end.handle({ onMessage() {}, onClose() {} });
    void route.unary(request, this.#context(end)).then(
      (response) => {
        end.write(response);
        end.end();
      },
      (error: unknown) => end.end(route.classify(error)),
    );
  }

  #context(end: ServerEnd) {
    const { call, parts } = this;
    const headers = (): ReadonlyMap<string, string> =>
      new Map(Object.entries(call.headers).map(([name, value]) => [name.toLowerCase(), value]));
    return callContext(
      { method: call.name, peer: parts.client.name, timeoutMs: call.timeoutMs, headers },
      end.cancellation,
    );
  }

  #over(): void {
    if (this.#isClientOver && this.#isServerOver) this.parts.onOver();
  }
}
