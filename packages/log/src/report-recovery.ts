/** Tells the operator what recovery found. */
import type { Clock, Logger } from '@barnabas/common';
import type { Recovered } from './recovery.js';
import { nameOf } from './storage-errors.js';
import type { TopicPartition } from './types.js';

/** What the checkpoint has of a log. */
export interface Checkpointed {
  readonly highWatermark: number;
  readonly logStartOffset: number;
}

export function reportRecovery(
  partition: TopicPartition,
  { state, cut, damagedSegmentEnds, recoveredBatches }: Recovered,
  checkpointed: Checkpointed,
  { logger, clock }: { readonly logger: Logger; readonly clock: Clock },
  began: number,
): void {
  const name = nameOf(partition);
  const { logEndOffset } = state;
  if (cut !== undefined) {
    logger.warn('the torn end of a partition log was cut off', {
      partition: name,
      offset: cut.offset,
      why: cut.why,
      action: 'none, if the machine lost its power; otherwise check the disk',
    });
  }
  if (damagedSegmentEnds.length > 0) {
    logger.warn('segment ends of a partition log were damaged and have been derived again', {
      partition: name,
      offsets: damagedSegmentEnds,
      action: 'check the disk',
    });
  }
  if (checkpointed.highWatermark > logEndOffset) {
    logger.warn('a partition log ends below its last high watermark: records that consumers saw are missing', {
      partition: name,
      logEndOffset,
      highWatermark: checkpointed.highWatermark,
      action: 'let it be fetched again from a replica in sync; check the disk and flush.messages',
    });
  }
  logger.debug('opened a partition log', {
    partition: name,
    logStartOffset: state.logStartOffset,
    logEndOffset,
    recoveredBatches,
    tookMs: Math.round(clock.monotonic() - began),
  });
}
