/**
 * The life of a group under misfortune: members join, leave, stall, crash, resume on another stream and
 * lie; requests and answers are lost, late and come twice; coordinators move and lose what was not
 * committed; topics grow. Judges from outside, by what members were told and do, never by the shard's
 * own bookkeeping:
 *
 *   J1  no two members work on a partition, unless one of them lies or has been removed from the group
 *   J2  no commit is accepted for a partition that another one works on, who is neither
 *   J3  an offset whose commit was answered does not go back, whoever coordinates
 *   J4  once misfortune ends, the group becomes stable, with every partition owned, balanced within one
 */
import { BarnabasError } from '@barnabas/protocol';
import { SeededRandom } from '@barnabas/common';
import { stateOf } from '../group-image.js';
import type { HeartbeatRequest, HeartbeatResponse } from '../heartbeat-request.js';
import { parsePartitionKey, partitionKey } from '../partition-key.js';
import type { PartitionKey } from '../partition-key.js';
import type { Decision } from '../plan.js';
import { TestCoordinator, compacted } from './coordinator.js';
import { TestMetadata } from './metadata.js';

const GROUP = 'g';
const SESSION_MS = 10_000;
const REBALANCE_MS = 4_000;

export interface LifeReport {
  readonly heartbeats: number;
  readonly commits: number;
  readonly refusedCommits: number;
  readonly moves: number;
  readonly removals: number;
}

/** A consumer: works on partitions, sends one heartbeat at a time, tells the truth or not. */
class Consumer {
  epoch = 0;
  version = -1;
  incarnation = 0;
  /** What it works on, with its position. */
  readonly working = new Map<PartitionKey, number>();
  /** What it has been told to own. */
  told = new Set<PartitionKey>();
  isStalled = false;
  isAlive = true;
  /** The request whose answer it waits for. */
  waitingFor = 0;

  constructor(
    readonly id: string,
    readonly instanceId: string,
    readonly isLiar: boolean,
  ) {}

  /** Everything stops: it was fenced, or begins anew. */
  reset(): void {
    this.epoch = 0;
    this.version = -1;
    this.working.clear();
    this.told.clear();
  }
}

interface Letter {
  readonly id: number;
  readonly from: Consumer;
  readonly request: HeartbeatRequest;
}

interface CommitLetter {
  readonly from: Consumer;
  readonly epoch: number;
  readonly incarnation: number;
  readonly partition: PartitionKey;
  readonly offset: number;
}

export class GroupLife {
  readonly #random: SeededRandom;
  readonly #at: TestCoordinator;
  readonly #consumers: Consumer[] = [];
  #letters: Letter[] = [];
  #commits: CommitLetter[] = [];
  /** Committed by the quorum of the log: what no coordinator loses. */
  #committedTo = 0;
  /** Answered commits, for J3. */
  readonly #answered = new Map<PartitionKey, number>();
  /** Every partition that anybody was told to own. */
  readonly #seen = new Set<PartitionKey>();
  #sent = 0;
  #names = 0;
  readonly #counts = { heartbeats: 0, commits: 0, refusedCommits: 0, moves: 0, removals: 0 };
  #history: string[] = [];

  constructor(
    readonly seed: number,
    private readonly options: { readonly liars: boolean } = { liars: true },
  ) {
    this.#random = new SeededRandom(seed);
    const metadata = new TestMetadata(['a', 'b', 'c']);
    metadata.addTopic('orders', 1 + this.#below(6), (partition) => [1 + (partition % 3)]);
    metadata.addTopic('payments', 1 + this.#below(4));
    this.#at = new TestCoordinator({ metadata, settings: { sessionTimeoutMs: SESSION_MS } });
  }

  run(steps: number): LifeReport {
    for (let step = 0; step < steps; step++) {
      this.#step();
      this.#judge();
    }
    this.#heal();
    return this.#counts;
  }

  #step(): void {
    const dice = this.#below(100);
    if (dice < 4) this.#arrive();
    else if (dice < 34) this.#send();
    else if (dice < 64) this.#deliver();
    else if (dice < 72) this.#work();
    else if (dice < 79) this.#deliverCommit();
    else if (dice < 86) this.#pass(this.#below(1_500));
    else if (dice < 89) this.#depart();
    else if (dice < 92) this.#crash();
    else if (dice < 94) this.#stall();
    else if (dice < 97) this.#move();
    else if (dice < 98) this.#grow();
    else this.#loseLetters();
  }

  // --- members ---

  #arrive(): void {
    if (this.#alive().length >= 6) return;
    const isStatic = this.#below(4) === 0;
    const instance = isStatic ? `i${this.#below(2)}` : '';
    const isLiar = this.options.liars && this.#below(5) === 0;
    this.#consumers.push(new Consumer(`m${this.#names++}`, instance, isLiar));
  }

  /** A heartbeat; the answer to an earlier one is not waited for any more. */
  #send(): void {
    const from = this.#pick(this.#alive().filter(({ isStalled }) => !isStalled));
    if (from === undefined) return;
    // It stops what it need not own any more, when it gets round to it.
    if (this.#below(3) > 0) for (const key of from.working.keys()) if (!from.told.has(key)) from.working.delete(key);
    const id = ++this.#sent;
    from.waitingFor = id;
    this.#letters.push({ id, from, request: this.#request(from) });
  }

  #request(from: Consumer): HeartbeatRequest {
    const { id: memberId, epoch, incarnation, instanceId } = from;
    const names = this.#names % 3 === 0 ? ['orders'] : ['orders', 'payments'];
    const joining = { topicNames: names, rebalanceTimeoutMs: REBALANCE_MS };
    const lie = from.isLiar && this.#below(3) === 0;
    const owned = lie ? [] : [...from.working.keys()].map(parsePartitionKey);
    return {
      ...{ groupId: GROUP, memberId, incarnation, clientId: '', clientHost: '' },
      memberEpoch: lie && this.#below(4) === 0 ? this.#below(epoch + 2) : epoch,
      ...(epoch === 0 || lie ? joining : {}),
      ...(epoch === 0 ? {} : { owned, appliedVersion: from.version }),
      ...(instanceId === '' ? {} : { instanceId }),
    };
  }

  #work(): void {
    const from = this.#pick(this.#consumers.filter(({ isAlive }) => isAlive));
    if (from === undefined) return;
    for (const [key, position] of from.working) from.working.set(key, position + this.#below(3));
    const partition = this.#pick([...from.working.keys()]);
    if (partition !== undefined) {
      this.#commits.push({ ...this.#claim(from), partition, offset: from.working.get(partition) ?? 0 });
    }
    const other = this.#pick([...this.#seen]);
    if (from.isLiar && other !== undefined) {
      const isForeign = !from.told.has(other);
      if (isForeign) this.#commits.push({ ...this.#claim(from), partition: other, offset: this.#below(1_000) });
    }
  }

  #claim(from: Consumer): Pick<CommitLetter, 'from' | 'epoch' | 'incarnation'> {
    return { from, epoch: from.epoch, incarnation: from.incarnation };
  }

  #depart(): void {
    const from = this.#pick(this.#alive());
    if (from === undefined || from.epoch === 0) return;
    const id = ++this.#sent;
    const memberEpoch = from.instanceId !== '' && this.#below(2) === 0 ? -2 : -1;
    const request = { ...this.#request(from), memberEpoch };
    from.reset();
    from.isAlive = false;
    this.#letters.push({ id, from, request });
  }

  /** It dies; or it comes back under its id, owning nothing, on a new stream. */
  #crash(): void {
    const from = this.#pick(this.#alive());
    if (from === undefined) return;
    if (this.#below(3) === 0) {
      // A stream is lost, and the member goes on with another.
      from.incarnation++;
      from.version = -1;
      return;
    }
    from.reset();
    if (this.#below(2) === 0) from.isAlive = false;
    else from.incarnation++;
  }

  #stall(): void {
    const from = this.#pick(this.#alive());
    if (from !== undefined) from.isStalled = !from.isStalled;
  }

  // --- the network ---

  #deliver(): void {
    const letter = this.#takeLetter(this.#letters, (letters) => (this.#letters = letters));
    if (letter === undefined) return;
    this.#counts.heartbeats++;
    const { from, request } = letter;
    let response: HeartbeatResponse;
    try {
      const decided = this.#at.shard.heartbeat(request, this.#at.now, this.#at.metadata.image);
      if (!this.#append(decided)) return;
      response = decided.response;
    } catch (error) {
      if (!(error instanceof BarnabasError)) throw error;
      this.#note(`${from.id} refused: ${error.errorName}`);
      const isFenced = ['UNKNOWN_MEMBER_ID', 'FENCED_MEMBER_EPOCH', 'FENCED_INSTANCE_ID'].includes(error.errorName);
      if (isFenced && from.waitingFor === letter.id) {
        from.reset();
        from.incarnation++;
      }
      return;
    }
    this.#note(`${from.id} e${request.memberEpoch} -> e${response.memberEpoch} v${response.assignment?.version}`);
    // The answer may be lost, and one that is not waited for is thrown away.
    if (from.waitingFor !== letter.id || this.#below(8) === 0 || !from.isAlive) return;
    this.#hear(from, response);
  }

  #hear(from: Consumer, response: HeartbeatResponse): void {
    from.epoch = response.memberEpoch;
    if (response.assignment === undefined) return;
    from.version = response.assignment.version;
    from.told = new Set(response.assignment.partitions.map((one) => partitionKey(one.topicId, one.partition)));
    for (const key of from.told) this.#seen.add(key);
    for (const key of from.told) if (!from.working.has(key)) from.working.set(key, this.#positionOf(key));
  }

  #positionOf(key: PartitionKey): number {
    return this.#at.shard.group(GROUP)?.offsets.get(key)?.offset ?? 0;
  }

  #deliverCommit(): void {
    const letter = this.#takeLetter(this.#commits, (letters) => (this.#commits = letters));
    if (letter === undefined) return;
    this.#counts.commits++;
    const { from, epoch: memberEpoch, incarnation, partition, offset } = letter;
    const at = parsePartitionKey(partition);
    const claim = { groupId: GROUP, memberId: from.id, memberEpoch, incarnation };
    try {
      const request = { ...claim, offsets: [{ ...at, offset, leaderEpoch: -1, metadata: '' }] };
      const decided = this.#at.shard.commitOffsets(request, this.#at.now, this.#at.metadata.image);
      const isAppended = this.#append(decided);
      if (decided.response[0]?.error !== undefined) this.#counts.refusedCommits++;
      else {
        const worker = this.#workers().get(partition);
        if (worker !== undefined && worker !== from) this.#fail(`J2: ${from.id} commits ${partition} of ${worker.id}`);
        if (isAppended) this.#answered.set(partition, Math.max(offset, this.#answered.get(partition) ?? 0));
      }
    } catch (error) {
      if (!(error instanceof BarnabasError)) throw error;
      this.#counts.refusedCommits++;
    }
  }

  #loseLetters(): void {
    this.#letters = this.#letters.filter(() => this.#below(3) > 0);
    this.#commits = this.#commits.filter(() => this.#below(3) > 0);
  }

  /** Any of them next; it may come once more later. */
  #takeLetter<T>(letters: readonly T[], leave: (letters: T[]) => void): T | undefined {
    const index = letters.length === 0 ? -1 : this.#below(letters.length);
    const letter = letters[index];
    if (letter !== undefined && this.#below(6) > 0) leave(letters.filter((_, at) => at !== index));
    return letter;
  }

  // --- the coordinator ---

  /** True when the decision is committed and may be answered; the log may also have it and not say so. */
  #append(decision: Decision<unknown>): boolean {
    this.#at.take(decision);
    // Everything before it is committed with it, or nothing is known of it.
    if (this.#below(12) === 0) return false;
    this.#committedTo = this.#at.log.length;
    return true;
  }

  #pass(ms: number): void {
    this.#at.pass(ms);
    for (const decision of this.#at.shard.tick(this.#at.now, this.#at.metadata.image)) {
      this.#counts.removals++;
      this.#append(decision);
    }
  }

  /** Another broker leads: it has what was committed, and any part of what came behind. */
  #move(): void {
    this.#counts.moves++;
    const lost = this.#at.log.length - this.#committedTo;
    this.#at.log = this.#at.log.slice(0, this.#at.log.length - this.#below(lost + 1));
    // A cleaner has been over what is committed, as far as it got.
    const cleanTo = this.#below(2) === 0 ? 0 : this.#below(this.#committedTo + 1);
    const clean = compacted(this.#at.log.slice(0, cleanTo));
    this.#at.log = [...clean, ...this.#at.log.slice(cleanTo)];
    this.#at.move();
    this.#committedTo = this.#at.log.length;
    this.#note('moved');
  }

  #grow(): void {
    const { image } = this.#at.metadata;
    const topic = image.topics.named(this.#below(2) === 0 ? 'orders' : 'payments');
    if (topic === undefined || topic.partitions.length > 9) return;
    const changes = this.#at.metadata.grow(topic.name, topic.partitions.length + 1);
    this.#append(this.#at.shard.metadataChanged(this.#at.metadata.image, changes));
  }

  // --- judgement ---

  /** Who works on what, of those who are honest and in the group. */
  #workers(): Map<PartitionKey, Consumer> {
    const group = this.#at.shard.group(GROUP);
    const workers = new Map<PartitionKey, Consumer>();
    for (const consumer of this.#consumers) {
      const member = group?.members.get(consumer.id);
      // Removed, or its stream replaced: it will be told at its next heartbeat, and commits are refused.
      const isFenced =
        member === undefined || member.incarnation > consumer.incarnation || consumer.epoch > member.epoch;
      if (consumer.isLiar || isFenced) continue;
      for (const key of consumer.working.keys()) {
        const other = workers.get(key);
        if (other !== undefined) this.#fail(`J1: ${consumer.id} and ${other.id} work on ${key}`);
        workers.set(key, consumer);
      }
    }
    return workers;
  }

  #judge(): void {
    this.#workers();
    const group = this.#at.shard.group(GROUP);
    for (const [key, offset] of this.#answered) {
      const now = group?.offsets.get(key)?.offset ?? -1;
      if (now < offset) this.#fail(`J3: ${key} was committed at ${offset} and is at ${now}`);
    }
  }

  /** Everybody behaves from here on. */
  #heal(): void {
    this.#letters = [];
    this.#commits = [];
    const last = new Map<string, Consumer>();
    for (const consumer of this.#alive()) last.set(consumer.instanceId || consumer.id, consumer);
    // One process for each instance id, as its operator sees to.
    for (const consumer of this.#alive()) consumer.isAlive = last.get(consumer.instanceId || consumer.id) === consumer;
    if (this.#alive().length === 0) this.#consumers.push(new Consumer('last', '', false));
    for (let round = 0; round < 40; round++) {
      for (const consumer of this.#alive()) this.#beatTruly(consumer);
      this.#judge();
      this.#pass(1_000);
    }
    const group = this.#at.shard.group(GROUP);
    if (group === undefined || stateOf(group) !== 'Stable') this.#fail('J4: the group is not stable');
    const loads = [...group.members.values()].map(({ assigned }) => assigned.size);
    const partitions = ['orders', 'payments'].reduce(
      (sum, name) => sum + (this.#at.metadata.image.topics.named(name)?.partitions.length ?? 0),
      0,
    );
    if (group.owners.size !== partitions) this.#fail(`J4: ${group.owners.size} of ${partitions} partitions are owned`);
    if (Math.max(...loads) - Math.min(...loads) > 1) this.#fail(`J4: loads are ${loads.join()}`);
    if (group.members.size !== this.#alive().length) this.#fail('J4: the members are not those that live');
  }

  #beatTruly(consumer: Consumer): void {
    for (const key of consumer.working.keys()) if (!consumer.told.has(key)) consumer.working.delete(key);
    const truth = new Consumer(consumer.id, consumer.instanceId, false);
    Object.assign(truth, { epoch: consumer.epoch, version: consumer.version, incarnation: consumer.incarnation });
    for (const [key, position] of consumer.working) truth.working.set(key, position);
    const subscription = { topicNames: ['orders', 'payments'], rebalanceTimeoutMs: REBALANCE_MS };
    try {
      const request = { ...this.#request(truth), ...subscription };
      const decided = this.#at.shard.heartbeat(request, this.#at.now, this.#at.metadata.image);
      this.#at.take(decided);
      this.#committedTo = this.#at.log.length;
      this.#hear(consumer, decided.response);
    } catch (error) {
      if (!(error instanceof BarnabasError)) throw error;
      if (error.errorName === 'UNRELEASED_INSTANCE_ID') return;
      consumer.reset();
      consumer.incarnation++;
    }
  }

  #alive(): Consumer[] {
    return this.#consumers.filter(({ isAlive }) => isAlive);
  }

  #pick<T>(items: readonly T[]): T | undefined {
    return items.length === 0 ? undefined : items[this.#below(items.length)];
  }

  #below(bound: number): number {
    return this.#random.below(bound);
  }

  #note(what: string): void {
    this.#history = [...this.#history.slice(-40), what];
  }

  #fail(what: string): never {
    throw new Error(`seed ${this.seed}: ${what}\n  ${this.#history.join('\n  ')}`);
  }
}
