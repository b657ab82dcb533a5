/**
 * What a server-side assignor is: a function from members, topics and the target assignment in force
 * to a new one. By name, and pluggable: GroupSettings.assignors lists those that a broker offers.
 *
 * An assignor must be deterministic (the same input gives the same output, whatever the order of maps)
 * and give every partition that anybody subscribes to, to exactly one of its subscribers. check() holds
 * every assignor to that before its answer becomes a record.
 */
import { InvariantError, assert } from '@barnabas/common';
import { partitionKey } from './partition-key.js';
import type { PartitionKey } from './partition-key.js';

export interface AssignorMember {
  readonly id: string;
  /** Empty for a dynamic member. */
  readonly instanceId: string;
  /** Empty: none. */
  readonly rackId: string;
  /** Ids of the topics that it subscribes to and that exist. */
  readonly topicIds: ReadonlySet<string>;
  /** What it is to own until now. */
  readonly target: ReadonlySet<PartitionKey>;
}

export interface AssignorTopic {
  readonly id: string;
  readonly partitions: number;
  /** Racks that have a replica of the partition; empty where no rack is known. */
  racksOf(partition: number): ReadonlySet<string>;
}

export interface AssignorInput {
  readonly members: readonly AssignorMember[];
  /** Every topic that a member subscribes to. */
  readonly topics: ReadonlyMap<string, AssignorTopic>;
}

/** What each member is to own; every member has an entry. */
export type TargetAssignment = ReadonlyMap<string, ReadonlySet<PartitionKey>>;

export interface Assignor {
  readonly name: string;
  assign(input: AssignorInput): TargetAssignment;
}

/** Members in an order that does not depend on who came first; static ones keep their place when they come back. */
export function inOrder(members: readonly AssignorMember[]): AssignorMember[] {
  return [...members].sort((one, other) => compare(one.instanceId || one.id, other.instanceId || other.id));
}

/** Topics with subscribers, by id. */
export function topicsInOrder({ members, topics }: AssignorInput): AssignorTopic[] {
  const wanted = new Set(members.flatMap(({ topicIds }) => [...topicIds]));
  return [...topics.values()].filter(({ id }) => wanted.has(id)).sort((one, other) => compare(one.id, other.id));
}

/** Throws an InvariantError for an assignment that is not sound. */
export function checkAssignment(input: AssignorInput, assignment: TargetAssignment): void {
  const owners = new Map<PartitionKey, AssignorMember>();
  for (const member of input.members) {
    const target = assignment.get(member.id);
    assert(target !== undefined, 'an assignor answers for every member', { member: member.id });
    for (const key of target) {
      if (owners.has(key)) throw new InvariantError('a partition is assigned once', { key, member: member.id });
      owners.set(key, member);
    }
  }
  let wanted = 0;
  for (const { id, partitions } of topicsInOrder(input)) {
    wanted += partitions;
    for (let partition = 0; partition < partitions; partition++) {
      const owner = owners.get(partitionKey(id, partition));
      if (owner === undefined) throw new InvariantError('every partition is assigned', { topicId: id, partition });
      if (owner.topicIds.has(id)) continue;
      throw new InvariantError('a member gets what it subscribes to', { member: owner.id, topicId: id, partition });
    }
  }
  assert(owners.size === wanted, 'only partitions that exist are assigned', { assigned: owners.size, wanted });
}

function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
