/**
 * Reads batches from a partition's database and trusts none of them: CRC, size, place and order are
 * checked for everything that leaves here. What is wrong is thrown as a CorruptEntry that names the
 * offset; nothing is skipped.
 */
import { assert } from '@barnabas/common';
import { BarnabasError, readBatchHeader, validateBatch } from '@barnabas/protocol';
import type { BatchHeader } from '@barnabas/protocol';
import type { Entry, KeyValueStore } from '@barnabas/store';
import { decodeKey, keyAt, keyBehindSegmentEnd } from './keys.js';
import type { EntryKind, LogKey } from './keys.js';
import { damagedBatch } from './storage-errors.js';
import type { ReadRequest, ReadResult } from './types.js';

const SCAN_CHUNK_BYTES = 4 * 1024 * 1024;

/** Found on disk: something else than was written. */
export class CorruptEntry extends Error {
  override readonly name = 'CorruptEntry';
  constructor(
    readonly offset: number,
    why: string,
    options?: { readonly cause?: unknown },
  ) {
    super(why, options);
  }
}

export interface StoredBatch {
  readonly header: BatchHeader;
  readonly bytes: Buffer;
}

export function keyOf(entry: Entry): LogKey {
  const key = decodeKey(entry.key);
  if (key === undefined) {
    throw new CorruptEntry(0, `a key is none that this version writes (${entry.key.toString('hex')})`);
  }
  return key;
}

/** The batch of an entry, verified. */
export function batchOf(entry: Entry, offset: number): StoredBatch {
  const header = verified(entry.value, offset);
  if (header.sizeInBytes !== entry.value.length) {
    throw new CorruptEntry(offset, `${entry.value.length} bytes are stored for a batch of ${header.sizeInBytes}`);
  }
  if (header.baseOffset !== offset) {
    throw new CorruptEntry(offset, `the batch stored there begins at ${header.baseOffset}`);
  }
  return { header, bytes: entry.value };
}

function verified(value: Buffer, offset: number): BatchHeader {
  try {
    return validateBatch(value);
  } catch (error) {
    if (!(error instanceof BarnabasError)) throw error;
    throw new CorruptEntry(offset, damagedBatch(error), { cause: error });
  }
}

/** Batches of the range in order, verified and contiguous, with the segment ends among them. */
export async function* storedEntries(
  store: KeyValueStore,
  range: { readonly from: number; readonly to?: number; readonly chunkBytes: number },
): AsyncGenerator<{ readonly kind: EntryKind; readonly offset: number; readonly entry: Entry }, void, undefined> {
  const bounds = { gte: keyAt(range.from), ...(range.to === undefined ? {} : { lt: keyAt(range.to) }) };
  for await (const entries of store.read({ ...bounds, chunkBytes: range.chunkBytes })) {
    for (const entry of entries) yield { ...keyOf(entry), entry };
  }
}

/** The batch that holds the offset, where it does not begin there. */
async function batchAround(store: KeyValueStore, offset: number): Promise<StoredBatch | undefined> {
  const { entries } = await store.readChunk({ lt: keyAt(offset), reverse: true, limit: 1, chunkBytes: 1 });
  const [entry] = entries;
  if (entry === undefined) return undefined;
  const key = keyOf(entry);
  if (key.kind === 'segmentEnd') return undefined;
  const batch = batchOf(entry, key.offset);
  return batch.header.lastOffset >= offset ? batch : undefined;
}

/**
 * Reads from the batch that holds the offset on. The caller knows that the log has the offset, so
 * not finding it is corruption too.
 */
export async function readBatches(store: KeyValueStore, request: ReadRequest): Promise<ReadResult> {
  const { offset, maxBytes, maxOffset } = request;
  const range = { gte: keyBehindSegmentEnd(offset), lt: keyAt(maxOffset) };
  const { entries } = await store.readChunk({ ...range, chunkBytes: Math.max(1, maxBytes) });
  const selection = new Selection(request);
  const [first] = entries;
  if (first === undefined || keyOf(first).offset !== offset) {
    const around = await batchAround(store, offset);
    if (around === undefined) throw new CorruptEntry(offset, 'no stored batch holds this offset');
    if (!selection.take(around)) return selection.result();
  }
  for (const entry of entries) {
    const key = keyOf(entry);
    if (key.kind !== 'segmentEnd' && !selection.take(batchOf(entry, key.offset))) break;
  }
  return selection.result();
}

/** What a request may have of the batches offered to it, in order. */
class Selection {
  readonly #batches: Buffer[] = [];
  #bytes = 0;
  #nextOffset: number;

  constructor(private readonly request: ReadRequest) {
    this.#nextOffset = request.offset;
  }

  /** False when the request is satisfied. */
  take({ header, bytes }: StoredBatch): boolean {
    const isFirst = this.#batches.length === 0;
    if (!isFirst && header.baseOffset !== this.#nextOffset) {
      throw new CorruptEntry(this.#nextOffset, `no batch is stored there, but one at ${header.baseOffset}`);
    }
    if (header.lastOffset >= this.request.maxOffset) return false;
    this.#bytes += bytes.length;
    if (this.#bytes > this.request.maxBytes && !(isFirst && this.request.minOneBatch)) return false;
    this.#batches.push(bytes);
    this.#nextOffset = header.lastOffset + 1;
    return true;
  }

  result(): ReadResult {
    return { batches: this.#batches, nextOffset: this.#nextOffset };
  }
}

/** Where the batch that holds the offset begins. */
export async function batchStart(store: KeyValueStore, offset: number): Promise<number> {
  const request = { offset, maxBytes: 1, maxOffset: Number.MAX_SAFE_INTEGER, minOneBatch: true };
  const [batch] = (await readBatches(store, request)).batches;
  assert(batch !== undefined, 'a batch below the log end is stored');
  return readBatchHeader(batch).baseOffset;
}

/** Every batch from the one that holds `from` up to `to`, verified, with no gap. */
export async function* contiguousBatches(
  store: KeyValueStore,
  from: number,
  to: number,
): AsyncGenerator<StoredBatch, void, undefined> {
  if (from >= to) return;
  let expected = await batchStart(store, from);
  const range = { from: expected, to, chunkBytes: SCAN_CHUNK_BYTES };
  for await (const { kind, offset, entry } of storedEntries(store, range)) {
    if (kind === 'segmentEnd') continue;
    if (offset !== expected) throw new CorruptEntry(expected, `no batch is stored there, but one at ${offset}`);
    const batch = batchOf(entry, offset);
    expected = batch.header.lastOffset + 1;
    yield batch;
  }
  if (expected < to) throw new CorruptEntry(expected, `no batch is stored there, but the log ends at ${to}`);
}
