/**
 * Administration of topics, configurations, offsets, replicas, brokers, controllers and groups. Calls go to
 * any node, which passes changes on to the active controller; calls about partitions go to their leaders,
 * those about groups to their coordinators. What may pass is tried again
 * until the time is over.
 *
 * A call about several things rejects if one of them failed: with its error if there was only one, with
 * a PartialFailureError otherwise.
 */
import { BarnabasError, v1 } from '@barnabas/protocol';
import type { CallOptions, ServiceClient } from '@barnabas/rpc';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import { callLeaders } from '../cluster/leader-calls.js';
import { addressOf } from '../cluster/wire-broker.js';
import { listOffsets } from '../consumer/list-offsets.js';
import type { FoundOffset, OffsetQuestion } from '../consumer/list-offsets.js';
import type {
  AdminCallOptions,
  AlterConfigs,
  ConfigResource,
  CreatedTopic,
  DeletedRecords,
  DeletedTopic,
  DeleteRecords,
  DescribedConfig,
  NewPartitions,
  NewTopic,
  ValidateOptions,
} from './admin-types.js';
import {
  ELECTION_TYPES,
  describeBroker,
  fromWireDecommission,
  fromWireElection,
  fromWireQuorum,
  fromWireReplicas,
  toWireSelection,
  toWireVoter,
} from './cluster-mapping.js';
import type {
  ClusterDescription,
  Decommission,
  ElectedLeader,
  ElectionType,
  Feature,
  FeatureUpdate,
  NewVoter,
  OngoingReassignment,
  PartitionReassignment,
  PartitionReplicas,
  QuorumDescription,
  TopicDescription,
  TopicSelection,
  VoterKey,
} from './cluster-types.js';
import { fromWireEntry, fromWireResource, toWireAlteration, toWireResource } from './config-mapping.js';
import type { FetchedOffset, OffsetToCommit } from '../group/group-types.js';
import type { PartitionToFetch } from '../group/member-offsets.js';
import { GroupAdmin } from './group-admin.js';
import type { GroupDescription, GroupLag, GroupListing, GroupState } from './group-admin-types.js';
import { allOf, mapResults } from './partial-failure.js';

type AdminStub = ServiceClient<v1.AdminServiceDefinition>;
type MetadataStub = ServiceClient<v1.MetadataServiceDefinition>;

export class Admin {
  readonly #router: ClusterRouter;
  readonly #groups: GroupAdmin;

  /** Made by BarnabasClient.admin. */
  constructor(router: ClusterRouter) {
    this.#router = router;
    this.#groups = new GroupAdmin(router);
  }

  async createTopics(topics: readonly NewTopic[], options: ValidateOptions = {}): Promise<readonly CreatedTopic[]> {
    const request: v1.CreateTopicsRequest = {
      topics: topics.map(toWireTopic),
      validateOnly: options.validateOnly ?? false,
      timeoutMs: this.#timeoutMs(options),
    };
    const { results } = await this.#admin((stub, call) => stub.createTopics(request, call), options);
    return mapResults(results, ({ name, topicId, partitions, replicationFactor }) => ({
      name,
      topicId,
      partitions,
      replicationFactor,
    }));
  }

  /** Deletes topics and their records. */
  async deleteTopics(names: readonly string[], options: AdminCallOptions = {}): Promise<readonly DeletedTopic[]> {
    const request = { names: [...names], timeoutMs: this.#timeoutMs(options) };
    const { results } = await this.#admin((stub, call) => stub.deleteTopics(request, call), options);
    return mapResults(results, ({ name, topicId }) => ({ name, topicId }));
  }

  /** Raises partition counts. Keys hash to other partitions afterwards; records stay where they are. */
  async createPartitions(topics: readonly NewPartitions[], options: ValidateOptions = {}): Promise<void> {
    const request: v1.CreatePartitionsRequest = {
      topics: topics.map(({ name, totalCount, assignments = [] }) => ({
        name,
        totalCount,
        assignments: assignments.map(toWireAssignment),
      })),
      validateOnly: options.validateOnly ?? false,
      timeoutMs: this.#timeoutMs(options),
    };
    const { results } = await this.#admin((stub, call) => stub.createPartitions(request, call), options);
    mapResults(results, () => undefined);
  }

  /** All topics there are, by name. */
  async listTopics(
    options: AdminCallOptions & { readonly internal?: boolean } = {},
  ): Promise<readonly TopicDescription[]> {
    const { topics } = await this.#getMetadata([], options);
    const described = mapResults(topics, describe);
    const shown = options.internal === true ? described : described.filter(({ internal }) => !internal);
    return [...shown].sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** In the order of the names. Rejects with UNKNOWN_TOPIC_OR_PARTITION for one that does not exist. */
  async describeTopics(names: readonly string[], options: AdminCallOptions = {}): Promise<readonly TopicDescription[]> {
    // No names at all would mean all topics on the wire.
    if (names.length === 0) return [];
    const { topics } = await this.#getMetadata(names, options);
    const byName = new Map(topics.map((topic) => [topic.name, topic]));
    return mapResults(
      names.map((name) => byName.get(name) ?? missingTopic(name)),
      describe,
    );
  }

  async describeCluster(options: AdminCallOptions = {}): Promise<ClusterDescription> {
    const answer = await this.#metadata((stub, call) => stub.describeCluster({}, call), options);
    return {
      clusterId: answer.clusterId,
      controllerId: answer.controllerId,
      brokers: answer.brokers.map(describeBroker),
      controllers: answer.controllers.map((node) => ({ id: node.id, address: addressOf(node) })),
    };
  }

  /** All keys of each resource, or only those named. */
  async describeConfigs(
    resources: readonly ConfigResource[],
    options: AdminCallOptions & { readonly keys?: readonly string[] } = {},
  ): Promise<readonly DescribedConfig[]> {
    const request = { resources: resources.map(toWireResource), keys: [...(options.keys ?? [])] };
    const { results } = await this.#admin((stub, call) => stub.describeConfigs(request, call), options);
    return mapResults(results, ({ resource, entries }) => ({
      resource: fromWireResource(resource),
      entries: entries.map(fromWireEntry),
    }));
  }

  /** Sets and removes single entries; the changes of one resource stand or fall together. */
  async incrementalAlterConfigs(changes: readonly AlterConfigs[], options: ValidateOptions = {}): Promise<void> {
    const request = { resources: changes.map(toWireAlteration), validateOnly: options.validateOnly ?? false };
    const { results } = await this.#admin((stub, call) => stub.incrementalAlterConfigs(request, call), options);
    mapResults(results, () => undefined);
  }

  /** Offsets at the ends of partitions, by time or of the first record at or after one, in the order of the questions. */
  listOffsets(
    questions: readonly OffsetQuestion[],
    options: AdminCallOptions & { readonly isolationLevel?: 'read_uncommitted' | 'read_committed' } = {},
  ): Promise<readonly FoundOffset[]> {
    const isCommitted = options.isolationLevel === 'read_committed';
    return listOffsets(this.#router, questions, {
      isolationLevel: isCommitted ? v1.IsolationLevel.READ_COMMITTED : v1.IsolationLevel.READ_UNCOMMITTED,
      timeoutMs: this.#timeoutMs(options),
    });
  }

  /** Raises log start offsets: the records before them are gone for good. */
  async deleteRecords(
    cuts: readonly DeleteRecords[],
    options: AdminCallOptions = {},
  ): Promise<readonly DeletedRecords[]> {
    const results = await callLeaders(this.#router, {
      entries: cuts,
      timeoutMs: this.#timeoutMs(options),
      send: async (channel, entries, call) => {
        const request = { entries: entries.map((entry) => ({ ...entry })) };
        return (await channel.client(v1.LogServiceDefinition).deleteRecords(request, call)).results;
      },
    });
    return allOf(results).map(({ topic, partition, logStartOffset }) => ({ topic, partition, logStartOffset }));
  }

  /**
   * Changes which brokers hold replicas, or cancels such a change (KIP-455). Resolves when the changes
   * have begun; listPartitionReassignments says which are under way.
   */
  async alterPartitionReassignments(
    partitions: readonly PartitionReassignment[],
    options: AdminCallOptions & { readonly forbidReplicationFactorChange?: boolean } = {},
  ): Promise<void> {
    const request = {
      partitions: partitions.map(({ topic, partition, replicas }) => ({
        topic,
        partition,
        replicas: toWireTarget(topic, partition, replicas),
      })),
      timeoutMs: this.#timeoutMs(options),
      forbidReplicationFactorChange: options.forbidReplicationFactorChange ?? false,
    };
    const { results } = await this.#admin((stub, call) => stub.alterPartitionReassignments(request, call), options);
    mapResults(results, () => undefined);
  }

  /** The reassignments under way, by topic and partition; of some topics, or of all. */
  async listPartitionReassignments(
    options: AdminCallOptions & { readonly topics?: readonly TopicSelection[] } = {},
  ): Promise<readonly OngoingReassignment[]> {
    const request = { topics: toWireSelection(options.topics ?? []) };
    const answer = await this.#admin((stub, call) => stub.listPartitionReassignments(request, call), options);
    return answer.reassignments;
  }

  /**
   * Elects leaders (KIP-460) of some partitions, or of all where that changes anything. That no election
   * was needed is no failure.
   */
  async electLeaders(
    type: ElectionType,
    options: AdminCallOptions & { readonly topics?: readonly TopicSelection[] } = {},
  ): Promise<readonly ElectedLeader[]> {
    const topics = toWireSelection(options.topics ?? []);
    const request = { type: ELECTION_TYPES[type], topics, timeoutMs: this.#timeoutMs(options) };
    const { results } = await this.#admin((stub, call) => stub.electLeaders(request, call), options);
    return allOf(results.map(fromWireElection));
  }

  /**
   * How far the replicas of some partitions are, or of all, as their leaders know it. Does not reject
   * where leaders cannot be asked: each partition says so of itself.
   */
  async describeReplicas(
    options: AdminCallOptions & { readonly topics?: readonly TopicSelection[] } = {},
  ): Promise<readonly PartitionReplicas[]> {
    const request = { topics: toWireSelection(options.topics ?? []) };
    const { results } = await this.#admin((stub, call) => stub.describeReplicas(request, call), options);
    return results.map(fromWireReplicas);
  }

  /**
   * Moves all replicas away from a broker and keeps new ones off it; with `cancel` takes that back. Ask
   * again to see what is left; when nothing is, stop the broker and unregister it.
   */
  async decommissionBroker(
    brokerId: number,
    options: AdminCallOptions & { readonly cancel?: boolean } = {},
  ): Promise<Decommission> {
    const request = { brokerId, cancel: options.cancel ?? false, timeoutMs: this.#timeoutMs(options) };
    return fromWireDecommission(await this.#admin((stub, call) => stub.decommissionBroker(request, call), options));
  }

  /** Forgets a broker that does not run and holds no replicas. */
  async unregisterBroker(brokerId: number, options: AdminCallOptions = {}): Promise<void> {
    const request = { brokerId, timeoutMs: this.#timeoutMs(options) };
    await this.#admin((stub, call) => stub.unregisterBroker(request, call), options);
  }

  /** The Raft quorum of the controllers, as its leader knows it. */
  async describeQuorum(options: AdminCallOptions = {}): Promise<QuorumDescription> {
    return fromWireQuorum(await this.#admin((stub, call) => stub.describeQuorum({}, call), options));
  }

  /** Makes a voter of a controller that runs as an observer (KIP-853). Resolves when it votes. */
  async addVoter(voter: NewVoter, options: AdminCallOptions = {}): Promise<void> {
    const request = toWireVoter(voter, this.#timeoutMs(options));
    await this.#admin((stub, call) => stub.addVoter(request, call), options);
  }

  /** Takes a voter's vote away (KIP-853). */
  async removeVoter({ id, directoryId = '' }: VoterKey, options: AdminCallOptions = {}): Promise<void> {
    const request = { id, directoryId, timeoutMs: this.#timeoutMs(options) };
    await this.#admin((stub, call) => stub.removeVoter(request, call), options);
  }

  /** Hands the lead of the quorum to a voter, or to the one that is furthest. Resolves with who leads then. */
  async transferQuorumLeadership(
    to: number | undefined,
    options: AdminCallOptions = {},
  ): Promise<{ readonly leaderId: number }> {
    const request = { to: to ?? -1, timeoutMs: this.#timeoutMs(options) };
    return this.#admin((stub, call) => stub.transferQuorumLeadership(request, call), options);
  }

  /** Features of the cluster, their levels, and what the active controller supports (KIP-584). */
  async describeFeatures(options: AdminCallOptions = {}): Promise<readonly Feature[]> {
    const { features } = await this.#admin((stub, call) => stub.describeFeatures({}, call), options);
    return features;
  }

  /** Raises or lowers levels of features; all or none. */
  async updateFeatures(updates: readonly FeatureUpdate[], options: ValidateOptions = {}): Promise<void> {
    const request = {
      updates: updates.map(({ name, level, allowDowngrade = false }) => ({ name, level, allowDowngrade })),
      validateOnly: options.validateOnly ?? false,
      timeoutMs: this.#timeoutMs(options),
    };
    await this.#admin((stub, call) => stub.updateFeatures(request, call), options);
  }

  /** The groups that there are, in order of ids; only those in some states, if they are named. */
  listGroups(
    options: AdminCallOptions & { readonly states?: readonly GroupState[] } = {},
  ): Promise<readonly GroupListing[]> {
    return this.#groups.list(options);
  }

  /** Members of groups and what they own, in the order of the ids. GROUP_ID_NOT_FOUND for one that is not there. */
  describeGroups(groupIds: readonly string[], options: AdminCallOptions = {}): Promise<readonly GroupDescription[]> {
    return this.#groups.describe(groupIds, options);
  }

  /** Forgets groups and what they have committed. NON_EMPTY_GROUP for one that has members. */
  deleteGroups(groupIds: readonly string[], options: AdminCallOptions = {}): Promise<void> {
    return this.#groups.delete(groupIds, options);
  }

  /** How far a group has read: everything that it has committed, or some partitions (offset -1: nothing committed). */
  listGroupOffsets(
    groupId: string,
    options: AdminCallOptions & { readonly partitions?: readonly PartitionToFetch[] } = {},
  ): Promise<readonly FetchedOffset[]> {
    return this.#groups.offsets(groupId, options);
  }

  /**
   * Sets committed offsets, up or down; makes the group where there is none. NON_EMPTY_GROUP while it has
   * members, and nothing is changed then.
   */
  alterGroupOffsets(
    groupId: string,
    offsets: readonly OffsetToCommit[],
    options: AdminCallOptions = {},
  ): Promise<void> {
    return this.#groups.alterOffsets(groupId, offsets, options);
  }

  /** Forgets committed offsets. GROUP_SUBSCRIBED_TO_TOPIC where members may be reading. */
  deleteGroupOffsets(
    groupId: string,
    partitions: readonly PartitionToFetch[],
    options: AdminCallOptions = {},
  ): Promise<void> {
    return this.#groups.deleteOffsets(groupId, partitions, options);
  }

  /** describeGroups, with committed offsets, ends of logs, and lag in records and in time. */
  groupLag(groupIds: readonly string[], options: AdminCallOptions = {}): Promise<readonly GroupLag[]> {
    return this.#groups.lag(groupIds, options);
  }

  #getMetadata(topics: readonly string[], options: AdminCallOptions): Promise<v1.GetMetadataResponse> {
    const request = { topics: [...topics], allowAutoTopicCreation: false, brokersOnly: false };
    return this.#metadata((stub, call) => stub.getMetadata(request, call), options);
  }

  #admin<T>(run: (stub: AdminStub, call: CallOptions) => Promise<T>, options: AdminCallOptions): Promise<T> {
    const timeoutMs = this.#timeoutMs(options);
    return this.#router.callAnyNode((channel, call) => run(channel.client(v1.AdminServiceDefinition), call), {
      timeoutMs,
    });
  }

  #metadata<T>(run: (stub: MetadataStub, call: CallOptions) => Promise<T>, options: AdminCallOptions): Promise<T> {
    const timeoutMs = this.#timeoutMs(options);
    return this.#router.callAnyNode((channel, call) => run(channel.client(v1.MetadataServiceDefinition), call), {
      timeoutMs,
    });
  }

  #timeoutMs({ timeoutMs }: AdminCallOptions): number {
    return timeoutMs ?? this.#router.options.defaultApiTimeoutMs;
  }
}

function toWireTopic({ name, partitions, replicationFactor, assignments = [], configs = {} }: NewTopic): v1.NewTopic {
  return {
    name,
    partitions,
    replicationFactor,
    assignments: assignments.map(toWireAssignment),
    configs: { ...configs },
  };
}

function toWireAssignment(replicas: readonly number[]): v1.ReplicaAssignment {
  return { replicas: [...replicas] };
}

/** No replicas at all would mean a cancellation on the wire. */
function toWireTarget(topic: string, partition: number, replicas: readonly number[] | null): number[] {
  if (replicas?.length !== 0) return [...(replicas ?? [])];
  const text = `a partition has at least one replica: name brokers for ${topic}-${partition}, or null to cancel`;
  throw new BarnabasError('INVALID_REPLICA_ASSIGNMENT', text, { topic, partition });
}

function describe({ name, topicId, internal, partitions }: v1.Topic): TopicDescription {
  return { name, topicId, internal, partitions };
}

function missingTopic(name: string): v1.Topic {
  const error = new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${name} does not exist`);
  return v1.Topic.create({ name, error: { code: error.code, message: error.message } });
}
