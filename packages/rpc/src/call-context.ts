/**
 * The context of a call. Headers and signal are made only when somebody asks: most calls never do,
 * and an AbortController costs more than the rest of a small call's bookkeeping.
 */
import type { BarnabasError } from '@barnabas/protocol';
import type { CallContext } from './types.js';

/** The header that carries the caller's name for itself (Kafka's client.id). */
export const CLIENT_ID_HEADER = 'barnabas-client-id';

/** Tells a handler, at most once, that its caller is gone. */
export class Cancellation {
  #controller: AbortController | undefined;
  #reason: BarnabasError | undefined;

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  abort(reason: BarnabasError): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}

export interface CallFacts {
  /** `barnabas.v1.LogService/Produce`. */
  readonly method: string;
  readonly peer: string;
  readonly timeoutMs: number | undefined;
  /** Called at most once. */
  headers(): ReadonlyMap<string, string>;
}

/** Its properties are its own and enumerable, so an interceptor may copy it with `{...context}`. */
export function callContext(facts: CallFacts, cancellation: Cancellation): CallContext {
  let headers: ReadonlyMap<string, string> | undefined;
  const read = () => (headers ??= facts.headers());
  return {
    method: facts.method,
    peer: facts.peer,
    timeoutMs: facts.timeoutMs,
    get clientId() {
      return read().get(CLIENT_ID_HEADER) ?? '';
    },
    get headers() {
      return read();
    },
    get signal() {
      return cancellation.signal;
    },
  };
}
