/** Batches as commands of the Raft log, and images as its snapshots. */
import { internal } from '@barnabas/protocol';
import { snapshotChunks } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import type { Batch, Unit } from '../core/index.js';

/** Records of one command, unless a single unit has more. */
const MAX_RECORDS_PER_COMMAND = 5_000;
/** Small enough that a node restores it piece by piece without a long turn. */
const SNAPSHOT_PIECE_BYTES = 128 * 1024;

export function encodeCommand(batch: Batch): Uint8Array {
  return internal.MetadataRecordBatch.encode(batch).finish();
}

/** Nothing of the result refers to `command`. */
export function decodeCommand(command: Uint8Array): Batch {
  return internal.MetadataRecordBatch.decode(command);
}

/** Puts units together into commands: as few as possible, none too large, no unit divided. */
export function packUnits(units: readonly Unit[]): Unit[] {
  const commands: Unit[] = [];
  let current: Unit[number][] = [];
  for (const unit of units) {
    if (current.length > 0 && current.length + unit.length > MAX_RECORDS_PER_COMMAND) {
      commands.push(current);
      current = [];
    }
    // Not by spreading: a unit may have more records than a call may have arguments.
    for (const record of unit) current.push(record);
  }
  if (current.length > 0) commands.push(current);
  return commands;
}

export function* encodeSnapshot(image: MetadataImage): Generator<Uint8Array, void, undefined> {
  for (const chunk of snapshotChunks(image, SNAPSHOT_PIECE_BYTES)) {
    yield internal.MetadataSnapshotChunk.encode(chunk).finish();
  }
}
