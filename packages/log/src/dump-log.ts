/**
 * Reads a partition's directory while no broker has to run, for `barnabas log dump`. Works on a
 * private picture of the files: nothing in the directory is changed, whatever state it is in.
 */
import { basename } from 'node:path';
import { BarnabasError, validateBatch } from '@barnabas/protocol';
import type { BatchHeader } from '@barnabas/protocol';
import { levelStoreFactory } from '@barnabas/store';
import type { Entry, StoreFactory } from '@barnabas/store';
import { decodeKey } from './keys.js';
import { parseDirectoryName } from './log-directory.js';
import { decodeSegmentEnd } from './segment-end.js';
import type { SegmentEnd } from './segment-end.js';
import { damagedBatchOffline } from './storage-errors.js';
import type { TopicPartition } from './types.js';

export type DumpedEntry =
  | {
      readonly kind: 'batch';
      readonly offset: number;
      readonly header: BatchHeader;
      readonly bytes: Buffer;
      /** Batches are missing before it: it does not begin where the one before it ended, and no damaged batch lies between. */
      readonly gapBefore: boolean;
      /** Everything before it was synced when it was written. */
      readonly afterSync: boolean;
    }
  | { readonly kind: 'segmentEnd'; readonly offset: number; readonly end: SegmentEnd }
  /** Never decoded further; `offset` is -1 where not even the key makes sense. */
  | {
      readonly kind: 'corrupt';
      readonly offset: number;
      readonly bytes: Buffer;
      readonly why: string;
      /** By its key; else it is a segment end, or nobody knows. */
      readonly isBatch: boolean;
    };

export interface DumpOptions {
  /** From the batch at or behind this offset. */
  readonly fromOffset?: number;
  readonly factory?: StoreFactory;
}

const CHUNK_BYTES = 1024 * 1024;

/** What a directory's name says; undefined when it is not a partition's. */
export function partitionOfDirectory(directory: string): TopicPartition | undefined {
  return parseDirectoryName(basename(directory));
}

/** Everything in the directory in order, each batch with the verdict on its CRC. Throws StoreError for no database. */
export async function* dumpLog(
  directory: string,
  { fromOffset = 0, factory = levelStoreFactory }: DumpOptions = {},
): AsyncGenerator<DumpedEntry, void, undefined> {
  const store = await factory.openReadOnly(directory);
  try {
    let expected: number | undefined;
    for await (const entries of store.read({ chunkBytes: CHUNK_BYTES })) {
      for (const entry of entries) {
        const dumped = judge(entry, expected);
        expected = expectedAfter(dumped, expected);
        if (dumped.offset === -1 || dumped.offset >= fromOffset) yield dumped;
      }
    }
  } finally {
    await store.close();
  }
}

/**
 * Where the next batch has to begin; undefined when nobody knows. A damaged batch does not say how far
 * it reaches, so what follows it is no gap.
 */
function expectedAfter(dumped: DumpedEntry, expected: number | undefined): number | undefined {
  switch (dumped.kind) {
    case 'batch':
      return dumped.header.lastOffset + 1;
    case 'corrupt':
      return dumped.isBatch ? undefined : expected;
    case 'segmentEnd':
      return expected;
  }
}

function judge({ key, value }: Entry, expected: number | undefined): DumpedEntry {
  const decoded = decodeKey(key);
  if (decoded === undefined) {
    const why = `the key ${key.toString('hex')} is none of ours`;
    return { kind: 'corrupt', offset: -1, bytes: value, why, isBatch: false };
  }
  const { offset, kind } = decoded;
  if (kind === 'segmentEnd') {
    const end = decodeSegmentEnd(value);
    if (end !== undefined) return { kind, offset, end };
    const why = 'the segment end is damaged (its content can be derived again)';
    return { kind: 'corrupt', offset, bytes: value, why, isBatch: false };
  }
  try {
    const header = validateBatch(value);
    if (header.baseOffset !== offset || header.sizeInBytes !== value.length) {
      const why = `a batch of ${header.sizeInBytes} bytes at ${header.baseOffset} is stored there in ${value.length} bytes`;
      return { kind: 'corrupt', offset, bytes: value, why, isBatch: true };
    }
    const gapBefore = expected !== undefined && expected !== offset;
    return { kind: 'batch', offset, header, bytes: value, gapBefore, afterSync: kind === 'batchAfterSync' };
  } catch (error) {
    if (!(error instanceof BarnabasError)) throw error;
    const why = damagedBatchOffline(error);
    return { kind: 'corrupt', offset, bytes: value, why, isBatch: true };
  }
}
