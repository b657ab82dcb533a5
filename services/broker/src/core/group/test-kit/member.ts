/** A member that does what it is told, for tests: one heartbeat a step. */
import type { HeartbeatRequest, HeartbeatResponse } from '../heartbeat-request.js';
import { partitionKey } from '../partition-key.js';
import type { TopicPartitionId } from '../partition-key.js';
import type { TestCoordinator } from './coordinator.js';

export class TestMember {
  epoch = 0;
  version = -1;
  owned: readonly TopicPartitionId[] = [];

  constructor(
    readonly coordinator: TestCoordinator,
    readonly id: string,
    readonly options: Partial<HeartbeatRequest> = {},
  ) {}

  request(change: Partial<HeartbeatRequest> = {}): HeartbeatRequest {
    const joining = { topicNames: ['orders'], rebalanceTimeoutMs: 60_000, ...this.options };
    const { groupId = 'g', incarnation = 0, instanceId } = this.options;
    return {
      ...{ groupId, memberId: this.id, memberEpoch: this.epoch, incarnation, clientId: 'test', clientHost: '' },
      ...(this.epoch === 0 ? joining : { owned: this.owned, appliedVersion: this.version }),
      ...(instanceId === undefined ? {} : { instanceId }),
      ...change,
    };
  }

  /** A heartbeat, and what it brings is applied at once. */
  beat(change: Partial<HeartbeatRequest> = {}): HeartbeatResponse {
    const response = this.coordinator.heartbeat(this.request(change));
    this.epoch = response.memberEpoch;
    if (response.assignment !== undefined) {
      this.owned = response.assignment.partitions;
      this.version = response.assignment.version;
    }
    return response;
  }

  get partitions(): string[] {
    return this.owned.map(({ topicId, partition }) => partitionKey(topicId, partition)).sort();
  }

  leave(): void {
    this.beat({ memberEpoch: -1 });
    this.forget();
  }

  forget(): void {
    this.epoch = 0;
    this.version = -1;
    this.owned = [];
  }
}

/** Heartbeats until nothing changes any more. */
export function converge(...members: readonly TestMember[]): void {
  for (let round = 0; round < 20; round++) {
    const before = members.map(({ epoch, version }) => `${epoch}/${version}`).join();
    for (const member of members) member.beat();
    if (members.map(({ epoch, version }) => `${epoch}/${version}`).join() === before) return;
  }
  throw new Error('the group does not settle');
}
