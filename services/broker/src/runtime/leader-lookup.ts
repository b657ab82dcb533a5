/** From a topic name and a partition number to the replica that this broker leads, or to the error that says why not. */
import { NO_LEADER, topicNameProblem } from '@barnabas/metadata';
import type { MetadataImage, TopicImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import { refusals } from '../core/index.js';
import type { ReplicaDriver, ReplicaPartition } from './replica-driver.js';

export class LeaderLookup {
  constructor(
    private readonly driver: ReplicaDriver,
    private readonly image: () => MetadataImage,
  ) {}

  /**
   * The partition, led here. `leaderEpoch` is what the client knows, -1 or absent if nothing. Throws
   * UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION, NOT_LEADER_OR_FOLLOWER, LEADER_NOT_AVAILABLE,
   * FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, KAFKA_STORAGE_ERROR.
   */
  partition(topic: string, partition: number, leaderEpoch?: number): ReplicaPartition {
    const replica = this.driver.find(topic, partition);
    if (replica === undefined) throw this.#elsewhere(topic, partition);
    const refusal = replica.refusal(leaderEpoch);
    if (refusal !== undefined) throw refusal;
    return replica;
  }

  /** The partition, led or followed here. Throws the same, but for whom it would have been led elsewhere. */
  readable(topic: string, partition: number, leaderEpoch?: number): ReplicaPartition {
    const replica = this.driver.find(topic, partition);
    if (replica === undefined) throw this.#elsewhere(topic, partition);
    const refusal = replica.readRefusal(leaderEpoch);
    if (refusal !== undefined) throw refusal;
    return replica;
  }

  /** The topic as the metadata log has it. */
  topic(name: string): TopicImage {
    const topic = this.image().topics.named(name);
    if (topic === undefined) throw unknownTopic(name);
    return topic;
  }

  #elsewhere(topic: string, partition: number): BarnabasError {
    const found = this.image().topics.named(topic);
    if (found === undefined) return unknownTopic(topic);
    const at = found.partitions[partition];
    if (at === undefined) return refusals.unknownPartition({ topic, partition });
    if (at.leader === NO_LEADER) return refusals.noLeader({ topic, partition });
    return refusals.notLeader({ topic, partition }, at.leader, at.leaderEpoch);
  }
}

function unknownTopic(name: string): BarnabasError {
  const problem = topicNameProblem(name);
  if (problem !== undefined) return new BarnabasError('INVALID_TOPIC_EXCEPTION', problem);
  return new BarnabasError(
    'UNKNOWN_TOPIC_OR_PARTITION',
    `topic ${name} does not exist: check the name or create the topic`,
    { topic: name },
  );
}
