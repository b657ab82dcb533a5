/** Batches as commands of the Raft log, and images as its snapshots. */
import { internal } from '@barnabas/protocol';
import { estimatedRecordBytes, snapshotChunks } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import type { Batch, Unit } from '../core/index.js';

/** Records of one command, unless a single unit has more. */
const MAX_RECORDS_PER_COMMAND = 5_000;
/** Of records in one command, about, unless a single unit has more: half of what Raft takes (maxCommandBytes). */
const MAX_BYTES_PER_COMMAND = 1024 * 1024;
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
  let bytes = 0;
  for (const unit of units) {
    const more = unit.reduce((sum, record) => sum + estimatedRecordBytes(record), 0);
    const isFull = current.length + unit.length > MAX_RECORDS_PER_COMMAND || bytes + more > MAX_BYTES_PER_COMMAND;
    if (current.length > 0 && isFull) {
      commands.push(current);
      current = [];
      bytes = 0;
    }
    bytes += more;
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
