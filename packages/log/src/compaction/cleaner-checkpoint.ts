/**
 * What a log remembers of its compaction: how far it is clean, and when that was said of which offsets,
 * from which the time of tombstones counts (delete.retention.ms). Pure, but for its bytes.
 *
 * Kept in the checkpoint database, not among the batches: it changes in place. Losing it costs work and
 * keeps tombstones longer; it must never say too much:
 *   C1  below `cleanedTo`, every record that a later one below it supersedes is gone, on disk
 *   C2  a pass is listed only once what it removed is gone on disk
 */
import { crc32c } from '@barnabas/protocol';

/** Everything below the offset was clean at this time. */
export interface CleanPass {
  readonly endOffset: number;
  readonly atMs: number;
}

export interface CleanerCheckpoint {
  readonly cleanedTo: number;
  /** Oldest first; offsets and times grow. */
  readonly passes: readonly CleanPass[];
}

export const NEVER_CLEANED: CleanerCheckpoint = { cleanedTo: 0, passes: [] };

/** Passes that are told apart; older ones count as having come with the next. */
const MAX_PASSES = 32;

export function afterPass(before: CleanerCheckpoint, pass: CleanPass): CleanerCheckpoint {
  const passes = before.passes.filter(({ endOffset }) => endOffset < pass.endOffset);
  // Leaving the oldest out makes its offsets wait for the pass behind it: longer, never less.
  return { cleanedTo: pass.endOffset, passes: [...passes, pass].slice(-MAX_PASSES) };
}

/** The log ends at the offset now: what is appended there is not clean. */
export function truncatedTo(before: CleanerCheckpoint, offset: number): CleanerCheckpoint {
  if (offset >= before.cleanedTo) return before;
  const kept = before.passes.filter(({ endOffset }) => endOffset <= offset);
  const cut = before.passes.find(({ endOffset }) => endOffset > offset);
  return { cleanedTo: offset, passes: cut === undefined ? kept : [...kept, { ...cut, endOffset: offset }] };
}

/** Below this offset tombstones have been seen long enough. */
export function tombstonesEndAt({ passes }: CleanerCheckpoint, now: number, deleteRetentionMs: number): number {
  return passes.findLast(({ atMs }) => now - atMs >= deleteRetentionMs)?.endOffset ?? 0;
}

const VERSION = 1;

export function encodeCleanerCheckpoint({ cleanedTo, passes }: CleanerCheckpoint): Buffer {
  const bytes = Buffer.alloc(5 + 8 + 16 * passes.length);
  bytes.writeUInt8(VERSION, 0);
  bytes.writeBigInt64BE(BigInt(cleanedTo), 5);
  for (const [index, { endOffset, atMs }] of passes.entries()) {
    bytes.writeBigInt64BE(BigInt(endOffset), 13 + 16 * index);
    bytes.writeBigInt64BE(BigInt(atMs), 21 + 16 * index);
  }
  bytes.writeUInt32BE(crc32c(bytes.subarray(5)), 1);
  return bytes;
}

/** Never cleaned, for damaged bytes. */
export function decodeCleanerCheckpoint(bytes: Buffer | undefined): CleanerCheckpoint {
  if (bytes === undefined || bytes.length < 13 || (bytes.length - 13) % 16 !== 0) return NEVER_CLEANED;
  if (bytes.readUInt8(0) !== VERSION || bytes.readUInt32BE(1) !== crc32c(bytes.subarray(5))) return NEVER_CLEANED;
  const passes: CleanPass[] = [];
  for (let at = 13; at < bytes.length; at += 16) {
    passes.push({ endOffset: Number(bytes.readBigInt64BE(at)), atMs: Number(bytes.readBigInt64BE(at + 8)) });
  }
  return { cleanedTo: Number(bytes.readBigInt64BE(5)), passes };
}
