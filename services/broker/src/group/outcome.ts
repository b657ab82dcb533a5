/** What has come of a request to a shard. */
import { BarnabasError } from '@barnabas/protocol';

export type Outcome<R> =
  /** It may leave once the high watermark has reached `endOffset`. */
  | { readonly kind: 'answer'; readonly response: R; readonly endOffset: number; readonly wrote: boolean }
  /** As the shard has decided, on what it knows up to `endOffset`. */
  | { readonly kind: 'refused'; readonly error: BarnabasError; readonly endOffset: number }
  /** Not decided, or not written. */
  | { readonly kind: 'failed'; readonly error: BarnabasError };

/** Of a decision of which nothing, or only a sound beginning, is in the log. */
export function notWritten(refusal: BarnabasError): BarnabasError {
  const { errorName, facts, message } = refusal;
  if (errorName === 'RECORD_LIST_TOO_LARGE') return refusal;
  if (errorName === 'NOT_LEADER_OR_FOLLOWER') {
    return new BarnabasError('NOT_COORDINATOR', `the coordinator has moved: ${message}`, facts);
  }
  return new BarnabasError('COORDINATOR_NOT_AVAILABLE', `the coordinator cannot write: ${message}`, facts, {
    cause: refusal,
  });
}

/** Written, and not committed in time. */
export function undecided(): BarnabasError {
  return new BarnabasError(
    'REQUEST_TIMED_OUT',
    'the coordinator has written it, and it was not committed within offsets.commit.timeout.ms: it may be yet, ask again',
  );
}

/** Nothing was written, and what the answer rests on was not committed in time. */
export function notCommitted(): BarnabasError {
  return new BarnabasError(
    'COORDINATOR_NOT_AVAILABLE',
    'what the coordinator knows was not committed within offsets.commit.timeout.ms: retry',
  );
}

/** Nobody hears this. */
export function callerGone(): BarnabasError {
  return new BarnabasError('NETWORK_EXCEPTION', 'the caller of a heartbeat that waited is gone');
}
