/** Bugs of the disk, and of whoever writes to it. */
import { completionsLost, unsynced } from '../../disk/faulty-stores.js';
import { FORGETFUL } from './plant.js';
import type { QuorumPlant } from './plant.js';

export const acknowledgeBeforeFsync: QuorumPlant = {
  name: 'acknowledge-before-fsync',
  says: 'votes are given and entries confirmed before they are synced',
  caughtBy: [...FORGETFUL, 'read-barrier', 'linearizable'],
  needs: ['powerLoss'],
  // The disk has been formatted by the time that anybody leads.
  store: (store, { tally }) => unsynced(store, () => tally.of('leaderships') > 0),
};

export const loseAGroup: QuorumPlant = {
  name: 'lose-a-group',
  says: 'now and then the completion of a write is never noticed',
  caughtBy: ['progress'],
  store: (store, { dice }) => completionsLost(store, dice, 100),
};
