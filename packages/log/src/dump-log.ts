/**
 * Reads a partition's directory while no broker has to run, for `barnabas log dump`. Works on a
 * private picture of the files: nothing in the directory is changed, whatever state it is in.
 */
import { basename } from 'node:path';
import { validateBatch } from '@barnabas/protocol';
import type { BatchHeader } from '@barnabas/protocol';
import { levelStoreFactory } from '@barnabas/store';
import type { Entry, StoreFactory } from '@barnabas/store';
import { decodeKey } from './keys.js';
import { parseDirectoryName } from './log-directory.js';
import { decodeSegmentEnd } from './segment-end.js';
import type { SegmentEnd } from './segment-end.js';
import type { TopicPartition } from './types.js';

export type DumpedEntry =
  | {
      readonly kind: 'batch';
      readonly offset: number;
      readonly header: BatchHeader;
      readonly bytes: Buffer;
      /** The batch does not begin where the one before it ended. */
      readonly gapBefore: boolean;
      /** Everything before it was synced when it was written. */
      readonly afterSync: boolean;
    }
  | { readonly kind: 'segmentEnd'; readonly offset: number; readonly end: SegmentEnd }
  /** Never decoded further; `offset` is -1 where not even the key makes sense. */
  | { readonly kind: 'corrupt'; readonly offset: number; readonly bytes: Buffer; readonly why: string };

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
        if (dumped.kind === 'batch') expected = dumped.header.lastOffset + 1;
        if (dumped.offset === -1 || dumped.offset >= fromOffset) yield dumped;
      }
    }
  } finally {
    await store.close();
  }
}

function judge({ key, value }: Entry, expected: number | undefined): DumpedEntry {
  const decoded = decodeKey(key);
  if (decoded === undefined) {
    return { kind: 'corrupt', offset: -1, bytes: value, why: `the key ${key.toString('hex')} is none of ours` };
  }
  const { offset, kind } = decoded;
  if (kind === 'segmentEnd') {
    const end = decodeSegmentEnd(value);
    return end === undefined
      ? { kind: 'corrupt', offset, bytes: value, why: 'the segment end is damaged (its content can be derived again)' }
      : { kind, offset, end };
  }
  try {
    const header = validateBatch(value);
    if (header.baseOffset !== offset || header.sizeInBytes !== value.length) {
      const why = `a batch of ${header.sizeInBytes} bytes at ${header.baseOffset} is stored there in ${value.length} bytes`;
      return { kind: 'corrupt', offset, bytes: value, why };
    }
    const gapBefore = expected !== undefined && expected !== offset;
    return { kind: 'batch', offset, header, bytes: value, gapBefore, afterSync: kind === 'batchAfterSync' };
  } catch (error) {
    return { kind: 'corrupt', offset, bytes: value, why: error instanceof Error ? error.message : String(error) };
  }
}
