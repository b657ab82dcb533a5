/** Bugs that show only when disks fill up or rot, clocks are set, or clients delete records. */
import type { Timer } from '@barnabas/common';
import type { internal } from '@barnabas/protocol';
import { StoreError } from '@barnabas/store';
import { withOverrides } from '../../kernel/overrides.js';
import { LOSS, wrapEachLog } from './log-plants.js';
import type { ClusterPlant } from './plant.js';

export const ignoreFullDisks: ClusterPlant = {
  name: 'ignore-full-disks',
  says: 'a write that did not fit on the disk counts as done',
  caughtBy: [...LOSS, 'durable', 'fault'],
  needs: ['fullDisk', 'kill'],
  files: (files) =>
    withOverrides(files, {
      open: async (location, options) => {
        const store = await files.open(location, options);
        return withOverrides(store, {
          write: (operations, how) =>
            store.write(operations, how).catch((error: unknown) => {
              if (!(error instanceof StoreError && error.kind === 'no-space')) throw error;
            }),
        });
      },
    }),
};

export const forgetOfflineReports: ClusterPlant = {
  name: 'forget-offline-reports',
  says: 'the controller is told of replicas that have rotted, and goes on counting on them',
  caughtBy: ['progress'],
  needs: ['rot'],
  heard: ({ method, isRequest, message }) => {
    if (method !== 'ReportOfflineReplicas' || !isRequest) return message;
    return { ...(message as internal.ReportOfflineReplicasRequest), replicas: [] };
  },
};

export const deleteTooMuch: ClusterPlant = {
  name: 'delete-too-much',
  says: 'a deletion of records takes the record at which it was to end, too',
  caughtBy: ['log-start'],
  needs: ['deletedRecords'],
  logs: (logs) =>
    wrapEachLog(logs, (log) =>
      withOverrides(log, {
        deleteRecordsBefore: (offset) => log.deleteRecordsBefore(Math.min(offset + 1, log.highWatermark)),
      }),
    ),
};

export const followersKeepDeletedRecords: ClusterPlant = {
  name: 'followers-keep-deleted-records',
  says: 'followers do not follow the log start of their leader',
  caughtBy: ['progress'],
  needs: ['deletedRecords'],
  logs: (logs) =>
    wrapEachLog(logs, (log) => {
      let follows = false;
      return withOverrides(log, {
        appendAsLeader: (batches, options) => {
          follows = false;
          return log.appendAsLeader(batches, options);
        },
        appendAsFollower: (batches, options) => {
          follows = true;
          return log.appendAsFollower(batches, options);
        },
        deleteRecordsBefore: async (offset) => {
          if (!follows) await log.deleteRecordsBefore(offset);
        },
      });
    }),
};

export const timersByTheWallClock: ClusterPlant = {
  name: 'timers-by-the-wall-clock',
  says: 'what is to happen in a while waits for a time of day, which somebody may set back',
  caughtBy: ['progress'],
  needs: ['clockStep'],
  timers: (timers, clock) => ({
    after: (delayMs, callback) => {
      const dueAt = clock.now() + delayMs;
      let timer: Timer;
      const wait = (ms: number): void => {
        timer = timers.after(ms, () => {
          const leftMs = dueAt - clock.now();
          if (leftMs > 1) wait(leftMs);
          else callback();
        });
      };
      wait(delayMs);
      return { cancel: () => timer.cancel() };
    },
  }),
};
