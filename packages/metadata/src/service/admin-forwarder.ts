/**
 * barnabas.v1.AdminService, the same on brokers and gateways: changes go to the active controller,
 * and the answer waits until this node's own image shows them, so that a client that goes on at the
 * same node finds what it has just made. Configurations are told by whoever knows them:
 *   a topic      this broker, or for a gateway any broker that serves
 *   a broker     that broker
 *   all brokers  the metadata log
 *
 * Errors of DescribeConfigs, each for its resource: UNKNOWN_TOPIC_OR_PARTITION,
 * INVALID_TOPIC_EXCEPTION, BROKER_ID_NOT_REGISTERED, INVALID_REQUEST (unknown kind of resource), and
 * whatever a call to another broker fails with. Those of changes are the controller's.
 */
import { InvariantError } from '@barnabas/common';
import { formatAddress } from '@barnabas/common/config';
import { BarnabasError, errorToProto, toBarnabasError, v1 } from '@barnabas/protocol';
import { refuseAll, service } from '@barnabas/rpc';
import type { CallContext, Connector, Handlers, ServiceRegistration } from '@barnabas/rpc';
import { describeBrokerConfig, describeTopicConfig } from '../effective-config.js';
import type { ConfiguredBroker } from '../effective-config.js';
import type { ControllerCallOptions, ControllerClient } from '../follower/controller-client.js';
import { CLIENT_LISTENER, INTERNAL_LISTENER, endpointOf } from '../image.js';
import type { BrokerImage } from '../image.js';
import type { MetadataSource } from '../publisher.js';
import { assertLoaded, missingTopic } from './views.js';

export interface AdminForwarderOptions {
  /** The image that this node follows. */
  readonly source: MetadataSource;
  readonly controller: Pick<
    ControllerClient,
    'createTopics' | 'deleteTopics' | 'createPartitions' | 'incrementalAlterConfigs'
  >;
  /** To reach brokers whose configuration is asked for. */
  readonly connector: Connector;
  /** This node, if it is a broker. */
  readonly broker?: ConfiguredBroker;
}

const DEFAULT_TIMEOUT_MS = 30_000;
/** Until a change must have come down to this node; after that the answer is given all the same. */
const APPEARANCE_TIMEOUT_MS = 5_000;
/** Marks a call that a node has passed on: it goes no further, so that two nodes cannot send it round. */
const FORWARDED = 'barnabas-forwarded';
const MAX_RESOURCES = 10_000;

export function adminForwarder(options: AdminForwarderOptions): ServiceRegistration {
  const { source, controller } = options;
  const shown = async <R extends { metadataOffset: number }>(answer: Promise<R>): Promise<R> => {
    const response = await answer;
    await source.waitFor((image) => image.offset >= response.metadataOffset, APPEARANCE_TIMEOUT_MS);
    return response;
  };
  const handlers: Handlers<typeof v1.AdminServiceDefinition> = {
    ...refuseAll(v1.AdminServiceDefinition),
    createTopics: (request, context) => shown(controller.createTopics(request, within(request.timeoutMs, context))),
    deleteTopics: (request, context) => shown(controller.deleteTopics(request, within(request.timeoutMs, context))),
    createPartitions: (request, context) =>
      shown(controller.createPartitions(request, within(request.timeoutMs, context))),
    incrementalAlterConfigs: (request, context) =>
      shown(controller.incrementalAlterConfigs(request, within(0, context))),
    describeConfigs: (request, context) => describeConfigs(options, request, context),
  };
  return service(v1.AdminServiceDefinition, handlers);
}

function within(timeoutMs: number, context: CallContext): ControllerCallOptions {
  const asked = timeoutMs > 0 ? timeoutMs : DEFAULT_TIMEOUT_MS;
  return { timeoutMs: Math.min(asked, context.timeoutMs ?? asked), signal: context.signal };
}

async function describeConfigs(
  options: AdminForwarderOptions,
  request: v1.DescribeConfigsRequest,
  context: CallContext,
): Promise<v1.DescribeConfigsResponse> {
  assertLoaded(options.source.image);
  if (request.resources.length > MAX_RESOURCES) {
    throw new BarnabasError('INVALID_REQUEST', `at most ${MAX_RESOURCES} resources can be described in one request`);
  }
  const results = request.resources.map((resource) => describeOne(options, resource, request.keys, context));
  return { results: await Promise.all(results) };
}

async function describeOne(
  options: AdminForwarderOptions,
  resource: v1.ConfigResource,
  keys: string[],
  context: CallContext,
): Promise<v1.DescribeConfigsResult> {
  try {
    const route = routeOf(options, resource);
    if (route.kind === 'here') return { resource, entries: route.describe(keys), error: undefined };
    return await forward(options.connector, route.broker, { resources: [resource], keys }, context);
  } catch (error) {
    if (error instanceof InvariantError) throw error;
    return { resource, entries: [], error: errorToProto(toBarnabasError(error)) };
  }
}

type Route =
  | { readonly kind: 'here'; readonly describe: (keys: readonly string[]) => v1.ConfigEntry[] }
  | { readonly kind: 'there'; readonly broker: BrokerImage };

/** Who knows the configuration of a resource. */
function routeOf({ source, broker }: AdminForwarderOptions, { type, name }: v1.ConfigResource): Route {
  const { image } = source;
  switch (type) {
    case v1.ConfigResourceType.TOPIC: {
      if (image.topics.named(name) === undefined) throw missingTopic(name);
      const other = broker === undefined ? [...image.brokers.values()].find(({ fenced }) => !fenced) : undefined;
      if (other !== undefined) return { kind: 'there', broker: other };
      return { kind: 'here', describe: (keys) => describeTopicConfig(image, name, keys, broker) };
    }
    case v1.ConfigResourceType.BROKER: {
      if (name === '') return { kind: 'here', describe: (keys) => describeBrokerConfig(image, keys) };
      if (name === broker?.id) return { kind: 'here', describe: (keys) => describeBrokerConfig(image, keys, broker) };
      const other = /^\d+$/.test(name) ? image.brokers.get(Number(name)) : undefined;
      if (other !== undefined) return { kind: 'there', broker: other };
      throw new BarnabasError('BROKER_ID_NOT_REGISTERED', `there is no broker ${JSON.stringify(name)}`);
    }
    case v1.ConfigResourceType.UNSPECIFIED:
    default:
      throw new BarnabasError('INVALID_REQUEST', 'the type of a configuration resource must be TOPIC or BROKER');
  }
}

async function forward(
  connector: Connector,
  broker: BrokerImage,
  request: v1.DescribeConfigsRequest,
  context: CallContext,
): Promise<v1.DescribeConfigsResult> {
  const endpoint = endpointOf(broker, INTERNAL_LISTENER) ?? endpointOf(broker, CLIENT_LISTENER);
  if (context.headers.has(FORWARDED) || endpoint === undefined) {
    throw new BarnabasError('BROKER_NOT_AVAILABLE', `broker ${broker.id} is not where it was: retry`);
  }
  const client = connector.channel(formatAddress(endpoint)).client(v1.AdminServiceDefinition);
  const timeoutMs = Math.min(DEFAULT_TIMEOUT_MS, context.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const call = { timeoutMs, signal: context.signal, headers: { [FORWARDED]: '1' } };
  const { results } = await client.describeConfigs(request, call);
  const [result] = results;
  if (result === undefined) throw new BarnabasError('UNKNOWN_SERVER_ERROR', `broker ${broker.id} sent no answer`);
  return result;
}
