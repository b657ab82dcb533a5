/** What is missing of a group until it has read and committed everything, all its members there and in agreement. */
import { partitionKey, stateOf } from '@barnabas/broker/parts';
import type { MemberSlot } from './members/member-slot.js';
import type { GroupsWorld } from './world.js';

export function whatIsMissingOf(world: GroupsWorld, groupId: string, slots: readonly MemberSlot[]): string[] {
  const group = world.history.image(groupId);
  const members = [...group.members.values()];
  const state = stateOf(group);
  if (state !== 'Stable') {
    const states = members.map(({ id, epoch, state: one }) => `${id} ${one} at ${epoch}`).join(', ');
    return [`${groupId} is ${state} at epoch ${group.epoch}, target ${group.targetEpoch}: ${states}`];
  }
  const alive = slots.filter(({ isAlive }) => isAlive).length;
  if (alive < slots.length || members.length !== slots.length) {
    return [`${groupId} has ${members.length} members, and ${alive} of ${slots.length} are alive`];
  }
  return world.partitions().flatMap(({ topic, partition }) => {
    const topicId = world.image?.topics.named(topic)?.id ?? '';
    const key = partitionKey(topicId, partition);
    const { endOffset = 0 } = world.truth.find(topicId, partition) ?? {};
    const delivered = world.ledger.delivered(groupId, key);
    const missed = Array.from({ length: endOffset }, (_, offset) => offset).filter((offset) => !delivered.has(offset));
    const committed = group.offsets.get(key)?.offset ?? 0;
    const name = `${topic}-${partition} of ${groupId}`;
    if (!group.owners.has(key)) return [`nobody owns ${name}`];
    if (missed.length > 0) return [`${missed.length} records of ${name} were not delivered, the first is ${missed[0]}`];
    return committed === endOffset ? [] : [`${name} is committed to ${committed}, not to ${endOffset}`];
  });
}

/** How many partitions each has, where all subscribe to the same. */
export function spreadOf(world: GroupsWorld, groupId: string): number {
  const loads = [...world.history.image(groupId).members.values()].map(({ assigned }) => assigned.size);
  return loads.length === 0 ? 0 : Math.max(...loads) - Math.min(...loads);
}
