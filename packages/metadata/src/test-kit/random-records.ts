/** Runs of metadata records that a controller might have written, at random: each fits what came before. */
import type { Random } from '@barnabas/common';
import { internal } from '@barnabas/protocol';
import { MetadataDelta } from '../delta.js';
import { NO_LEADER, emptyImage } from '../image.js';
import type { MetadataImage, TopicImage } from '../image.js';
import { collisionKey } from '../topic-name.js';

type Body = NonNullable<internal.MetadataRecord['record']>;

/** `count` records that follow from the empty image. */
export function randomRecords(random: Random, count: number): internal.MetadataRecord[] {
  const records: internal.MetadataRecord[] = [];
  let image = emptyImage;
  while (records.length < count) {
    const record = { record: records.length === 0 ? clusterId() : next(image, random, records.length) };
    const delta = new MetadataDelta(image);
    delta.replay(record);
    records.push(record);
    image = delta.apply({ offset: records.length, term: 1 });
  }
  return records;
}

function clusterId(): Body {
  return { $case: 'clusterId', clusterId: { clusterId: 'cluster' } };
}

function next(image: MetadataImage, random: Random, offset: number): Body {
  for (;;) {
    const make = MAKERS[random.below(MAKERS.length)];
    const body = make?.(image, random, offset);
    if (body !== undefined) return body;
  }
}

type Maker = (image: MetadataImage, random: Random, offset: number) => Body | undefined;

const MAKERS: readonly Maker[] = [
  (_image, random, offset) => ({
    $case: 'registerBroker',
    registerBroker: {
      brokerId: random.below(5),
      incarnationId: `incarnation-${offset}`,
      brokerEpoch: offset,
      endpoints: [{ name: 'CLIENT', host: 'host', port: 1 + random.below(9) }],
      rack: ['', 'a', 'b'][random.below(3)] ?? '',
      fenced: random.below(2) === 0,
      features: [{ name: 'some.feature', minLevel: 1, maxLevel: 1 + random.below(3) }],
      flushIntervalMessages: 1 + random.below(3),
    },
  }),
  (image, random) => {
    const broker = pick([...image.brokers.values()], random);
    if (broker === undefined) return undefined;
    const { id: brokerId, epoch: brokerEpoch } = broker;
    if (random.below(4) === 0) return { $case: 'unregisterBroker', unregisterBroker: { brokerId, brokerEpoch } };
    const change = [{ fenced: !broker.fenced }, { inControlledShutdown: true }, { decommissioning: true }][
      random.below(3)
    ];
    return { $case: 'brokerRegistrationChange', brokerRegistrationChange: { brokerId, brokerEpoch, ...change } };
  },
  (image, random, offset) => {
    const name = `topic${['.', '_', '-'][random.below(3)]}${random.below(6)}`;
    const key = collisionKey(name);
    if (image.topics.named(name) !== undefined) return undefined;
    if (key !== undefined && image.topics.namesByCollisionKey.has(key)) return undefined;
    return { $case: 'topic', topic: { name, topicId: `id-${offset}` } };
  },
  (image, random) => {
    const topic = pickTopic(image, random);
    if (topic === undefined) return undefined;
    if (random.below(8) === 0) return { $case: 'removeTopic', removeTopic: { topicId: topic.id } };
    const replicas = [1, 2, 3].slice(0, 1 + random.below(3));
    const partition = internal.PartitionRecord.create({
      topicId: topic.id,
      partition: topic.partitions.length,
      replicas,
      isr: replicas,
      leader: 1,
      leaderEpoch: random.below(3),
      partitionEpoch: 7,
      addingReplicas: replicas.slice(0, random.below(2)),
      removingReplicas: replicas.slice(1, 1 + random.below(2)),
      eligibleLeaderReplicas: replicas.slice(2),
      lastKnownElr: replicas.slice(0, random.below(2)),
      offlineReplicas: replicas.slice(random.below(3)),
    });
    return { $case: 'partition', partition };
  },
  (image, random) => {
    const topic = pickTopic(image, random);
    if (topic === undefined || topic.partitions.length === 0) return undefined;
    const partition = random.below(topic.partitions.length);
    const replicas = topic.partitions[partition]?.replicas ?? [];
    const leader = random.below(3) === 0 ? NO_LEADER : pick(replicas, random);
    const isr = random.below(2) === 0 ? { isr: { ids: replicas.slice(0, 1) } } : {};
    const lists = random.below(2) === 0 ? randomLists(random) : {};
    const change = leader === undefined || random.below(3) === 0 ? { ...isr, ...lists } : { leader, ...isr, ...lists };
    return { $case: 'partitionChange', partitionChange: { topicId: topic.id, partition, ...change } };
  },
  (image, random) => {
    const { TOPIC, BROKER } = internal.ConfigRecordResourceType;
    const topic = pickTopic(image, random);
    const resource =
      topic === undefined || random.below(2) === 0
        ? { resourceType: BROKER, resourceName: ['', '1'][random.below(2)] ?? '' }
        : { resourceType: TOPIC, resourceName: topic.name };
    const value = random.below(3) === 0 ? {} : { value: String(random.below(3)) };
    return { $case: 'config', config: { ...resource, key: ['x', 'y'][random.below(2)] ?? '', ...value } };
  },
  (image, random) => {
    const nextProducerId = image.nextProducerId + 1 + random.below(1000);
    return { $case: 'producerIds', producerIds: { brokerId: 1, brokerEpoch: 1, nextProducerId } };
  },
  (_image, random) => ({ $case: 'featureLevel', featureLevel: { name: 'some.feature', level: random.below(3) } }),
];

function pickTopic(image: MetadataImage, random: Random): TopicImage | undefined {
  return pick([...image.topics.values()], random);
}

function pick<T>(values: readonly T[], random: Random): T | undefined {
  return values.length === 0 ? undefined : values[random.below(values.length)];
}

/** Each list of a change is there or not, empty or not. */
function randomLists(random: Random) {
  const list = () => (random.below(2) === 0 ? undefined : { ids: [1, 2].slice(random.below(3)) });
  return {
    addingReplicas: list(),
    removingReplicas: list(),
    eligibleLeaderReplicas: list(),
    lastKnownElr: list(),
    offlineReplicas: list(),
  };
}
