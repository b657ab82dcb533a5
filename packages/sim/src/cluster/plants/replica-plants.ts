/** Bugs in what a broker decides about the replicas that it leads or follows. */
import type { ReplicaPartition } from '@barnabas/broker/parts';
import { LOSS } from './log-plants.js';
import type { ClusterPlant } from './plant.js';

type Leading = NonNullable<ReplicaPartition['leading']>;

/** Changes each leader epoch once, in the event after the one in which it began. */
function eachEpoch(change: (leading: Leading, replica: ReplicaPartition) => void): (replica: ReplicaPartition) => void {
  const changed = new WeakSet<Leading>();
  return (replica) => {
    const { leading } = replica;
    if (leading === undefined || changed.has(leading)) return;
    changed.add(leading);
    change(leading, replica);
  };
}

function redefine<T extends object, K extends keyof T>(target: T, key: K, get: () => T[K]): void {
  Object.defineProperty(target, key, { get, configurable: true });
}

export const ignorePendingAdmissions: ClusterPlant = {
  name: 'ignore-pending-admissions',
  says: 'the high watermark does not wait for a replica whose admission is on its way (KIP-497)',
  caughtBy: LOSS,
  needs: ['kill', 'leaderWithoutFollowers', 'leaderWithoutControllers', 'minIsr1'],
  replica: eachEpoch(({ isr }) => redefine(isr, 'maximal', () => isr.committed)),
};

export const countShrinksAtOnce: ClusterPlant = {
  name: 'count-shrinks-at-once',
  says: 'a member whose removal is on its way no longer counts for the high watermark',
  caughtBy: LOSS,
  needs: ['leaderWithoutFollowers', 'leaderWithoutControllers', 'isolation', 'minIsr1'],
  replica: eachEpoch(({ isr }) => {
    redefine(isr, 'maximal', () => isr.pending?.isr.map(({ brokerId }) => brokerId) ?? isr.committed);
  }),
};

export const admitTooEarly: ClusterPlant = {
  name: 'admit-too-early',
  says: 'a follower is proposed for the ISR as soon as it follows, however far it is',
  caughtBy: LOSS,
  needs: ['leaderWithoutFollowers', 'isolation', 'kill', 'minIsr1'],
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

export const admitByTheWatermarkAlone: ClusterPlant = {
  name: 'admit-by-the-watermark-alone',
  says: 'a follower is admitted by a new leader’s high watermark, which may be behind what is committed (KIP-320)',
  caughtBy: LOSS,
  needs: ['leaderWithoutFollowers', 'isolation', 'kill', 'minIsr1'],
  replica: eachEpoch((leading) => {
    const { admission } = leading;
    leading.admission = (at, viewOf) => {
      const { epochStartOffset } = leading;
      if (epochStartOffset === undefined) return undefined;
      leading.epochStartOffset = 0;
      try {
        return admission.call(leading, at, viewOf);
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

export const countEarlierEpochs: ClusterPlant = {
  name: 'count-earlier-epochs',
  says: 'a leader goes on counting what followers have acknowledged in an earlier epoch',
  caughtBy: LOSS,
  needs: ['restart', 'isolation', 'leaderWithoutFollowers'],
  replica: (() => {
    const ends = new WeakMap<ReplicaPartition, Map<number, number>>();
    const begins = eachEpoch((leading, replica) => {
      for (const follower of leading.followers()) {
        const known = ends.get(replica)?.get(follower.brokerId) ?? -1;
        follower.logEndOffset = Math.max(follower.logEndOffset, known);
      }
    });
    return (replica: ReplicaPartition) => {
      begins(replica);
      if (replica.leading === undefined) return;
      const known = ends.get(replica) ?? new Map<number, number>();
      ends.set(replica, known);
      for (const { brokerId, logEndOffset } of replica.leading.followers()) {
        if (logEndOffset >= 0) known.set(brokerId, logEndOffset);
      }
    };
  })(),
};

export const forgetUnknownOutcomes: ClusterPlant = {
  name: 'forget-unknown-outcomes',
  says: 'an ISR change whose outcome is not known counts as refused',
  caughtBy: LOSS,
  needs: ['leaderWithoutControllers', 'oneWay', 'reset', 'isolation', 'minIsr1'],
  replica: eachEpoch(({ isr }) => {
    const { answered } = isr;
    isr.answered = (answer, memberOf) =>
      answered.call(isr, answer.kind === 'unknown' ? { kind: 'refused' } : answer, memberOf);
  }),
};

export const appendOfAnyEpoch: ClusterPlant = {
  name: 'append-of-any-epoch',
  says: 'a follower appends what a leader of an earlier epoch has sent',
  caughtBy: [...LOSS, 'fault'],
  needs: ['slowLink', 'freeze', 'leaderWithoutControllers'],
  replica: ({ following }) => {
    if (following === undefined || Object.hasOwn(following, 'expects')) return;
    Object.defineProperty(following, 'expects', { value: (phase: string) => following.phase === phase });
  },
};
