/**
 * Emptying a broker and forgetting it. A broker that is being decommissioned gets no new replicas, and
 * those it has move to others, chosen as for new partitions: racks first, then evenness. Asking again
 * tells how far it is, moves what could not move before, and chooses anew where a broker that was to
 * take a replica does not serve any more.
 *
 * Errors: BROKER_ID_NOT_REGISTERED, UNSUPPORTED_VERSION (below metadata.version 2); for UnregisterBroker
 * INVALID_REQUEST (it runs, or holds replicas).
 */
import type { Random } from '@barnabas/common';
import type { BrokerImage, ConfiguredBroker, MetadataImage, PartitionImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { internal, v1 } from '@barnabas/protocol';
import type { BrokerSessions } from './broker-sessions.js';
import { isUp } from './broker-standing.js';
import { Plan, refusal } from './decision.js';
import type { Decision, Unit } from './decision.js';
import { PartitionElections, checkReplicationServed } from './leader-election.js';
import { targetOf } from './partition-change.js';
import { sortedTopics } from './partition-names.js';
import { beginReassignment, cancellation } from './reassignment-control.js';
import { placeableBrokers } from './replica-assignment.js';
import { ReplicaMover } from './replica-placement.js';

type Progress = Omit<v1.DecommissionBrokerResponse, 'metadataOffset'>;

export interface DecommissionOptions {
  readonly defaults: ConfiguredBroker;
  readonly random: Random;
}

export function decommissionBroker(
  image: MetadataImage,
  brokerId: number,
  options: DecommissionOptions,
): Decision<Progress> {
  checkReplicationServed(image);
  const broker = existing(image, brokerId);
  const plan = new Plan(image);
  if (!broker.decommissioning) plan.add([decommissioning(broker, true)]);
  const stuck = moveAway(plan, brokerId, options);
  return plan.decide({ remainingPartitions: replicasOn(plan.image, brokerId), stuck });
}

/** The broker may get replicas again, and what was on its way off it stays. */
export function cancelDecommission(
  image: MetadataImage,
  brokerId: number,
  { defaults }: DecommissionOptions,
): Decision<Progress> {
  checkReplicationServed(image);
  const broker = existing(image, brokerId);
  const plan = new Plan(image);
  if (broker.decommissioning) plan.add([decommissioning(broker, false)]);
  const elections = new PartitionElections(plan.image, defaults);
  const units: Unit[] = [];
  const stuck: v1.PartitionReassignmentResult[] = [];
  for (const topic of broker.decommissioning ? sortedTopics(plan.image) : []) {
    for (const [number, partition] of topic.partitions.entries()) {
      if (!partition.removingReplicas.includes(brokerId)) continue;
      try {
        const record = cancellation(elections, { topic, number, partition });
        if (record !== undefined) units.push([record]);
      } catch (error) {
        stuck.push({ topic: topic.name, partition: number, error: refusal(error) });
      }
    }
  }
  plan.addAll(units);
  return plan.decide({ remainingPartitions: replicasOn(plan.image, brokerId), stuck });
}

export function unregisterBroker(
  image: MetadataImage,
  brokerId: number,
  sessions: BrokerSessions,
  nowMs: number,
): Decision<void> {
  const broker = existing(image, brokerId);
  if (isUp(broker) || sessions.isAlive(broker, nowMs)) {
    throw new BarnabasError('INVALID_REQUEST', `broker ${brokerId} runs: stop it first, and wait until it is fenced`);
  }
  const replicas = replicasOn(image, brokerId);
  if (replicas > 0) {
    throw new BarnabasError(
      'INVALID_REQUEST',
      `broker ${brokerId} holds replicas of ${replicas} partitions: decommission it first`,
    );
  }
  const plan = new Plan(image);
  plan.add([{ record: { $case: 'unregisterBroker', unregisterBroker: { brokerId, brokerEpoch: broker.epoch } } }]);
  return plan.decide(undefined);
}

/** Plans a reassignment for each replica on the broker that is not on its way off it. Returns those that cannot leave. */
function moveAway(
  plan: Plan,
  brokerId: number,
  { defaults, random }: DecommissionOptions,
): v1.PartitionReassignmentResult[] {
  const { image } = plan;
  const elections = new PartitionElections(image, defaults);
  const topics = sortedTopics(image);
  const brokers = placeableBrokers(image);
  const units: Unit[] = [];
  const stuck: v1.PartitionReassignmentResult[] = [];
  for (const topic of topics) {
    if (!topic.partitions.some((partition) => partition.replicas.includes(brokerId))) continue;
    const mover = new ReplicaMover({ brokers, existing: topic.partitions.map(targetOf), random });
    for (const [number, partition] of topic.partitions.entries()) {
      const leaving = leavingOf(partition, brokerId, elections);
      if (leaving.length === 0) continue;
      try {
        const target = mover.move(targetOf(partition), leaving);
        if (target === undefined) throw nowhere(brokerId, targetOf(partition));
        const record = beginReassignment(elections, { topic, number, partition }, target);
        if (record !== undefined) units.push([record]);
      } catch (error) {
        stuck.push({ topic: topic.name, partition: number, error: refusal(error) });
      }
    }
  }
  plan.addAll(units);
  return stuck;
}

/** Of a partition's target: the broker itself, and whoever was to take its place and does not serve any more. */
function leavingOf(partition: PartitionImage, brokerId: number, { standings }: PartitionElections): readonly number[] {
  const target = targetOf(partition);
  if (target.includes(brokerId)) return [brokerId];
  if (!partition.removingReplicas.includes(brokerId)) return [];
  return partition.addingReplicas.filter((id) => !standings.isUp(id));
}

function nowhere(brokerId: number, target: readonly number[]): BarnabasError {
  return new BarnabasError(
    'INVALID_REPLICA_ASSIGNMENT',
    `no other broker may take the replica on broker ${brokerId}: beside brokers ${[...target].sort((a, b) => a - b).join(', ')} none serves that is not being decommissioned: add a broker, or lower the replication factor`,
  );
}

function replicasOn(image: MetadataImage, brokerId: number): number {
  let count = 0;
  for (const topic of image.topics.values()) {
    count += topic.partitions.filter(({ replicas }) => replicas.includes(brokerId)).length;
  }
  return count;
}

function existing(image: MetadataImage, brokerId: number): BrokerImage {
  const broker = image.brokers.get(brokerId);
  if (broker !== undefined) return broker;
  throw new BarnabasError('BROKER_ID_NOT_REGISTERED', `there is no broker ${brokerId}`);
}

function decommissioning({ id, epoch }: BrokerImage, value: boolean): internal.MetadataRecord {
  const brokerRegistrationChange = { brokerId: id, brokerEpoch: epoch, decommissioning: value };
  return { record: { $case: 'brokerRegistrationChange', brokerRegistrationChange } };
}
