/** Images as the messages of MetadataService. Topics are converted once for each of their states. */
import type { QuorumVoter } from '@barnabas/common/config';
import { BarnabasError, errorToProto } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { CLIENT_LISTENER, endpointOf } from '../image.js';
import type { BrokerImage, MetadataImage, TopicImage } from '../image.js';
import { isInternalTopic, topicNameProblem } from '../topic-name.js';

const converted = new WeakMap<TopicImage, v1.Topic>();

export function topicMessage(topic: TopicImage): v1.Topic {
  const known = converted.get(topic);
  if (known !== undefined) return known;
  const message: v1.Topic = {
    name: topic.name,
    topicId: topic.id,
    internal: isInternalTopic(topic.name),
    partitions: topic.partitions.map((state, partition) => ({
      partition,
      leader: state.leader,
      leaderEpoch: state.leaderEpoch,
      replicas: [...state.replicas],
      isr: [...state.isr],
      eligibleLeaderReplicas: [...state.eligibleLeaderReplicas],
      addingReplicas: [...state.addingReplicas],
      removingReplicas: [...state.removingReplicas],
      partitionEpoch: state.partitionEpoch,
    })),
    error: undefined,
  };
  converted.set(topic, message);
  return message;
}

/** All topics, by name. */
export function allTopics(image: MetadataImage): v1.Topic[] {
  const topics = [...image.topics.values()];
  topics.sort((one, other) => (one.name < other.name ? -1 : 1));
  return topics.map(topicMessage);
}

/** What stands for a topic that cannot be described. */
export function topicError(name: string, error: BarnabasError): v1.Topic {
  return { name, topicId: '', internal: false, partitions: [], error: errorToProto(error) };
}

/** Why there is no topic of this name. */
export function missingTopic(name: string): BarnabasError {
  const problem = topicNameProblem(name);
  return problem === undefined
    ? new BarnabasError(
        'UNKNOWN_TOPIC_OR_PARTITION',
        `topic ${name} does not exist: create it, or wait for its creation to reach this node`,
        { topic: name },
      )
    : new BarnabasError('INVALID_TOPIC_EXCEPTION', problem);
}

export function brokerMessage(broker: BrokerImage): v1.Broker {
  const { host, port } = endpointOf(broker, CLIENT_LISTENER) ?? { host: '', port: 0 };
  const { id, rack, fenced, inControlledShutdown, decommissioning } = broker;
  return { id, host, port, rack, fenced, inControlledShutdown, decommissioning };
}

/** All registered brokers, by id. */
export function allBrokers(image: MetadataImage): v1.Broker[] {
  return [...image.brokers.values()].sort((one, other) => one.id - other.id).map(brokerMessage);
}

export function controllerMessages(voters: readonly QuorumVoter[]): v1.ControllerNode[] {
  return voters.map(({ id, host, port }) => ({ id, host, port }));
}

/** An image of no cluster: this node has only just started. */
export function assertLoaded(image: MetadataImage): void {
  if (image.clusterId === '') {
    throw new BarnabasError('BROKER_NOT_AVAILABLE', 'this node has not loaded the metadata of its cluster yet: retry');
  }
}
