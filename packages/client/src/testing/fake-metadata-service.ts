/** MetadataService of a fake node: what the cluster says, or, while metadata is frozen, said before. */
import { BarnabasError, errorToProto, v1 } from '@barnabas/protocol';
import { service } from '@barnabas/rpc';
import type { MessageStream, ServiceRegistration } from '@barnabas/rpc';
import type { FakeNode } from './fake-node.js';

/** A cluster at a point of its history. */
export interface FakeMetadata {
  readonly clusterId: string;
  readonly metadataOffset: number;
  readonly controllerId: number;
  readonly controllers: readonly v1.ControllerNode[];
  readonly brokers: readonly v1.Broker[];
  readonly topics: readonly v1.Topic[];
}

export interface FakeMetadataPorts {
  /** What nodes know now. */
  readonly current: () => FakeMetadata;
  readonly onChange: (listener: () => void) => () => void;
  /** Creates the topic if the cluster creates topics by itself. */
  readonly autoCreate: (topic: string) => void;
}

export function fakeMetadataService(node: FakeNode, ports: FakeMetadataPorts): ServiceRegistration {
  return service(v1.MetadataServiceDefinition, {
    getMetadata: (request) => node.unary('GetMetadata', request, () => getMetadata(ports, request)),
    watchMetadata: (request, stream) => {
      const stops = [node.addStream(stream), ports.onChange(() => push(false))];
      const push = watcher(ports, request, stream);
      stream.handle({
        onMessage: () => undefined,
        onClose: () => {
          for (const stop of stops) stop();
        },
      });
      const action = node.intercept('WatchMetadata', request);
      if (action?.kind === 'error') stream.end(new BarnabasError(action.error, 'injected'));
      else push(true);
    },
    describeCluster: (request) => node.unary('DescribeCluster', request, () => describeCluster(ports)),
  });
}

function getMetadata(ports: FakeMetadataPorts, request: v1.GetMetadataRequest): v1.GetMetadataResponse {
  if (request.allowAutoTopicCreation) request.topics.forEach(ports.autoCreate);
  const { clusterId, metadataOffset, brokers, topics } = ports.current();
  const asked = request.topics.length === 0 ? topics : request.topics.map((name) => find(topics, name));
  return {
    clusterId,
    controllerId: 1,
    brokers: [...brokers],
    topics: request.brokersOnly ? [] : [...asked],
    metadataOffset,
  };
}

function find(topics: readonly v1.Topic[], name: string): v1.Topic {
  const error = new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${name} does not exist`);
  return topics.find((topic) => topic.name === name) ?? v1.Topic.create({ name, error: errorToProto(error) });
}

/** Sends the whole state first, and then what differs from what was sent last. */
function watcher(
  ports: FakeMetadataPorts,
  request: v1.WatchMetadataRequest,
  stream: MessageStream<never, v1.WatchMetadataResponse>,
): (full: boolean) => void {
  let sentBrokers = new Map<number, string>();
  let sentTopics = new Map<string, string>();
  return (full) => {
    const { clusterId, metadataOffset, brokers, topics } = ports.current();
    const watched = topics.filter(({ name }) => request.topics.length === 0 || request.topics.includes(name));
    const brokerTexts = new Map(brokers.map((broker) => [broker.id, JSON.stringify(broker)]));
    const topicTexts = new Map(watched.map((topic) => [topic.name, JSON.stringify(topic)]));
    stream.write({
      full,
      clusterId,
      controllerId: 1,
      brokers: brokers.filter(({ id }) => full || sentBrokers.get(id) !== brokerTexts.get(id)),
      removedBrokers: [...sentBrokers.keys()].filter((id) => !brokerTexts.has(id)),
      topics: watched.filter(({ name }) => full || sentTopics.get(name) !== topicTexts.get(name)),
      removedTopics: [...sentTopics.keys()].filter((name) => !topicTexts.has(name)),
      metadataOffset,
    });
    sentBrokers = brokerTexts;
    sentTopics = topicTexts;
  };
}

function describeCluster({ current }: FakeMetadataPorts): v1.DescribeClusterResponse {
  const { clusterId, metadataOffset, controllerId, controllers, brokers } = current();
  return {
    clusterId,
    controllerId,
    brokers: [...brokers],
    controllers: [...controllers],
    metadataOffset,
  };
}
