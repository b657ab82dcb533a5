/** AdminService of a fake node: topics for real, configurations as plain tables. */
import { BarnabasError, errorToProto, toBarnabasError, v1 } from '@barnabas/protocol';
import { refuseAll, service } from '@barnabas/rpc';
import type { ServiceRegistration } from '@barnabas/rpc';
import type { FakeNode } from './fake-node.js';

export interface FakeAdminPorts {
  /** Throws TOPIC_ALREADY_EXISTS or INVALID_PARTITIONS. Returns the topic's id. */
  readonly createTopic: (name: string, partitions: number, validateOnly: boolean) => string;
  /** Throws UNKNOWN_TOPIC_OR_PARTITION. Returns the topic's id. */
  readonly deleteTopic: (name: string) => string;
  readonly addPartitions: (name: string, totalCount: number, validateOnly: boolean) => void;
  /** Entries of a resource, to read and to change. Throws UNKNOWN_TOPIC_OR_PARTITION. */
  readonly configs: (resource: v1.ConfigResource) => Map<string, string>;
  readonly metadataOffset: () => number;
}

export function fakeAdminService(node: FakeNode, ports: FakeAdminPorts): ServiceRegistration {
  return service(v1.AdminServiceDefinition, {
    ...refuseAll(v1.AdminServiceDefinition),
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
  });
}

function createTopics(ports: FakeAdminPorts, request: v1.CreateTopicsRequest): v1.CreateTopicsResponse {
  return {
    results: request.topics.map(({ name, partitions = 1, configs }) => {
      const { value, error } = attempt(() => ports.createTopic(name, partitions, request.validateOnly));
      if (error === undefined && !request.validateOnly) {
        const table = ports.configs({ type: v1.ConfigResourceType.TOPIC, name });
        for (const [key, text] of Object.entries(configs)) table.set(key, text);
      }
      const topicId = request.validateOnly ? '' : (value ?? '');
      return { name, topicId, partitions, replicationFactor: 1, error };
    }),
    metadataOffset: ports.metadataOffset(),
  };
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
