/**
 * The replicas of a fake cluster's partitions, and what administrators do with them: reassignments,
 * elections, decommissioning. Nothing is copied between fake brokers, so a reassignment is over when
 * the test says so.
 */
import { BarnabasError, errorToProto, toBarnabasError, v1 } from '@barnabas/protocol';
import type { FakePartition } from './fake-partition.js';

export interface FakeReplicaSet {
  replicas: readonly number[];
  isr: readonly number[];
  eligibleLeaderReplicas: readonly number[];
  /** What a reassignment is after; undefined if none is under way. */
  target: readonly number[] | undefined;
  /** The replicas before it. */
  before: readonly number[];
  /** Records that a replica has not; 0 unless the test says otherwise. */
  readonly lag: Map<number, number>;
}

export interface FakeReplicaPorts {
  readonly partitions: () => readonly FakePartition[];
  /** Ids of all brokers that are registered. */
  readonly brokers: () => readonly number[];
  readonly isRunning: (brokerId: number) => boolean;
  /** Metadata have changed; leaders too, if so. */
  readonly changed: (leadersToo: boolean) => void;
}

export class FakeReplicaSets {
  readonly decommissioning = new Set<number>();
  /** Partitions that cannot leave a broker that is decommissioned. */
  readonly stuck: { readonly topic: string; readonly partition: number }[] = [];
  readonly #sets = new WeakMap<FakePartition, FakeReplicaSet>();

  constructor(private readonly ports: FakeReplicaPorts) {}

  of(partition: FakePartition): FakeReplicaSet {
    const known = this.#sets.get(partition);
    if (known !== undefined) return known;
    const alone = [partition.leader];
    return this.set(partition, alone);
  }

  set(partition: FakePartition, replicas: readonly number[], isr: readonly number[] = replicas): FakeReplicaSet {
    const lag = new Map<number, number>();
    const made = { replicas, isr, eligibleLeaderReplicas: [], target: undefined, before: replicas, lag };
    this.#sets.set(partition, made);
    return made;
  }

  addingReplicas(partition: FakePartition): readonly number[] {
    const { target, before } = this.of(partition);
    return target?.filter((id) => !before.includes(id)) ?? [];
  }

  removingReplicas(partition: FakePartition): readonly number[] {
    const { target, before } = this.of(partition);
    return target === undefined ? [] : before.filter((id) => !target.includes(id));
  }

  /** Ends the reassignments under way, or that of one partition, as when all that were coming are in sync. */
  completeReassignments(only?: FakePartition): void {
    for (const partition of this.ports.partitions()) {
      const { target } = this.of(partition);
      if (target === undefined || (only !== undefined && only !== partition)) continue;
      this.set(partition, target);
      if (!target.includes(partition.leader)) elect(partition, target[0] ?? -1);
    }
    this.ports.changed(true);
  }

  // ---- as AdminService has it

  alter({ partitions }: v1.AlterPartitionReassignmentsRequest): v1.PartitionReassignmentResult[] {
    const results = partitions.map(({ topic, partition, replicas }) => ({
      topic,
      partition,
      error: failure(() => this.#reassign(this.#partition(topic, partition), replicas)),
    }));
    this.ports.changed(false);
    return results;
  }

  ongoing(topics: readonly v1.TopicPartitions[]): v1.OngoingReassignment[] {
    const busy = this.#selected(topics).filter((partition) => this.of(partition).target !== undefined);
    return busy.map((partition) => ({
      topic: partition.topic,
      partition: partition.partition,
      replicas: [...this.of(partition).replicas],
      addingReplicas: [...this.addingReplicas(partition)],
      removingReplicas: [...this.removingReplicas(partition)],
    }));
  }

  elect({ type, topics }: v1.ElectLeadersRequest): v1.ElectLeadersResult[] {
    const results = this.#selected(topics).map((partition) => {
      const error = failure(() => this.#elect(partition, type));
      return { topic: partition.topic, partition: partition.partition, leader: partition.leader, error };
    });
    this.ports.changed(true);
    const needless = v1.ErrorCode.ELECTION_NOT_NEEDED;
    return topics.length > 0 ? results : results.filter(({ error }) => error?.code !== needless);
  }

  describe(topics: readonly v1.TopicPartitions[]): v1.DescribeReplicasResult[] {
    return this.#selected(topics).map((partition) => this.#describe(partition));
  }

  decommission({
    brokerId,
    cancel,
  }: v1.DecommissionBrokerRequest): Omit<v1.DecommissionBrokerResponse, 'metadataOffset'> {
    this.#broker(brokerId);
    if (cancel) this.decommissioning.delete(brokerId);
    else this.decommissioning.add(brokerId);
    this.ports.changed(false);
    const error = errorToProto(new BarnabasError('INVALID_REPLICATION_FACTOR', 'no other broker may take it'));
    const stuck = this.stuck.map((one) => ({ ...one, error }));
    return { remainingPartitions: this.#held(brokerId), stuck };
  }

  /** Throws unless the broker does not run and holds nothing. */
  checkGone(brokerId: number): void {
    this.#broker(brokerId);
    if (this.ports.isRunning(brokerId)) {
      throw new BarnabasError('INVALID_REQUEST', `broker ${brokerId} runs: stop it first`);
    }
    const held = this.#held(brokerId);
    if (held > 0) {
      throw new BarnabasError('INVALID_REQUEST', `broker ${brokerId} holds ${held} replicas: decommission it first`);
    }
  }

  #held(brokerId: number): number {
    return this.ports.partitions().filter((partition) => this.of(partition).replicas.includes(brokerId)).length;
  }

  #broker(brokerId: number): void {
    if (this.ports.brokers().includes(brokerId)) return;
    throw new BarnabasError('BROKER_ID_NOT_REGISTERED', `there is no broker ${brokerId}`);
  }

  #reassign(partition: FakePartition, target: readonly number[]): void {
    const set = this.of(partition);
    if (target.length === 0) {
      if (set.target === undefined) throw new BarnabasError('NO_REASSIGNMENT_IN_PROGRESS', 'nothing to cancel');
      this.set(partition, set.before, set.isr);
      return;
    }
    const unknown = target.find((id) => !this.ports.brokers().includes(id));
    if (unknown !== undefined) {
      throw new BarnabasError('INVALID_REPLICA_ASSIGNMENT', `there is no broker ${unknown}`);
    }
    set.target = target;
    set.replicas = [...target, ...set.before.filter((id) => !target.includes(id))];
  }

  #elect(partition: FakePartition, type: v1.ElectionType): void {
    const { replicas, isr } = this.of(partition);
    if (type === v1.ElectionType.UNCLEAN) {
      if (this.ports.isRunning(partition.leader)) throw new BarnabasError('ELECTION_NOT_NEEDED', 'there is a leader');
      const next = replicas.find((id) => this.ports.isRunning(id));
      if (next === undefined) throw new BarnabasError('ELIGIBLE_LEADERS_NOT_AVAILABLE', 'no replica serves');
      return elect(partition, next);
    }
    const [preferred = -1] = replicas;
    if (partition.leader === preferred) throw new BarnabasError('ELECTION_NOT_NEEDED', 'the preferred leader leads');
    if (!isr.includes(preferred) || !this.ports.isRunning(preferred)) {
      throw new BarnabasError('PREFERRED_LEADER_NOT_AVAILABLE', `broker ${preferred} cannot lead now`);
    }
    elect(partition, preferred);
  }

  #describe(partition: FakePartition): v1.DescribeReplicasResult {
    const { topic, leader, leaderEpoch, logStartOffset, logEndOffset } = partition;
    const { replicas, isr, lag } = this.of(partition);
    const isKnown = this.ports.isRunning(leader);
    const states = replicas.map((brokerId) => {
      const behind = isKnown ? (lag.get(brokerId) ?? 0) : -1;
      const caughtUpMs = behind === 0 ? 0 : -1;
      const end = isKnown ? logEndOffset - behind : -1;
      return { brokerId, logEndOffset: end, lag: behind, caughtUpMs, inSync: isr.includes(brokerId) };
    });
    const ends = isKnown ? { logStartOffset, logEndOffset, highWatermark: logEndOffset } : UNKNOWN_ENDS;
    const error = isKnown ? undefined : errorToProto(new BarnabasError('LEADER_NOT_AVAILABLE', 'nobody leads'));
    return { topic, partition: partition.partition, leader, leaderEpoch, ...ends, replicas: states, error };
  }

  #selected(topics: readonly v1.TopicPartitions[]): readonly FakePartition[] {
    const all = this.ports.partitions();
    if (topics.length === 0) return all;
    return topics.flatMap(({ topic, partitions }) =>
      partitions.length > 0
        ? partitions.map((partition) => this.#partition(topic, partition))
        : all.filter((one) => one.topic === topic),
    );
  }

  #partition(topic: string, partition: number): FakePartition {
    const found = this.ports.partitions().find((one) => one.topic === topic && one.partition === partition);
    if (found !== undefined) return found;
    throw new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', `there is no ${topic}-${partition}`);
  }
}

const UNKNOWN_ENDS = { logStartOffset: -1, logEndOffset: -1, highWatermark: -1 };

function elect(partition: FakePartition, leader: number): void {
  partition.leader = leader;
  partition.leaderEpoch++;
}

function failure(run: () => void): v1.Error | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return errorToProto(toBarnabasError(error));
  }
}
