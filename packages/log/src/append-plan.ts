/**
 * Decides about an append before anything changes: which batches are refused, which are duplicates,
 * and what is stored. Pure: takes the state, returns a plan; log-state.ts applies it.
 *
 * Checked here and nowhere else: CRC and structure, max.message.bytes, what a producer may send,
 * timestamps, sequences and producer epochs, contiguity of a leader's batches.
 * The batches are copied at most once, into the buffer that is patched, stored and cached.
 */
import { assert } from '@barnabas/common';
import {
  BarnabasError,
  iterateRecords,
  patchBatch,
  setLogAppendTime,
  splitBatches,
  validateBatch,
  validateProducerBatch,
} from '@barnabas/protocol';
import type { BatchHeader } from '@barnabas/protocol';
import { conformBatches } from './conform-batches.js';
import type { LogConfig } from './log-config.js';
import type { LogState } from './log-state.js';
import type { ProducedBatch } from './producer-states.js';
import type { LeaderAppendOptions } from './types.js';

export interface PlannedBatch {
  /** As stored, with final offsets. */
  readonly header: BatchHeader;
  readonly bytes: Buffer;
}

export type LeaderPlan =
  | { readonly kind: 'append'; readonly batches: readonly PlannedBatch[]; readonly logAppendTime: number }
  | { readonly kind: 'duplicate'; readonly baseOffset: number; readonly lastOffset: number };

export function planLeaderAppend(
  state: LogState,
  config: LogConfig,
  batches: Buffer,
  options: LeaderAppendOptions,
): LeaderPlan {
  assert(options.leaderEpoch >= Math.max(0, state.epochs.latest), 'a leader appends in the latest epoch', {
    leaderEpoch: options.leaderEpoch,
    latestEpoch: state.epochs.latest,
  });
  const conforming = conformBatches(batches, config);
  const headers = readAll(conforming, config.maxMessageBytes);
  for (const header of headers) checkLeaderBatch(header, config, options);
  if (config.cleanupPolicy.includes('compact')) checkKeys(conforming);
  const duplicates = findDuplicates(state, headers);
  const [first, last] = [duplicates[0], duplicates.at(-1)];
  if (first !== undefined && last !== undefined) {
    return { kind: 'duplicate', baseOffset: first.baseOffset, lastOffset: last.lastOffset };
  }
  const logAppendTime = config.messageTimestampType === 'LogAppendTime' ? options.now : -1;
  // What was encoded anew is nobody else's either.
  const stored = options.handedOver === true || conforming !== batches ? conforming : copyOf(conforming);
  const assigned = assignOffsets(headers, stored, state.logEndOffset, options.leaderEpoch, logAppendTime);
  return { kind: 'append', batches: assigned, logAppendTime };
}

/** A leader's batches as they are: checked for damage and place, not for what its topic allows. */
export function planFollowerAppend(state: LogState, batches: Buffer, handedOver: boolean): readonly PlannedBatch[] {
  const headers = readAll(batches, undefined);
  let expected = state.logEndOffset;
  let latestEpoch = state.epochs.latest;
  for (const header of headers) {
    if (header.baseOffset !== expected) {
      throw new BarnabasError(
        'OFFSET_OUT_OF_RANGE',
        `a replicated batch begins at ${header.baseOffset}, but the log ends at ${expected}: fetch from there`,
        { baseOffset: header.baseOffset, logEndOffset: expected },
      );
    }
    if (header.partitionLeaderEpoch < Math.max(0, latestEpoch)) {
      throw new BarnabasError(
        'CORRUPT_MESSAGE',
        `a replicated batch at ${header.baseOffset} has leader epoch ${header.partitionLeaderEpoch}, below ${latestEpoch}: the logs have diverged, truncate first`,
        { baseOffset: header.baseOffset, leaderEpoch: header.partitionLeaderEpoch, latestEpoch },
      );
    }
    latestEpoch = header.partitionLeaderEpoch;
    expected = header.lastOffset + 1;
  }
  return slicesOf(handedOver ? batches : copyOf(batches), headers);
}

function readAll(batches: Buffer, maxBatchBytes: number | undefined): BatchHeader[] {
  const headers: BatchHeader[] = [];
  const limits = maxBatchBytes === undefined ? {} : { maxBatchBytes };
  for (let at = 0; at < batches.length; ) {
    const header = validateBatch(batches, at, limits);
    headers.push(header);
    at += header.sizeInBytes;
  }
  if (headers.length === 0) throw new BarnabasError('INVALID_REQUEST', 'an append holds at least one batch');
  return headers;
}

function checkLeaderBatch(header: BatchHeader, config: LogConfig, options: LeaderAppendOptions): void {
  if (options.origin !== 'coordinator') validateProducerBatch(header);
  if (config.messageTimestampType === 'CreateTime' && !header.isControl) {
    checkTimestamp(header.baseTimestamp, config, options.now);
    checkTimestamp(header.maxTimestamp, config, options.now);
  }
}

/** Where records are kept by their keys, they have some. The one check for which records are decoded. */
function checkKeys(batches: Buffer): void {
  for (const { header, at } of splitBatches(batches)) {
    if (header.isControl) continue;
    for (const { key } of iterateRecords(batches, at)) {
      if (key === null) {
        throw new BarnabasError('INVALID_RECORD', 'a record of a compacted topic needs a key: give it one');
      }
    }
  }
}

/** Only the first and the largest timestamp of a batch are looked at: records are not decoded here. */
function checkTimestamp(timestamp: number, config: LogConfig, now: number): void {
  if (timestamp === -1) return;
  const tooEarly = now - timestamp > config.messageTimestampBeforeMaxMs;
  const tooLate = timestamp - now > config.messageTimestampAfterMaxMs;
  if (!tooEarly && !tooLate) return;
  const key = tooEarly ? 'message.timestamp.before.max.ms' : 'message.timestamp.after.max.ms';
  throw new BarnabasError(
    'INVALID_TIMESTAMP',
    `the timestamp ${timestamp} is too far ${tooEarly ? 'before' : 'after'} the broker's clock (${now}): correct it or raise ${key}`,
    { timestamp, now },
  );
}

/** All batches or none: one append is one retry unit, and a mixture has no contiguous offsets to answer with. */
function findDuplicates(state: LogState, headers: readonly BatchHeader[]): ProducedBatch[] {
  const checker = state.producers.checker();
  const duplicates: ProducedBatch[] = [];
  headers.forEach((header, index) => {
    const verdict = checker.check(header);
    if (verdict.kind === 'duplicate') duplicates.push(verdict.of);
    if (duplicates.length === 0 || duplicates.length === index + 1) return;
    throw new BarnabasError(
      'INVALID_REQUEST',
      'some batches of this append were stored before and some were not: retry batches as they were first sent',
    );
  });
  return duplicates;
}

function assignOffsets(
  headers: readonly BatchHeader[],
  stored: Buffer,
  logEndOffset: number,
  leaderEpoch: number,
  logAppendTime: number,
): PlannedBatch[] {
  let baseOffset = logEndOffset;
  let at = 0;
  const final = headers.map((header) => {
    patchBatch(stored, at, { baseOffset, partitionLeaderEpoch: leaderEpoch });
    if (logAppendTime !== -1 && !header.isControl) setLogAppendTime(stored, at, logAppendTime);
    const patched = patchedHeader(header, baseOffset, leaderEpoch, logAppendTime);
    at += header.sizeInBytes;
    baseOffset = patched.lastOffset + 1;
    return patched;
  });
  return slicesOf(stored, final);
}

function patchedHeader(
  header: BatchHeader,
  baseOffset: number,
  partitionLeaderEpoch: number,
  logAppendTime: number,
): BatchHeader {
  const lastOffset = baseOffset + header.lastOffsetDelta;
  const assigned = { ...header, baseOffset, partitionLeaderEpoch, lastOffset };
  if (logAppendTime === -1 || header.isControl) return assigned;
  return { ...assigned, timestampType: 'LogAppendTime', maxTimestamp: logAppendTime };
}

/** Memory of its own, so that a cached batch does not keep a whole received message alive. */
function copyOf(batches: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(batches.length);
  copy.set(batches);
  return copy;
}

function slicesOf(stored: Buffer, headers: readonly BatchHeader[]): PlannedBatch[] {
  let at = 0;
  return headers.map((header) => {
    const bytes = stored.subarray(at, at + header.sizeInBytes);
    at += header.sizeInBytes;
    return { header, bytes };
  });
}
