/**
 * AdminService/DescribeConfigs, the same on brokers and gateways. Told by whoever knows:
 *   a topic      this broker, or for a gateway any broker that serves
 *   a broker     that broker
 *   all brokers  the metadata log
 *
 * Errors, each for its resource: UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION,
 * BROKER_ID_NOT_REGISTERED, INVALID_REQUEST (unknown kind of resource), and whatever a call to another
 * broker fails with. For the request: INVALID_REQUEST (too many resources), BROKER_NOT_AVAILABLE while
 * this node has no metadata.
 */
import { InvariantError } from '@barnabas/common';
import { BarnabasError, errorToProto, toBarnabasError, v1 } from '@barnabas/protocol';
import type { CallContext, Connector } from '@barnabas/rpc';
import { describeBrokerConfig, describeTopicConfig } from '../effective-config.js';
import type { ConfiguredBroker } from '../effective-config.js';
import type { BrokerImage } from '../image.js';
import type { MetadataSource } from '../publisher.js';
import { callBroker } from './forwarding.js';
import type { BrokerCall } from './forwarding.js';
import { assertLoaded, missingTopic } from './views.js';

export interface DescribeConfigsOptions {
  /** The image that this node follows. */
  readonly source: MetadataSource;
  /** To reach brokers whose configuration is asked for. */
  readonly connector: Connector;
  /** This node, if it is a broker. */
  readonly broker?: ConfiguredBroker;
}

const MAX_RESOURCES = 10_000;

export async function describeConfigs(
  options: DescribeConfigsOptions,
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
  options: DescribeConfigsOptions,
  resource: v1.ConfigResource,
  keys: string[],
  context: CallContext,
): Promise<v1.DescribeConfigsResult> {
  try {
    const route = routeOf(options, resource);
    if (route.kind === 'here') return { resource, entries: route.describe(keys), error: undefined };
    const call: BrokerCall = { connector: options.connector, broker: route.broker, context };
    return await ask(call, { resources: [resource], keys });
  } catch (error) {
    if (error instanceof InvariantError) throw error;
    return { resource, entries: [], error: errorToProto(toBarnabasError(error)) };
  }
}

type Route =
  | { readonly kind: 'here'; readonly describe: (keys: readonly string[]) => v1.ConfigEntry[] }
  | { readonly kind: 'there'; readonly broker: BrokerImage };

/** Who knows the configuration of a resource. */
function routeOf({ source, broker }: DescribeConfigsOptions, { type, name }: v1.ConfigResource): Route {
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

async function ask(call: BrokerCall, request: v1.DescribeConfigsRequest): Promise<v1.DescribeConfigsResult> {
  const { results } = await callBroker(call, v1.AdminServiceDefinition, (client, options) =>
    client.describeConfigs(request, options),
  );
  const [result] = results;
  if (result === undefined) throw new BarnabasError('UNKNOWN_SERVER_ERROR', `broker ${call.broker.id} sent no answer`);
  return result;
}
