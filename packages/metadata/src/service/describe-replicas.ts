/**
 * AdminService/DescribeReplicas, the same on brokers and gateways: only a partition's leader knows how
 * far its replicas are, so the node that is asked asks every leader for its partitions, at once, and
 * answers for its own. A call that was passed on to a leader goes no further (`forwarded`).
 *
 * Errors, each for its partition: UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION,
 * LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER (leadership has just moved: ask again), and whatever a
 * call to its leader fails with. For the request: INVALID_REQUEST (too many topics),
 * BROKER_NOT_AVAILABLE while this node has no metadata.
 */
import { InvariantError } from '@barnabas/common';
import { BarnabasError, errorToProto, toBarnabasError, v1 } from '@barnabas/protocol';
import type { CallContext, Connector } from '@barnabas/rpc';
import { NO_LEADER } from '../image.js';
import type { MetadataImage, PartitionImage } from '../image.js';
import type { MetadataSource } from '../publisher.js';
import { callBroker, isForwarded } from './forwarding.js';
import { assertLoaded, missingTopic } from './views.js';

/** A broker's own part of the answer. */
export interface LocalReplicas {
  /** node.id of this broker. */
  readonly brokerId: number;
  /**
   * How far the replicas are, of the partitions named (every entry names some), in their order. A
   * partition that this broker does not lead has NOT_LEADER_OR_FOLLOWER in its result.
   */
  describe(topics: readonly v1.TopicPartitions[]): readonly v1.DescribeReplicasResult[];
}

export interface DescribeReplicasOptions {
  readonly source: MetadataSource;
  readonly connector: Connector;
  /** Absent on a gateway. */
  readonly replicas?: LocalReplicas | undefined;
}

const MAX_TOPICS = 10_000;

export async function describeReplicas(
  options: DescribeReplicasOptions,
  request: v1.DescribeReplicasRequest,
  context: CallContext,
): Promise<v1.DescribeReplicasResponse> {
  const { image } = options.source;
  assertLoaded(image);
  if (request.topics.length > MAX_TOPICS) {
    throw new BarnabasError('INVALID_REQUEST', `at most ${MAX_TOPICS} topics can be named: name none for all`);
  }
  const asked = partitionsOf(image, request.topics);
  const here = isForwarded(context) ? asked.known : asked.known.filter(({ state }) => isOwn(options, state));
  const results = [...asked.refused, ...answerHere(options, here)];
  if (!isForwarded(context)) {
    const elsewhere = asked.known.filter(({ state }) => !isOwn(options, state));
    for (const answers of await Promise.all(askLeaders(options, elsewhere, context))) results.push(...answers);
  }
  return { results: results.sort(byPartition) };
}

interface Asked {
  readonly topic: string;
  readonly partition: number;
  readonly state: PartitionImage;
}

/** What is asked about, as this node knows it, and the answers about what there is not. */
function partitionsOf(
  image: MetadataImage,
  topics: readonly v1.TopicPartitions[],
): { readonly known: readonly Asked[]; readonly refused: readonly v1.DescribeReplicasResult[] } {
  const known = new Map<string, Asked>();
  const refused: v1.DescribeReplicasResult[] = [];
  const names =
    topics.length > 0 ? topics : [...image.topics.values()].map(({ name }) => ({ topic: name, partitions: [] }));
  for (const { topic, partitions } of names) {
    const found = image.topics.named(topic);
    if (found === undefined) {
      const error = missingTopic(topic);
      for (const partition of partitions.length > 0 ? partitions : [-1]) refused.push(refusal(topic, partition, error));
      continue;
    }
    for (const partition of partitions.length > 0 ? partitions : found.partitions.keys()) {
      const state = found.partitions[partition];
      if (state !== undefined) known.set(`${partition}/${topic}`, { topic, partition, state });
      else refused.push(refusal(topic, partition, missingPartition(topic, partition)));
    }
  }
  return { known: [...known.values()], refused };
}

function isOwn({ replicas }: DescribeReplicasOptions, { leader }: PartitionImage): boolean {
  return replicas !== undefined && leader === replicas.brokerId;
}

function answerHere({ replicas }: DescribeReplicasOptions, asked: readonly Asked[]): v1.DescribeReplicasResult[] {
  if (asked.length === 0) return [];
  if (replicas !== undefined) return [...replicas.describe(byTopic(asked))];
  return asked.map((one) => unanswered(one, new BarnabasError('NOT_LEADER_OR_FOLLOWER', 'this node leads nothing')));
}

function askLeaders(
  options: DescribeReplicasOptions,
  asked: readonly Asked[],
  context: CallContext,
): readonly Promise<readonly v1.DescribeReplicasResult[]>[] {
  const byLeader = new Map<number, Asked[]>();
  for (const one of asked) {
    const { leader } = one.state;
    const group = byLeader.get(leader);
    if (group === undefined) byLeader.set(leader, [one]);
    else group.push(one);
  }
  return [...byLeader].map(([leader, group]) => askLeader(options, leader, group, context));
}

async function askLeader(
  { source, connector }: DescribeReplicasOptions,
  leader: number,
  asked: readonly Asked[],
  context: CallContext,
): Promise<readonly v1.DescribeReplicasResult[]> {
  const broker = source.image.brokers.get(leader);
  if (leader === NO_LEADER || broker === undefined) {
    const noLeader = new BarnabasError('LEADER_NOT_AVAILABLE', 'nobody leads this partition: see which brokers run');
    return asked.map((one) => unanswered(one, noLeader));
  }
  try {
    const { results } = await callBroker({ connector, broker, context }, v1.AdminServiceDefinition, (client, call) =>
      client.describeReplicas({ topics: byTopic(asked) }, call),
    );
    return completed(asked, results);
  } catch (error) {
    if (error instanceof InvariantError) throw error;
    return asked.map((one) => unanswered(one, toBarnabasError(error)));
  }
}

/** What a leader has left out would be missing without a word. */
function completed(
  asked: readonly Asked[],
  results: readonly v1.DescribeReplicasResult[],
): readonly v1.DescribeReplicasResult[] {
  const answered = new Set(results.map(({ topic, partition }) => `${partition}/${topic}`));
  const missing = asked.filter(({ topic, partition }) => !answered.has(`${partition}/${topic}`));
  const error = new BarnabasError('UNKNOWN_SERVER_ERROR', 'the leader left this partition out of its answer');
  return [...results, ...missing.map((one) => unanswered(one, error))];
}

function byTopic(asked: readonly Asked[]): v1.TopicPartitions[] {
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of asked) {
    const partitions = topics.get(topic);
    if (partitions === undefined) topics.set(topic, [partition]);
    else partitions.push(partition);
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
}

/** What is known without the leader: who it is, and who should have a replica. */
function unanswered({ topic, partition, state }: Asked, error: BarnabasError): v1.DescribeReplicasResult {
  const replicas = state.replicas.map((brokerId) => ({
    brokerId,
    logEndOffset: -1,
    lag: -1,
    caughtUpMs: -1,
    inSync: state.isr.includes(brokerId),
  }));
  const { leader, leaderEpoch } = state;
  return { ...refusal(topic, partition, error), leader, leaderEpoch, replicas };
}

function refusal(topic: string, partition: number, error: BarnabasError): v1.DescribeReplicasResult {
  const unknown = { logStartOffset: -1, highWatermark: -1, logEndOffset: -1, replicas: [] };
  return { topic, partition, leader: NO_LEADER, leaderEpoch: -1, ...unknown, error: errorToProto(error) };
}

function missingPartition(topic: string, partition: number): BarnabasError {
  const text = `topic ${topic} has no partition ${partition}`;
  return new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', text, { topic, partition });
}

function byPartition(one: v1.DescribeReplicasResult, other: v1.DescribeReplicasResult): number {
  if (one.topic !== other.topic) return one.topic < other.topic ? -1 : 1;
  return one.partition - other.partition;
}
