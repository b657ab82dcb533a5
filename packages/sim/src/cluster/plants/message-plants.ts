/** Bugs in what one node makes of what another says, made by changing the message as it arrives. */
import type { MetadataImage } from '@barnabas/metadata';
import type { internal } from '@barnabas/protocol';
import { LOSS } from './log-plants.js';
import type { ClusterPlant } from './plant.js';

/** An AlterPartition as it arrives, with what the controller has committed. */
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

export const ignorePartitionEpochs: ClusterPlant = {
  name: 'ignore-partition-epochs',
  says: 'the controller takes an ISR change whatever partition epoch it builds on',
  caughtBy: LOSS,
  needs: ['slowLink', 'leaderWithoutControllers', 'freeze', 'oneWay', 'minIsr1'],
  heard: alterPartition((entry, image) => {
    const { partitionEpoch = entry.partitionEpoch } = image.topics.partition(entry.topicId, entry.partition) ?? {};
    return { ...entry, partitionEpoch };
  }),
};

export const ignoreLeaderEpochs: ClusterPlant = {
  name: 'ignore-leader-epochs',
  says: 'the controller takes an ISR change from a leader of an earlier epoch',
  caughtBy: [...LOSS, 'isr', 'fault'],
  needs: ['leaderWithoutControllers', 'oneWay', 'freeze', 'isolation', 'minIsr1'],
  heard: alterPartition((entry, image) => {
    const known = image.topics.partition(entry.topicId, entry.partition);
    if (known === undefined) return entry;
    return { ...entry, leaderEpoch: known.leaderEpoch, partitionEpoch: known.partitionEpoch };
  }),
};

export const ignoreBrokerEpochs: ClusterPlant = {
  name: 'ignore-broker-epochs',
  says: 'the controller admits a broker under whatever registration the leader knew it (KIP-903)',
  caughtBy: LOSS,
  needs: ['powerLoss', 'powerLossOfAll', 'relaxed'],
  heard: alterPartition((entry, image) => ({
    ...entry,
    isr: entry.isr.map(({ brokerId, brokerEpoch }) => ({
      brokerId,
      brokerEpoch: brokerEpoch < 0 ? brokerEpoch : (image.brokers.get(brokerId)?.epoch ?? brokerEpoch),
    })),
  })),
};

export const neverTruncate: ClusterPlant = {
  name: 'never-truncate',
  says: 'a follower takes a log that parts from its own for one that agrees',
  caughtBy: [...LOSS, 'fault'],
  needs: ['leaderWithoutFollowers', 'isolation', 'kill'],
  heard: ({ method, isRequest, message }) => {
    if (method !== 'Replicate' || isRequest) return message;
    const { part } = message as internal.ReplicateResponse;
    if (part?.$case !== 'position' || part.position.answer?.$case !== 'diverging') return message;
    return { part: { ...part, position: { ...part.position, answer: { $case: 'agreed', agreed: true } } } };
  },
};

export const loseAMetadataRecord: ClusterPlant = {
  name: 'lose-a-metadata-record',
  says: 'now and then a follower of the metadata log misses a record',
  caughtBy: ['images', 'fault'],
  heard: ({ method, isRequest, message }, { dice }) => {
    if (method !== 'FollowMetadata' || isRequest) return message;
    const response = message as internal.FollowMetadataResponse;
    const { part } = response;
    if (part?.$case !== 'records' || dice.below(20) > 0) return message;
    return { ...response, part: { ...part, records: { ...part.records, records: part.records.records.slice(1) } } };
  },
};

export const electAnybody: ClusterPlant = {
  name: 'elect-anybody',
  says: 'the controller elects replicas that are neither in the ISR nor eligible',
  caughtBy: ['election'],
  needs: ['kill', 'isolation', 'leaderWithoutFollowers'],
  controllerConfig: { 'unclean.leader.election.enable': true },
};
