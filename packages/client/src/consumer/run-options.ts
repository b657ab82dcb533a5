/** How `Consumer.run` hands records to handlers. */
import { BarnabasError } from '@barnabas/protocol';
import { integer, oneOf, optional, resolveOptions, such } from '../options/option-table.js';
import type { OptionTable } from '../options/option-table.js';
import type { ConsumerRecord } from '../records.js';
import type { ConsumerBatch } from './consumer-batch.js';

export interface HandlerContext {
  /** Aborted when the partition is another's: what the handler does from then on may be done twice. */
  readonly signal: AbortSignal;
}

export type RecordHandler = (record: ConsumerRecord, context: HandlerContext) => void | Promise<void>;
export type BatchHandler = (batch: ConsumerBatch, context: HandlerContext) => void | Promise<void>;

export interface RunOptions {
  /** Gets each record; it is done when what this returns has resolved. Either this or eachBatch. */
  readonly eachRecord?: RecordHandler;
  /** Gets each record batch. */
  readonly eachBatch?: BatchHandler;
  /** How many handlers run at a time. Default 1. */
  readonly concurrency?: number;
  /** `partition`: one thing of a partition at a time, in order. `key`: one record of a key at a time, in order; only with eachRecord. Default `partition`. */
  readonly orderBy?: 'partition' | 'key';
  /** Ends the run: what is being handled is waited for, the rest is read again by whoever reads next. */
  readonly signal?: AbortSignal;
}

export interface ResolvedRunOptions {
  readonly eachRecord: RecordHandler | undefined;
  readonly eachBatch: BatchHandler | undefined;
  readonly concurrency: number;
  readonly orderBy: 'partition' | 'key';
  readonly signal: AbortSignal | undefined;
}

const MAX_CONCURRENCY = 10_000;
const isFunction = (value: unknown): boolean => typeof value === 'function';

const RUN_OPTIONS: OptionTable<ResolvedRunOptions> = {
  eachRecord: { type: optional(such<RecordHandler>('a function', isFunction)), default: undefined },
  eachBatch: { type: optional(such<BatchHandler>('a function', isFunction)), default: undefined },
  concurrency: { type: integer(1, MAX_CONCURRENCY), default: 1 },
  orderBy: { type: oneOf('partition', 'key'), default: 'partition' },
  signal: {
    type: optional(such<AbortSignal>('an AbortSignal', (value) => value instanceof AbortSignal)),
    default: undefined,
  },
};

export function resolveRunOptions(given: RunOptions): ResolvedRunOptions {
  const options = resolveOptions('run', RUN_OPTIONS, given);
  const { eachRecord, eachBatch, orderBy } = options;
  if ((eachRecord === undefined) === (eachBatch === undefined)) {
    throw new BarnabasError('INVALID_CONFIG', 'run takes one handler: eachRecord or eachBatch');
  }
  if (eachBatch !== undefined && orderBy === 'key') {
    throw new BarnabasError(
      'INVALID_CONFIG',
      'run option orderBy must be partition with eachBatch: a batch holds many keys',
    );
  }
  return options;
}
