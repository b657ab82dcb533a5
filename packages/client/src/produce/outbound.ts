/** What travels to leaders: a batch, where it came from, and what became of it. */
import { BarnabasError } from '@barnabas/protocol';

/** Where a batch was appended. */
export interface AppendResult {
  /** Offset of its first record; -1 with acks 0, or where the leader no longer remembers. */
  readonly baseOffset: number;
  /** The broker's time where the topic has LogAppendTime, else -1. */
  readonly logAppendTimeMs: number;
  /** First offset that the partition still has; -1 if unknown. */
  readonly logStartOffset: number;
}

/** What a lane needs to know of a batch before it takes it. */
export interface BatchSize {
  /** The bytes to send, or an upper bound of them. */
  readonly sizeInBytes: number;
  /** Carries producer id and sequence, so that a leader recognises it when it comes again. */
  readonly isIdempotent: boolean;
}

/** One or more record batches of one partition that are appended together. */
export interface OutboundBatch extends BatchSize {
  /** Records in it: offsets that it takes. */
  readonly recordCount: number;
  /** Final from the moment the lane got it, but for its producer state between two attempts. */
  readonly bytes: Buffer;
  /** Monotonic time at which whoever waits for it is told REQUEST_TIMED_OUT. */
  readonly deadlineMs: number;
  /** Times it has been sent. Kept by the lane. */
  attempts: number;
  /** Position in its partition's order, unique among what is open; parts of a batch stand at fractions. Kept by the lane. */
  ordinal: number;
  /** An attempt ended without a clear answer: it may be in the log. Kept by the lane. */
  isUncertain: boolean;
  /** Whoever waits has been told. */
  readonly isSettled: boolean;
  /** Tells whoever waits; only the first call counts. */
  settle(outcome: AppendResult | BarnabasError): void;
}

/** Whether a batch that met this error may be in the log all the same. */
export function mayHaveBeenAppended(error: BarnabasError): boolean {
  return error.action === 'retry-if-idempotent' || error.action === 'report';
}

export function isFailure(outcome: AppendResult | BarnabasError): outcome is BarnabasError {
  return outcome instanceof BarnabasError;
}
