/**
 * Compaction of one log: passes of reading what is dirty into a map of keys, and of taking out of
 * everything up to there what the map has a later record for.
 *
 *   compaction-plan   what may be compacted       key-map             the last offset of each key
 *   segment-rewriter  how records go              cleaner-checkpoint  how far, and since when
 *
 * Appends and reads go on. What changes the log's shape (truncation, retention, closing) gets its turn
 * between any two stretches of half a MiB; a pass that finds the log cut below what it has read gives up.
 *
 * Invariants: C1 and C2 of cleaner-checkpoint.ts; offsets, epochs and the order of records do not
 * change; the last record of a key below the cleaned offset stays, unless it is a tombstone whose time
 * is over. Protocol: docs/protocols/partition-log.md, section 8.
 */
import { assert } from '@barnabas/common';
import { RecordReader } from '@barnabas/protocol';
import type { BatchHeader, StoredRecord } from '@barnabas/protocol';
import type { KeyValueStore } from '@barnabas/store';
import { keyAt, keyBehindSegmentEnd } from '../keys.js';
import type { LogConfig } from '../log-config.js';
import type { LogState } from '../log-state.js';
import type { StoreHandle } from '../open-stores.js';
import { SUMMARIES, decodeSegmentEnd, encodeSegmentEnd } from '../segment-end.js';
import type { SegmentSummary } from '../segments.js';
import { CorruptEntry, batchOf, batchStart, keyOf } from '../stored-batches.js';
import { afterPass, tombstonesEndAt, truncatedTo } from './cleaner-checkpoint.js';
import type { CleanerCheckpoint } from './cleaner-checkpoint.js';
import { planCompaction } from './compaction-plan.js';
import type { KeyMap } from './key-map.js';
import { SegmentRewriter } from './segment-rewriter.js';
import type { CompactOptions, CompactionInput, CompactionPlan, CompactionResult } from './types.js';

export interface CompactionParts {
  readonly store: StoreHandle;
  readonly state: () => LogState;
  readonly config: () => LogConfig;
  /** Everything appended so far is on disk. */
  readonly flush: () => Promise<void>;
  /** Runs when nothing else changes the log's shape. */
  readonly inTurn: <T>(job: () => Promise<T>) => Promise<T>;
  /** Runs a change of stored batches that readers may meet halfway. */
  readonly rewriting: <T>(change: () => Promise<T>) => Promise<T>;
  /** Below the offset batches in memory are others than those on disk. */
  readonly forgetCached: (endOffset: number) => void;
  readonly persist: (checkpoint: CleanerCheckpoint) => Promise<void>;
}

/** Read in one turn: hashing the keys of so much holds the process up for some milliseconds. */
const READ_TURN_BYTES = 512 * 1024;
/** Below this the disk space of a segment is not worth a compaction of LevelDB's. */
const WORTH_FREEING_BYTES = 64 * 1024;

export class LogCompaction {
  /** Counts truncations: what a pass has read may be gone after one. */
  #truncations = 0;

  constructor(
    private readonly parts: CompactionParts,
    private checkpoint: CleanerCheckpoint,
  ) {}

  get cleanedTo(): number {
    return this.checkpoint.cleanedTo;
  }

  plan(input: CompactionInput): CompactionPlan | undefined {
    const { segments, logStartOffset } = this.parts.state();
    const { cleanedTo } = this.checkpoint;
    return planCompaction({ closed: segments.closed, logStartOffset, cleanedTo }, this.parts.config(), input);
  }

  /**
   * The log is about to end at the offset. Before it does, or a crash would leave a log that takes for
   * clean what is appended there next, and drops tombstones whose records it never dropped.
   */
  async truncating(offset: number): Promise<void> {
    this.#truncations++;
    const next = truncatedTo(this.checkpoint, offset);
    if (next !== this.checkpoint) await this.#remember(next);
  }

  /** Compacts what may be compacted, in as many passes as the map's size makes of it. */
  async run(options: CompactOptions): Promise<CompactionResult> {
    const totals = { passes: 0, recordsRemoved: 0, bytesRead: 0, bytesWritten: 0 };
    const truncations = this.#truncations;
    const isOver = (): boolean => options.isOver?.() === true || truncations !== this.#truncations;
    const plan = this.plan(options);
    // Closed segments may have their last batches on their way to the disk.
    if (plan !== undefined) await this.parts.flush();
    for (let from = plan?.from ?? 0; plan !== undefined && from < plan.to && !isOver(); totals.passes++) {
      const to = await this.#readKeys({ from, to: plan.to }, options, isOver, totals);
      if (to === undefined || !(await this.#rewriteTo(to, options, isOver, totals))) break;
      from = to;
    }
    return { cleanedTo: this.cleanedTo, ...totals };
  }

  /** Where the map had to stop; undefined when the pass is given up. */
  async #readKeys(
    range: { readonly from: number; readonly to: number },
    { keys, pace }: CompactOptions,
    isOver: () => boolean,
    totals: { bytesRead: number },
  ): Promise<number | undefined> {
    keys.clear();
    let at = range.from;
    while (at < range.to && !keys.isFull) {
      const read = await this.parts.inTurn(async () => {
        if (isOver() || at < this.parts.state().logStartOffset) return undefined;
        return this.parts.store.use((store) => readTurn(store, at, range.to, keys));
      });
      if (read === undefined) return undefined;
      at = read.nextOffset;
      totals.bytesRead += read.bytes;
      await pace(read.bytes);
    }
    return at;
  }

  /** False when the pass is given up. */
  async #rewriteTo(
    to: number,
    options: CompactOptions,
    isOver: () => boolean,
    totals: { recordsRemoved: number; bytesRead: number; bytesWritten: number },
  ): Promise<boolean> {
    const sieve = this.#sieve(to, options);
    const { closed } = this.parts.state().segments;
    for (const segment of closed.filter(({ baseOffset }) => baseOffset < to)) {
      const rewriter = new SegmentRewriter(segment, sieve);
      while (!rewriter.isDone) {
        const before = rewriter.bytesRead + rewriter.bytesWritten;
        const isHere = await this.#step(segment, rewriter, isOver);
        // Retention has dropped the segment: there is nothing left to clean in it.
        if (!isHere) break;
        if (isOver()) return false;
        await options.pace(rewriter.bytesRead + rewriter.bytesWritten - before);
      }
      totals.recordsRemoved += rewriter.recordsRemoved;
      totals.bytesRead += rewriter.bytesRead;
      totals.bytesWritten += rewriter.bytesWritten;
      if (rewriter.isDone && rewriter.hasChanged) await this.#finish(segment, rewriter.summary());
    }
    return this.parts.inTurn(async () => {
      if (isOver()) return false;
      await this.parts.store.use((store) => this.#syncWithSummaries(store));
      await this.#remember(afterPass(this.checkpoint, { endOffset: to, atMs: options.now }));
      return true;
    });
  }

  /** False where the segment is no longer there. */
  #step(segment: SegmentSummary, rewriter: SegmentRewriter, isOver: () => boolean): Promise<boolean> {
    return this.parts.inTurn(async () => {
      if (isOver()) return true;
      const { segments, logStartOffset } = this.parts.state();
      if (segment.endOffset <= logStartOffset || !segments.closed.some((one) => one.endOffset === segment.endOffset)) {
        return false;
      }
      await this.parts.rewriting(() => this.parts.store.use((store) => rewriter.step(store)));
      return true;
    });
  }

  /** The segment is smaller: that is known from now on, and its disk space is given back. */
  #finish(before: SegmentSummary, after: SegmentSummary): Promise<void> {
    return this.parts.inTurn(async () => {
      this.parts.state().segments.replace(before, after);
      this.parts.forgetCached(before.endOffset);
      if (before.sizeInBytes - after.sizeInBytes < WORTH_FREEING_BYTES) return;
      const range = { gte: keyAt(before.baseOffset), lt: keyAt(before.endOffset) };
      await this.parts.store.use((store) => store.compactRange(range));
    });
  }

  #sieve(to: number, { keys, now }: CompactOptions): SieveOf {
    const tombstonesEnd = tombstonesEndAt(this.checkpoint, now, this.parts.config().deleteRetentionMs);
    // A tombstone goes only in a later pass than the one that took away what it deletes, and that pass
    // was synced: else a crash could bring the record back without it.
    assert(tombstonesEnd <= this.cleanedTo, 'only what is clean has a time', { tombstonesEnd });
    const { producers } = this.parts.state();
    return {
      retains: ({ key, value, offset }: StoredRecord) => {
        if (offset >= to) return true;
        if (key === null) return false;
        if ((keys.get(key) ?? -1) > offset) return false;
        return value !== null || offset >= tombstonesEnd;
      },
      isProducersLast: ({ producerId, producerEpoch, lastOffset }: BatchHeader) => {
        const entry = producerId === -1 ? undefined : producers.entry(producerId);
        return entry?.producerEpoch === producerEpoch && entry.batches.at(-1)?.lastOffset === lastOffset;
      },
    };
  }

  /**
   * Puts the sizes of compacted segments into the segment ends that opening reads, and everything on
   * disk. Those are the last of the closed ones and every 128th before it (segment-chain.ts).
   */
  async #syncWithSummaries(store: KeyValueStore): Promise<void> {
    const { closed } = this.parts.state().segments;
    for (let last = closed.length; last > 0; last -= SUMMARIES) {
      const offset = closed[last - 1]?.endOffset ?? 0;
      const stored = await store.get(keyAt(offset));
      const end = stored === undefined ? undefined : decodeSegmentEnd(stored);
      // One that is on its way to the disk still was made after the sizes were known here.
      if (end === undefined) continue;
      const value = encodeSegmentEnd({ ...end, segments: closed.slice(Math.max(0, last - SUMMARIES), last) });
      if (stored?.equals(value) !== true)
        await store.write([{ type: 'put', key: keyAt(offset), value }], { sync: false });
    }
    await store.sync();
  }

  async #remember(checkpoint: CleanerCheckpoint): Promise<void> {
    this.checkpoint = checkpoint;
    await this.parts.persist(checkpoint);
  }
}

interface SieveOf {
  readonly retains: (record: StoredRecord) => boolean;
  readonly isProducersLast: (header: BatchHeader) => boolean;
}

/** Reads keys from the offset on: one stretch, or until the map is full. */
async function readTurn(
  store: KeyValueStore,
  from: number,
  to: number,
  keys: KeyMap,
): Promise<{ readonly nextOffset: number; readonly bytes: number }> {
  let bytes = 0;
  let nextOffset = await batchStart(store, from);
  const range = { gte: keyBehindSegmentEnd(nextOffset), lt: keyAt(to) };
  const { entries } = await store.readChunk({ ...range, chunkBytes: READ_TURN_BYTES });
  for (const entry of entries) {
    const { kind, offset: at } = keyOf(entry);
    if (kind === 'segmentEnd') continue;
    if (at !== nextOffset) throw new CorruptEntry(nextOffset, `no batch is stored there, but one at ${at}`);
    const { header, bytes: batch } = batchOf(entry, at);
    bytes += batch.length;
    if (!header.isControl && !header.isTransactional) {
      const reader = new RecordReader(batch);
      while (reader.remaining > 0) {
        const { key, offset } = reader.read();
        if (offset < from || offset >= to || key === null) continue;
        // In the middle of a batch too: what is below was read, and that is all a pass may act on.
        if (keys.isFull && keys.get(key) === undefined) return { nextOffset: offset, bytes };
        keys.put(key, offset);
      }
    }
    nextOffset = header.lastOffset + 1;
    if (keys.isFull) break;
  }
  if (bytes === 0) throw new CorruptEntry(nextOffset, `no batch is stored there, but the log ends at ${to} or later`);
  return { nextOffset, bytes };
}
