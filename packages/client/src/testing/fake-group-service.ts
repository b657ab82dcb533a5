/**
 * GroupService of a fake node: groups in memory that survive their coordinators. A broker serves the groups
 * whose partition of __consumer_offsets it leads, a gateway all. Heartbeats that may wait are held until
 * there is news, if the cluster has timers; otherwise they are answered at once.
 */
import type { Timers } from '@barnabas/common';
import {
  BarnabasError,
  CONSUMER_OFFSETS_TOPIC,
  coordinatorPartition,
  errorToProto,
  toBarnabasError,
  v1,
} from '@barnabas/protocol';
import { service } from '@barnabas/rpc';
import type { ServiceRegistration } from '@barnabas/rpc';
import { FakeGroup } from './fake-group.js';
import type { FakeTopicPartition } from './fake-group.js';
import { lost } from './fake-node.js';
import type { FakeNode } from './fake-node.js';
import type { Interception } from './interception.js';

export interface FakeGroupPorts {
  /** Everything that groups may read. */
  readonly topics: () => readonly FakeTopicPartition[];
  /** Partitions of __consumer_offsets; makes it with `create`. */
  readonly offsetsPartitions: (create: boolean) => number;
  /** Throws NOT_LEADER_OR_FOLLOWER, with the leader, where the node does not lead the partition. */
  readonly checkLeads: (node: FakeNode, partition: number) => void;
  readonly leaderOf: (partition: number) => { readonly id: number; readonly address: string };
  readonly timers: Timers | undefined;
}

interface Held {
  readonly groupId: string;
  readonly request: v1.ConsumerGroupHeartbeatRequest;
  answer(): void;
}

export class FakeGroups {
  readonly #ports: FakeGroupPorts;
  readonly #groups = new Map<string, FakeGroup>();
  readonly #held = new Set<Held>();

  constructor(ports: FakeGroupPorts) {
    this.#ports = ports;
  }

  group(groupId: string): FakeGroup {
    const known = this.#groups.get(groupId) ?? new FakeGroup(this.#ports.topics);
    this.#groups.set(groupId, known);
    return known;
  }

  /** The committed offset; undefined if there is none. */
  committed(groupId: string, topic: string, partition = 0): number | undefined {
    const commits = [...this.group(groupId).commits.values()];
    return commits.find((one) => one.topic === topic && one.partition === partition)?.offset;
  }

  /** The member's session is over. */
  remove(groupId: string, memberId: string): void {
    this.group(groupId).remove(memberId);
    this.nudge();
  }

  /** Answers held heartbeats that have something to say now. */
  nudge(): void {
    for (const held of [...this.#held]) if (this.group(held.groupId).hasNews(held.request)) held.answer();
  }

  service(node: FakeNode): ServiceRegistration {
    const { unimplemented } = this;
    return service(v1.GroupServiceDefinition, {
      subscribe: (stream) => stream.end(unimplemented()),
      consumerGroupHeartbeat: async (request, { signal }) =>
        await node.unary('ConsumerGroupHeartbeat', request, () => this.#heartbeat(node, request, signal)),
      commitOffsets: (request) =>
        node.unary('CommitOffsets', request, (_, action) => this.#commit(node, request, action)),
      fetchOffsets: (request) => node.unary('FetchOffsets', request, () => this.#fetch(node, request)),
      findCoordinator: (request) => node.unary('FindCoordinator', request, () => this.#find(request)),
      deleteOffsets: (request) => node.unary('DeleteOffsets', request, () => this.#deleteOffsets(node, request)),
      listGroups: (request) => node.unary('ListGroups', request, () => this.#list(node, request)),
      describeGroups: (request) => node.unary('DescribeGroups', request, () => this.#describe(node, request)),
      deleteGroups: (request) => node.unary('DeleteGroups', request, () => this.#delete(node, request)),
    });
  }

  #list(node: FakeNode, { states }: v1.ListGroupsRequest): v1.ListGroupsResponse {
    const groups = [...this.#groups]
      .filter(([groupId, group]) => group.exists && this.#coordinates(node, groupId))
      .map(([groupId, group]) => ({
        ...{ groupId, state: group.state, members: group.members.size, coordinatorId: this.#coordinatorOf(groupId) },
      }));
    return { groups: groups.filter(({ state }) => states.length === 0 || states.includes(state)), errors: [] };
  }

  #describe(node: FakeNode, { groupIds }: v1.DescribeGroupsRequest): v1.DescribeGroupsResponse {
    const describe = (groupId: string): v1.DescribedGroup => {
      try {
        const group = this.#existing(node, groupId);
        const { state, epoch } = group;
        const coordinatorId = this.#coordinatorOf(groupId);
        const description = { groupId, state, epoch, targetEpoch: epoch, coordinatorId, assignor: 'uniform' };
        return { ...description, members: [...group.describe()], error: undefined };
      } catch (error) {
        return v1.DescribedGroup.create({ groupId, error: errorToProto(toBarnabasError(error)) });
      }
    };
    return { groups: groupIds.map(describe) };
  }

  #delete(node: FakeNode, { groupIds }: v1.DeleteGroupsRequest): v1.DeleteGroupsResponse {
    const remove = (groupId: string): v1.DeletedGroup => {
      try {
        const group = this.#existing(node, groupId);
        if (group.members.size > 0) throw new BarnabasError('NON_EMPTY_GROUP', `group ${groupId} has members`);
        this.#groups.delete(groupId);
        return { groupId, error: undefined };
      } catch (error) {
        return { groupId, error: errorToProto(toBarnabasError(error)) };
      }
    };
    return { results: groupIds.map(remove) };
  }

  #deleteOffsets(node: FakeNode, request: v1.DeleteOffsetsRequest): v1.DeleteOffsetsResponse {
    try {
      const errors = this.#existing(node, request.groupId).deleteOffsets(request.partitions);
      const results = request.partitions.map((partition, index) => {
        const error = errors[index];
        return { partition, error: error && errorToProto(error) };
      });
      return { results, error: undefined };
    } catch (error) {
      return { results: [], error: errorToProto(toBarnabasError(error)) };
    }
  }

  #existing(node: FakeNode, groupId: string): FakeGroup {
    const group = this.#at(node, groupId);
    if (!group.exists) throw new BarnabasError('GROUP_ID_NOT_FOUND', `there is no group ${groupId}`);
    return group;
  }

  #coordinates(node: FakeNode, groupId: string): boolean {
    return node.isGateway || this.#coordinatorOf(groupId) === node.nodeId;
  }

  #coordinatorOf(groupId: string): number {
    return this.#ports.leaderOf(coordinatorPartition(groupId, this.#ports.offsetsPartitions(false))).id;
  }

  unimplemented(): BarnabasError {
    return new BarnabasError('UNSUPPORTED_VERSION', 'the fake cluster does not serve this');
  }

  async #heartbeat(
    node: FakeNode,
    request: v1.ConsumerGroupHeartbeatRequest,
    signal: AbortSignal,
  ): Promise<v1.ConsumerGroupHeartbeatResponse> {
    const answer = this.#answer(node, request);
    this.nudge();
    const isNews = answer.error !== undefined || answer.assignment !== undefined;
    const { timers } = this.#ports;
    if (isNews || answer.memberEpoch !== request.memberEpoch || request.maxWaitMs <= 0 || timers === undefined) {
      return answer;
    }
    return new Promise((resolve, reject) => {
      const end = (run: () => void): void => {
        this.#held.delete(held);
        timer.cancel();
        forget();
        run();
      };
      const held: Held = {
        groupId: request.groupId,
        request,
        answer: () => end(() => resolve(this.#answer(node, request))),
      };
      const timer = timers.after(request.maxWaitMs, () => held.answer());
      const forget = node.addStream({ cancel: () => end(() => reject(lost())) });
      signal.addEventListener('abort', () => end(() => reject(lost())), { once: true });
      this.#held.add(held);
    });
  }

  #answer(node: FakeNode, request: v1.ConsumerGroupHeartbeatRequest): v1.ConsumerGroupHeartbeatResponse {
    try {
      return this.#at(node, request.groupId).heartbeat(request);
    } catch (error) {
      return v1.ConsumerGroupHeartbeatResponse.create({ error: errorToProto(toBarnabasError(error)) });
    }
  }

  #commit(node: FakeNode, request: v1.CommitOffsetsRequest, action?: Interception): v1.CommitOffsetsResponse {
    try {
      const injected = request.offsets.map(({ partition = v1.GroupPartition.create() }) =>
        action?.kind === 'offsets' ? action.error(partition) : undefined,
      );
      const offsets = request.offsets.filter((_, index) => injected[index] === undefined);
      const errors = this.#at(node, request.groupId).commit({ ...request, offsets });
      let next = 0;
      const results = request.offsets.map(({ partition }, index) => {
        const name = injected[index];
        const error = name === undefined ? errors[next++] : new BarnabasError(name, 'injected into CommitOffsets');
        return { partition, error: error && errorToProto(error as BarnabasError) };
      });
      return { results, error: undefined };
    } catch (error) {
      return { results: [], error: errorToProto(toBarnabasError(error)) };
    }
  }

  #fetch(node: FakeNode, request: v1.FetchOffsetsRequest): v1.FetchOffsetsResponse {
    try {
      const offsets = this.#at(node, request.groupId)
        .fetch(request)
        .map(({ topic, topicId, partition, offset, leaderEpoch, metadata, rewinds }) => ({
          partition: { topic, topicId, partition },
          ...{ offset, leaderEpoch, metadata, commitTimestampMs: offset < 0 ? -1 : 1, rewinds, error: undefined },
        }));
      return { offsets, error: undefined };
    } catch (error) {
      return { offsets: [], error: errorToProto(toBarnabasError(error)) };
    }
  }

  #find({ groupIds }: v1.FindCoordinatorRequest): v1.FindCoordinatorResponse {
    const partitions = this.#ports.offsetsPartitions(true);
    return {
      coordinators: groupIds.map((groupId) => {
        const partition = coordinatorPartition(groupId, partitions);
        const { id, address } = this.#ports.leaderOf(partition);
        return { groupId, brokerId: id, address, partition, error: undefined };
      }),
    };
  }

  #at(node: FakeNode, groupId: string): FakeGroup {
    const partitions = this.#ports.offsetsPartitions(false);
    if (partitions === 0) throw new BarnabasError('COORDINATOR_NOT_AVAILABLE', `there is no ${CONSUMER_OFFSETS_TOPIC}`);
    try {
      this.#ports.checkLeads(node, coordinatorPartition(groupId, partitions));
    } catch (error) {
      const { message, facts } = toBarnabasError(error);
      throw new BarnabasError('NOT_COORDINATOR', message, facts);
    }
    return this.group(groupId);
  }
}
