/**
 * Finds the handler of a call and runs it, the same for every transport: interceptors first, then
 * the handler; whatever it throws is named here and nowhere else.
 *
 *   BarnabasError    the answer, as it is
 *   InvariantError   a fault: reported to whoever registered the service, which ends its role; the
 *                    caller gets UNKNOWN_SERVER_ERROR
 *   anything else    a bug without a name: logged, and answered with UNKNOWN_SERVER_ERROR
 */
import { assert, InvariantError } from '@barnabas/common';
import type { Logger } from '@barnabas/common';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import type { ServiceRegistration } from './role.js';
import type { StreamEnd } from './stream-end.js';
import type {
  BidiHandler,
  CallContext,
  FaultListener,
  MethodDefinition,
  ServerInterceptor,
  ServerStreamHandler,
  UnaryHandler,
} from './types.js';

export interface DispatchOptions {
  readonly interceptors: readonly ServerInterceptor[];
  readonly logger: Logger;
  /** For services that did not name their own. */
  readonly onFault?: FaultListener | undefined;
}

/** One method that is served. */
export class Route {
  /** `barnabas.v1.LogService/Produce`. */
  readonly name: string;

  constructor(
    registration: ServiceRegistration,
    readonly method: MethodDefinition<unknown, unknown>,
    readonly handler: unknown,
    private readonly options: DispatchOptions,
  ) {
    this.name = `${registration.definition.fullName}/${method.name}`;
    this.#onFault = registration.onFault ?? options.onFault;
  }

  readonly #onFault: FaultListener | undefined;

  get kind(): 'unary' | 'server-stream' | 'bidi' {
    if (this.method.requestStream) return 'bidi';
    return this.method.responseStream ? 'server-stream' : 'unary';
  }

  /** Rejects with a BarnabasError only. */
  async unary(request: () => unknown, context: CallContext): Promise<unknown> {
    try {
      const admitted = await this.#admit(context);
      return await (this.handler as UnaryHandler<unknown, unknown>)(request(), admitted);
    } catch (error) {
      throw this.classify(error);
    }
  }

  /** `request` gives the message of a server stream, and nothing for a bidirectional one. */
  stream(stream: StreamEnd<unknown, unknown>, request: () => unknown, context: CallContext): void {
    const run = (admitted: CallContext) => {
      if (this.method.requestStream) (this.handler as BidiHandler<unknown, unknown>)(stream, admitted);
      else (this.handler as ServerStreamHandler<unknown, unknown>)(request(), stream as never, admitted);
      assert(stream.handled, 'a stream handler calls handle() in the turn in which it got the stream', {
        method: this.name,
      });
    };
    const refuse = (error: unknown) => {
      stream.end(this.classify(error));
      // Somebody has to listen, or what the caller still sends would wait for ever.
      if (!stream.handled) stream.handle({ onMessage() {}, onClose() {} });
    };
    try {
      const admitted = this.#admit(context);
      if (admitted instanceof Promise) admitted.then(run).catch(refuse);
      else run(admitted);
    } catch (error) {
      refuse(error);
    }
  }

  readonly classify = (error: unknown): BarnabasError => {
    if (error instanceof BarnabasError) return error;
    if (error instanceof InvariantError) {
      this.#reportFault(error);
      return new BarnabasError('UNKNOWN_SERVER_ERROR', 'the server found itself in an impossible state and stops', {
        method: this.name,
      });
    }
    this.options.logger.error('A handler failed in a way that has no name', {
      action: 'report it with this line; the caller got UNKNOWN_SERVER_ERROR',
      method: this.name,
      error,
    });
    return toBarnabasError(error);
  };

  #reportFault(fault: InvariantError): void {
    if (this.#onFault !== undefined) {
      this.#onFault(fault, this.name);
      return;
    }
    this.options.logger.error('A handler broke an invariant and nobody takes faults', {
      action: 'restart the process and report it with this line',
      method: this.name,
      error: fault,
    });
  }

  #admit(context: CallContext): CallContext | Promise<CallContext> {
    const { interceptors } = this.options;
    if (interceptors.length === 0) return context;
    const [only] = interceptors;
    if (interceptors.length === 1 && only !== undefined) return only.admit(context);
    return this.#admitInTurn(context);
  }

  async #admitInTurn(context: CallContext): Promise<CallContext> {
    let admitted = context;
    for (const interceptor of this.options.interceptors) admitted = await interceptor.admit(admitted);
    return admitted;
  }
}

/** Every method of the services, checked for a handler each. */
export function routesOf(services: readonly ServiceRegistration[], options: DispatchOptions): Route[] {
  return services.flatMap((registration) =>
    Object.entries(registration.definition.methods).map(([key, method]) => {
      const handler = registration.handlers[key];
      assert(typeof handler === 'function', 'every method has a handler', {
        service: registration.definition.fullName,
        method: method.name,
      });
      return new Route(registration, method, handler, options);
    }),
  );
}
