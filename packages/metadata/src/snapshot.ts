/**
 * An image as the records that make it: replaying them into an empty image gives an equal one.
 * Used where the log before an offset is gone: by Raft's snapshots and for followers far behind.
 *
 * Lazy: yields record by record from an immutable image, so that a snapshot takes no more memory
 * than the piece being sent.
 */
import { assert } from '@barnabas/common';
import { internal } from '@barnabas/protocol';
import { MetadataDelta } from './delta.js';
import { emptyImage } from './image.js';
import type { MetadataImage } from './image.js';

const { ConfigRecordResourceType } = internal;

/** The image's records; cluster id and features first, then brokers, topics and configurations. */
export function* snapshotRecords(image: MetadataImage): Generator<internal.MetadataRecord, void, undefined> {
  if (image.clusterId !== '') yield { record: { $case: 'clusterId', clusterId: { clusterId: image.clusterId } } };
  for (const [name, level] of image.features)
    yield { record: { $case: 'featureLevel', featureLevel: { name, level } } };
  yield* brokerRecords(image);
  yield* topicRecords(image);
  yield* configRecords(ConfigRecordResourceType.TOPIC, image.configs.topics);
  yield* configRecords(ConfigRecordResourceType.BROKER, image.configs.brokers);
  if (image.nextProducerId > 0) {
    // Who got the last block does not matter any more: only that it is gone.
    const producerIds = { brokerId: -1, brokerEpoch: -1, nextProducerId: image.nextProducerId };
    yield { record: { $case: 'producerIds', producerIds } };
  }
}

/** The snapshot in pieces of about `pieceBytes` each, for streams and for Raft's disk. */
export function* snapshotChunks(
  image: MetadataImage,
  pieceBytes: number,
): Generator<internal.MetadataSnapshotChunk, void, undefined> {
  const piece = (records: internal.MetadataRecord[], last: boolean) => {
    return { endOffset: image.offset, term: image.term, records, last };
  };
  let records: internal.MetadataRecord[] = [];
  let bytes = 0;
  for (const record of snapshotRecords(image)) {
    if (bytes >= pieceBytes) {
      yield piece(records, false);
      records = [];
      bytes = 0;
    }
    records.push(record);
    bytes += estimatedRecordBytes(record);
  }
  yield piece(records, true);
}

/** Makes an image of a snapshot's pieces, which come in their order. */
export class SnapshotLoader {
  readonly #delta = new MetadataDelta(emptyImage);
  #endOffset: number | undefined;

  /** The image, with the last piece. */
  add(chunk: internal.MetadataSnapshotChunk): MetadataImage | undefined {
    const { endOffset, term, records, last } = chunk;
    this.#endOffset ??= endOffset;
    assert(this.#endOffset === endOffset, 'the pieces of a snapshot are of one image', { endOffset });
    for (const record of records) this.#delta.replay(record);
    return last ? this.#delta.apply({ offset: endOffset, term }) : undefined;
  }
}

/** Near enough to cut pieces by; measuring exactly would be encoding twice. */
export function estimatedRecordBytes({ record }: internal.MetadataRecord): number {
  switch (record?.$case) {
    case 'partition':
      return 48 + 2 * (record.partition.replicas.length + record.partition.isr.length);
    case 'registerBroker':
      return 64 + record.registerBroker.endpoints.length * 64;
    case 'topic':
      return 40 + record.topic.name.length;
    case 'config':
      return 16 + record.config.resourceName.length + record.config.key.length + (record.config.value?.length ?? 0);
    default:
      return 48;
  }
}

function* brokerRecords(image: MetadataImage): Generator<internal.MetadataRecord, void, undefined> {
  for (const broker of image.brokers.values()) {
    const { id: brokerId, epoch: brokerEpoch, incarnationId, rack, fenced } = broker;
    const endpoints = broker.endpoints.map((endpoint) => ({ ...endpoint }));
    const features = [...broker.features].map(([name, range]) => ({ name, ...range }));
    const says = { endpoints, features, flushIntervalMessages: broker.flushIntervalMessages };
    const registerBroker = { brokerId, brokerEpoch, incarnationId, rack, fenced, ...says };
    yield { record: { $case: 'registerBroker', registerBroker } };
    const { inControlledShutdown, decommissioning } = broker;
    if (inControlledShutdown || decommissioning) {
      const brokerRegistrationChange = { brokerId, brokerEpoch, inControlledShutdown, decommissioning };
      yield { record: { $case: 'brokerRegistrationChange', brokerRegistrationChange } };
    }
  }
}

function* topicRecords(image: MetadataImage): Generator<internal.MetadataRecord, void, undefined> {
  for (const { id: topicId, name, partitions } of image.topics.values()) {
    yield { record: { $case: 'topic', topic: { topicId, name } } };
    for (const [partition, state] of partitions.entries()) {
      const { leader, leaderEpoch, partitionEpoch } = state;
      const lists = {
        replicas: [...state.replicas],
        isr: [...state.isr],
        addingReplicas: [...state.addingReplicas],
        removingReplicas: [...state.removingReplicas],
        eligibleLeaderReplicas: [...state.eligibleLeaderReplicas],
        lastKnownElr: [...state.lastKnownElr],
        offlineReplicas: [...state.offlineReplicas],
      };
      const record = { topicId, partition, leader, leaderEpoch, partitionEpoch, ...lists };
      yield { record: { $case: 'partition', partition: record } };
    }
  }
}

function* configRecords(
  resourceType: internal.ConfigRecordResourceType,
  configs: MetadataImage['configs']['topics'],
): Generator<internal.MetadataRecord, void, undefined> {
  for (const [resourceName, entries] of configs) {
    for (const [key, value] of entries) {
      yield { record: { $case: 'config', config: { resourceType, resourceName, key, value } } };
    }
  }
}
