/**
 * Names of partition directories within log.dir: `<topic>-<partition>.<topicId>`, and the same with
 * `.deleted` behind it once the log is deleted and waits for its files to go. Pure.
 *
 * The topic id makes the name unique: a topic made again under an old name gets other directories.
 * The topic's part is for people, so it is cut where a file system would refuse the length.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { TopicPartition } from './types.js';

/** With partition, id and suffix the name stays below the 255 bytes that file systems allow. */
const MAX_TOPIC_CHARACTERS = 180;
const DELETED = '.deleted';
const TOPIC = /^[A-Za-z0-9._-]{1,249}$/;
const TOPIC_ID = /^[A-Za-z0-9_-]{16,36}$/;
const NAME = /^([A-Za-z0-9._-]+)-(\d{1,10})\.([A-Za-z0-9_-]{16,36})(\.deleted)?$/;

export interface ParsedName extends TopicPartition {
  readonly isDeleted: boolean;
}

/** Throws INVALID_REQUEST for what could not be a directory's name. */
export function directoryName({ topic, topicId, partition }: TopicPartition): string {
  const isName = TOPIC.test(topic) && TOPIC_ID.test(topicId);
  if (!isName || !Number.isInteger(partition) || partition < 0 || partition > 0x7fff_ffff) {
    throw new BarnabasError('INVALID_REQUEST', `no log can be named ${topic}-${partition} with topic id ${topicId}`, {
      topic,
      topicId,
      partition,
    });
  }
  return `${topic.slice(0, MAX_TOPIC_CHARACTERS)}-${partition}.${topicId}`;
}

export function deletedName(partition: TopicPartition): string {
  return directoryName(partition) + DELETED;
}

/** Undefined for directories that are no logs. A long topic's name comes back cut. */
export function parseDirectoryName(name: string): ParsedName | undefined {
  const [, topic, partition, topicId, deleted] = NAME.exec(name) ?? [];
  if (topic === undefined || partition === undefined || topicId === undefined) return undefined;
  return { topic, topicId, partition: Number(partition), isDeleted: deleted !== undefined };
}
