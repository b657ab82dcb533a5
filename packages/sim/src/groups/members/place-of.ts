/** Which topic of a name a member was given: applications are told names, and a topic may have been made anew. */
import { parsePartitionKey } from '@barnabas/broker/parts';
import type { TopicPartition } from '@barnabas/client';
import type { Place } from '../truth/ledger.js';
import type { GroupsWorld } from '../world.js';

export function placeOf(
  world: GroupsWorld,
  { groupId, memberId }: { readonly groupId: string; readonly memberId: string },
  { topic, partition }: TopicPartition,
): Place {
  const member = world.history.image(groupId).members.get(memberId);
  const owned = [...(member?.assigned.keys() ?? [])].map(parsePartitionKey);
  const known = owned.find((one) => one.partition === partition && world.topicNames.get(one.topicId) === topic);
  return { topic, partition, topicId: known?.topicId ?? world.image?.topics.named(topic)?.id ?? '' };
}
