/** A call with everything decided but its transport. */
import type { Classify } from './stream-end.js';
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
