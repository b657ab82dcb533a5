/** Bugs in how the log uses its disk, made by a disk that does not do as it is told. */
import type { KeyValueStore, StoreFactory } from '@barnabas/store';
import { completionsLost, unsynced } from '../../disk/faulty-stores.js';
import { withOverrides } from '../../kernel/overrides.js';
import type { Plant } from './plant.js';

/** Each store is wrapped as it is opened. */
function wrapEachStore(
  files: StoreFactory,
  wrap: (store: KeyValueStore, location: string) => KeyValueStore,
): StoreFactory {
  return withOverrides(files, {
    open: async (location, options) => wrap(await files.open(location, options), location),
  });
}

const isCheckpoints = (location: string): boolean => location.endsWith('/checkpoints');

export const acknowledgeBeforeSync: Plant = {
  name: 'acknowledge-before-sync',
  says: 'batches are acknowledged once they are written, before they are synced',
  caughtBy: ['durable', 'watermark', 'answers', 'one-record-an-offset'],
  needs: ['powerLoss'],
  files: (files) =>
    wrapEachStore(files, (store, location) => (isCheckpoints(location) ? store : unsynced(store, () => true))),
};

export const forgetLogStart: Plant = {
  name: 'forget-log-start',
  says: 'the checkpoint of the log start is not synced before a deletion of records is answered',
  caughtBy: ['log-start'],
  needs: ['powerLoss'],
  files: (files) =>
    wrapEachStore(files, (store, location) => (isCheckpoints(location) ? unsynced(store, () => true) : store)),
};

export const keepTornTail: Plant = {
  name: 'keep-torn-tail',
  says: 'recovery finds where the log must be cut, and does not cut it',
  caughtBy: ['progress', 'dense', 'durable', 'one-record-an-offset', 'audit', 'fault'],
  needs: ['powerLoss', 'relaxedTopic'],
  files: (files) =>
    wrapEachStore(files, (store) => {
      // Recovery ends with a sync.
      let recovered = false;
      return withOverrides(store, {
        write: async (operations, options) => {
          if (recovered || !operations.every(({ type }) => type === 'del')) await store.write(operations, options);
        },
        sync: () => {
          recovered = true;
          return store.sync();
        },
      });
    }),
};

export const loseAWrite: Plant = {
  name: 'lose-a-write',
  says: 'now and then the completion of a write is never noticed',
  caughtBy: ['progress'],
  files: (files, { dice }) => wrapEachStore(files, (store) => completionsLost(store, dice, 400)),
};
