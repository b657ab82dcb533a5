/**
 * The range assignor: each topic by itself, its partitions in contiguous ranges over its subscribers
 * in order. Topics with equally many partitions and the same subscribers are divided alike, so that
 * a member gets the partitions of all of them that belong together (co-partitioning).
 *
 * Balanced within one for each topic, not over all topics; sticky only as far as the order of members
 * is (a member that comes or goes moves the borders of the ranges behind it). Racks do not count.
 */
import { inOrder, topicsInOrder } from './assignor.js';
import type { Assignor, AssignorInput, TargetAssignment } from './assignor.js';
import { partitionKey } from './partition-key.js';
import type { PartitionKey } from './partition-key.js';

export const rangeAssignor: Assignor = {
  name: 'range',
  assign(input: AssignorInput): TargetAssignment {
    const members = inOrder(input.members);
    const targets = new Map(members.map(({ id }) => [id, new Set<PartitionKey>()]));
    for (const { id: topicId, partitions } of topicsInOrder(input)) {
      const subscribers = members.filter(({ topicIds }) => topicIds.has(topicId));
      for (const [index, { id }] of subscribers.entries()) {
        const from = rangeStart(index, subscribers.length, partitions);
        const to = rangeStart(index + 1, subscribers.length, partitions);
        for (let partition = from; partition < to; partition++) targets.get(id)?.add(partitionKey(topicId, partition));
      }
    }
    return targets;
  },
};

/** The first ranges are the longer ones, as in Kafka. */
function rangeStart(index: number, subscribers: number, partitions: number): number {
  const shortest = Math.floor(partitions / subscribers);
  return index * shortest + Math.min(index, partitions % subscribers);
}
