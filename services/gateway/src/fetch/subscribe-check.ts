/** What is checked of a subscription at the door, and what it asks of leaders. */
import type { FetchLimits, TopicMetadata } from '@barnabas/client';
import { BarnabasError, v1 } from '@barnabas/protocol';

/** Kafka's default of max.partition.fetch.bytes. */
const DEFAULT_MAX_BYTES = 1024 * 1024;

/** Where a session asks for nothing else. */
export const sessionDefaults: FetchLimits = {
  maxBytes: DEFAULT_MAX_BYTES,
  minBytes: 0,
  maxWaitMs: 0,
  isolationLevel: v1.IsolationLevel.READ_UNCOMMITTED,
};

/** OFFSET_OUT_OF_RANGE, INVALID_REQUEST, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH. The partition exists. */
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
  checkEpoch(request, topic);
}

/** A client behind a gateway need not know epochs; one that says an epoch is told when it is not the leader's. */
function checkEpoch({ partition, leaderEpoch: said = -1 }: v1.FetchSubscribe, topic: TopicMetadata): void {
  const leaderEpoch = topic.partitions[partition]?.leaderEpoch ?? -1;
  if (said < 0 || said === leaderEpoch) return;
  const name = said < leaderEpoch ? 'FENCED_LEADER_EPOCH' : 'UNKNOWN_LEADER_EPOCH';
  const text = `${topic.name}-${partition} has leader epoch ${leaderEpoch}, not ${said}: refresh metadata`;
  throw new BarnabasError(name, text, { topic: topic.name, partition, leaderEpoch, said });
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
