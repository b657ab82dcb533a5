/**
 * Decides how much of a log's beginning may go. Pure.
 *
 * Whole segments only, oldest first, nothing at or above the high watermark (a follower may still
 * need it), nothing for time in a segment whose records have no timestamps. Records leave up to one
 * segment later than retention.ms and retention.bytes say, never earlier.
 */
import type { LogConfig } from './log-config.js';
import type { ActiveSegment, SegmentSummary } from './segments.js';

export interface RetentionView {
  readonly closed: readonly SegmentSummary[];
  readonly sizeInBytes: number;
  readonly logStartOffset: number;
}

export interface RetentionInput {
  readonly now: number;
  readonly highWatermark: number;
}

/** Where the log starts once everything that may go has gone. */
export function retainedFrom(view: RetentionView, config: LogConfig, input: RetentionInput): number {
  if (!config.cleanupPolicy.includes('delete')) return view.logStartOffset;
  let start = view.logStartOffset;
  let bytes = view.sizeInBytes;
  for (const segment of view.closed) {
    const mayGo = isExpired(segment, config, input.now) || isSurplus(segment, config, bytes);
    if (segment.endOffset > start && (!mayGo || segment.endOffset > input.highWatermark)) break;
    bytes -= segment.sizeInBytes;
    start = Math.max(start, segment.endOffset);
  }
  return start;
}

/** Whether the active segment is to be closed, because it is old or so that it may go as a whole. */
export function isDueToClose(active: ActiveSegment, config: LogConfig, input: RetentionInput): boolean {
  if (active.isEmpty) return false;
  if (active.firstTimestamp !== -1 && input.now - active.firstTimestamp > longestActive(config)) return true;
  if (!config.cleanupPolicy.includes('delete')) return false;
  return active.endOffset <= input.highWatermark && isExpired(active, config, input.now);
}

/** A record cannot be compacted while its segment is open. */
function longestActive(config: LogConfig): number {
  const isCompacted = config.cleanupPolicy.includes('compact');
  return isCompacted ? Math.min(config.segmentMs, config.maxCompactionLagMs) : config.segmentMs;
}

function isExpired(segment: { readonly maxTimestamp: number }, config: LogConfig, now: number): boolean {
  return config.retentionMs !== -1 && segment.maxTimestamp !== -1 && now - segment.maxTimestamp > config.retentionMs;
}

function isSurplus(segment: SegmentSummary, config: LogConfig, logBytes: number): boolean {
  return config.retentionBytes !== -1 && logBytes - segment.sizeInBytes >= config.retentionBytes;
}
