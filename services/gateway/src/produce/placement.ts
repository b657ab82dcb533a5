/** Where an entry of a produce request, or some of its records, went. */
import { errorToProto } from '@barnabas/protocol';
import type { BarnabasError, v1 } from '@barnabas/protocol';

export interface Placement {
  readonly partition: number;
  readonly baseOffset: number;
  readonly logAppendTimeMs: number;
  readonly logStartOffset: number;
  readonly error: BarnabasError | undefined;
  /** Empty when it is all of them. */
  readonly recordIndexes: readonly number[];
}

/** What stands for a placement that failed. */
export function failed(partition: number, error: BarnabasError, recordIndexes: readonly number[] = []): Placement {
  return { partition, baseOffset: -1, logAppendTimeMs: -1, logStartOffset: -1, error, recordIndexes };
}

export function toResult(topic: string, entry: number, placement: Placement): v1.ProduceResult {
  const { partition, baseOffset, logAppendTimeMs, logStartOffset, error, recordIndexes } = placement;
  return {
    entry,
    topic,
    partition,
    baseOffset,
    logAppendTimeMs,
    logStartOffset,
    error: error === undefined ? undefined : errorToProto(error),
    recordIndexes: [...recordIndexes],
  };
}
