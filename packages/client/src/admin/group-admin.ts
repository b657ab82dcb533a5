/**
 * Administration of groups: what there is, how far they are, and changes of committed offsets on nobody's
 * behalf. Every call is answered by the group's coordinator, through a gateway or directly.
 *
 * Offsets are changed only while a group has no members: they would read on from where they are, and
 * commit over what was set.
 */
import { BarnabasError, CONSUMER_OFFSETS_TOPIC, coordinatorPartition, errorFromProto, v1 } from '@barnabas/protocol';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import { callLeaders } from '../cluster/leader-calls.js';
import { GroupCalls } from '../group/group-calls.js';
import type { CommitOutcome, FetchedOffset, OffsetToCommit } from '../group/group-types.js';
import { fromOutcome, fromWireOffset } from '../group/group-wire.js';
import { MemberOffsets, NOBODYS_MEMBER } from '../group/member-offsets.js';
import type { PartitionToFetch } from '../group/member-offsets.js';
import type { TopicPartition } from '../records.js';
import type { AdminCallOptions } from './admin-types.js';
import type { GroupDescription, GroupLag, GroupListing, GroupState } from './group-admin-types.js';
import { callCoordinators, offsetsPartitions } from './group-coordinators.js';
import { lagOf } from './group-lag.js';
import { fromWireGroup, fromWireListing, toWireStates } from './group-mapping.js';
import { allOf } from './partial-failure.js';

export class GroupAdmin {
  readonly #router: ClusterRouter;

  constructor(router: ClusterRouter) {
    this.#router = router;
  }

  async list(
    options: AdminCallOptions & { readonly states?: readonly GroupState[] },
  ): Promise<readonly GroupListing[]> {
    const timeoutMs = this.#timeoutMs(options);
    const count = await offsetsPartitions(this.#router, timeoutMs);
    const places = Array.from({ length: count }, (_, partition) => ({ topic: CONSUMER_OFFSETS_TOPIC, partition }));
    const request = { states: toWireStates(options.states ?? []) };
    // What a coordinator lists counts for the partitions that it was asked about: another lists the rest.
    const outcomes = await callLeaders<TopicPartition, PartitionGroups>(this.#router, {
      entries: places,
      timeoutMs,
      send: async (channel, entries, call) => {
        const { groups, errors } = await channel.client(v1.GroupServiceDefinition).listGroups(request, call);
        const placed = groups.map((group) => ({ group, partition: coordinatorPartition(group.groupId, count) }));
        return entries.map(({ partition }) => ({
          groups: placed.filter((one) => one.partition === partition).map(({ group }) => group),
          error: errors[0],
        }));
      },
    });
    const groups = allOf(outcomes).flatMap((outcome) => outcome.groups.map(fromWireListing));
    return groups.sort((one, other) => (one.groupId < other.groupId ? -1 : 1));
  }

  async describe(groupIds: readonly string[], options: AdminCallOptions): Promise<readonly GroupDescription[]> {
    const timeoutMs = this.#timeoutMs(options);
    const outcomes = await callCoordinators(this.#router, groupIds, timeoutMs, async (client, asked, call) => {
      return (await client.describeGroups({ groupIds: asked }, call)).groups;
    });
    return allOf(outcomes).map(fromWireGroup);
  }

  async delete(groupIds: readonly string[], options: AdminCallOptions): Promise<void> {
    const timeoutMs = this.#timeoutMs(options);
    const tried = new Set<string>();
    const outcomes = await callCoordinators(this.#router, groupIds, timeoutMs, async (client, asked, call) => {
      const again = asked.map((groupId) => tried.has(groupId));
      for (const groupId of asked) tried.add(groupId);
      const { results } = await client.deleteGroups({ groupIds: asked }, call);
      // An attempt whose answer was lost, or that a coordinator made which lost the lead, may have done it.
      return results.map((result, index) =>
        again[index] === true && isGone(result) ? { ...result, error: undefined } : result,
      );
    });
    allOf(outcomes);
  }

  async offsets(
    groupId: string,
    options: AdminCallOptions & { readonly partitions?: readonly PartitionToFetch[] },
  ): Promise<readonly FetchedOffset[]> {
    const { partitions = [] } = options;
    // On the wire, no partitions at all would mean all of them.
    if (options.partitions?.length === 0) return [];
    const request = v1.FetchOffsetsRequest.create({
      groupId,
      partitions: partitions.map(toWirePartition),
    });
    const { offsets } = await this.#call(groupId, options, (client, call) => client.fetchOffsets(request, call));
    return allOf(offsets.map(fromWireOffset).map((offset) => offset.error ?? offset));
  }

  async alterOffsets(groupId: string, offsets: readonly OffsetToCommit[], options: AdminCallOptions): Promise<void> {
    const calls = new GroupCalls(this.#router, groupId);
    const commits = new MemberOffsets(this.#router, calls, NOBODYS_MEMBER);
    const timeoutMs = this.#timeoutMs(options);
    try {
      throwFailures(await commits.commit(offsets, { timeoutMs }));
    } catch (error) {
      // So the coordinator names somebody who is not a member while there are members.
      if (error instanceof BarnabasError && error.errorName === 'UNKNOWN_MEMBER_ID') throw hasMembers(groupId);
      throw error;
    }
  }

  async deleteOffsets(
    groupId: string,
    partitions: readonly PartitionToFetch[],
    options: AdminCallOptions,
  ): Promise<void> {
    if (partitions.length === 0) return;
    const request = { groupId, partitions: partitions.map(toWirePartition) };
    const { results } = await this.#call(groupId, options, (client, call) => client.deleteOffsets(request, call));
    throwFailures(partitions.map((partition, index) => fromOutcome(partition, results[index])));
  }

  /** The groups, with their offsets beside the ends of the logs. */
  async lag(groupIds: readonly string[], options: AdminCallOptions): Promise<readonly GroupLag[]> {
    const timeoutMs = this.#timeoutMs(options);
    const [described, offsets] = await Promise.all([
      this.describe(groupIds, options),
      Promise.all(groupIds.map((groupId) => this.offsets(groupId, options))),
    ]);
    return lagOf(
      this.#router,
      described.map((group, index) => ({ group, offsets: offsets[index] ?? [] })),
      timeoutMs,
    );
  }

  #call<T extends { readonly error?: v1.Error | undefined }>(
    groupId: string,
    options: AdminCallOptions,
    send: Parameters<typeof GroupCalls.prototype.call<T>>[0],
  ): Promise<T> {
    return new GroupCalls(this.#router, groupId).call(send, { timeoutMs: this.#timeoutMs(options) });
  }

  #timeoutMs({ timeoutMs }: AdminCallOptions): number {
    return timeoutMs ?? this.#router.options.defaultApiTimeoutMs;
  }
}

interface PartitionGroups {
  readonly groups: readonly v1.ListedGroup[];
  readonly error: v1.Error | undefined;
}

function isGone({ error }: v1.DeletedGroup): boolean {
  return error !== undefined && errorFromProto(error).errorName === 'GROUP_ID_NOT_FOUND';
}

function throwFailures(outcomes: readonly CommitOutcome[]): void {
  allOf(outcomes.map((outcome) => outcome.error ?? outcome));
}

function toWirePartition({ topic, topicId = '', partition }: PartitionToFetch): v1.GroupPartition {
  return { topic, topicId, partition };
}

function hasMembers(groupId: string): BarnabasError {
  const text = `group ${groupId} has members, which would commit over it: stop them all, wait for the group to be empty, and try again`;
  return new BarnabasError('NON_EMPTY_GROUP', text, { groupId });
}
