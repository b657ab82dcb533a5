/** Bugs in who listens to words of an earlier epoch, or of an earlier life: on brokers and on controllers. */
import type { ReplicaPartition } from '@barnabas/broker/parts';
import type { MetadataImage } from '@barnabas/metadata';
import type { internal } from '@barnabas/protocol';
import type { Envelope } from '../network/call.js';
import { eachEpoch } from './each-epoch.js';
import { LOSS } from './log-plants.js';
import type { ClusterPlant, PlantSite } from './plant.js';

/** An ISR change as it arrives, with what the controller has committed. */
function alterPartition(
  change: (entry: internal.AlterPartitionEntry, image: MetadataImage) => internal.AlterPartitionEntry,
): NonNullable<ClusterPlant['heard']> {
  return ({ method, isRequest, message, to }, site) => {
    const image = site.imageAt(to);
    if (method !== 'AlterPartition' || !isRequest || image === undefined) return message;
    const request = message as internal.AlterPartitionRequest;
    return { ...request, partitions: request.partitions.map((entry) => change(entry, image)) };
  };
}

export const admitByTheWatermarkAlone: ClusterPlant = {
  name: 'admit-by-the-watermark-alone',
  says: 'a follower is admitted by a new leader’s high watermark, which may be behind what is committed (KIP-320)',
  caughtBy: LOSS,
  needs: ['siege', 'killOfAll', 'minIsr2'],
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

export const countEarlierEpochs: ClusterPlant = {
  name: 'count-earlier-epochs',
  says: 'a leader goes on counting what followers have acknowledged to it in an earlier epoch (KIP-320)',
  caughtBy: [...LOSS, 'fault'],
  needs: ['siege', 'minIsr1', 'acksOne'],
  replica: highestEverAcknowledged(),
};

function highestEverAcknowledged(): (replica: ReplicaPartition) => void {
  const ends = new WeakMap<ReplicaPartition, Map<number, number>>();
  return (replica) => {
    if (replica.leading === undefined) return;
    const known = ends.get(replica) ?? new Map<number, number>();
    ends.set(replica, known);
    for (const follower of replica.leading.followers()) {
      const highest = Math.max(known.get(follower.brokerId) ?? -1, follower.logEndOffset);
      known.set(follower.brokerId, highest);
      follower.logEndOffset = highest;
    }
  };
}

export const forgetUnknownOutcomes: ClusterPlant = {
  name: 'forget-unknown-outcomes',
  says: 'an ISR change whose outcome is not known counts as refused',
  caughtBy: LOSS,
  needs: ['unsteadyFollower', 'minIsr1'],
  replica: eachEpoch(({ isr }) => {
    const { answered } = isr;
    isr.answered = (answer, memberOf) =>
      answered.call(isr, answer.kind === 'unknown' ? { kind: 'refused' } : answer, memberOf);
  }),
};

export const appendOfAnyEpoch: ClusterPlant = {
  name: 'append-of-any-epoch',
  says: 'a follower appends what comes for the partition, also from the leader of an earlier epoch',
  caughtBy: [...LOSS, 'replicated'],
  needs: ['siege', 'manyPartitions', 'acksOne'],
  heard: (envelope, site) => {
    const { method, isRequest, message } = envelope;
    if (method !== 'Replicate') return message;
    if (isRequest) for (const part of (message as internal.ReplicateRequest).parts) noteQuestion(envelope, part, site);
    else for (const part of (message as internal.ReplicateResponse).parts) takeWhatever(envelope, part, site);
    return message;
  },
};

type At = Pick<internal.Follow, 'topicId' | 'partition'>;

/** By run: what each handle of a follower is about, `<follower>/<handle>`. */
const questions = new WeakMap<PlantSite, Map<string, At>>();

function noteQuestion({ from }: Envelope, { part }: internal.FollowerPart, site: PlantSite): void {
  if (part?.$case !== 'follow') return;
  const known = questions.get(site) ?? new Map<string, At>();
  questions.set(site, known);
  known.set(`${from}/${part.follow.handle}`, part.follow);
}

/** Batches for a handle that is over are dropped by the link, and by the core behind it; here neither does. */
function takeWhatever({ to }: Envelope, { part }: internal.LeaderPart, site: PlantSite): void {
  if (part?.$case !== 'batches') return;
  const { handle, batches, mark } = part.batches;
  const at = questions.get(site)?.get(`${to}/${handle}`);
  const node = site.nodeOf(to);
  const following = at === undefined ? undefined : node?.driver.findById(at.topicId, at.partition)?.following;
  if (at === undefined || node === undefined || mark === undefined || following === undefined) return;
  if (following.handle === handle) return;
  site.tally.count(`late batches while ${following.phase}`);
  if (following.phase !== 'fetching') return;
  const replica = node.driver.findById(at.topicId, at.partition);
  if (replica === undefined) return;
  node.driver.batches(replica, following.handle, { bytes: batches, taken: false, release() {} }, mark);
}

export const ignorePartitionEpochs: ClusterPlant = {
  name: 'ignore-partition-epochs',
  says: 'the controller takes an ISR change whatever partition epoch it builds on',
  caughtBy: LOSS,
  needs: ['unsteadyFollower', 'minIsr1'],
  heard: alterPartition((entry, image) => {
    const known = image.topics.partition(entry.topicId, entry.partition);
    return known === undefined ? entry : { ...entry, partitionEpoch: known.partitionEpoch };
  }),
};

export const ignoreLeaderEpochs: ClusterPlant = {
  name: 'ignore-leader-epochs',
  says: 'the controller takes an ISR change that was made in an earlier leader epoch',
  caughtBy: [...LOSS, 'isr', 'fault'],
  needs: ['siege', 'minIsr1'],
  heard: alterPartition((entry, image) => {
    const known = image.topics.partition(entry.topicId, entry.partition);
    if (known === undefined || known.leaderEpoch === entry.leaderEpoch) return entry;
    return { ...entry, leaderEpoch: known.leaderEpoch, partitionEpoch: known.partitionEpoch };
  }),
};

export const ignoreBrokerEpochs: ClusterPlant = {
  name: 'ignore-broker-epochs',
  says: 'leader and controller admit a broker for what it said under an earlier registration (KIP-903)',
  caughtBy: LOSS,
  needs: ['siege', 'powerLoss', 'relaxed', 'minIsr1'],
  replica: eachEpoch((leading) => {
    const { admission } = leading;
    leading.admission = (at, viewOf) =>
      admission.call(leading, at, (id) => {
        const view = viewOf(id);
        return view === undefined ? undefined : { ...view, epoch: leading.follower(id)?.brokerEpoch ?? view.epoch };
      });
  }),
  heard: alterPartition((entry, image) => ({
    ...entry,
    isr: entry.isr.map(({ brokerId, brokerEpoch }) => ({
      brokerId,
      brokerEpoch: brokerEpoch < 0 ? brokerEpoch : (image.brokers.get(brokerId)?.epoch ?? brokerEpoch),
    })),
  })),
};
