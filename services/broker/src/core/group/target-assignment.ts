/**
 * Gives a group a new epoch and a target assignment where members, subscriptions or topics ask for it.
 *
 * Record order: the group's epoch first, the target's epoch last. Cut anywhere between, the group's
 * epoch is ahead of the target's, and whoever decides next makes the target again. A half-written
 * target does no harm: a partition is given only when nobody owns it (reconciliation.ts).
 */
import type { MetadataImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import { checkAssignment } from './assignor.js';
import type { Assignor, AssignorInput } from './assignor.js';
import { sortedMembers, targetOf } from './group-image.js';
import type { GroupImage, MemberImage } from './group-image.js';
import { groupRecord, targetMemberRecord, targetRecord } from './member-records.js';
import type { Plan } from './plan.js';
import type { GroupSettings } from './settings.js';
import { resolveSubscriptions } from './subscription.js';
import type { PatternTable } from './subscription.js';

export interface AssignmentContext {
  readonly settings: GroupSettings;
  readonly patterns: PatternTable;
  readonly image: MetadataImage;
}

/** What makes a new target necessary. */
export type Occasion =
  /** Members or their subscriptions are others than those that the group's epoch stands for. */
  | 'changed'
  /** The metadata may be. */
  | 'look'
  /** Nothing, unless a decision before this one was cut off. */
  | 'none';

/** Brings the group's epoch and target assignment in step with members and metadata. */
export function refreshTarget(plan: Plan, groupId: string, occasion: Occasion, context: AssignmentContext): void {
  const { settings, patterns, image } = context;
  const before = plan.group(groupId);
  if (occasion === 'none' && before.epoch === before.targetEpoch) return;
  const subscriptions = resolveSubscriptions(before, image, patterns);
  if (occasion === 'changed' || subscriptions.hash !== before.metadataHash) {
    plan.add(groupRecord(before, { epoch: before.epoch + 1, metadataHash: subscriptions.hash }));
  }
  const group = plan.group(groupId);
  if (group.epoch === group.targetEpoch) return;
  const members = sortedMembers(group);
  const input: AssignorInput = {
    members: members.map((member) => ({
      id: member.id,
      instanceId: member.instanceId,
      rackId: member.rackId,
      topicIds: subscriptions.topicIdsOf(member),
      target: targetOf(group, member.id),
    })),
    topics: subscriptions.topics,
  };
  const assignment = assignorOf(members, settings).assign(input);
  checkAssignment(input, assignment);
  for (const { id, target } of input.members) {
    const next = assignment.get(id) ?? new Set();
    if (!group.targets.has(id) || !sameSet(target, next)) plan.add(targetMemberRecord(groupId, id, next));
  }
  plan.add(targetRecord(groupId, group.epoch));
}

/** What most members prefer; the first of the broker's where nobody does. */
export function assignorOf(members: readonly MemberImage[], { assignors }: GroupSettings): Assignor {
  const votes = new Map<string, number>();
  for (const { serverAssignor } of members) votes.set(serverAssignor, (votes.get(serverAssignor) ?? 0) + 1);
  let best: Assignor | undefined;
  for (const assignor of assignors) {
    const count = votes.get(assignor.name) ?? 0;
    if (count > 0 && count > (best === undefined ? 0 : (votes.get(best.name) ?? 0))) best = assignor;
  }
  const chosen = best ?? assignors[0];
  if (chosen === undefined) {
    throw new BarnabasError('UNSUPPORTED_ASSIGNOR', 'this broker offers no assignor: set group.consumer.assignors');
  }
  return chosen;
}

export function checkAssignorName(name: string, { assignors }: GroupSettings): void {
  if (name === '' || assignors.some((assignor) => assignor.name === name)) return;
  throw new BarnabasError(
    'UNSUPPORTED_ASSIGNOR',
    `there is no assignor ${JSON.stringify(name)}; this broker offers ${assignors.map((one) => one.name).join(', ')}`,
  );
}

/** Whether a topic that has changed concerns the group. */
export function isConcerned(group: GroupImage, { image, patterns }: AssignmentContext): boolean {
  return (
    group.members.size > 0 &&
    (group.epoch !== group.targetEpoch || resolveSubscriptions(group, image, patterns).hash !== group.metadataHash)
  );
}

function sameSet(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  return one.size === other.size && [...one].every((key) => other.has(key));
}
