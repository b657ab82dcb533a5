/**
 * Decides what of a log may be compacted and whether it is worth it. Pure.
 *
 * Whole closed segments only, in order from where the log is clean, nothing at or above the high
 * watermark (it may still be truncated away, and a record must not go because of one that goes itself),
 * nothing younger than min.compaction.lag.ms. Worth it: the dirty part is larger than
 * min.cleanable.dirty.ratio of the log up to there, or has waited for max.compaction.lag.ms.
 */
import type { LogConfig } from '../log-config.js';
import type { SegmentSummary } from '../segments.js';
import type { CompactionInput, CompactionPlan } from './types.js';

export interface CompactionView {
  readonly closed: readonly SegmentSummary[];
  readonly logStartOffset: number;
  readonly cleanedTo: number;
}

/** Undefined where nothing is dirty, or the topic is not compacted. */
export function planCompaction(
  view: CompactionView,
  config: LogConfig,
  { now, highWatermark }: CompactionInput,
): CompactionPlan | undefined {
  if (!config.cleanupPolicy.includes('compact')) return undefined;
  const from = Math.max(view.cleanedTo, view.logStartOffset);
  let to = from;
  let cleanBytes = 0;
  let dirtyBytes = 0;
  let oldestDirty = -1;
  for (const segment of view.closed) {
    if (segment.endOffset <= from) {
      cleanBytes += segment.sizeInBytes;
      continue;
    }
    const isYoung = segment.maxTimestamp !== -1 && now - segment.maxTimestamp < config.minCompactionLagMs;
    if (segment.endOffset > highWatermark || isYoung) break;
    dirtyBytes += segment.sizeInBytes;
    to = segment.endOffset;
    if (oldestDirty === -1) oldestDirty = segment.firstTimestamp;
  }
  if (to === from) return undefined;
  const dirtyRatio = dirtyBytes / (cleanBytes + dirtyBytes);
  const isOverdue = oldestDirty !== -1 && now - oldestDirty > config.maxCompactionLagMs;
  return { from, to, dirtyRatio, isDue: dirtyRatio > config.minCleanableDirtyRatio || isOverdue };
}
