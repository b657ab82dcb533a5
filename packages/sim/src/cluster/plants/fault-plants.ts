/** Bugs that show only when disks fill up or rot, clocks are set, or clients delete records. */
import { toBarnabasError } from '@barnabas/protocol';
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

export const cutOffRot: ClusterPlant = {
  name: 'cut-off-rot',
  says: 'a log in which a batch turns out to be rotten is cut off there and goes on',
  caughtBy: [...LOSS, 'read', 'fault'],
  needs: ['rot', 'kill'],
  logs: (logs) =>
    wrapEachLog(logs, (log) =>
      withOverrides(log, {
        read: async (request) => {
          try {
            return await log.read(request);
          } catch (caught) {
            const { facts } = toBarnabasError(caught);
            if (facts?.['corrupt'] === true) await log.truncateTo(Number(facts['offset']));
            throw caught;
          }
        },
      }),
    ),
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

export const timeOutsByTheWallClock: ClusterPlant = {
  name: 'time-outs-by-the-wall-clock',
  says: 'time-outs are measured with the time of day, which somebody may set',
  caughtBy: ['progress', 'fault'],
  needs: ['clockStep', 'kill'],
  clock: (clock) => ({ now: () => clock.now(), monotonic: () => clock.now() }),
};
