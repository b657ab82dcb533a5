/**
 * The groups of one partition of __consumer_offsets, at the broker that leads it: their coordinator.
 * Does no I/O. Every request gives a decision; whoever runs the shard appends the records, replays them
 * at once, and answers when the partition's high watermark has passed everything appended so far.
 *
 * Owns: the groups as the partition's log says they are, the timers of their members, the patterns in
 * use. Does not own: the log, who leads it, when an answer may leave (the runtime), what a group does
 * (heartbeat.ts, offsets.ts, group-admin.ts).
 *
 * Rules for whoever runs it:
 *   R1  load every record of the partition, in order, then call `loaded` and `metadataChanged`, before
 *       anything is asked; then `metadataChanged` with every image that follows
 *   R2  append the records of a decision and replay them before the next decision, or neither; a
 *       decision that could not be appended whole is replayed as far as it was
 *   R3  an answer, also one that changes nothing, leaves when the high watermark has reached the log end
 *       that the decision left behind: it may rest on records that are not committed yet
 *   R4  a shard whose partition is led elsewhere, or in another leader epoch, is dropped: what it
 *       appended and did not see committed may be gone
 *   R5  call `tick` at `wakeAt`, and at least twice a session timeout
 * Protocol: docs/protocols/groups.md.
 */
import type { ImageChanges, MetadataImage } from '@barnabas/metadata';
import { checkGroup, checkMembers } from './check-group.js';
import type { GroupImage, GroupState } from './group-image.js';
import { deleteGroup, describeGroup, listGroups } from './group-admin.js';
import type { DescribedGroup, ListedGroup } from './group-admin.js';
import { heartbeat, nudgeOthers, removeMember } from './heartbeat.js';
import type { HeartbeatRequest, HeartbeatResponse } from './heartbeat-request.js';
import { MemberTimers } from './member-timers.js';
import { commitOffsets, deleteOffsets, expireOffsets, fetchOffsets, forgetTopics } from './offsets.js';
import type { CommitRequest, FetchOffsetsRequest, FetchedOffset, PartitionOutcome } from './offsets.js';
import type { TopicPartitionId } from './partition-key.js';
import { Plan, replayInto } from './plan.js';
import type { Decision, Now } from './plan.js';
import { MetadataConcern } from './metadata-concern.js';
import type { GroupRecord } from './record.js';
import type { GroupSettings } from './settings.js';
import { PatternTable } from './subscription.js';
import { isConcerned, refreshTarget } from './target-assignment.js';
import type { AssignmentContext } from './target-assignment.js';

export class GroupShard {
  readonly #groups = new Map<string, GroupImage>();
  readonly #patterns = new PatternTable();
  readonly #timers: MemberTimers;
  #isLoaded = false;
  #nextOffsetCheck = -Infinity;

  constructor(private readonly settings: GroupSettings) {
    this.#timers = new MemberTimers(settings.sessionTimeoutMs);
  }

  get size(): number {
    return this.#groups.size;
  }

  group(groupId: string): GroupImage | undefined {
    return this.#groups.get(groupId);
  }

  groups(): Iterable<GroupImage> {
    return this.#groups.values();
  }

  // --- what the log says ---

  /** A record stands in the log. */
  replay(record: GroupRecord, now: Now): void {
    replayInto(this.#groups, record);
    if (!this.#isLoaded || record.type === 'offsetCommit') return;
    if (record.type !== 'member' && record.type !== 'currentAssignment') return;
    const { groupId, memberId } = record.key;
    this.#timers.follow(this.#groups.get(groupId), groupId, memberId, now.monotonicMs);
  }

  /** Every record of the partition has been replayed: from here on the shard decides. */
  loaded(now: Now): void {
    this.#isLoaded = true;
    this.#nextOffsetCheck = now.monotonicMs + this.settings.offsetsRetentionCheckIntervalMs;
    for (const group of this.#groups.values()) {
      checkGroup(group);
      for (const memberId of group.members.keys()) this.#timers.follow(group, group.id, memberId, now.monotonicMs);
    }
  }

  /** Throws an InvariantError where what the records of a decision have touched is unsound. */
  check(records: readonly GroupRecord[]): void {
    const touched = new Map<string, Set<string>>();
    for (const { type, key } of records) {
      if (type === 'offsetCommit') continue;
      const members = touched.get(key.groupId) ?? new Set();
      touched.set(key.groupId, members);
      if ('memberId' in key) members.add(key.memberId);
    }
    for (const [groupId, members] of touched) {
      const group = this.#groups.get(groupId);
      if (group !== undefined) checkMembers(group, members);
    }
  }

  /** The same of everything that there is; for tests. */
  checkAll(): void {
    for (const group of this.#groups.values()) checkGroup(group);
  }

  // --- what members and clients ask; all may throw a BarnabasError ---

  heartbeat(request: HeartbeatRequest, now: Now, image: MetadataImage): Decision<HeartbeatResponse> {
    const plan = new Plan(this.#groups);
    const response = heartbeat(plan, request, now, this.#context(image));
    // Whatever becomes of the records: the member is alive. One that leaves has no timers once it has left.
    if (request.memberEpoch >= 0 && this.#groups.get(request.groupId)?.members.has(request.memberId) === true) {
      this.#timers.heard(request.groupId, request.memberId, now.monotonicMs);
    }
    return plan.decide(response);
  }

  commitOffsets(request: CommitRequest, now: Now, image: MetadataImage): Decision<PartitionOutcome[]> {
    const plan = new Plan(this.#groups);
    return plan.decide(commitOffsets(plan, request, now, this.#context(image)));
  }

  fetchOffsets(request: FetchOffsetsRequest): Decision<FetchedOffset[]> {
    const plan = new Plan(this.#groups);
    return plan.decide(fetchOffsets(plan.find(request.groupId), request));
  }

  deleteOffsets(
    groupId: string,
    partitions: readonly TopicPartitionId[],
    image: MetadataImage,
  ): Decision<PartitionOutcome[]> {
    const plan = new Plan(this.#groups);
    return plan.decide(deleteOffsets(plan, groupId, partitions, this.#context(image)));
  }

  listGroups(states: ReadonlySet<GroupState>): Decision<ListedGroup[]> {
    return new Plan(this.#groups).decide(listGroups(this.#groups, states));
  }

  describeGroup(groupId: string): Decision<DescribedGroup> {
    const plan = new Plan(this.#groups);
    return plan.decide(describeGroup(plan.find(groupId), groupId, this.settings));
  }

  deleteGroup(groupId: string): Decision<void> {
    const plan = new Plan(this.#groups);
    return plan.decide(deleteGroup(plan, groupId));
  }

  // --- what time and metadata bring ---

  /** When `tick` has something to do, in monotonic milliseconds. */
  get wakeAt(): number {
    return Math.min(this.#timers.nextDeadline ?? Infinity, this.#nextOffsetCheck);
  }

  /**
   * Members whose time is over, one by one: call again until nothing is decided. A member stays due
   * until the records that remove it are replayed.
   */
  tick(now: Now, image: MetadataImage): readonly Decision<void>[] {
    const decisions: Decision<void>[] = [];
    const plan = new Plan(this.#groups);
    for (const { groupId, memberId } of this.#timers.expire(now.monotonicMs)) {
      if (plan.find(groupId)?.members.has(memberId) !== true) continue;
      removeMember(plan, groupId, memberId, now, this.#context(image));
    }
    decisions.push(plan.decide(undefined));
    if (now.monotonicMs >= this.#nextOffsetCheck) {
      this.#nextOffsetCheck = now.monotonicMs + this.settings.offsetsRetentionCheckIntervalMs;
      decisions.push(this.#expireOffsets(now, image));
    }
    return decisions.filter(({ records }) => records.length > 0);
  }

  /**
   * The metadata has changed: groups that this concerns get a new target, and commits for topics that
   * are gone go. Without `changes`, as after loading, every group is looked at. Commits go only with a
   * deletion that was seen: this broker's image may be older than what the commit rests on.
   */
  metadataChanged(image: MetadataImage, changes?: ImageChanges): Decision<void> {
    const plan = new Plan(this.#groups);
    const context = this.#context(image);
    const concern = new MetadataConcern(image, changes);
    for (const group of concern.isNone ? [] : this.#groups.values()) {
      if (changes !== undefined) forgetTopics(plan, group.id, (topicId) => changes.removedTopics.has(topicId));
      if (!concern.touches(group, this.#patterns) || !isConcerned(group, context)) continue;
      refreshTarget(plan, group.id, 'look', context);
      nudgeOthers(plan, group.id, undefined);
    }
    if (!concern.isNone) this.#patterns.retain(this.#patternsInUse());
    return plan.decide(undefined);
  }

  #expireOffsets(now: Now, image: MetadataImage): Decision<void> {
    const plan = new Plan(this.#groups);
    for (const groupId of this.#groups.keys()) expireOffsets(plan, groupId, now, this.#context(image));
    return plan.decide(undefined);
  }

  #patternsInUse(): Set<string> {
    const sources = new Set<string>();
    for (const group of this.#groups.values()) {
      for (const { topicPattern } of group.members.values()) sources.add(topicPattern);
    }
    return sources;
  }

  #context(image: MetadataImage): AssignmentContext {
    return { settings: this.settings, patterns: this.#patterns, image };
  }
}
