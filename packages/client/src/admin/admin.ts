/**
 * Administration of topics, configurations and offsets. Calls go to any node, which passes changes on
 * to the active controller; calls about partitions go to their leaders. What may pass is tried again
 * until the time is over.
 *
 * A call about several things rejects if one of them failed: with its error if there was only one, with
 * a PartialFailureError otherwise.
 */
import { BarnabasError, v1 } from '@barnabas/protocol';
import type { CallOptions, ServiceClient } from '@barnabas/rpc';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import { callLeaders } from '../cluster/leader-calls.js';
import { addressOf, fromWireBroker } from '../cluster/wire-broker.js';
import { listOffsets } from '../consumer/list-offsets.js';
import type { FoundOffset, OffsetQuestion } from '../consumer/list-offsets.js';
import type {
  AdminCallOptions,
  AlterConfigs,
  ClusterDescription,
  ConfigResource,
  CreatedTopic,
  DeletedRecords,
  DeletedTopic,
  DeleteRecords,
  DescribedConfig,
  NewPartitions,
  NewTopic,
  TopicDescription,
  ValidateOptions,
} from './admin-types.js';
import { fromWireEntry, fromWireResource, toWireAlteration, toWireResource } from './config-mapping.js';
import { allOf, mapResults } from './partial-failure.js';

type AdminStub = ServiceClient<v1.AdminServiceDefinition>;
type MetadataStub = ServiceClient<v1.MetadataServiceDefinition>;

export class Admin {
  readonly #router: ClusterRouter;

  /** Made by BarnabasClient.admin. */
  constructor(router: ClusterRouter) {
    this.#router = router;
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
      brokers: answer.brokers.map(fromWireBroker),
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

  /** Offsets at the ends of partitions or by time, in the order of the questions. */
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

function describe({ name, topicId, internal, partitions }: v1.Topic): TopicDescription {
  return { name, topicId, internal, partitions };
}

function missingTopic(name: string): v1.Topic {
  const error = new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${name} does not exist`);
  return v1.Topic.create({ name, error: { code: error.code, message: error.message } });
}
