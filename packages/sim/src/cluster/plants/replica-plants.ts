/** Bugs in what a broker decides about the replicas that it leads or follows. */
import { eachEpoch } from './each-epoch.js';
import { LOSS } from './log-plants.js';
import type { ClusterPlant } from './plant.js';

function redefine<T extends object, K extends keyof T>(target: T, key: K, get: () => T[K]): void {
  Object.defineProperty(target, key, { get, configurable: true });
}

export const ignorePendingAdmissions: ClusterPlant = {
  name: 'ignore-pending-admissions',
  says: 'the high watermark does not wait for a replica whose admission is on its way (KIP-497)',
  caughtBy: LOSS,
  needs: ['unsteadyFollower', 'minIsr1'],
  replica: eachEpoch(({ isr }) => redefine(isr, 'maximal', () => isr.committed)),
};

export const countShrinksAtOnce: ClusterPlant = {
  name: 'count-shrinks-at-once',
  says: 'a member whose removal is on its way no longer counts for the high watermark',
  caughtBy: [...LOSS, 'fault'],
  needs: ['unsteadyFollower', 'leaderWithoutFollowers', 'leaderWithoutControllers', 'minIsr1'],
  replica: eachEpoch(({ isr }) => {
    redefine(isr, 'maximal', () => isr.pending?.isr.map(({ brokerId }) => brokerId) ?? isr.committed);
  }),
};

export const admitTooEarly: ClusterPlant = {
  name: 'admit-too-early',
  says: 'a follower is proposed for the ISR as soon as it follows, however far it is',
  caughtBy: LOSS,
  needs: ['unsteadyFollower', 'leaderWithoutFollowers', 'minIsr1'],
  replica: eachEpoch((leading) => {
    const { admission } = leading;
    leading.admission = (_, viewOf) => {
      const { epochStartOffset } = leading;
      if (epochStartOffset === undefined) return undefined;
      leading.epochStartOffset = 0;
      try {
        return admission.call(leading, { highWatermark: 0 }, viewOf);
      } finally {
        leading.epochStartOffset = epochStartOffset;
      }
    };
  }),
};

export const commitBelowMinIsr: ClusterPlant = {
  name: 'commit-below-min-isr',
  says: 'the high watermark moves although the ISR is below its minimum (KIP-966)',
  caughtBy: LOSS,
  needs: ['leaderWithoutFollowers', 'isolation', 'kill', 'minIsr2'],
  replica: (replica) => {
    if (Object.hasOwn(replica, 'isUnderMinIsr')) return;
    redefine(replica, 'isUnderMinIsr', () => false);
    redefine(replica, 'eligibleLeaderReplicas', () => []);
  },
};

export const countTheLeaderAlone: ClusterPlant = {
  name: 'count-the-leader-alone',
  says: 'what the leader has on its disk is committed',
  caughtBy: LOSS,
  needs: ['kill'],
  replica: eachEpoch((leading) => {
    leading.lowestLogEnd = (own) => own;
  }),
};
