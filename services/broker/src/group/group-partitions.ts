/** Partitions as clients of groups name them, by topic name, id or both, and as the core does, by id. */
import type { MetadataImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import type { TopicPartitionId } from '../core/group/index.js';

/**
 * The partition by id. Throws INVALID_REQUEST (neither name nor id, or a partition that is no number of one)
 * and UNKNOWN_TOPIC_OR_PARTITION (a name that this broker does not know). An id is taken as it is: where both
 * are given it decides, so that a topic made again under the same name is not taken for the old one.
 */
export function identified({ topic, topicId, partition }: v1.GroupPartition, image: MetadataImage): TopicPartitionId {
  if (!Number.isInteger(partition) || partition < 0) {
    throw new BarnabasError('INVALID_REQUEST', `a partition is 0 or greater, not ${partition}`);
  }
  if (topicId !== '') {
    if (topicId.length > MAX_TOPIC_ID_LENGTH || topicId.includes('/')) {
      throw new BarnabasError('UNKNOWN_TOPIC_ID', 'that is not the id of a topic');
    }
    return { topicId, partition };
  }
  if (topic === '') throw new BarnabasError('INVALID_REQUEST', 'name the topic, or give its id');
  const found = image.topics.named(topic);
  if (found !== undefined) return { topicId: found.id, partition };
  throw new BarnabasError(
    'UNKNOWN_TOPIC_OR_PARTITION',
    `topic ${JSON.stringify(topic)} does not exist: check the name, or wait for its creation to reach this broker`,
    { topic },
  );
}

/** A UUID, in either of its usual spellings. */
const MAX_TOPIC_ID_LENGTH = 36;

/** As it was asked for, with what was left out of name and id, where it is known. */
export function completed(asked: v1.GroupPartition, image: MetadataImage): v1.GroupPartition {
  const { topic, topicId, partition } = asked;
  if (topicId !== '') return topic === '' ? named(asked, image) : asked;
  return { topic, topicId: image.topics.named(topic)?.id ?? '', partition };
}

/** With name and id; the name is empty where the topic is gone. */
export function named({ topicId, partition }: TopicPartitionId, image: MetadataImage): v1.GroupPartition {
  return { topic: image.topics.withId(topicId)?.name ?? '', topicId, partition };
}
