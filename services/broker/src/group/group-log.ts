/**
 * The log of one partition of __consumer_offsets as its coordinator uses it, for as long as this broker
 * leads the partition in one leader epoch. A port: replica-group-log.ts has the real one.
 *
 * Rules for whoever implements it:
 *   L1  `append` says in the same turn whether the batch is in the log; nothing else is appended meanwhile
 *   L2  the listener is told of every step of the high watermark, and of the end of the leadership once;
 *       it may not append from inside of either
 *   L3  the buffer of a batch is the caller's again when `append` returns
 */
import type { ReadRequest, ReadResult } from '@barnabas/log';
import type { BarnabasError } from '@barnabas/protocol';

export interface GroupLogListener {
  onHighWatermark(): void;
  /** This broker does not lead the partition any more, or cannot use its log; nothing follows. */
  onUnavailable(error: BarnabasError): void;
}

export interface GroupLog {
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly highWatermark: number;
  /** No batch may be larger. */
  readonly maxBatchBytes: number;
  /** Appends one batch, as acks=all does; undefined when it is in the log, else why it is not. */
  append(batch: Buffer, timeoutMs: number): BarnabasError | undefined;
  read(request: ReadRequest): Promise<ReadResult>;
  /** Until the returned function is called. */
  listen(listener: GroupLogListener): () => void;
}
