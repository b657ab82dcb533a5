/** Partitions as requests of administrators name them. */
import type { MetadataImage, TopicImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import type { PartitionAt } from './leader-election.js';
import { MAX_PARTITIONS_PER_REQUEST } from './limits.js';

/** Throws UNKNOWN_TOPIC_OR_PARTITION. */
export function partitionNamed(image: MetadataImage, name: string, number: number): PartitionAt {
  const topic = image.topics.named(name);
  const partition = topic?.partitions[number];
  if (topic !== undefined && partition !== undefined) return { topic, number, partition };
  const what = topic === undefined ? `topic ${JSON.stringify(name)}` : `partition ${number} of topic ${name}`;
  throw new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', `${what} does not exist`);
}

/** Of a request that names some, or means all by naming none: each once, in order. Unknown topics keep their place. */
export function namedPartitions(
  image: MetadataImage,
  topics: readonly v1.TopicPartitions[],
): readonly { readonly topic: string; readonly partition: number }[] {
  const names = topics.length === 0 ? allPartitions(image) : topics.flatMap((entry) => expand(image, entry));
  const once = new Map(names.map((name) => [`${name.partition}/${name.topic}`, name]));
  if (topics.length > 0) checkPartitionCount(once.size);
  return [...once.values()];
}

/** Throws INVALID_REQUEST. */
export function checkPartitionCount(count: number): void {
  if (count <= MAX_PARTITIONS_PER_REQUEST) return;
  throw new BarnabasError(
    'INVALID_REQUEST',
    `the request names ${count} partitions, at most ${MAX_PARTITIONS_PER_REQUEST} are allowed: use several`,
  );
}

function expand(image: MetadataImage, { topic, partitions }: v1.TopicPartitions) {
  const known = image.topics.named(topic);
  // An unknown topic without partitions is refused by its first.
  const numbers = partitions.length > 0 ? partitions : known === undefined ? [0] : [...known.partitions.keys()];
  return numbers.map((partition) => ({ topic, partition }));
}

function allPartitions(image: MetadataImage) {
  return sortedTopics(image).flatMap(({ name, partitions }) =>
    [...partitions.keys()].map((partition) => ({ topic: name, partition })),
  );
}

export function sortedTopics(image: MetadataImage): readonly TopicImage[] {
  return [...image.topics.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
}
