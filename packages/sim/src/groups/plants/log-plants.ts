/** Bugs in what a coordinator makes of its log, and of losing it. */
import type { GroupCoordinatorOptions, GroupLog } from '@barnabas/broker/parts';
import { withOverrides } from '../../kernel/overrides.js';
import type { GroupPlant } from './plant.js';

/** What somebody was told that is not so. */
const UNTRUE = ['told', 'committed', 'fetched', 'fenced-commit'];

function wrapLogs(options: GroupCoordinatorOptions, wrap: (log: GroupLog) => GroupLog): GroupCoordinatorOptions {
  return { ...options, openLog: async (partition) => wrap(await options.openLog(partition)) };
}

export const answerBeforeCommitted: GroupPlant = {
  name: 'answer-before-committed',
  says: 'a coordinator answers when it has appended, and does not wait for the high watermark',
  caughtBy: UNTRUE,
  coordinator: (options) =>
    wrapLogs(options, (log) =>
      withOverrides(log, {
        get highWatermark() {
          return log.logEndOffset;
        },
      }),
    ),
};

/** What a coordinator forgets of its log. */
const FORGOTTEN_RECORDS = 5;

export const loadPartOfTheLog: GroupPlant = {
  name: 'load-part-of-the-log',
  says: 'a new coordinator loads its log but for the last few records',
  caughtBy: [...UNTRUE, 'epochs', 'sound', 'offsets-back', 'one-owner', 'fault'],
  needs: ['kill', 'restart'],
  coordinator: (options) =>
    wrapLogs(options, (log) => {
      let isLoading = true;
      return withOverrides(log, {
        get logEndOffset() {
          if (!isLoading) return log.logEndOffset;
          isLoading = false;
          return Math.max(log.logStartOffset, log.logEndOffset - FORGOTTEN_RECORDS);
        },
      });
    }),
};

export const answerAfterLosingTheLead: GroupPlant = {
  name: 'answer-after-losing-the-lead',
  says: 'a coordinator that loses the lead answers what waits as if it were committed',
  caughtBy: UNTRUE,
  needs: ['leaderWithoutFollowers', 'isolation', 'leaderWithoutControllers'],
  coordinator: (options) =>
    wrapLogs(options, (log) => {
      let hasLost = false;
      return withOverrides(log, {
        get highWatermark() {
          return hasLost ? Number.MAX_SAFE_INTEGER : log.highWatermark;
        },
        listen: (listener) =>
          log.listen({
            onHighWatermark: () => listener.onHighWatermark(),
            onUnavailable: (error) => {
              hasLost = true;
              listener.onHighWatermark();
              listener.onUnavailable(error);
            },
          }),
      });
    }),
};
