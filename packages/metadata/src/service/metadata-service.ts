/**
 * barnabas.v1.MetadataService, the same on brokers and gateways: answered from the image that this
 * node follows, without asking anybody, except that unknown topics may be created on the way.
 *
 * GetMetadata      BROKER_NOT_AVAILABLE while this node has no metadata; INVALID_REQUEST for too many
 *                  names; per topic UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION, and what
 *                  automatic creation answers (LEADER_NOT_AVAILABLE: created, not yet here)
 * WatchMetadata    see metadata-watch.ts
 * DescribeCluster  BROKER_NOT_AVAILABLE
 */
import { BarnabasError, errorFromProto, toBarnabasError, v1 } from '@barnabas/protocol';
import { service } from '@barnabas/rpc';
import type { Handlers, ServiceRegistration } from '@barnabas/rpc';
import type { ControllerClient } from '../follower/controller-client.js';
import type { ControllerDirectory } from '../follower/controller-directory.js';
import type { MetadataPublisher, MetadataSource } from '../publisher.js';
import { topicNameProblem } from '../topic-name.js';
import { MetadataWatches } from './metadata-watch.js';
import {
  allBrokers,
  allTopics,
  assertLoaded,
  controllerMessages,
  missingTopic,
  topicError,
  topicMessage,
} from './views.js';

export interface MetadataServiceOptions {
  /** The image that this node follows. */
  readonly source: MetadataSource;
  /** Who votes, for DescribeCluster. */
  readonly controllers: Pick<ControllerDirectory, 'voters'>;
  /** For topics that a client asks about and that do not exist. */
  readonly controller: Pick<ControllerClient, 'autoCreateTopics'>;
}

export interface MetadataService {
  readonly registration: ServiceRegistration;
  /** Feeds the watches: to be added to the follower. */
  readonly publisher: MetadataPublisher;
  /** Ends all watches. */
  stop(): void;
}

/** Names in one request: beyond this a client asks for all topics. */
const MAX_NAMES = 10_000;
/** Until a topic that has been created must have come down to this node. */
const APPEARANCE_TIMEOUT_MS = 5_000;

export function createMetadataService(options: MetadataServiceOptions): MetadataService {
  const watches = new MetadataWatches(options.source);
  const { source, controllers } = options;
  const handlers: Handlers<typeof v1.MetadataServiceDefinition> = {
    getMetadata: (request) => getMetadata(options, request),
    watchMetadata(request, stream) {
      checkNames(request.topics);
      assertLoaded(source.image);
      watches.add(request.topics, stream);
    },
    describeCluster: async () => {
      const { image, controllerId } = source;
      assertLoaded(image);
      return {
        clusterId: image.clusterId,
        controllerId,
        brokers: allBrokers(image),
        controllers: controllerMessages(controllers.voters),
        metadataOffset: image.offset,
      };
    },
  };
  return {
    registration: service(v1.MetadataServiceDefinition, handlers),
    publisher: watches,
    stop: () => watches.stop(),
  };
}

async function getMetadata(
  options: MetadataServiceOptions,
  request: v1.GetMetadataRequest,
): Promise<v1.GetMetadataResponse> {
  const { source } = options;
  checkNames(request.topics);
  assertLoaded(source.image);
  const names = request.brokersOnly ? [] : [...new Set(request.topics)];
  const unknown = names.filter((name) => source.image.topics.named(name) === undefined);
  const refusals =
    request.allowAutoTopicCreation && unknown.length > 0
      ? await autoCreate(options, unknown)
      : new Map<string, BarnabasError>();
  const { image } = source;
  const describe = (name: string): v1.Topic => {
    const topic = image.topics.named(name);
    return topic === undefined ? topicError(name, refusals.get(name) ?? missingTopic(name)) : topicMessage(topic);
  };
  return {
    clusterId: image.clusterId,
    controllerId: source.controllerId,
    brokers: allBrokers(image),
    topics: request.brokersOnly ? [] : names.length === 0 ? allTopics(image) : names.map(describe),
    metadataOffset: image.offset,
  };
}

/** Asks for the topics and waits until they are here. Says why those are not that are not. */
async function autoCreate(
  { source, controller }: MetadataServiceOptions,
  unknown: readonly string[],
): Promise<Map<string, BarnabasError>> {
  const names = unknown.filter((name) => topicNameProblem(name) === undefined);
  const refusals = new Map<string, BarnabasError>();
  if (names.length === 0) return refusals;
  try {
    const { results, metadataOffset } = await controller.autoCreateTopics({ names: [...names] });
    for (const { name, error } of results) if (error !== undefined) refusals.set(name, errorFromProto(error));
    const here = await source.waitFor((image) => image.offset >= metadataOffset, APPEARANCE_TIMEOUT_MS);
    if (!here) for (const name of names) if (!refusals.has(name)) refusals.set(name, notHereYet(name));
  } catch (error) {
    for (const name of names) refusals.set(name, toBarnabasError(error));
  }
  return refusals;
}

function notHereYet(name: string): BarnabasError {
  return new BarnabasError('LEADER_NOT_AVAILABLE', `topic ${name} has been created and is not known here yet: retry`);
}

function checkNames(names: readonly string[]): void {
  if (names.length <= MAX_NAMES) return;
  throw new BarnabasError(
    'INVALID_REQUEST',
    `the request names ${names.length} topics; at most ${MAX_NAMES} are allowed: leave the list empty for all topics`,
  );
}
