/**
 * Reads of one log: from the tail in memory, else from disk, verified. Owns the bounds that a read
 * must keep to and the lookups by timestamp. Changes nothing, but for taking the log offline when
 * the disk holds something else than was written.
 *
 * A read does not wait its turn, so retention and truncation may take away what it is reading. That
 * is OFFSET_OUT_OF_RANGE and no corruption; `changing` tells the two apart.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { KeyValueStore } from '@barnabas/store';
import { keyAt } from './keys.js';
import type { LogHealth } from './log-health.js';
import type { LogMetrics } from './log-metrics.js';
import type { LogState } from './log-state.js';
import type { StoreHandle } from './open-stores.js';
import { decodeSegmentEnd } from './segment-end.js';
import { nameOf } from './storage-errors.js';
import { contiguousBatches, CorruptEntry, readBatches } from './stored-batches.js';
import type { LogTail } from './tail-cache.js';
import { findAtOrAfter, findMaxTimestamp, findTimestamp } from './timestamp-lookup.js';
import type { LookupSource } from './timestamp-lookup.js';
import type { ReadRequest, ReadResult, TimestampAndOffset, TopicPartition, VerifyReport } from './types.js';

export interface LogReaderOptions {
  readonly log: TopicPartition;
  readonly health: LogHealth;
  readonly metrics: LogMetrics;
  readonly store: StoreHandle;
  readonly tail: LogTail;
  readonly state: () => LogState;
  /** Everything below can be read from disk. */
  readonly writtenTo: () => number;
}

export class LogReader {
  /** Begun and finished truncations together: odd during one. */
  #changes = 0;
  /** Begun and finished stretches of compaction together. */
  #rewrites = 0;
  #rewriting: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: LogReaderOptions) {}

  /** While `change` runs, what is missing on disk is no corruption. */
  async changing<T>(change: () => Promise<T>): Promise<T> {
    this.#changes++;
    this.options.tail.forget();
    try {
      return await change();
    } finally {
      this.#changes++;
    }
  }

  /**
   * While `change` runs, batches are replaced by others over the same offsets. A read that looks twice
   * may see one from before and one from after, which do not fit together: it is repeated.
   */
  async rewriting<T>(change: () => Promise<T>): Promise<T> {
    this.#rewrites++;
    const changing = change().finally(() => this.#rewrites++);
    this.#rewriting = changing.catch(() => undefined);
    return changing;
  }

  async read(request: ReadRequest): Promise<ReadResult> {
    const { health, tail, state, writtenTo } = this.options;
    health.mustBeUsable();
    const { offset } = request;
    const { logStartOffset, logEndOffset } = state();
    if (offset < logStartOffset || offset > logEndOffset) throw this.outOfRange(offset);
    const maxOffset = Math.min(request.maxOffset, logEndOffset);
    if (offset >= maxOffset) return { batches: [], nextOffset: offset };
    const cached = tail.read({ ...request, maxOffset });
    if (cached !== undefined) return this.#counted(cached, 'cache');
    const onDisk = { ...request, maxOffset: Math.min(maxOffset, writtenTo()) };
    return this.#counted(await this.#fromDisk(offset, (store) => readBatches(store, onDisk)), 'disk');
  }

  async offsetForTimestamp(timestamp: number, maxOffset: number): Promise<TimestampAndOffset | undefined> {
    this.options.health.mustBeUsable();
    return findTimestamp(this.#lookupSource(), timestamp, Math.min(maxOffset, this.options.state().logEndOffset));
  }

  async recordAtOrAfter(offset: number, maxOffset: number): Promise<TimestampAndOffset | undefined> {
    this.options.health.mustBeUsable();
    const { logStartOffset, logEndOffset } = this.options.state();
    const from = Math.max(offset, logStartOffset);
    try {
      return await findAtOrAfter(this.#lookupSource(), from, Math.min(maxOffset, logEndOffset));
    } catch (error) {
      // What was looked for is deleted meanwhile: then the first record is a later one.
      if (this.options.health.offline !== undefined || this.options.state().logStartOffset <= from) throw error;
      return this.recordAtOrAfter(offset, maxOffset);
    }
  }

  async offsetOfMaxTimestamp(): Promise<TimestampAndOffset | undefined> {
    this.options.health.mustBeUsable();
    return findMaxTimestamp(this.#lookupSource());
  }

  /** Nothing may truncate or delete meanwhile. */
  async verify(): Promise<VerifyReport> {
    const { health, state, writtenTo } = this.options;
    const counts = { batches: 0, records: 0, bytes: 0 };
    const [from, to] = [state().logStartOffset, writtenTo()];
    try {
      await this.#fromDisk(from, async (store) => {
        for await (const { header } of contiguousBatches(store, from, to)) {
          counts.batches++;
          counts.records += header.recordCount;
          counts.bytes += header.sizeInBytes;
        }
      });
    } catch (error) {
      if (health.offline === undefined || error !== health.offline) throw error;
    }
    return { ...counts, corruption: health.offline };
  }

  outOfRange(offset: number): BarnabasError {
    const { logStartOffset, logEndOffset } = this.options.state();
    return new BarnabasError(
      'OFFSET_OUT_OF_RANGE',
      `${nameOf(this.options.log)} has offsets ${logStartOffset} to ${logEndOffset}, not ${offset}: reset the position`,
      { offset, logStartOffset, logEndOffset },
    );
  }

  async #fromDisk<T>(offset: number, work: (store: KeyValueStore) => Promise<T>): Promise<T> {
    const changes = this.#changes;
    const rewrites = this.#rewrites;
    try {
      return await this.options.store.use(work);
    } catch (error) {
      if (error instanceof CorruptEntry && (rewrites % 2 === 1 || rewrites !== this.#rewrites)) {
        await this.#rewriting;
        return this.#fromDisk(offset, work);
      }
      const isGone = offset < this.options.state().logStartOffset || changes % 2 === 1 || changes !== this.#changes;
      if (error instanceof CorruptEntry && isGone) throw this.outOfRange(offset);
      throw this.options.health.blame(error);
    }
  }

  #lookupSource(): LookupSource {
    const { logStartOffset, segments } = this.options.state();
    return {
      logStartOffset,
      segments: segments.all(),
      read: (request) => this.read(request),
      timeIndexOf: async (segment) => {
        const { active } = this.options.state().segments;
        if (segment.baseOffset === active.baseOffset) return active.timeIndex.entries;
        const bytes = await this.#fromDisk(segment.baseOffset, (store) => store.get(keyAt(segment.endOffset)));
        // Damaged or gone, it only makes the search longer.
        return (bytes === undefined ? undefined : decodeSegmentEnd(bytes))?.timeIndex ?? [];
      },
    };
  }

  #counted(result: ReadResult, from: 'cache' | 'disk'): ReadResult {
    let bytes = 0;
    for (const batch of result.batches) bytes += batch.length;
    this.options.metrics.read(bytes, from);
    return result;
  }
}
