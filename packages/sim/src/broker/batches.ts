/**
 * Batches whose records say who made them: the value of a record is `<session> <lane> <number>` and
 * padding. A lane is a session's way to one partition; numbers in it grow by one from 0.
 */
import { BatchBuilder, NO_PRODUCER, decodeRecords, splitBatches } from '@barnabas/protocol';
import type { BatchHeader, CompressionType, ProducerState } from '@barnabas/protocol';
import { Violation } from '../kernel/violation.js';

/** Who made a record. */
export interface Mark {
  /** Unique in a run. */
  readonly session: number;
  /** `<topic>-<partition>`. */
  readonly lane: string;
  readonly number: number;
}

export function nameOf({ session, lane, number }: Mark): string {
  return `${session}/${lane}/${number}`;
}

export interface BatchPlan {
  readonly session: number;
  readonly lane: string;
  readonly firstNumber: number;
  readonly records: number;
  readonly paddingBytes: number;
  readonly timestamp: number;
  readonly compression: CompressionType;
  /** Undefined: not idempotent. */
  readonly producer: ProducerState | undefined;
}

export function makeBatch(plan: BatchPlan): Buffer {
  const builder = new BatchBuilder({ compression: plan.compression, maxBytes: 1_000_000 });
  for (let index = 0; index < plan.records; index++) {
    const text = `${plan.session} ${plan.lane} ${plan.firstNumber + index} ${'x'.repeat(plan.paddingBytes)}`;
    builder.tryAppend({ key: null, value: Buffer.from(text), headers: [], timestamp: plan.timestamp + index });
  }
  return builder.build(plan.producer ?? NO_PRODUCER);
}

export interface MarkedRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly mark: Mark;
}

export interface ReadBatch {
  readonly header: BatchHeader;
  readonly records: readonly MarkedRecord[];
}

/** Batches as a broker hands them out. */
export function readBatches(bytes: Buffer): ReadBatch[] {
  return [...splitBatches(bytes)].map(({ header, bytes: batch }) => ({
    header,
    records: decodeRecords(batch).map(({ offset, timestamp, value }) => ({ offset, timestamp, mark: markOf(value) })),
  }));
}

function markOf(value: Uint8Array | null): Mark {
  const [session, lane, number] = value === null ? [] : Buffer.from(value).toString('latin1').split(' ', 3);
  if (session === undefined || lane === undefined || number === undefined) {
    throw new Violation('contents', 'a record is none that a producer made');
  }
  return { session: Number(session), lane, number: Number(number) };
}
