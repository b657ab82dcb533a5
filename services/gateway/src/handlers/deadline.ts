/** How long a handler may try before it must answer. */
import type { CallContext } from '@barnabas/rpc';

const DEFAULT_TIMEOUT_MS = 30_000;
/** The rest of the caller's time is for the answer's way back: an error that names the cause beats a bare time-out. */
const SHARE = 0.8;

export function timeToTry({ timeoutMs }: Pick<CallContext, 'timeoutMs'>): number {
  return timeoutMs === undefined ? DEFAULT_TIMEOUT_MS : Math.min(DEFAULT_TIMEOUT_MS, timeoutMs * SHARE);
}
