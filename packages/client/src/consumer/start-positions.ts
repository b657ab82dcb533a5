/** From a position as the application names it to an offset. */
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import { noSuchPartition } from '../cluster/leader-calls.js';
import type { ResolvedConsumerOptions } from '../options/consumer-options.js';
import { partitionName } from '../records.js';
import type { Assignment, Position, TopicPartition } from '../records.js';
import { listOffsets } from './list-offsets.js';
import type { OffsetQuestion, OffsetSpec } from './list-offsets.js';

export interface StartPositionsParts {
  readonly router: ClusterRouter;
  readonly isolationLevel: v1.IsolationLevel;
  readonly options: ResolvedConsumerOptions;
}

/** The offsets to begin at, in the order of the assignments. Rejects for topics and partitions that do not exist. */
export async function startOffsets(
  parts: StartPositionsParts,
  assignments: readonly Assignment[],
): Promise<readonly number[]> {
  const positions = assignments.map((assignment) => checkedPosition(assignment, parts.options));
  await Promise.all(assignments.map((assignment) => ensurePartition(parts, assignment)));
  const offsets = positions.map((position) => (isOffset(position) ? position.offset : -1));
  await fill(parts, assignments, offsets, (index) => specOf(positions[index]));
  // No record is as late as the time asked for: from the end on.
  await fill(parts, assignments, offsets, () => 'latest');
  return offsets;
}

/** Looks up what is still open. */
async function fill(
  { router, options, isolationLevel }: StartPositionsParts,
  assignments: readonly Assignment[],
  offsets: number[],
  specFor: (index: number) => OffsetSpec,
): Promise<void> {
  const open = [...offsets.keys()].filter((index) => offsets[index] === -1);
  if (open.length === 0) return;
  const questions = open.map((index): OffsetQuestion => {
    const { topic, partition } = assignments[index] as Assignment;
    return { topic, partition, spec: specFor(index) };
  });
  const found = await listOffsets(router, questions, { isolationLevel, timeoutMs: options.defaultApiTimeoutMs });
  for (const [at, index] of open.entries()) offsets[index] = found[at]?.offset ?? -1;
}

async function ensurePartition({ router, options }: StartPositionsParts, assignment: TopicPartition): Promise<void> {
  const { topic, partition } = assignment;
  const ensure = { timeoutMs: options.defaultApiTimeoutMs, allowAutoTopicCreation: false };
  const { partitions } = await router.view.ensureTopic(topic, ensure);
  if (partition >= partitions.length) throw noSuchPartition(assignment, partitions.length);
}

function checkedPosition(assignment: Assignment, { autoOffsetReset }: ResolvedConsumerOptions): Position {
  const { topic, partition, position } = assignment;
  if (!Number.isInteger(partition) || partition < 0) throw illegal(topic, `partition ${partition}`);
  if (position === undefined) {
    if (autoOffsetReset !== 'none') return autoOffsetReset;
    throw illegal(partitionName(topic, partition), 'no position, with auto.offset.reset none');
  }
  if (typeof position === 'string') {
    if (position === 'earliest' || position === 'latest') return position;
    throw illegal(partitionName(topic, partition), `position ${String(position)}`);
  }
  const value = isOffset(position) ? position.offset : position.timestamp;
  if (!Number.isSafeInteger(value) || value < 0) throw illegal(partitionName(topic, partition), `position ${value}`);
  return position;
}

function isOffset(position: Position): position is { readonly offset: number } {
  return typeof position === 'object' && 'offset' in position;
}

function specOf(position: Position | undefined): OffsetSpec {
  if (position === undefined || typeof position === 'string') return position ?? 'latest';
  return isOffset(position) ? 'latest' : { timestamp: position.timestamp };
}

function illegal(what: string, why: string): BarnabasError {
  return new BarnabasError(
    'INVALID_REQUEST',
    `${what} cannot be assigned: ${why}. A partition is a whole number from 0; a position is earliest, latest, {offset} or {timestamp}`,
  );
}
