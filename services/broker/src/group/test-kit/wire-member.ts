/** A member that speaks to a coordinator over the wire, and does what it is told: one heartbeat a step. */
import { v1 } from '@barnabas/protocol';
import type { CallOptions, ServiceClient } from '@barnabas/rpc';
import { errorCodeOf } from '../../test-kit/requests.js';

export type GroupClient = ServiceClient<typeof v1.GroupServiceDefinition>;

export class WireMember {
  epoch = 0;
  version = 0;
  incarnation = 1;
  owned: readonly v1.GroupPartition[] = [];

  constructor(
    readonly client: () => GroupClient,
    readonly groupId: string,
    readonly id: string,
    readonly options: Partial<v1.ConsumerGroupHeartbeatRequest> = {},
  ) {}

  request(change: Partial<v1.ConsumerGroupHeartbeatRequest> = {}): v1.ConsumerGroupHeartbeatRequest {
    const joining = { subscription: { topics: ['orders'], pattern: '' }, rebalanceTimeoutMs: 60_000, ...this.options };
    const living = { owned: { appliedVersion: this.version, partitions: [...this.owned] } };
    const { groupId, id: memberId, epoch: memberEpoch, incarnation } = this;
    return v1.ConsumerGroupHeartbeatRequest.create({
      ...{ groupId, memberId, memberEpoch, incarnation },
      ...(this.epoch === 0 ? joining : living),
      ...change,
    });
  }

  /** A heartbeat; what it brings is applied at once. */
  async beat(
    change: Partial<v1.ConsumerGroupHeartbeatRequest> = {},
    options?: CallOptions,
  ): Promise<v1.ConsumerGroupHeartbeatResponse> {
    const response = await this.client().consumerGroupHeartbeat(this.request(change), options);
    this.apply(response);
    return response;
  }

  apply(response: v1.ConsumerGroupHeartbeatResponse): void {
    if (response.error !== undefined) return;
    this.epoch = response.memberEpoch;
    if (response.assignment === undefined) return;
    this.owned = response.assignment.partitions;
    this.version = response.assignment.version;
  }

  get partitions(): number[] {
    return this.owned.map(({ partition }) => partition).sort((one, other) => one - other);
  }

  /** What it commits of its partitions; the names of what was refused. */
  async commit(offset: number, change: Partial<v1.CommitOffsetsRequest> = {}): Promise<(string | undefined)[]> {
    const { groupId, id: memberId, epoch: memberEpoch, incarnation } = this;
    const offsets = this.owned.map((partition) => v1.OffsetToCommit.create({ partition, offset }));
    const request = v1.CommitOffsetsRequest.create({ groupId, memberId, memberEpoch, incarnation, offsets, ...change });
    const { results, error } = await this.client().commitOffsets(request);
    if (error !== undefined) return [errorCodeOf(error)];
    return results.map((result) => errorCodeOf(result.error));
  }
}

/** Heartbeats until nothing changes any more. */
export async function settle(...members: readonly WireMember[]): Promise<void> {
  for (let round = 0; round < 20; round++) {
    const before = members.map(({ epoch, version }) => `${epoch}/${version}`).join();
    for (const member of members) await member.beat();
    if (members.map(({ epoch, version }) => `${epoch}/${version}`).join() === before) return;
  }
  throw new Error('the group does not settle');
}

/** By partition, what a group has committed; -1 where there is nothing. */
export async function committed(
  client: GroupClient,
  groupId: string,
  partitions: readonly v1.GroupPartition[] = [],
): Promise<Record<number, number>> {
  const request = v1.FetchOffsetsRequest.create({ groupId, partitions: [...partitions] });
  const { offsets, error } = await client.fetchOffsets(request);
  if (error !== undefined) throw new Error(error.message);
  return Object.fromEntries(offsets.map(({ partition, offset }) => [partition?.partition ?? -1, offset]));
}
