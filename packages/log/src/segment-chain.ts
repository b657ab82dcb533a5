/**
 * Finds the closed segments of a log from its last segment end backwards. Each segment end lists up
 * to 128 segments, so few of them are read; a damaged one is replaced by reading its batches.
 */
import type { KeyValueStore } from '@barnabas/store';
import { keyAt } from './keys.js';
import { ActiveSegment } from './segments.js';
import type { SegmentSummary } from './segments.js';
import { decodeSegmentEnd } from './segment-end.js';
import type { SegmentEnd } from './segment-end.js';
import { batchOf, CorruptEntry, keyOf, storedEntries } from './stored-batches.js';

const CHUNK_BYTES = 4 * 1024 * 1024;

/** Closed segments that still hold anything at or above `firstOffset`, oldest first. */
export async function loadSegments(
  store: KeyValueStore,
  last: { readonly offset: number; readonly end: SegmentEnd },
  firstOffset: number,
): Promise<SegmentSummary[]> {
  const found: SegmentSummary[] = [];
  let end: SegmentEnd | undefined = last.end;
  let offset = last.offset;
  while (offset > firstOffset) {
    const segments: readonly SegmentSummary[] = end?.segments ?? [await summarise(store, offset, firstOffset)];
    const [oldest] = segments;
    if (oldest === undefined) break;
    found.unshift(...segments);
    offset = oldest.baseOffset;
    end = await segmentEndAt(store, offset);
  }
  return found.filter((segment) => segment.endOffset > firstOffset);
}

async function segmentEndAt(store: KeyValueStore, offset: number): Promise<SegmentEnd | undefined> {
  const bytes = await store.get(keyAt(offset));
  return bytes === undefined ? undefined : decodeSegmentEnd(bytes);
}

/** The segment that ends at the offset, from its batches. */
async function summarise(store: KeyValueStore, endOffset: number, firstOffset: number): Promise<SegmentSummary> {
  const segment = new ActiveSegment(await segmentStart(store, endOffset, firstOffset));
  for await (const { kind, offset, entry } of storedEntries(store, {
    from: segment.baseOffset,
    to: endOffset,
    chunkBytes: CHUNK_BYTES,
  })) {
    if (kind !== 'segmentEnd') segment.appended(batchOf(entry, offset).header);
  }
  if (segment.isEmpty) throw new CorruptEntry(endOffset, 'a segment ends there, but none of its batches is stored');
  return { ...segment.summary(), endOffset };
}

async function segmentStart(store: KeyValueStore, endOffset: number, firstOffset: number): Promise<number> {
  for await (const entries of store.read({ lt: keyAt(endOffset), reverse: true, keysOnly: true, chunkBytes: 4096 })) {
    const end = entries.map(keyOf).find((key) => key.kind === 'segmentEnd');
    if (end !== undefined) return end.offset;
  }
  return firstOffset;
}
