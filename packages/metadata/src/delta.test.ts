import { SeededRandom } from '@barnabas/common';
import { internal } from '@barnabas/protocol';
import fc from 'fast-check';
import { changesBetween } from './changes.js';
import type { ImageChanges } from './changes.js';
import { MetadataDelta } from './delta.js';
import { emptyImage } from './image.js';
import type { MetadataImage } from './image.js';
import { SnapshotLoader, snapshotChunks, snapshotRecords } from './snapshot.js';
import { plainImage } from './test-kit/plain-image.js';
import { randomRecords } from './test-kit/random-records.js';

const runs = fc
  .tuple(fc.integer(), fc.integer({ min: 1, max: 150 }))
  .map(([seed, count]) => randomRecords(new SeededRandom(seed), count));

/** Applies records in pieces that end at the given places. */
function applyInPieces(records: readonly internal.MetadataRecord[], cuts: readonly number[]): MetadataImage {
  let image = emptyImage;
  for (const end of [...new Set([...cuts.map((cut) => cut % records.length), records.length])].sort((a, b) => a - b)) {
    const delta = new MetadataDelta(image);
    for (const record of records.slice(image.offset, end)) delta.replay(record);
    image = delta.apply({ offset: end, term: 1 });
  }
  return image;
}

/** Only what can be said of both a delta and a comparison, in one order. */
function plainChanges(changes: ImageChanges, image: MetadataImage) {
  const really = changes.changedTopics.filter(
    ({ topic, previous }) => JSON.stringify(topic) !== JSON.stringify(previous),
  );
  const differs = (id: number) =>
    JSON.stringify(changes.base.brokers.get(id)) !== JSON.stringify(image.brokers.get(id));
  const entries = (of: MetadataImage, type: 'topic' | 'broker', name: string) =>
    JSON.stringify([...of.configs.of({ type, name })].sort());
  const configured = (type: 'topic' | 'broker', names: ReadonlySet<string>) =>
    [...names].filter((name) => entries(changes.base, type, name) !== entries(image, type, name)).sort();
  return {
    changed: really
      .map(({ topic, previous }) => ({ topic, previous }))
      .sort((a, b) => (a.topic.id < b.topic.id ? -1 : 1)),
    removed: [...changes.removedTopics.keys()].sort(),
    brokers: [...changes.changedBrokers].filter(differs).sort(),
    topicConfigs: configured('topic', changes.changedTopicConfigs),
    brokerConfigs: configured('broker', changes.changedBrokerConfigs),
  };
}

test('the image depends on the records, not on how they are cut into deltas (D2)', () => {
  fc.assert(
    fc.property(runs, fc.array(fc.nat(), { maxLength: 10 }), (records, cuts) => {
      expect(plainImage(applyInPieces(records, cuts))).toEqual(plainImage(applyInPieces(records, [])));
    }),
  );
});

test('an image never changes once it is handed out (D1)', () => {
  fc.assert(
    fc.property(runs, fc.nat(), (records, cut) => {
      const base = applyInPieces(records.slice(0, 1 + (cut % records.length)), []);
      const before = structuredClone(plainImage(base));
      const delta = new MetadataDelta(base);
      for (const record of records.slice(base.offset)) delta.replay(record);
      delta.apply({ offset: records.length, term: 1 });
      expect(plainImage(base)).toEqual(before);
    }),
  );
});

test('an image made of its own snapshot, over the wire and in pieces, is the same', () => {
  fc.assert(
    fc.property(runs, fc.integer({ min: 1, max: 2000 }), (records, pieceBytes) => {
      const image = applyInPieces(records, []);
      const loader = new SnapshotLoader();
      let loaded: MetadataImage | undefined;
      for (const chunk of snapshotChunks(image, pieceBytes)) {
        expect(loaded).toBeUndefined();
        const { MetadataSnapshotChunk } = internal;
        loaded = loader.add(MetadataSnapshotChunk.decode(MetadataSnapshotChunk.encode(chunk).finish()));
      }
      expect(loaded).toBeDefined();
      expect(plainImage(loaded ?? emptyImage)).toEqual(plainImage(image));
    }),
  );
});

test('what a delta says has changed is what comparing the images finds', () => {
  fc.assert(
    fc.property(runs, fc.nat(), (records, cut) => {
      const base = applyInPieces(records.slice(0, 1 + (cut % records.length)), []);
      const delta = new MetadataDelta(base);
      for (const record of records.slice(base.offset)) delta.replay(record);
      const image = delta.apply({ offset: records.length, term: 1 });
      expect(plainChanges(delta, image)).toEqual(plainChanges(changesBetween(base, image), image));
    }),
  );
});

test('unchanged parts are shared', () => {
  const records = randomRecords(new SeededRandom(7), 200);
  const base = applyInPieces(records, []);
  const [changed, ...others] = [...base.topics.values()].filter(({ partitions }) => partitions.length > 1);
  const delta = new MetadataDelta(base);
  const partitionChange = { topicId: changed?.id ?? '', partition: 0, isr: { ids: [1] } };
  delta.replay({ record: { $case: 'partitionChange', partitionChange } });
  const image = delta.apply({ offset: 201, term: 1 });
  expect(others.length).toBeGreaterThan(0);
  for (const topic of others) expect(image.topics.withId(topic.id)).toBe(topic);
  expect(image.topics.withId(changed?.id ?? '')?.partitions[1]).toBe(changed?.partitions[1]);
  expect(image.brokers).toBe(base.brokers);
  expect(delta.changedTopics).toEqual([{ topic: image.topics.withId(changed?.id ?? ''), previous: changed }]);
});

describe('a record that does not fit is a fault, never skipped', () => {
  const topic = { record: { $case: 'topic', topic: { name: 'a', topicId: 'A' } } } as const;
  const kinds = internal.ConfigRecordResourceType;
  const config = { resourceType: kinds.TOPIC, resourceName: 'b', key: 'k', value: 'v' };
  const partition = (number: number) =>
    internal.PartitionRecord.create({ topicId: 'A', partition: number, replicas: [1], isr: [1], leader: 1 });
  const cases: readonly (readonly [string, internal.MetadataRecord[], RegExp])[] = [
    ['an unknown type', [{ record: undefined }], /type that this version does not know: upgrade/],
    ['a topic twice', [topic, topic], /a topic name is used once/],
    ['a partition of no topic', [{ record: { $case: 'partition', partition: partition(0) } }], /the topic of a record/],
    ['a partition too far', [topic, { record: { $case: 'partition', partition: partition(1) } }], /created in order/],
    [
      'a change of no partition',
      [topic, { record: { $case: 'partitionChange', partitionChange: { topicId: 'A', partition: 0 } } }],
      /the partition of a record/,
    ],
    [
      'a change of no broker',
      [{ record: { $case: 'brokerRegistrationChange', brokerRegistrationChange: { brokerId: 1, brokerEpoch: 1 } } }],
      /a registered broker/,
    ],
    ['a configuration of no topic', [{ record: { $case: 'config', config } }], /a configured topic exists/],
    [
      'a configuration of nothing',
      [{ record: { $case: 'config', config: { ...config, resourceType: kinds.UNSPECIFIED } } }],
      /names its kind/,
    ],
    [
      'producer ids twice',
      [{ record: { $case: 'producerIds', producerIds: { brokerId: 1, brokerEpoch: 1, nextProducerId: 0 } } }],
      /handed out once/,
    ],
    [
      'a newer metadata.version',
      [{ record: { $case: 'featureLevel', featureLevel: { name: 'metadata.version', level: 3 } } }],
      /does not know: upgrade it/,
    ],
    [
      'another cluster id',
      [
        { record: { $case: 'clusterId', clusterId: { clusterId: 'a' } } },
        { record: { $case: 'clusterId', clusterId: { clusterId: 'b' } } },
      ],
      /keeps its id/,
    ],
  ];
  test.each(cases)('%s', (_name, records, message) => {
    const delta = new MetadataDelta(emptyImage);
    expect(() => records.forEach((record) => delta.replay(record))).toThrow(message);
  });
});

test('a snapshot is yielded record by record from an image that may be replaced meanwhile', () => {
  const image = applyInPieces(randomRecords(new SeededRandom(3), 120), []);
  const iterator = snapshotRecords(image);
  expect(iterator.next().value).toEqual({ record: { $case: 'clusterId', clusterId: { clusterId: 'cluster' } } });
  expect([...iterator].length).toBeGreaterThan(10);
});
