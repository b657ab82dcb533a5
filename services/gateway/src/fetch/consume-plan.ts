/** Where a Consume call begins and ends in each partition, found before anything is read. */
import type { TopicMetadata } from '@barnabas/client';
import type { v1 } from '@barnabas/protocol';
import { BarnabasError, errorFromProto } from '@barnabas/protocol';
import type { CallContext } from '@barnabas/rpc';
import { checkPartition } from '../cluster/checks.js';
import { listOffsets } from '../handlers/leader-requests.js';
import type { LeaderRequestParts } from '../handlers/leader-requests.js';

/** One partition of the call. */
export interface Reading {
  readonly partition: number;
  /** First offset wanted. */
  readonly from: number;
  /** Exclusive: where the partition ended when the call came, with stop_at_end; else infinity. */
  readonly until: number;
}

export interface ConsumePlan {
  readonly topic: TopicMetadata;
  readonly readings: readonly Reading[];
}

/**
 * INVALID_REQUEST (a partition named twice, a negative count or time), OFFSET_OUT_OF_RANGE (a negative
 * offset), INVALID_TOPIC_EXCEPTION, UNKNOWN_TOPIC_OR_PARTITION, and what ListOffsets answers.
 */
export async function planConsume(
  request: v1.ConsumeRequest,
  parts: LeaderRequestParts,
  context: Pick<CallContext, 'timeoutMs'>,
): Promise<ConsumePlan> {
  const topic = parts.view.knownTopic(request.topic);
  const partitions = chosenPartitions(request, topic);
  const needsStart = request.start?.position?.$case !== 'offset';
  const specs: ListOffsetsSpec[] = [
    ...(needsStart ? [startSpec(request.start)] : []),
    ...(request.stopAtEnd || needsEndForStart(request.start) ? [LATEST] : []),
  ];
  const entries = partitions.flatMap((partition) => specs.map((spec) => ({ topic: topic.name, partition, spec })));
  const { isolationLevel } = request;
  const { results } = await listOffsets(parts, { entries, isolationLevel }, context);
  const refused = results.find(({ error }) => error !== undefined)?.error;
  if (refused !== undefined) throw errorFromProto(refused);
  const found = results.values();
  const readings = partitions.map((partition) => {
    const offsets = specs.map(() => (found.next().value as v1.ListOffsetsResult).offset);
    const end = offsets.at(-1) ?? 0;
    return { partition, from: startOffset(request.start, offsets[0], end), until: request.stopAtEnd ? end : Infinity };
  });
  return { topic, readings };
}

type ListOffsetsSpec = NonNullable<v1.ListOffsetsEntry['spec']>;
const LATEST: ListOffsetsSpec = { $case: 'latest', latest: true };

function chosenPartitions({ partitions, maxRecords }: v1.ConsumeRequest, topic: TopicMetadata): readonly number[] {
  if (maxRecords < 0) throw new BarnabasError('INVALID_REQUEST', 'max_records must not be negative');
  if (new Set(partitions).size !== partitions.length) {
    throw new BarnabasError('INVALID_REQUEST', 'a partition is named once');
  }
  for (const partition of partitions) checkPartition(topic, partition);
  return partitions.length === 0 ? topic.partitions.map(({ partition }) => partition) : partitions;
}

/** A time after the last record begins at the end. */
function needsEndForStart(start: v1.StartPosition | undefined): boolean {
  return start?.position?.$case === 'timestampMs';
}

function startSpec(start: v1.StartPosition | undefined): ListOffsetsSpec {
  const position = start?.position;
  switch (position?.$case) {
    case 'earliest':
      return { $case: 'earliest', earliest: true };
    case 'timestampMs':
      if (position.timestampMs < 0) throw new BarnabasError('INVALID_REQUEST', 'timestamp_ms must not be negative');
      return { $case: 'timestampMs', timestampMs: position.timestampMs };
    case 'latest':
    case 'offset':
    case undefined:
      return LATEST;
  }
}

function startOffset(start: v1.StartPosition | undefined, found: number | undefined, end: number): number {
  const position = start?.position;
  if (position?.$case !== 'offset') return found === undefined || found < 0 ? end : found;
  if (position.offset < 0) throw new BarnabasError('OFFSET_OUT_OF_RANGE', 'an offset is 0 or more');
  return position.offset;
}
