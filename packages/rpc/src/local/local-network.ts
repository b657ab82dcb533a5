/**
 * The services that roles of this process offer each other under their addresses. A connector that
 * knows the network calls them without a loopback hop and without encoding; everything else, from
 * interceptors to deadlines and the size of messages, is as over gRPC.
 *
 * Messages pass by reference: neither side changes one after it was handed over (types.ts, R4).
 */
import { assert, silentLogger } from '@barnabas/common';
import type { Logger } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { cancelledHere, deadlinePassed, notServed, tooLarge } from '../call-errors.js';
import { callContext, Cancellation } from '../call-context.js';
import type { CallFacts } from '../call-context.js';
import { routesOf } from '../dispatch.js';
import type { Route } from '../dispatch.js';
import { callLimits } from '../limits.js';
import type { Limits } from '../limits.js';
import type { OutgoingCall } from '../outgoing-call.js';
import type { ServiceRegistration } from '../role.js';
import type { StreamEnd } from '../stream-end.js';
import { LOCAL_PEER } from '../types.js';
import type { FaultListener, ServerInterceptor } from '../types.js';
import { Courier } from './courier.js';
import { localPair } from './local-stream.js';
import { estimateBytes } from './size.js';

export interface LocalServeOptions {
  readonly interceptors?: readonly ServerInterceptor[] | undefined;
  readonly limits?: Partial<Limits> | undefined;
  readonly logger?: Logger | undefined;
  /** Takes the faults of services registered without a listener of their own. */
  readonly onFault?: FaultListener | undefined;
}

export class LocalNetwork {
  readonly #endpoints = new Map<string, LocalEndpoint>();
  readonly #courier = new Courier();

  /** Serves under an address, `host:port` exactly as callers will write it. */
  register(address: string, services: readonly ServiceRegistration[], options: LocalServeOptions = {}): void {
    assert(!this.#endpoints.has(address), 'one role serves an address', { address });
    this.#endpoints.set(address, new LocalEndpoint(services, options, this.#courier));
  }

  /** Running calls break off with NETWORK_EXCEPTION. */
  unregister(address: string): void {
    const endpoint = this.#endpoints.get(address);
    this.#endpoints.delete(address);
    endpoint?.close();
  }

  find(address: string): LocalEndpoint | undefined {
    return this.#endpoints.get(address);
  }
}

/** What one role offers. */
export class LocalEndpoint {
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #limits: Limits;
  readonly #running = new Set<(error: BarnabasError) => void>();

  constructor(
    services: readonly ServiceRegistration[],
    options: LocalServeOptions,
    private readonly courier: Courier,
  ) {
    this.#limits = callLimits(options.limits);
    const routes = routesOf(services, {
      interceptors: options.interceptors ?? [],
      logger: options.logger ?? silentLogger,
      onFault: options.onFault,
    });
    this.#routes = new Map(routes.map((route) => [route.name, route]));
  }

  close(): void {
    for (const sever of [...this.#running]) sever(roleGone());
  }

  unary(call: OutgoingCall, request: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const route = this.#admissible(call, request);
      const cancellation = new Cancellation();
      const release = this.#watch(call, (error) => {
        release();
        cancellation.abort(error);
        this.courier.post(() => reject(error));
      });
      this.courier.post(() => {
        route
          .unary(() => request, contextOf(call, cancellation))
          .then((response) => {
            this.#checkSize(response);
            resolve(response);
          })
          .catch((error: unknown) => reject(route.classify(error)))
          .finally(release);
      });
    });
  }

  /** `request` is absent for a bidirectional stream. Throws a BarnabasError if the call cannot even start. */
  stream(call: OutgoingCall, request: unknown): StreamEnd<unknown, unknown> {
    const route = this.#admissible(call, request);
    const cancellation = new Cancellation();
    const release = this.#watch(call, (error) => {
      release();
      pair.sever(error);
    });
    const classify = { client: call.classify, server: route.classify };
    const pair = localPair(this.courier, this.#limits, classify, cancellation, () => release());
    this.courier.post(() => route.stream(pair.server, () => request, contextOf(call, cancellation)));
    return pair.client;
  }

  #admissible(call: OutgoingCall, request: unknown): Route {
    if (call.signal?.aborted === true) throw cancelledHere();
    const route = this.#routes.get(call.name);
    if (route === undefined) throw notServed(call.name);
    this.#checkSize(request);
    return route;
  }

  #checkSize(message: unknown): void {
    const bytes = estimateBytes(message);
    if (bytes > this.#limits.maxMessageBytes) throw tooLarge(bytes, this.#limits.maxMessageBytes);
  }

  /** Calls `over` when the deadline passes, the caller aborts, or the role goes; until released. */
  #watch(call: OutgoingCall, over: (error: BarnabasError) => void): () => void {
    const onAbort = () => over(cancelledHere());
    const timer = call.timeoutMs === undefined ? undefined : setTimeout(() => over(deadlinePassed()), call.timeoutMs);
    call.signal?.addEventListener('abort', onAbort, { once: true });
    this.#running.add(over);
    return () => {
      clearTimeout(timer);
      call.signal?.removeEventListener('abort', onAbort);
      this.#running.delete(over);
    };
  }
}

function roleGone(): BarnabasError {
  return new BarnabasError('NETWORK_EXCEPTION', 'the role at this address has stopped');
}

function contextOf(call: OutgoingCall, cancellation: Cancellation) {
  const facts: CallFacts = {
    method: call.name,
    peer: LOCAL_PEER,
    timeoutMs: call.timeoutMs,
    headers: () => new Map(Object.entries(call.headers).map(([name, value]) => [name.toLowerCase(), value])),
  };
  return callContext(facts, cancellation);
}
