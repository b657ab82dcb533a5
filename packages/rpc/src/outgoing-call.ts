/** A call with everything decided but its transport. */
import type { Classify, StreamEnd } from './stream-end.js';
import type { MethodDefinition } from './types.js';

export interface OutgoingCall {
  /** `barnabas.v1.LogService/Produce`. */
  readonly name: string;
  readonly method: MethodDefinition<unknown, unknown>;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Names what a listener of the caller's throws. */
  readonly classify: Classify;
}

/** What every transport offers for one address. */
export interface Transport {
  unary(call: OutgoingCall, request: unknown): Promise<unknown>;
  /** `request` is absent for a bidirectional stream. Throws a BarnabasError if the call cannot even start. */
  stream(call: OutgoingCall, request: unknown): StreamEnd<unknown, unknown>;
}

export interface TransportFinder {
  /** Undefined: the address is not one of these, and gRPC's to call. */
  find(address: string): Transport | undefined;
}
