/**
 * barnabas.v1.AdminService on a controller: what brokers and gateways pass on. NOT_CONTROLLER, with
 * the active controller in the message, when this one is not active; other errors: core/topic-control.ts,
 * core/config-control.ts, core/reassignment-control.ts, core/election-control.ts,
 * core/decommission-control.ts, core/feature-control.ts and quorum-service.ts; UNSUPPORTED_VERSION for
 * DescribeReplicas, which leaders answer. A controller tells configurations as far as the metadata log knows them,
 * and what it tells is linearizable: behind a read barrier of Raft (docs/protocols/metadata.md, section 4).
 */
import { describeBrokerConfig, describeTopicConfig, distantBroker } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import { BarnabasError, errorToProto, v1 } from '@barnabas/protocol';
import { service } from '@barnabas/rpc';
import type { Connector, Handlers, ServiceRegistration } from '@barnabas/rpc';
import {
  alterConfigs,
  alterReassignments,
  cancelDecommission,
  decommissionBroker,
  describeFeatures,
  electLeaders,
  listReassignments,
  unregisterBroker,
  updateFeatures,
} from '../core/index.js';
import type { Decision } from '../core/index.js';
import type { ControllerRuntime } from '../runtime/controller-runtime.js';
import { featuresOfQuorum } from '../runtime/quorum-features.js';
import { timeoutOf } from './deadline.js';
import { quorumHandlers } from './quorum-service.js';

/** `connector`: to ask the other controllers what they support. */
export function adminService(runtime: ControllerRuntime, connector: Connector): ServiceRegistration {
  const { defaults } = runtime.settings;
  const offset = () => ({ metadataOffset: runtime.timeline.committed.offset });
  const change = async <R>(decide: (image: MetadataImage) => Decision<R[]>, timeoutMs: number) => {
    const results = await runtime.submit(decide, timeoutMs);
    return { results, ...offset() };
  };
  const handlers: Handlers<typeof v1.AdminServiceDefinition> = {
    ...quorumHandlers(runtime),
    createTopics: (request, context) =>
      change((image) => runtime.topics.createTopics(image, request), timeoutOf(context, request.timeoutMs)),
    deleteTopics: (request, context) =>
      change((image) => runtime.topics.deleteTopics(image, request.names), timeoutOf(context, request.timeoutMs)),
    createPartitions: (request, context) =>
      change((image) => runtime.topics.createPartitions(image, request), timeoutOf(context, request.timeoutMs)),
    incrementalAlterConfigs: (request, context) =>
      change((image) => alterConfigs(image, request, defaults), timeoutOf(context, 0)),
    describeConfigs: async ({ resources, keys }) => {
      const image = await runtime.readCommitted();
      return { results: resources.map((resource) => describeConfig(image, resource, keys)) };
    },
    alterPartitionReassignments: (request, context) =>
      change((image) => alterReassignments(image, request, defaults), timeoutOf(context, request.timeoutMs)),
    listPartitionReassignments: async ({ topics }) => ({
      reassignments: listReassignments(await runtime.readCommitted(), topics),
    }),
    electLeaders: (request, context) =>
      change((image) => electLeaders(image, request, defaults), timeoutOf(context, request.timeoutMs)),
    decommissionBroker: async ({ brokerId, cancel, timeoutMs }, context) => {
      const decide = cancel ? cancelDecommission : decommissionBroker;
      const options = { defaults, random: runtime.random };
      const progress = await runtime.submit((image) => decide(image, brokerId, options), timeoutOf(context, timeoutMs));
      return { ...progress, ...offset() };
    },
    unregisterBroker: async ({ brokerId, timeoutMs }, context) => {
      await runtime.submit(
        (image) => unregisterBroker(image, brokerId, runtime.sessions, runtime.now()),
        timeoutOf(context, timeoutMs),
      );
      return offset();
    },
    describeFeatures: async () => ({ features: describeFeatures(await runtime.readCommitted()) }),
    updateFeatures: async (request, context) => {
      runtime.checkActive();
      const controllers = await featuresOfQuorum(runtime.raft, connector);
      await runtime.submit(
        (image) => updateFeatures(image, request, controllers),
        timeoutOf(context, request.timeoutMs),
      );
      return offset();
    },
    describeReplicas: async () => {
      throw new BarnabasError('UNSUPPORTED_VERSION', 'leaders know how far replicas are: ask a broker or a gateway');
    },
  };
  return service(v1.AdminServiceDefinition, handlers);
}

function describeConfig(
  image: MetadataImage,
  resource: v1.ConfigResource,
  keys: readonly string[],
): v1.DescribeConfigsResult {
  const { type, name } = resource;
  if (type === v1.ConfigResourceType.TOPIC) {
    if (image.topics.named(name) !== undefined) {
      return { resource, entries: describeTopicConfig(image, name, keys), error: undefined };
    }
    const text = `topic ${JSON.stringify(name)} does not exist`;
    return refused(resource, new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', text));
  }
  if (type === v1.ConfigResourceType.BROKER) {
    return { resource, entries: describeBrokerConfig(image, keys, distantBroker(name)), error: undefined };
  }
  const text = 'the type of a configuration resource must be TOPIC or BROKER';
  return refused(resource, new BarnabasError('INVALID_REQUEST', text));
}

function refused(resource: v1.ConfigResource, error: BarnabasError): v1.DescribeConfigsResult {
  return { resource, entries: [], error: errorToProto(error) };
}
