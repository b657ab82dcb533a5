/** How long a request may take: as it says itself, and no longer than its caller waits. */
import type { CallContext } from '@barnabas/rpc';

const DEFAULT_TIMEOUT_MS = 30_000;

/** `requestedMs`: 0 where the request does not say. */
export function timeoutOf(context: CallContext, requestedMs = 0): number {
  const asked = requestedMs > 0 ? requestedMs : DEFAULT_TIMEOUT_MS;
  return Math.min(asked, context.timeoutMs ?? asked);
}
