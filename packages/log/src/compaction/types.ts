/** What compaction is asked and what it says. */
import type { KeyMap } from './key-map.js';

export interface CompactionInput {
  readonly now: number;
  readonly highWatermark: number;
}

export interface CompactionPlan {
  /** First offset that is not known to be clean. */
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  /** Dirty bytes by bytes up to `to`, 0 to 1. */
  readonly dirtyRatio: number;
  readonly isDue: boolean;
}

export interface CompactOptions extends CompactionInput {
  /** Cleared and used; nobody else's meanwhile. */
  readonly keys: KeyMap;
  /** Waits until so many more bytes may be read or written. */
  readonly pace: (bytes: number) => Promise<void>;
  /** Whether to stop at the next stretch; what is done stays done. */
  readonly isOver?: () => boolean;
}

export interface CompactionResult {
  readonly cleanedTo: number;
  readonly passes: number;
  readonly recordsRemoved: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}
