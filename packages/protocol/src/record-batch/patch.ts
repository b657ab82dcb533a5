/**
 * Changes to a finished batch, in place. What a leader assigns lies outside the CRC, so its hot path
 * writes twelve bytes and computes nothing; whatever lies inside has its CRC computed anew.
 * The batch has been read before (readBatchHeader), so its size is right.
 */
import { assert } from '@barnabas/common';
import { computeCrc } from './header.js';
import * as layout from './layout.js';
import type { ProducerState } from './types.js';

const INT16_MAX = 0x7fff;
const INT32_MAX = 0x7fff_ffff;

/** What the leader assigns. Both fields lie outside the CRC. */
export interface LeaderAssignment {
  readonly baseOffset: number;
  readonly partitionLeaderEpoch: number;
}

export function patchBatch(buffer: Buffer, at: number, assignment: LeaderAssignment): void {
  const { baseOffset, partitionLeaderEpoch } = assignment;
  assert(Number.isSafeInteger(baseOffset) && baseOffset >= 0, 'a base offset is a safe integer from 0', { baseOffset });
  layout.writeInt64(buffer, baseOffset, at + layout.BASE_OFFSET_AT);
  buffer.writeInt32BE(partitionLeaderEpoch, at + layout.PARTITION_LEADER_EPOCH_AT);
}

/** Makes the batch one of LogAppendTime `timestampMs`: its records all have that time from now on. */
export function setLogAppendTime(buffer: Buffer, at: number, timestampMs: number): void {
  assert(Number.isSafeInteger(timestampMs) && timestampMs >= 0, 'a log append time is a time', { timestampMs });
  const attributes = buffer.readUInt16BE(at + layout.ATTRIBUTES_AT);
  buffer.writeUInt16BE(attributes | layout.LOG_APPEND_TIME_BIT, at + layout.ATTRIBUTES_AT);
  layout.writeInt64(buffer, timestampMs, at + layout.MAX_TIMESTAMP_AT);
  rewriteCrc(buffer, at);
}

/** Gives the batch another producer id, epoch and sequence: for a producer whose epoch was bumped before a retry. */
export function setProducerState(buffer: Buffer, at: number, state: ProducerState): void {
  writeProducerState(buffer, at, state);
  rewriteCrc(buffer, at);
}

/** The three fields without the CRC, for a batch under construction. */
export function writeProducerState(buffer: Buffer, at: number, state: ProducerState): void {
  const { producerId, producerEpoch, baseSequence } = state;
  assert(Number.isSafeInteger(producerId) && producerId >= -1, 'a producer id is a safe integer', { producerId });
  assert(producerEpoch >= -1 && producerEpoch <= INT16_MAX, 'a producer epoch has 16 bits', { producerEpoch });
  assert(baseSequence >= -1 && baseSequence <= INT32_MAX, 'a base sequence has 32 bits', { baseSequence });
  layout.writeInt64(buffer, producerId, at + layout.PRODUCER_ID_AT);
  buffer.writeInt16BE(producerEpoch, at + layout.PRODUCER_EPOCH_AT);
  buffer.writeInt32BE(baseSequence, at + layout.BASE_SEQUENCE_AT);
}

function rewriteCrc(buffer: Buffer, at: number): void {
  const sizeInBytes = buffer.readInt32BE(at + layout.BATCH_LENGTH_AT) + layout.LENGTH_OVERHEAD_BYTES;
  buffer.writeUInt32BE(computeCrc(buffer, at, sizeInBytes), at + layout.CRC_AT);
}
