/**
 * The beginning of one log: raised by deletions of records and by retention, and what lies below it
 * removed. What retention allows is retention.ts.
 *
 * Invariants:
 *   what is deleted is said to be so, and leaves the database, only once the checkpoint has the log
 *   start: deletions are not synced, and what was gone must not come back;
 *   of segments that go the end of the last one stays, and is on the disk before anything goes.
 */
import { keyAt } from './keys.js';
import type { LogConfig } from './log-config.js';
import type { LogState } from './log-state.js';
import type { StoreHandle } from './open-stores.js';
import { isDueToClose, retainedFrom } from './retention.js';
import type { RetentionInput } from './retention.js';
import type { SegmentSummary } from './segments.js';
import type { RetentionResult } from './types.js';

export interface LogStartParts {
  readonly store: StoreHandle;
  readonly state: () => LogState;
  readonly config: () => LogConfig;
  /** Everything appended so far is on disk. */
  readonly flush: () => Promise<void>;
  /** Closes the active segment without waiting for it to fill. */
  readonly closeSegment: () => Promise<void>;
  /** Runs when nothing else changes the log's shape. */
  readonly inTurn: <T>(job: () => Promise<T>) => Promise<T>;
  /** Puts the log start offset on disk. */
  readonly persist: () => Promise<void>;
  readonly producerIdExpirationMs: number;
}

export class LogStart {
  constructor(
    private readonly parts: LogStartParts,
    /** What the checkpoint surely has. */
    private durable: number,
  ) {}

  /** Resolves once no crash can bring back what is below the offset. */
  async raiseTo(offset: number): Promise<void> {
    // Not the log start itself: whoever moved it there may still be waiting for the disk.
    if (offset <= this.durable) return;
    this.parts.state().moveLogStart(offset);
    await this.parts.inTurn(async () => {
      await this.persist();
      await this.#deleteSegmentsBelow();
    });
  }

  applyRetention(input: RetentionInput): Promise<RetentionResult> {
    const { inTurn, state, config, closeSegment, producerIdExpirationMs } = this.parts;
    return inTurn(async () => {
      const log = state();
      log.producers.expire(input.now, producerIdExpirationMs);
      if (isDueToClose(log.segments.active, config(), input)) await closeSegment();
      const { closed, sizeInBytes } = log.segments;
      const { logStartOffset } = log;
      log.moveLogStart(retainedFrom({ closed, sizeInBytes, logStartOffset }, config(), input));
      // Not than it was: a deletion that waits for its turn behind this has moved it, and not yet written it down.
      if (log.logStartOffset > this.durable) await this.persist();
      const deleted = await this.#deleteSegmentsBelow();
      const deletedBytes = deleted.reduce((sum, segment) => sum + segment.sizeInBytes, 0);
      return { logStartOffset: log.logStartOffset, deletedSegments: deleted.length, deletedBytes };
    });
  }

  /** Also for a log start that has moved otherwise. */
  async persist(): Promise<void> {
    const { logStartOffset } = this.parts.state();
    await this.parts.persist();
    this.durable = logStartOffset;
  }

  /** Segments that end at or below the log start: their keys go, and then their disk space. */
  async #deleteSegmentsBelow(): Promise<SegmentSummary[]> {
    const { segments, logStartOffset } = this.parts.state();
    const dropped = segments.dropBelow(logStartOffset);
    const last = dropped.at(-1);
    if (last === undefined) return [];
    // The end of the last of them stays, and is then all that says where this log is. It may still be
    // on its way to the disk: a crash would leave a log that ends where nothing is, and begins anew there.
    await this.parts.flush();
    const below = { lt: keyAt(last.endOffset) };
    await this.parts.store.use(async (store) => {
      await store.clear(below);
      await store.compactRange(below);
    });
    return dropped;
  }
}
