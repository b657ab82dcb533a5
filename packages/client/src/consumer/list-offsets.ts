/** Offsets by end, by time or at an offset, from each partition's leader: for consumers and admin alike. */
import { BarnabasError, v1 } from '@barnabas/protocol';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import { callLeaders } from '../cluster/leader-calls.js';
import type { OffsetAndTimestamp, TopicPartition } from '../records.js';

/**
 * Which offset: an end, the record with the greatest timestamp (KIP-734), or the first record at or after
 * a time or an offset.
 */
export type OffsetSpec =
  | 'earliest'
  | 'latest'
  | 'max-timestamp'
  | { readonly timestamp: number }
  | { readonly atOffset: number };

export interface OffsetQuestion extends TopicPartition {
  readonly spec: OffsetSpec;
}

/** The offset is -1 where no record matches. */
export interface FoundOffset extends TopicPartition, OffsetAndTimestamp {}

export interface ListOffsetsOptions {
  readonly isolationLevel: v1.IsolationLevel;
  readonly timeoutMs: number;
}

/** In the order of the questions. Rejects with the first failure. */
export async function listOffsets(
  router: ClusterRouter,
  questions: readonly OffsetQuestion[],
  options: ListOffsetsOptions,
): Promise<FoundOffset[]> {
  return (await listEachOffset(router, questions, options)).map((result) => {
    if (result instanceof BarnabasError) throw result;
    return result;
  });
}

/** The same, with failures in their places. */
export async function listEachOffset(
  router: ClusterRouter,
  questions: readonly OffsetQuestion[],
  { isolationLevel, timeoutMs }: ListOffsetsOptions,
): Promise<(FoundOffset | BarnabasError)[]> {
  const results = await callLeaders(router, {
    entries: questions,
    timeoutMs,
    send: async (channel, entries, options, leaderEpochs) => {
      const asked = entries.map((entry, index) => toEntry(entry, leaderEpochs[index]));
      const request = { entries: asked, isolationLevel };
      return (await channel.client(v1.LogServiceDefinition).listOffsets(request, options)).results;
    },
  });
  return results.map((result, index) => {
    if (result instanceof BarnabasError) return result;
    const { topic, partition } = questions[index] as OffsetQuestion;
    const { offset, timestampMs, leaderEpoch } = result;
    return { topic, partition, offset, timestamp: timestampMs, leaderEpoch };
  });
}

function toEntry({ topic, partition, spec }: OffsetQuestion, currentLeaderEpoch = -1): v1.ListOffsetsEntry {
  return { topic, partition, spec: toSpec(spec), currentLeaderEpoch };
}

function toSpec(spec: OffsetSpec): v1.ListOffsetsEntry['spec'] {
  switch (spec) {
    case 'earliest':
      return { $case: 'earliest', earliest: true };
    case 'latest':
      return { $case: 'latest', latest: true };
    case 'max-timestamp':
      return { $case: 'maxTimestamp', maxTimestamp: true };
    default:
      if ('atOffset' in spec) return { $case: 'atOffset', atOffset: spec.atOffset };
      return { $case: 'timestampMs', timestampMs: spec.timestamp };
  }
}
