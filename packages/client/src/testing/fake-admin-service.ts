/** AdminService of a fake node: topics and replica sets for real, configurations and the quorum as plain tables. */
import { BarnabasError, errorToProto, toBarnabasError, v1 } from '@barnabas/protocol';
import { service } from '@barnabas/rpc';
import type { ServiceRegistration } from '@barnabas/rpc';
import type { FakeNode } from './fake-node.js';
import type { FakeQuorum } from './fake-quorum.js';
import type { FakeReplicaSets } from './fake-replica-sets.js';

export interface FakeAdminPorts {
  /** Throws TOPIC_ALREADY_EXISTS or INVALID_PARTITIONS. Returns the topic's id. */
  readonly createTopic: (name: string, replicaSets: readonly (readonly number[])[], validateOnly: boolean) => string;
  /** Where the replicas of so many partitions go by themselves. Throws INVALID_REPLICATION_FACTOR. */
  readonly place: (partitions: number, replicationFactor: number) => readonly (readonly number[])[];
  /** Throws UNKNOWN_TOPIC_OR_PARTITION. Returns the topic's id. */
  readonly deleteTopic: (name: string) => string;
  readonly addPartitions: (name: string, totalCount: number, validateOnly: boolean) => void;
  /** Entries of a resource, to read and to change. Throws UNKNOWN_TOPIC_OR_PARTITION. */
  readonly configs: (resource: v1.ConfigResource) => Map<string, string>;
  readonly metadataOffset: () => number;
  readonly clusterId: string;
  readonly replicas: FakeReplicaSets;
  readonly quorum: FakeQuorum;
  /** Forgets a broker. */
  readonly unregister: (brokerId: number) => void;
}

export function fakeAdminService(node: FakeNode, ports: FakeAdminPorts): ServiceRegistration {
  return service(v1.AdminServiceDefinition, {
    createTopics: (request) => node.unary('CreateTopics', request, () => createTopics(ports, request)),
    deleteTopics: (request) =>
      node.unary('DeleteTopics', request, () => ({
        results: request.names.map((name) => {
          const { value, error } = attempt(() => ports.deleteTopic(name));
          return { name, topicId: value ?? '', error };
        }),
        metadataOffset: ports.metadataOffset(),
      })),
    createPartitions: (request) =>
      node.unary('CreatePartitions', request, () => ({
        results: request.topics.map(({ name, totalCount }) => {
          const { error } = attempt(() => ports.addPartitions(name, totalCount, request.validateOnly));
          return { name, error };
        }),
        metadataOffset: ports.metadataOffset(),
      })),
    describeConfigs: (request) => node.unary('DescribeConfigs', request, () => describeConfigs(ports, request)),
    incrementalAlterConfigs: (request) =>
      node.unary('IncrementalAlterConfigs', request, () => ({
        results: request.resources.map(({ resource, ops }) => {
          const { error } = attempt(() => alter(ports, resource, ops, request.validateOnly));
          return { resource, error };
        }),
        metadataOffset: ports.metadataOffset(),
      })),
    ...replicaHandlers(node, ports),
    ...quorumHandlers(node, ports),
  });
}

function replicaHandlers(node: FakeNode, { replicas, metadataOffset, unregister }: FakeAdminPorts) {
  const results = <T>(list: T) => ({ results: list, metadataOffset: metadataOffset() });
  return {
    alterPartitionReassignments: (request: v1.AlterPartitionReassignmentsRequest) =>
      node.unary('AlterPartitionReassignments', request, () => results(replicas.alter(request))),
    listPartitionReassignments: (request: v1.ListPartitionReassignmentsRequest) =>
      node.unary('ListPartitionReassignments', request, () => ({ reassignments: replicas.ongoing(request.topics) })),
    electLeaders: (request: v1.ElectLeadersRequest) =>
      node.unary('ElectLeaders', request, () => results(replicas.elect(request))),
    describeReplicas: (request: v1.DescribeReplicasRequest) =>
      node.unary('DescribeReplicas', request, () => ({ results: replicas.describe(request.topics) })),
    decommissionBroker: (request: v1.DecommissionBrokerRequest) =>
      node.unary('DecommissionBroker', request, () => ({
        ...replicas.decommission(request),
        metadataOffset: metadataOffset(),
      })),
    unregisterBroker: (request: v1.UnregisterBrokerRequest) =>
      node.unary('UnregisterBroker', request, () => {
        replicas.checkGone(request.brokerId);
        unregister(request.brokerId);
        return { metadataOffset: metadataOffset() };
      }),
  };
}

function quorumHandlers(node: FakeNode, { quorum, clusterId, metadataOffset }: FakeAdminPorts) {
  return {
    describeQuorum: (request: v1.DescribeQuorumRequest) =>
      node.unary('DescribeQuorum', request, () => quorum.describe(clusterId)),
    addVoter: (request: v1.AddVoterRequest) =>
      node.unary('AddVoter', request, () => {
        quorum.addVoter(request);
        return {};
      }),
    removeVoter: (request: v1.RemoveVoterRequest) =>
      node.unary('RemoveVoter', request, () => {
        quorum.removeVoter(request);
        return {};
      }),
    transferQuorumLeadership: (request: v1.TransferQuorumLeadershipRequest) =>
      node.unary('TransferQuorumLeadership', request, () => quorum.transfer(request)),
    describeFeatures: (request: v1.DescribeFeaturesRequest) =>
      node.unary('DescribeFeatures', request, () => quorum.describeFeatures()),
    updateFeatures: (request: v1.UpdateFeaturesRequest) =>
      node.unary('UpdateFeatures', request, () => {
        quorum.updateFeatures(request);
        return { metadataOffset: metadataOffset() };
      }),
  };
}

function createTopics(ports: FakeAdminPorts, request: v1.CreateTopicsRequest): v1.CreateTopicsResponse {
  return {
    results: request.topics.map((topic) => {
      const { name, configs } = topic;
      const { value, error } = attempt(() => {
        const replicaSets = placement(ports, topic);
        return { id: ports.createTopic(name, replicaSets, request.validateOnly), replicaSets };
      });
      if (error === undefined && !request.validateOnly) {
        const table = ports.configs({ type: v1.ConfigResourceType.TOPIC, name });
        for (const [key, text] of Object.entries(configs)) table.set(key, text);
      }
      const topicId = request.validateOnly ? '' : (value?.id ?? '');
      const { length: partitions = 0, 0: first = [] } = value?.replicaSets ?? [];
      return { name, topicId, partitions, replicationFactor: first.length, error };
    }),
    metadataOffset: ports.metadataOffset(),
  };
}

function placement(ports: FakeAdminPorts, topic: v1.NewTopic): readonly (readonly number[])[] {
  const { partitions = 1, replicationFactor = 1, assignments } = topic;
  if (assignments.length > 0) return assignments.map(({ replicas }) => replicas);
  return ports.place(partitions, replicationFactor);
}

function describeConfigs(ports: FakeAdminPorts, request: v1.DescribeConfigsRequest): v1.DescribeConfigsResponse {
  return {
    results: request.resources.map((resource) => {
      const { value, error } = attempt(() => ports.configs(resource));
      const shown = [...(value ?? [])].filter(([key]) => request.keys.length === 0 || request.keys.includes(key));
      return { resource, entries: shown.map(([key, text]) => toEntry(resource, key, text)), error };
    }),
  };
}

function toEntry({ type }: v1.ConfigResource, key: string, value: string): v1.ConfigEntry {
  const isBroker = type === v1.ConfigResourceType.BROKER;
  const source = isBroker ? v1.ConfigSource.DYNAMIC_BROKER_CONFIG : v1.ConfigSource.DYNAMIC_TOPIC_CONFIG;
  return { key, value, source, readOnly: false, sensitive: false, documentation: '' };
}

function alter(
  ports: FakeAdminPorts,
  resource: v1.ConfigResource | undefined,
  ops: readonly v1.AlterConfigOp[],
  validateOnly: boolean,
): void {
  if (resource === undefined) throw new BarnabasError('INVALID_REQUEST', 'changes of what?');
  const table = ports.configs(resource);
  if (validateOnly) return;
  for (const { key, type, value } of ops) {
    if (type === v1.AlterConfigOpType.DELETE) table.delete(key);
    else table.set(key, combine(type, table.get(key), value));
  }
}

function combine(type: v1.AlterConfigOpType, before: string | undefined, value: string): string {
  const list = before === undefined || before === '' ? [] : before.split(',');
  if (type === v1.AlterConfigOpType.APPEND) return [...list, ...value.split(',')].join(',');
  if (type === v1.AlterConfigOpType.SUBTRACT) return list.filter((item) => !value.split(',').includes(item)).join(',');
  return value;
}

function attempt<T>(run: () => T): { readonly value?: T; readonly error: v1.Error | undefined } {
  try {
    return { value: run(), error: undefined };
  } catch (error) {
    return { error: errorToProto(toBarnabasError(error)) };
  }
}
