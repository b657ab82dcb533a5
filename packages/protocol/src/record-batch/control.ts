/**
 * Transaction markers: the one record of a control batch, which says how a producer's transaction
 * ended. Written by the server only.
 *
 *   key   => version int16 (0), type int16
 *   value => version int16 (0), coordinatorEpoch int32
 */
import { BarnabasError } from '../errors.js';
import { BatchBuilder } from './builder.js';
import { SMALLEST_RECORD_BYTES } from './layout.js';
import type { Record } from './types.js';

export type TransactionOutcome = 'abort' | 'commit';

/** `other` is a control record that has nothing to do with transactions; readers skip it. */
export type ControlRecord =
  | { readonly kind: TransactionOutcome; readonly coordinatorEpoch: number }
  | { readonly kind: 'other'; readonly type: number };

export interface TransactionMarker {
  readonly outcome: TransactionOutcome;
  readonly coordinatorEpoch: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly timestamp: number;
  readonly baseOffset?: number;
  readonly partitionLeaderEpoch?: number;
}

const ABORT = 0;
const COMMIT = 1;
const KEY_BYTES = 4;
const VALUE_BYTES = 6;
const BATCH_BYTES = 61 + SMALLEST_RECORD_BYTES + KEY_BYTES + VALUE_BYTES;

/** A control batch that ends a transaction in this partition. */
export function buildTransactionMarker(marker: TransactionMarker): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  key.writeInt16BE(marker.outcome === 'commit' ? COMMIT : ABORT, 2);
  const value = Buffer.alloc(VALUE_BYTES);
  value.writeInt32BE(marker.coordinatorEpoch, 2);
  const builder = new BatchBuilder({ maxBytes: BATCH_BYTES });
  builder.tryAppend({ key, value, headers: [], timestamp: marker.timestamp });
  return builder.build({
    producerId: marker.producerId,
    producerEpoch: marker.producerEpoch,
    baseSequence: -1,
    isTransactional: true,
    isControl: true,
    baseOffset: marker.baseOffset ?? 0,
    partitionLeaderEpoch: marker.partitionLeaderEpoch ?? -1,
  });
}

/** What a record of a control batch says. */
export function readControlRecord(record: Pick<Record, 'key' | 'value'>): ControlRecord {
  const key = view(record.key, KEY_BYTES, 'key');
  const type = key.readInt16BE(2);
  if (key.readInt16BE(0) < 0) throw malformed('its key has a negative version');
  if (type !== ABORT && type !== COMMIT) return { kind: 'other', type };
  const value = view(record.value, VALUE_BYTES, 'value');
  if (value.readInt16BE(0) < 0) throw malformed('its value has a negative version');
  return { kind: type === COMMIT ? 'commit' : 'abort', coordinatorEpoch: value.readInt32BE(2) };
}

/** A later version may append fields, so more bytes than are read are no error. */
function view(bytes: Uint8Array | null, atLeast: number, field: string): Buffer {
  if (bytes === null || bytes.length < atLeast) throw malformed(`its ${field} is cut short`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

function malformed(why: string): BarnabasError {
  return new BarnabasError('INVALID_RECORD', `a control record is refused: ${why}`);
}
