/** An image as plain, ordered data: for comparing images in tests. */
import type { MetadataImage } from '../image.js';
import type { PersistentMap } from '../persistent-map.js';

export function plainImage(image: MetadataImage) {
  const { offset, term, clusterId, nextProducerId } = image;
  return {
    ...{ offset, term, clusterId, nextProducerId },
    features: Object.fromEntries([...image.features].sort()),
    brokers: sorted(image.brokers),
    topics: sorted(image.topics.byId),
    idsByName: sorted(image.topics.idsByName),
    namesByCollisionKey: sorted(image.topics.namesByCollisionKey),
    topicConfigs: sorted(image.configs.topics).map(([name, entries]) => [
      name,
      Object.fromEntries([...entries].sort()),
    ]),
    brokerConfigs: sorted(image.configs.brokers).map(([id, entries]) => [id, Object.fromEntries([...entries].sort())]),
  };
}

function sorted<K extends string | number, V>(map: PersistentMap<K, V>): (readonly [K, V])[] {
  return [...map].sort(([one], [other]) => (one < other ? -1 : 1));
}
