/**
 * Rebuilds a log's state from its database and decides what the end of it is worth.
 *
 * Reads backwards (keys only) to the last intact segment end, then forwards over the batches behind
 * it, verifying each. What it finds wrong is one of three things:
 *
 *   | found                                   | where                    | then                 |
 *   |-----------------------------------------|--------------------------|----------------------|
 *   | a damaged batch, the last of all        | not known to be synced   | torn tail: cut       |
 *   | a gap                                   | not known to be synced   | lost writes: cut     |
 *   | any of these, or anything else          | anywhere else            | CorruptEntry: thrown |
 *
 * "Known to be synced" is everything below the last segment end and below the last batch whose kind
 * says that all before it was synced. Cutting loses only what no flush policy had covered.
 * Steps and reasons: docs/protocols/partition-log.md, section 5.
 */
import type { KeyValueStore, StoreOperation } from '@barnabas/store';
import { encodeKey, keyAt, keyBehindSegmentEnd } from './keys.js';
import { LogState } from './log-state.js';
import { decodeSegmentEnd } from './segment-end.js';
import type { SegmentEnd } from './segment-end.js';
import { loadSegments } from './segment-chain.js';
import { batchOf, CorruptEntry, keyOf, storedEntries } from './stored-batches.js';
import type { StoredBatch } from './stored-batches.js';

export interface Recovered {
  readonly state: LogState;
  /** What was cut off, for the operator to read. */
  readonly cut: { readonly offset: number; readonly why: string } | undefined;
  /** Segment ends that were damaged and have been derived anew. */
  readonly damagedSegmentEnds: readonly number[];
  readonly recoveredBatches: number;
}

export interface RecoveryOptions {
  /** The checkpointed log start offset; 0 without. */
  readonly logStartOffset: number;
  readonly now: number;
}

const CHUNK_BYTES = 4 * 1024 * 1024;
const KEYS_CHUNK_BYTES = 16 * 1024;

export async function recover(store: KeyValueStore, options: RecoveryOptions): Promise<Recovered> {
  const tail = await surveyTail(store);
  const firstOffset = await lowestOffset(store);
  const start = tail.segmentEnd?.offset ?? (tail.damaged.length > 0 ? firstOffset : 0);
  const closed = tail.segmentEnd === undefined ? [] : await loadSegments(store, tail.segmentEnd, firstOffset);
  const state = LogState.at(start, tail.segmentEnd?.end, closed);
  const replay = new Replay(state, tail, options.now);
  const cut = await replay.run(store, start);
  if (cut !== undefined) await deleteFrom(store, cut.offset);
  state.moveLogStart(Math.min(Math.max(options.logStartOffset, firstOffset), state.logEndOffset));
  return { state, cut, damagedSegmentEnds: tail.damaged, recoveredBatches: replay.batches };
}

interface Tail {
  readonly segmentEnd: { readonly offset: number; readonly end: SegmentEnd } | undefined;
  /** Everything below was synced before the process last died. */
  readonly syncedTo: number;
  /** Base offset of the last batch of all; -1 without. */
  readonly lastBatch: number;
  readonly damaged: readonly number[];
}

/** One pass over the keys from the end, down to the last intact segment end. */
async function surveyTail(store: KeyValueStore): Promise<Tail> {
  const damaged: number[] = [];
  let syncedTo = 0;
  let lastBatch = -1;
  for await (const entries of store.read({ reverse: true, keysOnly: true, chunkBytes: KEYS_CHUNK_BYTES })) {
    for (const entry of entries) {
      const { kind, offset } = keyOf(entry);
      if (kind === 'segmentEnd') {
        const value = await store.get(entry.key);
        const end = value === undefined ? undefined : decodeSegmentEnd(value);
        if (end !== undefined) {
          return { segmentEnd: { offset, end }, syncedTo: Math.max(syncedTo, offset), lastBatch, damaged };
        }
        // It was written once everything before it was synced, whatever has become of its content.
        syncedTo = Math.max(syncedTo, offset);
        damaged.unshift(offset);
      } else {
        if (lastBatch === -1) lastBatch = offset;
        if (kind === 'batchAfterSync') syncedTo = Math.max(syncedTo, offset);
      }
    }
  }
  return { segmentEnd: undefined, syncedTo, lastBatch, damaged };
}

async function lowestOffset(store: KeyValueStore): Promise<number> {
  const { entries } = await store.readChunk({ keysOnly: true, limit: 1, chunkBytes: 1 });
  const [entry] = entries;
  return entry === undefined ? 0 : keyOf(entry).offset;
}

/** Applies the batches behind the last segment end to the state. */
class Replay {
  batches = 0;

  constructor(
    private readonly state: LogState,
    private readonly tail: Tail,
    private readonly now: number,
  ) {}

  /** Stops early with what is to be cut. */
  async run(store: KeyValueStore, start: number): Promise<Recovered['cut']> {
    for await (const { kind, offset, entry } of storedEntries(store, { from: start, chunkBytes: CHUNK_BYTES })) {
      if (kind === 'segmentEnd') {
        if (offset !== start) this.#derive(offset);
        continue;
      }
      const problem = this.#gapBefore(offset) ?? this.#damage(offset, () => this.#take(batchOf(entry, offset)));
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  /** A damaged segment end: the same follows from the batches. */
  #derive(offset: number): void {
    if (offset !== this.state.logEndOffset) {
      throw new CorruptEntry(
        this.state.logEndOffset,
        `a segment ends at ${offset}, but its batches do not reach there`,
      );
    }
    if (!this.state.segments.active.isEmpty) this.state.closeSegment();
  }

  #gapBefore(offset: number): Recovered['cut'] {
    const expected = this.state.logEndOffset;
    if (offset === expected) return undefined;
    const why = `no batch is stored at ${expected}, but one at ${offset}`;
    if (offset < expected || expected < this.tail.syncedTo) throw new CorruptEntry(expected, why);
    return { offset: expected, why: `${why}: writes that were never synced were lost with the machine` };
  }

  #damage(offset: number, take: () => void): Recovered['cut'] {
    try {
      take();
      return undefined;
    } catch (error) {
      const isTorn = error instanceof CorruptEntry && offset === this.tail.lastBatch && offset >= this.tail.syncedTo;
      if (!isTorn) throw error;
      return { offset, why: `${error.message}: the last write was torn` };
    }
  }

  #take({ header }: StoredBatch): void {
    if (header.partitionLeaderEpoch < Math.max(0, this.state.epochs.latest)) {
      throw new CorruptEntry(
        header.baseOffset,
        `its leader epoch ${header.partitionLeaderEpoch} is below ${this.state.epochs.latest}, which wrote before it`,
      );
    }
    this.state.appended(header, this.now);
    this.batches++;
  }
}

const DELETIONS_IN_ONE_WRITE = 10_000;

/**
 * Deletes every batch from the offset on, and what comes behind it; a segment end at the offset
 * stays. From the end backwards and synced step by step: whenever the machine dies, what is left is
 * a log without a hole.
 */
export async function deleteFrom(
  store: KeyValueStore,
  offset: number,
  last: readonly StoreOperation[] = [],
): Promise<void> {
  const range = { gte: keyBehindSegmentEnd(offset), reverse: true, keysOnly: true } as const;
  while (true) {
    const deletions: StoreOperation[] = [];
    for await (const entries of store.read({ ...range, limit: DELETIONS_IN_ONE_WRITE, chunkBytes: KEYS_CHUNK_BYTES })) {
      for (const { key } of entries) deletions.push({ type: 'del', key });
    }
    const isLast = deletions.length < DELETIONS_IN_ONE_WRITE;
    await store.write(isLast ? [...deletions, ...last] : deletions, { sync: true });
    if (isLast) return;
  }
}

/** Deletes everything and leaves an empty log that begins and ends at the offset. */
export async function restartAt(store: KeyValueStore, offset: number, segmentEnd: Buffer): Promise<void> {
  const begin = { type: 'put', key: encodeKey(offset, 'segmentEnd'), value: segmentEnd } as const;
  const stale = await store.get(keyAt(0));
  const operations: StoreOperation[] = stale === undefined ? [begin] : [{ type: 'del', key: keyAt(0) }, begin];
  await deleteFrom(store, 0, operations);
}
