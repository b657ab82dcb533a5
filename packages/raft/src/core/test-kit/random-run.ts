/**
 * A quorum under random misfortune, drawn from one seed: messages lost, doubled, late and out of order,
 * nodes cut off, crashes that lose what was not stored, disks that are gone for good, snapshots, slow
 * disks; and meanwhile members come and go, the lead is handed over, and some read by lease. After
 * every event the checker looks at everything; at the end all is healed, and the quorum must commit
 * again in bounded time, and everybody in it catch up.
 *
 * Time: a node's tick takes a while, which differs from node to node by no more than leases allow for;
 * any node may stand still for as long as it likes. Disks are only taken from so many as leave a majority
 * of the voters of every configuration that anybody may know of.
 */
import { assert, InvariantError, present, SeededRandom } from '@barnabas/common';
import { changed, isSame, majorityOf, NO_MEMBERS } from '../index.js';
import type { Configuration, CoreOptions, MembershipChange, Message, NodeId } from '../index.js';
import { Checker } from './checker.js';
import { describeConfiguration, describeMessage, describeReady } from './describe.js';
import { bytesOf, memberNamed, TestNode, votersNamed } from './test-node.js';
import type { Packet } from './test-node.js';

export interface RandomRunOptions {
  readonly seed: number;
  /** Voters at the beginning; a few others may join. */
  readonly nodes: number;
  readonly events: number;
  /** Replaces nodes by faulty ones, to see the checker find them. */
  readonly makeNode?: (options: CoreOptions, configuration: Configuration) => TestNode;
}

export interface RandomRunResult {
  readonly committed: number;
  readonly elections: number;
  readonly restores: number;
  readonly reads: number;
  readonly leaseReads: number;
  /** Changes of the membership that a leader has begun. */
  readonly changes: number;
  /** Leaders that were elected because another one asked for it. */
  readonly transfers: number;
  readonly lostDisks: number;
}

const ELECTION_TICKS = 8;
const LEASE_DRIFT_TICKS = 2;
/** Nodes that do not vote at the beginning. */
const JOINERS = 2;
/** The shortest that a tick may take, in time of which a tick should take 1. */
const SHORTEST_TICK = (ELECTION_TICKS - LEASE_DRIFT_TICKS) / ELECTION_TICKS;
const HEALING_ROUNDS = 400;
/** How much of a run's end a failure shows. */
const TRACED_EVENTS = 60;

export function randomRun(options: RandomRunOptions): RandomRunResult {
  const run = new RandomRun(options);
  try {
    return run.all();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const trace = run.trace.flatMap((line) => line());
    throw new InvariantError(`seed ${options.seed}: ${text}\n${trace.join('\n')}`);
  }
}

type EventKind =
  | ('deliver' | 'tick' | 'store' | 'propose' | 'read' | 'compact' | 'crash' | 'start' | 'cutOff' | 'join')
  | ('announce' | 'change' | 'transfer' | 'loseDisk');

/** How often each kind of event is drawn, itself drawn for each seed: in some runs much crashes, in some the disk is slow. */
function weather(random: SeededRandom): EventKind[] {
  const upTo = (most: number): number => 1 + random.below(most);
  const counts: Readonly<Record<EventKind, number>> = {
    ...{ deliver: 400 + upTo(800), tick: 30 + upTo(100), store: 100 + upTo(200), propose: upTo(150), read: upTo(50) },
    ...{ compact: upTo(10), crash: upTo(8), start: 10 + upTo(40), cutOff: upTo(8), join: upTo(25) },
    ...{ announce: 20 + upTo(20), change: 10 + upTo(80), transfer: upTo(12), loseDisk: random.below(2) },
  };
  return (Object.keys(counts) as EventKind[]).flatMap((kind) => Array.from({ length: counts[kind] }, () => kind));
}

class RandomRun {
  /** The last events; put into words only when somebody asks. */
  readonly trace: (() => readonly string[])[] = [];
  readonly #random: SeededRandom;
  readonly #nodes: TestNode[];
  readonly #checker: Checker;
  readonly #cut = new Set<NodeId>();
  /** Nodes whose time stands still. */
  readonly #frozen = new Set<NodeId>();
  /** Copies of messages that take a very long way. */
  #late: Packet[] = [];
  /** What may happen next, each kind as often as it is to be drawn. */
  readonly #kinds: readonly EventKind[];
  readonly #lossOneIn: number;
  #network: Packet[] = [];
  #calm = false;
  #proposals = 0;
  #reads = 0;
  #restores = 0;
  #readsProven = 0;
  /** Reads that were answered as soon as they were asked for. */
  #leaseReads = 0;
  readonly #byLease = new Set<number>();
  #changes = 0;
  #transfers = 0;
  #lostDisks = 0;
  #now = 0;
  readonly #lastTick = new Map<NodeId, number>();
  #terms = new Set<number>();

  constructor(readonly options: RandomRunOptions) {
    this.#random = new SeededRandom(options.seed);
    this.#kinds = weather(this.#random);
    this.#lossOneIn = 5 + this.#random.below(200);
    const ids = Array.from({ length: options.nodes + JOINERS }, (_, at) => at + 1);
    const first = votersNamed(...ids.slice(0, options.nodes));
    const leaseDriftTicks = this.#random.below(2) === 0 ? LEASE_DRIFT_TICKS : undefined;
    const make = options.makeNode ?? ((...args) => new TestNode(...args));
    this.#nodes = ids.map((id) =>
      make(
        {
          ...{ id, directoryId: memberNamed(id).directoryId, electionTicks: ELECTION_TICKS, heartbeatTicks: 2 },
          ...{ random: this.#random, maxInflightBytes: 500, leaseDriftTicks },
          keepBehindSnapshotBytes: this.#random.below(2) * 300,
          maxAppendBytes: 200,
          maxInflightAppends: 3,
        },
        id <= options.nodes ? first : NO_MEMBERS,
      ),
    );
    this.#checker = new Checker(this.#nodes);
  }

  all(): RandomRunResult {
    for (let event = 0; event < this.options.events; event++) this.#event();
    this.#heal();
    return {
      committed: this.#checker.committedIndex,
      elections: this.#terms.size,
      restores: this.#restores,
      reads: this.#readsProven,
      ...{ leaseReads: this.#leaseReads, changes: this.#changes, transfers: this.#transfers },
      lostDisks: this.#lostDisks,
    };
  }

  #event(): void {
    const kind = this.#kinds[this.#random.below(this.#kinds.length)];
    // While messages only wait for disks, the disks get on; while nothing waits, time passes.
    const storing = kind === 'deliver' ? this.#nodes.find(({ group }) => group !== undefined) : undefined;
    const node = storing ?? present(this.#nodes[this.#random.below(this.#nodes.length)], 'node');
    if (kind === 'deliver' && this.#network.length > 0) this.#deliverOne();
    else if (kind === 'start') this.#start(node);
    else if (kind === 'cutOff') this.#cutOff(node);
    else if (kind === 'join') this.#join();
    else if (kind === 'loseDisk') this.#loseDisk(node);
    else if (node.running) {
      if ((kind === 'store' || kind === 'deliver') && node.group !== undefined) this.#store(node);
      else if (kind === 'propose') this.#propose(node);
      else if (kind === 'read') this.#read(node);
      else if (kind === 'compact') node.compact();
      else if (kind === 'crash') this.#crash(node);
      else if (kind === 'announce') this.#announce(node);
      else if (kind === 'change') this.#change(node);
      else if (kind === 'transfer') this.#transfer(node);
      else this.#tick(node);
    }
    this.#checker.check(node);
  }

  /** Time passes for all, and a tick for one of them if it is due there. */
  #tick(node: TestNode): void {
    this.#now += 1 / this.#nodes.length;
    if (this.#frozen.has(node.id)) return;
    const last = this.#lastTick.get(node.id) ?? Number.NEGATIVE_INFINITY;
    if (this.#now - last < SHORTEST_TICK) return;
    this.#lastTick.set(node.id, this.#now);
    node.core.tick();
    this.#pass(node);
  }

  /** Whoever has no vote, or knows no leader, tells everybody that it follows; some of it arrives. */
  #announce(node: TestNode): void {
    const { configuration, leaderId } = node.core.status;
    const votes = configuration.voters.some((voter) => isSame(voter, node.member));
    if ((votes && leaderId !== undefined) || this.#cut.has(node.id)) return;
    for (const other of this.#nodes) {
      if (other === node || !other.running || this.#cut.has(other.id)) continue;
      if (this.#calm || this.#random.below(2) === 0) other.core.observe(node.member);
    }
  }

  #change(node: TestNode): void {
    const { role, configuration } = node.core.status;
    if (role !== 'leader') return;
    const pick = <T>(list: readonly T[]): T | undefined => list[this.#random.below(Math.max(1, list.length))];
    const [observer, learner] = [pick(node.core.observers), pick(configuration.learners)];
    // Whoever has lost its disk goes first: the next one may come only then.
    const members = [...configuration.voters, ...configuration.learners];
    const dead = members.find((member) => !this.#isThere(member));
    const leaving = dead ?? pick(members);
    const choices: (MembershipChange | undefined)[] = [
      observer && { kind: 'addLearner', member: observer },
      learner && { kind: 'promote', id: learner.id },
      leaving && { kind: 'remove', id: leaving.id },
      observer && { kind: 'addLearner', member: observer },
      learner && { kind: 'promote', id: learner.id },
    ];
    const change = pick(choices);
    if (change === undefined) return;
    const next = changed(configuration, change);
    if (typeof next === 'string' || !this.#canDecide(next)) return;
    if (typeof node.core.changeMembership(change) === 'string') return;
    this.#changes++;
    this.#note(() => [`${node.id} begins to ${change.kind}`]);
    this.#pass(node);
  }

  #isThere(member: { readonly id: NodeId; readonly directoryId: string }): boolean {
    return this.#nodes.some((node) => isSame(node.member, member));
  }

  /** A majority of its voters still have their disks. */
  #canDecide({ voters }: Configuration): boolean {
    return voters.filter((voter) => this.#isThere(voter)).length >= majorityOf(voters.length);
  }

  #transfer(node: TestNode): void {
    const target = node.core.transferLeadership(
      this.#random.below(2) === 0 ? undefined : 1 + this.#random.below(this.#nodes.length),
    );
    if (typeof target === 'string') return;
    this.#note(() => [`${node.id} hands the lead to ${target}`]);
    this.#pass(node);
  }

  #loseDisk(node: TestNode): void {
    const known = this.#nodes.flatMap((other) => [
      ...other.configurations,
      ...(other.running ? [other.core.status.configuration] : []),
    ]);
    const survives = known.every(({ voters }) => {
      const left = voters.filter((voter) => this.#isThere(voter) && !isSame(voter, node.member));
      return voters.length === 0 || left.length >= majorityOf(voters.length);
    });
    if (!survives) return;
    this.#note(() => [`${node.id} loses its disk`]);
    this.#lostDisks++;
    this.#checker.lost(node);
  }

  #propose(node: TestNode): void {
    const count = 1 + this.#random.below(3);
    const commands = Array.from({ length: count }, () => bytesOf(String(++this.#proposals)));
    if (node.core.propose(commands) !== undefined) this.#pass(node);
  }

  #read(node: TestNode): void {
    const id = ++this.#reads;
    this.#checker.asked(id);
    const lease = this.#random.below(2) === 0;
    if (lease) this.#byLease.add(id);
    if (node.core.read(id, { lease, now: this.#now })) this.#pass(node, id);
  }

  #crash(node: TestNode): void {
    const stored = this.#random.below(2) === 0;
    this.#note(() => [`${node.id} crashes${stored ? ', group stored' : ''}`]);
    node.crash(stored);
  }

  #start(node: TestNode): void {
    if (node.running) return;
    this.#note(() => [`${node.id} starts`]);
    node.start();
    this.#checker.restarted(node);
    this.#pass(node);
  }

  #cutOff(node: TestNode): void {
    if (this.#cut.size < this.#nodes.length / 2) this.#cut.add(node.id);
    if (this.#random.below(2) === 0) this.#frozen.add(node.id);
  }

  #join(): void {
    this.#cut.clear();
    this.#frozen.clear();
    this.#network.push(...this.#late);
    this.#late = [];
  }

  #store(node: TestNode): void {
    const { group } = node;
    if (group === undefined) return;
    const messages = node.store();
    this.#checker.stored(node, group);
    this.#send(node, messages);
    this.#pass(node);
  }

  #pass(node: TestNode, asked?: number): void {
    const ready = node.ready(this.#now);
    // A read index takes a round of messages where there are others.
    const isOfMany = node.core.status.configuration.voters.length > 1;
    if (isOfMany && ready.reads.some(({ id }) => id === asked && this.#byLease.has(id))) this.#leaseReads++;
    this.#note(() => describeReady(ready).map((line) => `${node.id} ${line}`));
    this.#checker.ready(node, ready);
    this.#checker.check(node);
    if (ready.restore !== undefined) this.#restores++;
    this.#readsProven += ready.reads.length;
    if (node.core.status.role === 'leader') this.#terms.add(node.core.status.term);
    this.#send(node, ready.messages);
  }

  #send(node: TestNode, messages: readonly Message[]): void {
    this.#checker.sent(node, messages);
    for (const message of messages) {
      if (message.type === 'vote' && message.force) this.#transfers++;
      if (this.#cut.has(node.id) || this.#cut.has(message.to)) {
        if (message.type === 'installSnapshot') node.core.snapshotEnded(message.to);
        continue;
      }
      if (message.type !== 'installSnapshot') {
        this.#network.push({ message });
        continue;
      }
      const content = node.contentOf(message);
      if (content !== undefined) this.#network.push({ message, content });
      node.core.snapshotEnded(message.to);
    }
  }

  #deliverOne(): void {
    if (this.#network.length === 0) return;
    // Mostly in order, sometimes not; a few are lost, a few come twice.
    const at = this.#calm || this.#random.below(4) > 0 ? 0 : this.#random.below(this.#network.length);
    const fate = this.#calm ? 99 : this.#random.below(this.#lossOneIn);
    const packet = present(this.#network[at], 'packet');
    if (fate !== 0) this.#network.splice(at, 1);
    if (packet.message.type === 'installSnapshot' && this.#random.below(2) === 0) this.#late.push(packet);
    if (fate === 1) return;
    const to = present(this.#nodes[packet.message.to - 1], 'node');
    if (!to.running || this.#cut.has(to.id)) return;
    this.#note(() => [`deliver ${describeMessage(packet.message)}`]);
    to.receive(packet);
    this.#pass(to);
  }

  /** Everything works again: a leader must be found and commit, and all nodes must catch up. */
  #heal(): void {
    this.#calm = true;
    this.#join();
    for (const node of this.#nodes) this.#start(node);
    let target: { readonly term: number; readonly index: number } | undefined;
    for (let round = 0; round < HEALING_ROUNDS; round++) {
      this.#now++;
      for (const node of this.#nodes) this.#tick(node);
      for (const node of this.#nodes) this.#announce(node);
      for (let busy = true; busy; ) {
        for (const node of this.#nodes) this.#store(node);
        while (this.#network.length > 0) this.#deliverOne();
        busy = this.#nodes.some((node) => node.group !== undefined);
      }
      const leader = this.#nodes.find((node) => node.core.status.role === 'leader');
      // A leader of an earlier term may take the proposal and lose it with its leadership: the next gets another.
      if (leader !== undefined && leader.core.status.term !== target?.term) {
        const proposed = leader.core.propose([bytesOf('last')]);
        if (proposed !== undefined) target = { term: leader.core.status.term, index: proposed.lastIndex };
      }
      const reached = target?.index ?? Number.POSITIVE_INFINITY;
      // A new disk under the id of a member gets nothing before that one is removed.
      const members = [
        ...(leader?.core.status.configuration.voters ?? []),
        ...(leader?.core.status.configuration.learners ?? []),
      ];
      const served = this.#nodes.filter(({ id, member }) =>
        members.every((one) => one.id !== id || isSame(one, member)),
      );
      if (leader !== undefined && served.every((node) => node.applied.length >= reached)) return;
    }
    const states = this.#nodes
      .map(({ core }) => core.status)
      .map((s) => `${s.role} ${s.term} ${s.commitIndex}/${s.lastIndex} ${describeConfiguration(s.configuration)}`);
    assert(false, 'a healed quorum makes progress', { states: states.join('; ') });
  }

  #note(line: () => readonly string[]): void {
    this.trace.push(line);
    if (this.trace.length > TRACED_EVENTS) this.trace.shift();
  }
}
