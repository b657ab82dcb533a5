/**
 * Topics: creation, deletion, more partitions. Each topic of a request stands or falls alone.
 *
 * Internal topics are made when a broker needs them (createInternalTopic). Clients may neither make nor
 * delete them, nor add partitions: what is kept in them is found by the count of partitions.
 *
 * Errors, each for its topic: INVALID_TOPIC_EXCEPTION (illegal name, one that collides with another
 * topic's, or an internal topic's), INVALID_REQUEST (a name twice; counts together with assignments),
 * TOPIC_ALREADY_EXISTS, INVALID_PARTITIONS, POLICY_VIOLATION (too many new partitions in one request),
 * INVALID_REPLICATION_FACTOR, INVALID_REPLICA_ASSIGNMENT, INVALID_CONFIG, UNKNOWN_TOPIC_OR_PARTITION,
 * TOPIC_DELETION_DISABLED.
 */
import type { Random } from '@barnabas/common';
import { collisionKey, isInternalTopic, randomUuid, topicNameProblem } from '@barnabas/metadata';
import type { MetadataImage, TopicImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { internal, v1 } from '@barnabas/protocol';
import { initialTopicConfig } from './config-control.js';
import { Plan, answer, refusal } from './decision.js';
import type { Decision } from './decision.js';
import { MAX_NEW_PARTITIONS_PER_REQUEST, MAX_PARTITIONS_PER_TOPIC } from './limits.js';
import { targetOf } from './partition-change.js';
import { assignReplicas, mostReplicas, partitionRecords } from './replica-assignment.js';
import type { ControllerSettings } from './settings.js';

export class TopicControl {
  constructor(
    private readonly settings: ControllerSettings,
    private readonly random: Random,
  ) {}

  createTopics(image: MetadataImage, request: v1.CreateTopicsRequest): Decision<v1.CreateTopicsResult[]> {
    const plan = new Plan(image);
    const budget = new PartitionBudget();
    const repeated = repeatedNames(request.topics);
    const results = request.topics.map((topic): v1.CreateTopicsResult => {
      try {
        refuseRepeated(topic.name, repeated);
        refuseInternal(topic.name);
        return this.#create(plan, topic, budget);
      } catch (error) {
        const failure = refusal(error);
        return { name: topic.name, topicId: '', partitions: 0, replicationFactor: 0, error: failure };
      }
    });
    if (!request.validateOnly) return plan.decide(results);
    return answer(results.map((result) => ({ ...result, topicId: '' })));
  }

  /** Topics that a client has asked about, with the cluster's defaults. One that exists by now is no error. */
  autoCreateTopics(image: MetadataImage, names: readonly string[]): Decision<v1.CreateTopicsResult[]> {
    const plan = new Plan(image);
    const budget = new PartitionBudget();
    const results = [...new Set(names)].map((name): v1.CreateTopicsResult => {
      try {
        const existing = plan.image.topics.named(name);
        if (existing !== undefined) return created(existing);
        refuseInternal(name);
        this.#refuseAutoCreation(name);
        return this.#create(plan, { name, assignments: [], configs: {} }, budget);
      } catch (error) {
        return { name, topicId: '', partitions: 0, replicationFactor: 0, error: refusal(error) };
      }
    });
    return plan.decide(results);
  }

  /**
   * A topic for which some broker has found a need, with as many of the replicas that it asks for as there
   * are brokers that serve: a group must not wait for a third broker in a cluster that has two.
   */
  createInternalTopic(
    image: MetadataImage,
    { name, partitions, replicationFactor, configs }: internal.CreateInternalTopicRequest,
  ): Decision<InternalTopicResult> {
    const plan = new Plan(image);
    try {
      if (!isInternalTopic(name)) throw notInternal(name);
      const existing = image.topics.named(name);
      if (existing !== undefined) return answer({ result: created(existing), created: false });
      const topic = { name, partitions, configs, assignments: [] };
      const most = Math.max(1, mostReplicas(image));
      const withReplicas = { ...topic, replicationFactor: Math.min(replicationFactor, most) };
      const result = this.#create(plan, withReplicas, new PartitionBudget());
      return plan.decide({ result, created: true });
    } catch (error) {
      const result = { name, topicId: '', partitions: 0, replicationFactor: 0, error: refusal(error) };
      return answer({ result, created: false });
    }
  }

  deleteTopics(image: MetadataImage, names: readonly string[]): Decision<v1.DeleteTopicsResult[]> {
    if (!this.settings.deleteTopics) {
      throw new BarnabasError('TOPIC_DELETION_DISABLED', 'topics cannot be deleted: delete.topic.enable is false');
    }
    const plan = new Plan(image);
    const repeated = repeatedNames(names.map((name) => ({ name })));
    const results = names.map((name): v1.DeleteTopicsResult => {
      try {
        refuseRepeated(name, repeated);
        refuseInternal(name);
        const { id: topicId } = existingTopic(plan.image, name);
        plan.add([{ record: { $case: 'removeTopic', removeTopic: { topicId } } }]);
        return { name, topicId, error: undefined };
      } catch (error) {
        return { name, topicId: '', error: refusal(error) };
      }
    });
    return plan.decide(results);
  }

  createPartitions(image: MetadataImage, request: v1.CreatePartitionsRequest): Decision<v1.CreatePartitionsResult[]> {
    const plan = new Plan(image);
    const budget = new PartitionBudget();
    const repeated = repeatedNames(request.topics);
    const results = request.topics.map((topic): v1.CreatePartitionsResult => {
      try {
        refuseRepeated(topic.name, repeated);
        refuseInternal(topic.name);
        this.#addPartitions(plan, topic, budget);
        return { name: topic.name, error: undefined };
      } catch (error) {
        return { name: topic.name, error: refusal(error) };
      }
    });
    return request.validateOnly ? answer(results) : plan.decide(results);
  }

  #create(plan: Plan, topic: v1.NewTopic, budget: PartitionBudget): v1.CreateTopicsResult {
    const { name } = topic;
    checkNewName(plan.image, name);
    const count = this.#partitionCount(topic);
    budget.check(count);
    const assignments = assignReplicas({
      image: plan.image,
      partitions: count,
      replicationFactor: topic.replicationFactor ?? this.settings.defaultReplicationFactor,
      byHand: topic.assignments,
      existing: [],
      random: this.random,
    });
    const topicId = randomUuid(this.random);
    plan.add([
      { record: { $case: 'topic', topic: { name, topicId } } },
      ...initialTopicConfig(name, topic.configs),
      ...partitionRecords(plan.image, topicId, assignments, 0),
    ]);
    budget.take(count);
    const replicationFactor = assignments[0]?.length ?? 0;
    return { name, topicId, partitions: count, replicationFactor, error: undefined };
  }

  #partitionCount(topic: v1.NewTopic): number {
    if (topic.assignments.length === 0) return checkedCount(topic.partitions ?? this.settings.numPartitions);
    if (topic.partitions !== undefined || topic.replicationFactor !== undefined) {
      throw new BarnabasError(
        'INVALID_REQUEST',
        'replica assignments say how many partitions and replicas there are: leave the counts out',
      );
    }
    return checkedCount(topic.assignments.length);
  }

  #addPartitions(plan: Plan, { name, totalCount, assignments }: v1.NewPartitions, budget: PartitionBudget): void {
    const topic = existingTopic(plan.image, name);
    const today = topic.partitions.length;
    if (totalCount <= today) {
      throw new BarnabasError(
        'INVALID_PARTITIONS',
        `topic ${name} has ${today} partitions: the new count must be greater, not ${totalCount}`,
      );
    }
    checkedCount(totalCount);
    const added = totalCount - today;
    budget.check(added);
    if (assignments.length !== 0 && assignments.length !== added) {
      throw new BarnabasError(
        'INVALID_REPLICA_ASSIGNMENT',
        `${added} partitions are added to topic ${name}, but replicas are assigned for ${assignments.length}`,
      );
    }
    // As they will be when reassignments under way are over: what is on its way out counts for nothing.
    const existing = topic.partitions.map(targetOf);
    const replicationFactor = existing[0]?.length ?? this.settings.defaultReplicationFactor;
    const { image } = plan;
    const lists = assignReplicas({
      image,
      partitions: added,
      replicationFactor,
      byHand: assignments,
      existing,
      random: this.random,
    });
    plan.add(partitionRecords(image, topic.id, lists, today));
    budget.take(added);
  }

  #refuseAutoCreation(name: string): void {
    if (this.settings.autoCreateTopics) return;
    throw new BarnabasError(
      'UNKNOWN_TOPIC_OR_PARTITION',
      `topic ${JSON.stringify(name)} does not exist and auto.create.topics.enable is false: create it`,
    );
  }
}

export interface InternalTopicResult {
  readonly result: v1.CreateTopicsResult;
  /** For this request, and not before. */
  readonly created: boolean;
}

/** Counts what one request creates. */
class PartitionBudget {
  #left = MAX_NEW_PARTITIONS_PER_REQUEST;

  check(count: number): void {
    if (count <= this.#left) return;
    throw new BarnabasError(
      'POLICY_VIOLATION',
      `one request may create ${MAX_NEW_PARTITIONS_PER_REQUEST} partitions at most: use several`,
    );
  }

  take(count: number): void {
    this.#left -= count;
  }
}

function checkedCount(count: number): number {
  if (Number.isInteger(count) && count >= 1 && count <= MAX_PARTITIONS_PER_TOPIC) return count;
  throw new BarnabasError(
    'INVALID_PARTITIONS',
    `a topic must have from 1 to ${MAX_PARTITIONS_PER_TOPIC} partitions, not ${count}`,
  );
}

function checkNewName(image: MetadataImage, name: string): void {
  const problem = topicNameProblem(name);
  if (problem !== undefined) throw new BarnabasError('INVALID_TOPIC_EXCEPTION', problem);
  if (image.topics.named(name) !== undefined) {
    throw new BarnabasError('TOPIC_ALREADY_EXISTS', `topic ${name} exists already`, { topic: name });
  }
  const key = collisionKey(name);
  const other = key === undefined ? undefined : image.topics.namesByCollisionKey.get(key);
  if (other !== undefined) {
    throw new BarnabasError(
      'INVALID_TOPIC_EXCEPTION',
      `topic ${name} collides with topic ${other}: in metric names '.' and '_' are the same`,
    );
  }
}

function refuseInternal(name: string): void {
  if (!isInternalTopic(name)) return;
  throw new BarnabasError(
    'INVALID_TOPIC_EXCEPTION',
    `topic ${name} is internal: brokers make it when they need it, and nobody else changes it`,
    { topic: name },
  );
}

function notInternal(name: string): BarnabasError {
  return new BarnabasError(
    'INVALID_TOPIC_EXCEPTION',
    `topic ${JSON.stringify(name)} is not one of the internal topics`,
  );
}

function existingTopic(image: MetadataImage, name: string): TopicImage {
  const topic = image.topics.named(name);
  if (topic !== undefined) return topic;
  throw new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${JSON.stringify(name)} does not exist`);
}

function created({ name, id: topicId, partitions }: TopicImage): v1.CreateTopicsResult {
  const [first] = partitions;
  const replicationFactor = first === undefined ? 0 : targetOf(first).length;
  return { name, topicId, partitions: partitions.length, replicationFactor, error: undefined };
}

function repeatedNames(topics: readonly { readonly name: string }[]): ReadonlySet<string> {
  const seen = new Set<string>();
  return new Set(topics.filter(({ name }) => seen.has(name) || !seen.add(name)).map(({ name }) => name));
}

function refuseRepeated(name: string, repeated: ReadonlySet<string>): void {
  if (!repeated.has(name)) return;
  throw new BarnabasError('INVALID_REQUEST', `the request names topic ${JSON.stringify(name)} more than once`);
}
