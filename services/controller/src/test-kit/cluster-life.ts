/**
 * A random life of a cluster around the controller's core: brokers come, stop, crash and lose what they
 * had not synced; leaders append, followers copy, and ISRs change by the rules of
 * docs/protocols/replication.md; replicas fail, move and are emptied. Everybody knows the newest
 * metadata at once: what late knowledge does is the cluster simulator's business.
 *
 * Checked after every step: S1 to S4 of core/partition-change.ts, epochs, and that whoever leads holds
 * everything that was committed. For tests.
 */
import { InvariantError, SeededRandom, assert } from '@barnabas/common';
import { NO_LEADER } from '@barnabas/metadata';
import type { MetadataImage, PartitionImage } from '@barnabas/metadata';
import { v1 } from '@barnabas/protocol';
import {
  TopicRules,
  alterConfigs,
  alterReassignments,
  cancelDecommission,
  decommissionBroker,
  electLeaders,
  isReassigning,
  originalOf,
  rebalanceLeaders,
  sameMembers,
  targetOf,
} from '../core/index.js';
import { CoreCluster, SESSION_TIMEOUT_MS } from './core-cluster.js';

/** What the replicas of one partition hold, and what was promised of it. */
interface Data {
  readonly topic: string;
  readonly lazy: boolean;
  readonly logs: Map<number, number[]>;
  committed: number[];
  /** The leader's log end when its epoch began. */
  epochStart: number;
  leaderEpoch: number;
}

export interface LifeOptions {
  readonly brokers?: number;
  readonly steps?: number;
  /** Rules of replication to break, to see that somebody notices. */
  readonly plant?: 'watermark-below-min-isr' | 'early-admission' | undefined;
}

const NAMES = ['strict', 'lazy', 'unclean'] as const;

export class ClusterLife {
  readonly core = new CoreCluster({ leaderImbalancePercentage: 0 });
  readonly #random: SeededRandom;
  readonly #brokers: readonly number[];
  readonly #data = new Map<string, Data>();
  #next = 1;
  #previous: MetadataImage;
  /** Those that did not stop by themselves. */
  readonly #crashed = new Set<number>();
  #history: string[] = [];
  /** Clean elections so far, by what the new leader was. */
  readonly elections = { isr: 0, elr: 0, unclean: 0 };
  endedReassignments = 0;

  constructor(
    readonly seed: number,
    private readonly options: LifeOptions = {},
  ) {
    this.#random = new SeededRandom(seed);
    this.#brokers = Array.from({ length: options.brokers ?? 5 }, (_, index) => index + 1);
    for (const id of this.#brokers) this.core.join(id, { rack: `rack-${id % 3}` });
    for (const name of NAMES) {
      const configs = {
        'min.insync.replicas': String(1 + this.#random.below(3)),
        'flush.messages': name === 'lazy' ? '1000' : '1',
        'unclean.leader.election.enable': String(name === 'unclean'),
      };
      this.core.createTopic(name, { partitions: 3, replicationFactor: 3, configs });
      for (let partition = 0; partition < 3; partition++) this.#data.set(`${partition}/${name}`, emptyData(name));
    }
    this.#previous = this.core.image;
  }

  /** Throws when something is wrong, with the seed and the last steps. */
  run(): void {
    try {
      for (let step = 0; step < (this.options.steps ?? 150); step++) {
        this.#step();
        this.#look();
      }
      this.#heal();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      throw new Error(`seed ${this.seed}: ${text}\n${this.#history.slice(-25).join('\n')}`, { cause: error });
    }
  }

  #step(): void {
    const weights: readonly (readonly [number, () => string])[] = [
      [30, () => this.#append()],
      [40, () => this.#replicate()],
      [20, () => this.#admit()],
      [8, () => this.#shrink()],
      [8, () => this.#crash()],
      [this.#brokers.filter((id) => this.#runs(id)).length < 3 ? 60 : 14, () => this.#return()],
      [4, () => this.#shutDown()],
      [2, () => this.#fenceItself()],
      [3, () => this.#failReplica()],
      [6, () => this.#reassign()],
      [3, () => this.#cancel()],
      [2, () => this.#decommission()],
      [2, () => this.#configure()],
      [3, () => this.#elect()],
      [3, () => this.#failOver()],
    ];
    let left = this.#random.below(weights.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, act] of weights) {
      left -= weight;
      if (left < 0) {
        this.#history.push(act());
        return;
      }
    }
  }

  #append(): string {
    const at = this.#pick();
    const { leader } = at.partition;
    if (leader === NO_LEADER) return 'nobody to append';
    const log = logOf(at.data, leader);
    log.push(this.#next++);
    return `append at ${leader} of ${at.name}, log end ${log.length}`;
  }

  /** A follower cuts off what its leader does not have, and copies some of what follows. */
  #replicate(): string {
    const at = this.#pick();
    const { leader, replicas, offlineReplicas } = at.partition;
    const follower = this.#one(
      replicas.filter((id) => id !== leader && this.#runs(id) && !offlineReplicas.includes(id)),
    );
    if (leader === NO_LEADER || follower === undefined) return 'nobody to copy';
    const source = logOf(at.data, leader);
    const kept = commonLength(source, logOf(at.data, follower));
    const end = kept + this.#random.below(source.length - kept + 1);
    at.data.logs.set(follower, source.slice(0, end));
    return `${follower} copies ${at.name} to ${end}`;
  }

  /** A leader asks for a follower that has reached the watermark and the start of the epoch. */
  #admit(): string {
    const at = this.#pick();
    const { leader, isr, replicas } = at.partition;
    const ready = replicas.filter((id) => !isr.includes(id) && this.#serves(id) && this.#isCaughtUp(at, id));
    const member = this.#one(ready);
    if (leader === NO_LEADER || member === undefined) return 'nobody to admit';
    const { error } = this.core.alterPartition(at.topic, at.number, [...isr, member]);
    // Whoever was offline is made anew from here on.
    return `${leader} admits ${member} to ${at.name}: ${error === undefined ? 'done' : v1.ErrorCode[error.code]}`;
  }

  #isCaughtUp({ data, partition }: At, id: number): boolean {
    const source = logOf(data, partition.leader);
    const log = logOf(data, id);
    if (this.options.plant === 'early-admission') return true;
    const isPrefix = commonLength(source, log) === log.length;
    return isPrefix && log.length >= Math.max(data.committed.length, data.epochStart);
  }

  #shrink(): string {
    const at = this.#pick();
    const { leader, isr } = at.partition;
    if (leader === NO_LEADER || isr.length === 1) return 'nothing to shrink';
    const left = isr.filter((id) => id === leader || this.#random.below(2) === 0);
    this.core.alterPartition(at.topic, at.number, left);
    return `${leader} shrinks ${at.name} to ${left.join()}`;
  }

  #crash(): string {
    const running = this.#brokers.filter((id) => this.#runs(id));
    const id = this.#one(running);
    if (id === undefined) return 'nobody to crash';
    this.#silence([id, ...(this.#random.below(6) === 0 ? running : [])]);
    // What was not synced is lost with the power.
    for (const data of this.#data.values()) {
      if (data.lazy && this.#random.below(2) === 0) loseSome(data, id, this.#random);
    }
    return `${id} crashes`;
  }

  #silence(ids: readonly number[]): void {
    const { core } = this;
    for (const id of ids) this.#crashed.add(id);
    core.now += SESSION_TIMEOUT_MS - 1;
    for (const id of this.#brokers) if (this.#runs(id) && !ids.includes(id)) core.heartbeat(id);
    core.now += 1;
    core.expire();
  }

  #return(): string {
    const id = this.#one(this.#brokers.filter((broker) => !this.#runs(broker)));
    if (id === undefined) return 'all are there';
    return this.#restart(id);
  }

  /** A new incarnation; whatever did not stop in good order has lost some of what it had not synced. */
  #restart(id: number): string {
    const broker = this.core.broker(id);
    const crashed = this.#crashed.delete(id);
    const clean = broker.inControlledShutdown && broker.fenced && !crashed;
    if (!clean) {
      for (const data of this.#data.values()) if (data.lazy) loseSome(data, id, this.#random);
    }
    this.core.register(
      this.core.registration(id, { rack: broker.rack, previousBrokerEpoch: clean ? broker.epoch : -1 }),
    );
    this.#acceptLosses(id);
    this.#look();
    this.core.heartbeat(id);
    return `${id} returns ${clean ? 'after a clean stop' : 'after a crash'}`;
  }

  /** A last replica in sync that was not synced may have lost what was committed: that is what was chosen. */
  #acceptLosses(id: number): void {
    for (const at of this.#all()) {
      const { isr, leader } = at.partition;
      if (!at.data.lazy || leader !== NO_LEADER || !sameMembers(isr, [id])) continue;
      at.data.committed.length = commonLength(at.data.committed, logOf(at.data, id));
    }
  }

  #shutDown(): string {
    const id = this.#one(this.#brokers.filter((broker) => this.#serves(broker)));
    if (id === undefined) return 'nobody to shut down';
    this.core.heartbeat(id, { wantShutDown: true });
    this.#look();
    if (this.#random.below(3) === 0) return `${id} shuts down, and is still there`;
    for (const other of this.#brokers) if (this.#runs(other) && other !== id) this.core.heartbeat(other);
    this.core.heartbeat(id, { wantShutDown: true });
    return `${id} shuts down`;
  }

  #fenceItself(): string {
    const id = this.#one(this.#brokers.filter((broker) => this.#serves(broker)));
    if (id === undefined) return 'nobody to fence';
    this.core.heartbeat(id, { wantFence: true });
    return `${id} is fenced by its own wish`;
  }

  /** A log is corrupt: reported, and made anew once nobody counts on it. */
  #failReplica(): string {
    const at = this.#pick();
    const id = this.#one(at.partition.replicas.filter((replica) => this.#runs(replica)));
    if (id === undefined) return 'nothing to fail';
    this.core.reportOffline(id, at.topic, at.number);
    const { isr, eligibleLeaderReplicas, leader } = this.core.partition(at.topic, at.number);
    const counts = isr.includes(id) || eligibleLeaderReplicas.includes(id) || leader === id;
    if (!counts) at.data.logs.set(id, []);
    return `${id} cannot use ${at.name}${counts ? ', and is the last' : ''}`;
  }

  #reassign(): string {
    const at = this.#pick();
    const target = this.#brokers.filter(() => this.#random.below(2) === 0);
    if (target.length === 0) return 'no target';
    if (this.#random.below(2) === 0) target.reverse();
    return `${at.name} to ${target.join()}: ${this.#alterReassignment(at, target)}`;
  }

  #cancel(): string {
    const at = this.#pick();
    return `${at.name} is cancelled: ${this.#alterReassignment(at, [])}`;
  }

  #alterReassignment(at: At, replicas: readonly number[]): string {
    const partitions = [{ topic: at.topic, partition: at.number, replicas: [...replicas] }];
    const request = { partitions, forbidReplicationFactorChange: false };
    const [result] = this.core.run(alterReassignments(this.core.image, request, this.core.settings.defaults));
    return result?.error === undefined ? 'done' : (v1.ErrorCode[result.error.code] ?? '');
  }

  #decommission(): string {
    const id = this.#one(this.#brokers) ?? 1;
    const decide = this.#random.below(2) === 0 ? decommissionBroker : cancelDecommission;
    const options = { defaults: this.core.settings.defaults, random: this.#random };
    const { stuck } = this.core.run(decide(this.core.image, id, options));
    return `${decide.name} ${id}, ${stuck.length} stuck`;
  }

  #configure(): string {
    const name = NAMES[this.#random.below(NAMES.length)] ?? 'strict';
    const resource = { type: v1.ConfigResourceType.TOPIC, name };
    const value = String(1 + this.#random.below(3));
    const ops = [{ key: 'min.insync.replicas', type: v1.AlterConfigOpType.SET, value }];
    const request = { resources: [{ resource, ops }], validateOnly: false };
    this.core.run(alterConfigs(this.core.image, request, this.core.settings.defaults));
    return `min.insync.replicas of ${name} is ${value}`;
  }

  #elect(): string {
    const { defaults } = this.core.settings;
    if (this.#random.below(2) === 0) {
      this.core.run(rebalanceLeaders(this.core.image, this.core.settings));
      return 'leaderships go back';
    }
    const at = this.#pick();
    const type = at.topic === 'unclean' ? v1.ElectionType.UNCLEAN : v1.ElectionType.PREFERRED;
    const topics = [{ topic: at.topic, partitions: [at.number] }];
    this.core.run(electLeaders(this.core.image, { type, topics }, defaults));
    return `election of ${at.name}`;
  }

  /** Another controller takes over: it finds everything in order. */
  #failOver(): string {
    const { core } = this;
    core.sessions.activate(core.image, core.now);
    const { units } = core.cluster.repair(core.image);
    // A lower min.insync.replicas may have made a member that shuts down dispensable; it goes soon anyway.
    const isSettled = units.length === 0 || this.#brokers.some((id) => this.#runs(id) && !this.#serves(id));
    assert(isSettled, 'there is nothing to repair between two decisions', { units: JSON.stringify(units) });
    return 'another controller';
  }

  /** Everybody comes back, and copies: then somebody leads everywhere, and reassignments end. */
  #heal(): void {
    const { core } = this;
    this.#history.push('heal');
    for (const id of this.#brokers) {
      core.run(cancelDecommission(core.image, id, { defaults: core.settings.defaults, random: this.#random }));
      this.#look();
    }
    // All of them: one that is the last in sync and could not use its replica is tried again.
    for (const id of this.#brokers) {
      this.#history.push(this.#restart(id));
      this.#look();
    }
    for (const { topic, number, name } of this.#all()) {
      const at = this.#at(topic, number);
      assert(at.partition.leader !== NO_LEADER, 'when all are back somebody leads', {
        name,
        state: core.show(topic, number),
      });
      for (const id of at.partition.replicas) at.data.logs.set(id, [...logOf(at.data, at.partition.leader)]);
      const { error } = core.alterPartition(topic, number, at.partition.replicas);
      if (error !== undefined) this.#history.push(`${name}: ${v1.ErrorCode[error.code]}`);
      this.#look();
      const { partition } = this.#at(topic, number);
      assert(!isReassigning(partition), 'a reassignment ends', { name });
      const [isr, replicas] = [partition.isr.join(), partition.replicas.join()];
      assert(sameMembers(partition.isr, partition.replicas), 'all are in sync', { name, isr, replicas });
    }
  }

  // From here on: what is checked.

  #look(): void {
    const { image } = this.core;
    for (const at of this.#all()) this.#check(at, this.#previous.topics.named(at.topic)?.partitions[at.number]);
    this.#previous = image;
  }

  #check(at: At, before: PartitionImage | undefined): void {
    const { partition, data, name } = at;
    const { replicas, isr, leader, eligibleLeaderReplicas: elr, addingReplicas, removingReplicas } = partition;
    const rules = new TopicRules(this.core.image, at.topic, this.core.settings.defaults);
    const all = (ids: readonly number[]) => ids.every((id) => replicas.includes(id));
    const usable = (id: number) => this.#serves(id) && !partition.offlineReplicas.includes(id);
    assert(isr.length > 0 && all(isr), 'S1', { name, isr: isr.join() });
    assert(leader === NO_LEADER || isr.includes(leader), 'S1: a leader is in sync', { name, leader });
    assert(all(elr) && !elr.some((id) => isr.includes(id)), 'S2', { name, elr: elr.join() });
    assert(elr.length === 0 || isr.length < rules.minIsr(replicas.length), 'S2: nobody is eligible', { name });
    assert(leader !== NO_LEADER || ![...isr, ...elr].some(usable), 'S3: somebody leads', { name });
    assert(all(addingReplicas) && all(removingReplicas), 'S4', { name });
    if (before !== undefined && before !== partition) this.#checkStep(at, before);
    this.#checkData(at, before);
    for (const id of data.logs.keys()) if (!replicas.includes(id)) data.logs.delete(id);
  }

  #checkStep({ partition, name }: At, before: PartitionImage): void {
    assert(partition.partitionEpoch > before.partitionEpoch, 'partition epochs grow', { name });
    assert(partition.leaderEpoch >= before.leaderEpoch, 'leader epochs grow', { name });
    if (partition.leader !== before.leader || before.replicas.some((id) => !partition.replicas.includes(id))) {
      assert(partition.leaderEpoch > before.leaderEpoch, 'a new leader, or a replica less, is a new epoch', { name });
    }
    if (!isReassigning(before) || isReassigning(partition)) return;
    this.endedReassignments++;
    const ends = [targetOf(before), originalOf(before)];
    // Another target may begin and end in one decision.
    const isNewTarget = / to |^decommission/.test(this.#history.at(-1) ?? '');
    const own = isNewTarget || ends.some((end) => sameMembers(end, partition.replicas));
    const isTarget =
      sameMembers(targetOf(before), partition.replicas) && !sameMembers(originalOf(before), partition.replicas);
    const isComplete = partition.replicas.every((id) => partition.isr.includes(id) || !this.#serves(id));
    assert(isNewTarget || !isTarget || isComplete, 'a reassignment ends when all of its target are in sync', { name });
    assert(own, 'a reassignment ends with its target, or where it began', {
      name,
      replicas: partition.replicas.join(),
    });
  }

  #checkData({ partition, data, name, topic }: At, before: PartitionImage | undefined): void {
    const { leader, leaderEpoch } = partition;
    if (leader === NO_LEADER) return;
    const log = logOf(data, leader);
    if (leaderEpoch !== data.leaderEpoch) {
      const trusted = [...(before?.isr ?? [leader])];
      const kind = trusted.includes(leader)
        ? 'isr'
        : before?.eligibleLeaderReplicas.includes(leader)
          ? 'elr'
          : 'unclean';
      this.elections[kind]++;
      if (kind === 'unclean' && topic === 'unclean') data.committed.length = commonLength(data.committed, log);
      data.leaderEpoch = leaderEpoch;
      data.epochStart = log.length;
    }
    const held = commonLength(data.committed, log);
    if (held < data.committed.length) {
      throw new InvariantError('a leader holds everything that was committed', {
        name,
        leader,
        held,
        committed: data.committed.length,
      });
    }
    const watermark = this.#watermark(data, partition);
    if (watermark > data.committed.length) data.committed = log.slice(0, watermark);
  }

  /** As the leader moves it: replication.md, R2. */
  #watermark(data: Data, { isr, leader, eligibleLeaderReplicas, replicas }: PartitionImage): number {
    const rules = new TopicRules(this.core.image, data.topic, this.core.settings.defaults);
    const standsStill = isr.length < rules.minIsr(replicas.length) || eligibleLeaderReplicas.length > 0;
    if (standsStill && this.options.plant !== 'watermark-below-min-isr') return 0;
    const source = logOf(data, leader);
    return Math.min(...isr.map((id) => commonLength(source, logOf(data, id))));
  }

  #all(): At[] {
    return NAMES.flatMap((topic) => [0, 1, 2].map((number) => this.#at(topic, number)));
  }

  #pick(): At {
    return this.#at(NAMES[this.#random.below(NAMES.length)] ?? 'strict', this.#random.below(3));
  }

  #at(topic: string, number: number): At {
    const data = this.#data.get(`${number}/${topic}`);
    if (data === undefined) throw new Error('data of each partition');
    return { topic, number, data, name: `${topic}-${number}`, partition: this.core.partition(topic, number) };
  }

  #one(ids: readonly number[]): number | undefined {
    return ids.length === 0 ? undefined : ids[this.#random.below(ids.length)];
  }

  #runs(id: number): boolean {
    return !this.core.broker(id).fenced;
  }

  #serves(id: number): boolean {
    return this.#runs(id) && !this.core.broker(id).inControlledShutdown;
  }
}

interface At {
  readonly topic: string;
  readonly number: number;
  readonly name: string;
  readonly data: Data;
  readonly partition: PartitionImage;
}

function emptyData(topic: string): Data {
  return { topic, lazy: topic === 'lazy', logs: new Map(), committed: [], epochStart: 0, leaderEpoch: 0 };
}

function logOf(data: Data, id: number): number[] {
  const log = data.logs.get(id) ?? [];
  data.logs.set(id, log);
  return log;
}

function loseSome(data: Data, id: number, random: SeededRandom): void {
  const log = logOf(data, id);
  log.length = random.below(log.length + 1);
}

function commonLength(one: readonly number[], other: readonly number[]): number {
  let length = 0;
  while (length < one.length && length < other.length && one[length] === other[length]) length++;
  return length;
}
