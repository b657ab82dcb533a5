/**
 * LogService/ListOffsets: offsets by time, at the ends of partitions, or of the first record at or after
 * one. Only what is below the high watermark can be found. READ_COMMITTED makes `latest` the last stable
 * offset.
 *
 * The call fails with INVALID_REQUEST for too many entries. Each entry has its own error: those of
 * leader-lookup.ts, UNKNOWN_LEADER_EPOCH (the client knows of a later leader), INVALID_REQUEST (no spec,
 * a negative time or offset), KAFKA_STORAGE_ERROR, OFFSET_NOT_AVAILABLE (a new leader does not know yet
 * what is committed: anything but earliest, which it does know; KIP-207).
 */
import { InvariantError } from '@barnabas/common';
import type { PartitionLog, TimestampAndOffset } from '@barnabas/log';
import { BarnabasError, errorToProto, toBarnabasError, v1 } from '@barnabas/protocol';
import { refusals } from '../core/index.js';
import type { LeaderLookup } from '../runtime/leader-lookup.js';
import type { ReplicaDriver, ReplicaPartition } from '../runtime/replica-driver.js';

const MAX_ENTRIES = 10_000;

export interface PartitionAccess {
  readonly lookup: LeaderLookup;
  readonly driver: ReplicaDriver;
}

export async function listOffsets(
  request: v1.ListOffsetsRequest,
  access: PartitionAccess,
): Promise<v1.ListOffsetsResponse> {
  const { entries, isolationLevel } = request;
  if (entries.length > MAX_ENTRIES) {
    throw new BarnabasError('INVALID_REQUEST', `at most ${MAX_ENTRIES} offsets can be asked for at once`);
  }
  return { results: await Promise.all(entries.map((entry) => answer(entry, isolationLevel, access))) };
}

async function answer(
  entry: v1.ListOffsetsEntry,
  isolationLevel: v1.IsolationLevel,
  { lookup, driver }: PartitionAccess,
): Promise<v1.ListOffsetsResult> {
  const { topic, partition, currentLeaderEpoch = -1 } = entry;
  try {
    const replica = lookup.partition(topic, partition);
    // A client that knows an older epoch only is served all the same: this leader is the newer one.
    if (currentLeaderEpoch > replica.leaderEpoch) {
      throw refusals.unknownLeaderEpoch(replica, currentLeaderEpoch, replica.leaderEpoch);
    }
    const log = await driver.openLog(replica);
    const found = await find(entry, isolationLevel, replica, log);
    const { offset, timestamp, leaderEpoch } = found ?? NOTHING;
    return { topic, partition, offset, timestampMs: timestamp, leaderEpoch, error: undefined };
  } catch (error) {
    if (error instanceof InvariantError) throw error;
    const refused = errorToProto(toBarnabasError(error));
    return { topic, partition, offset: -1, timestampMs: -1, leaderEpoch: -1, error: refused };
  }
}

const NO_SPEC = 'an entry asks for earliest, latest, timestamp_ms, max_timestamp or at_offset';
const NOTHING: TimestampAndOffset = { offset: -1, timestamp: -1, leaderEpoch: -1 };

async function find(
  { spec }: v1.ListOffsetsEntry,
  isolationLevel: v1.IsolationLevel,
  replica: ReplicaPartition,
  log: PartitionLog,
): Promise<TimestampAndOffset | undefined> {
  const { logStartOffset, highWatermark, lastStableOffset, leaderEpoch } = replica;
  const readCommitted = isolationLevel === v1.IsolationLevel.READ_COMMITTED;
  const limit = readCommitted ? lastStableOffset : highWatermark;
  // Otherwise a reader that has read to the end might be told that there is less.
  if (replica.isHighWatermarkBehindEpoch && spec?.$case !== 'earliest') throw refusals.offsetNotAvailable(replica);
  switch (spec?.$case) {
    case 'earliest':
      return { offset: logStartOffset, timestamp: -1, leaderEpoch };
    case 'latest':
      return { offset: limit, timestamp: -1, leaderEpoch };
    case 'timestampMs':
      if (spec.timestampMs < 0) throw new BarnabasError('INVALID_REQUEST', 'timestamp_ms must not be negative');
      return log.offsetForTimestamp(spec.timestampMs, { maxOffset: limit });
    case 'maxTimestamp':
      return belowLimit(await log.offsetOfMaxTimestamp(), limit);
    case 'atOffset':
      if (spec.atOffset < 0) throw new BarnabasError('INVALID_REQUEST', 'at_offset must not be negative');
      return log.recordAtOrAfter(spec.atOffset, { maxOffset: limit });
    case undefined:
      throw new BarnabasError('INVALID_REQUEST', NO_SPEC);
  }
}

/** A record that is not committed yet is not there for anybody. */
function belowLimit(found: TimestampAndOffset | undefined, limit: number): TimestampAndOffset | undefined {
  return found !== undefined && found.offset < limit ? found : undefined;
}
