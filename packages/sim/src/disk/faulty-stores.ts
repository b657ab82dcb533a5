/** Stores that do not do as they are told, for planted bugs. */
import type { KeyValueStore } from '@barnabas/store';
import type { Dice } from '../kernel/dice.js';
import { withOverrides } from '../kernel/overrides.js';

/** Says that it has synced, and from some time on has not. */
export function unsynced(store: KeyValueStore, hasBegun: () => boolean): KeyValueStore {
  return withOverrides(store, {
    write: (operations, { sync }) => store.write(operations, { sync: sync && !hasBegun() }),
    sync: async () => {
      if (!hasBegun()) await store.sync();
    },
  });
}

/** Of one write in so many, nobody ever hears that it is done. */
export function completionsLost(store: KeyValueStore, dice: Dice, oneIn: number): KeyValueStore {
  return withOverrides(store, {
    write: async (operations, options) => {
      await store.write(operations, options);
      if (dice.below(oneIn) === 0) await new Promise(() => {});
    },
  });
}
