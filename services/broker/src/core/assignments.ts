/**
 * Turns what has changed in the metadata image into what that means for one broker's replicas.
 * Removals come first: a topic deleted and created again in one step is two incarnations.
 */
import type { ImageChanges, MetadataImage, PartitionImage, TopicImage } from '@barnabas/metadata';
import type { AssignmentChange, ReplicaConfig } from './assignment.js';

/** The settings of a topic as they hold on this broker. */
export type ConfigOfTopic = (topic: string) => ReplicaConfig;

export function assignmentChanges(
  nodeId: number,
  changes: ImageChanges,
  image: MetadataImage,
  configOf: ConfigOfTopic,
): AssignmentChange[] {
  const result: AssignmentChange[] = [];
  for (const topic of changes.removedTopics.values()) unassignAll(nodeId, topic, result);
  for (const { topic, previous } of changes.changedTopics) {
    if (previous !== undefined) unassignMoved(nodeId, previous, topic, result);
    assignChanged(nodeId, topic, previous, configOf, result);
  }
  for (const topic of reconfigured(changes, image)) assignChanged(nodeId, topic, undefined, configOf, result);
  return result;
}

function unassignAll(nodeId: number, topic: TopicImage, result: AssignmentChange[]): void {
  topic.partitions.forEach((partition, index) => {
    if (!partition.replicas.includes(nodeId)) return;
    result.push({ kind: 'unassign', topicId: topic.id, partition: index, deleted: true });
  });
}

function unassignMoved(nodeId: number, before: TopicImage, now: TopicImage, result: AssignmentChange[]): void {
  before.partitions.forEach((partition, index) => {
    if (!partition.replicas.includes(nodeId) || now.partitions[index]?.replicas.includes(nodeId) === true) return;
    result.push({ kind: 'unassign', topicId: now.id, partition: index, deleted: false });
  });
}

/** Every partition of `topic` held here that `previous` had otherwise, or not at all. */
function assignChanged(
  nodeId: number,
  topic: TopicImage,
  previous: TopicImage | undefined,
  configOf: ConfigOfTopic,
  result: AssignmentChange[],
): void {
  let config: ReplicaConfig | undefined;
  topic.partitions.forEach((partition: PartitionImage, index) => {
    if (!partition.replicas.includes(nodeId) || partition === previous?.partitions[index]) return;
    config ??= configOf(topic.name);
    const { replicas, isr, leader, leaderEpoch, partitionEpoch, eligibleLeaderReplicas } = partition;
    result.push({
      kind: 'assign',
      assignment: {
        topic: topic.name,
        topicId: topic.id,
        partition: index,
        replicas,
        isr,
        leader,
        leaderEpoch,
        partitionEpoch,
        eligibleLeaderReplicas,
        config,
      },
    });
  });
}

function* reconfigured(changes: ImageChanges, image: MetadataImage): Generator<TopicImage> {
  // A broker's dynamic settings are the defaults of every topic.
  if (changes.changedBrokerConfigs.size > 0) {
    yield* image.topics.values();
    return;
  }
  for (const name of changes.changedTopicConfigs) {
    const topic = image.topics.named(name);
    if (topic !== undefined) yield topic;
  }
}
