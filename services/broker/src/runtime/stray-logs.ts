/**
 * Logs on disk that the metadata log no longer gives to this broker: their topics were deleted, or
 * their replicas moved, while the broker was down. Called once the broker has caught up; before, an
 * old image would take new logs for strays.
 */
import type { Logger } from '@barnabas/common';
import type { LogManager } from '@barnabas/log';
import type { MetadataImage } from '@barnabas/metadata';

export async function deleteStrayLogs(
  logs: LogManager,
  image: MetadataImage,
  nodeId: number,
  logger: Logger,
): Promise<void> {
  for (const { topic, topicId, partition } of await logs.storedLogs()) {
    if (image.topics.partition(topicId, partition)?.replicas.includes(nodeId) === true) continue;
    logger.info('Deleting the log of a partition that is no longer here', { topic, topicId, partition });
    await logs.deleteLog(topicId, partition);
  }
}
