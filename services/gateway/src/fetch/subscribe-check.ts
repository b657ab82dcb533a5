/** What is checked of a subscription at the door, and what it asks of leaders. */
import type { FetchLimits, TopicMetadata } from '@barnabas/client';
import { BarnabasError, v1 } from '@barnabas/protocol';
import { checkNotBehind } from '../cluster/checks.js';

/** Kafka's default of max.partition.fetch.bytes. */
const DEFAULT_MAX_BYTES = 1024 * 1024;

/** Where a session asks for nothing else. */
export const sessionDefaults: FetchLimits = {
  maxBytes: DEFAULT_MAX_BYTES,
  minBytes: 0,
  maxWaitMs: 0,
  isolationLevel: v1.IsolationLevel.READ_UNCOMMITTED,
};

/** OFFSET_OUT_OF_RANGE, INVALID_REQUEST, UNKNOWN_LEADER_EPOCH. The partition exists. */
export function checkSubscribe(request: v1.FetchSubscribe, topic: TopicMetadata): void {
  const { offset, maxBytes, minBytes, maxWaitMs } = request;
  if (offset < 0) {
    throw new BarnabasError('OFFSET_OUT_OF_RANGE', 'an offset is 0 or more: ListOffsets tells where to begin', {
      offset,
    });
  }
  if (maxBytes < 0 || minBytes < 0 || maxWaitMs < 0) {
    throw new BarnabasError('INVALID_REQUEST', 'max_bytes, min_bytes and max_wait_ms must not be negative');
  }
  checkNotBehind(topic, request.partition, request.leaderEpoch);
}

export function fetchLimits(request: v1.FetchSubscribe, maxMessageBytes: number): FetchLimits {
  const { maxBytes, minBytes, maxWaitMs, isolationLevel } = request;
  return {
    maxBytes: Math.min(maxBytes === 0 ? DEFAULT_MAX_BYTES : maxBytes, maxMessageBytes),
    minBytes,
    maxWaitMs,
    isolationLevel,
  };
}
