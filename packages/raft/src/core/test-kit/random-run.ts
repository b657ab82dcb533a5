/**
 * A quorum under random misfortune, drawn from one seed: messages lost, doubled, late and out of order,
 * nodes cut off, crashes that lose what was not stored, snapshots, slow disks. After every event the
 * checker looks at everything; at the end all is healed, and the quorum must commit again in bounded time.
 */
import { assert, InvariantError, present, SeededRandom } from '@barnabas/common';
import type { CoreOptions, Message, NodeId } from '../index.js';
import { Checker } from './checker.js';
import { describeMessage, describeReady } from './describe.js';
import { bytesOf, memberNamed, TestNode, votersNamed } from './test-node.js';
import type { Packet } from './test-node.js';

export interface RandomRunOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly events: number;
  /** Replaces nodes by faulty ones, to see the checker find them. */
  readonly makeNode?: (options: CoreOptions) => TestNode;
}

export interface RandomRunResult {
  readonly committed: number;
  readonly elections: number;
  readonly restores: number;
  readonly reads: number;
}

const ELECTION_TICKS = 8;
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

type EventKind = 'deliver' | 'tick' | 'store' | 'propose' | 'read' | 'compact' | 'crash' | 'start' | 'cutOff' | 'join';

/** How often each kind of event is drawn, itself drawn for each seed: in some runs much crashes, in some the disk is slow. */
function weather(random: SeededRandom): EventKind[] {
  const upTo = (most: number): number => 1 + random.below(most);
  const counts: Readonly<Record<EventKind, number>> = {
    ...{ deliver: 400 + upTo(800), tick: 30 + upTo(100), store: 100 + upTo(200), propose: upTo(150), read: upTo(50) },
    ...{ compact: upTo(10), crash: upTo(8), start: 10 + upTo(40), cutOff: upTo(5), join: 5 + upTo(20) },
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
  /** What may happen next, each kind as often as it is to be drawn. */
  readonly #kinds: readonly EventKind[];
  readonly #lossOneIn: number;
  #network: Packet[] = [];
  #calm = false;
  #proposals = 0;
  #reads = 0;
  #restores = 0;
  #readsProven = 0;
  #terms = new Set<number>();

  constructor(readonly options: RandomRunOptions) {
    this.#random = new SeededRandom(options.seed);
    this.#kinds = weather(this.#random);
    this.#lossOneIn = 5 + this.#random.below(200);
    const voters = Array.from({ length: options.nodes }, (_, at) => at + 1);
    const make = options.makeNode ?? ((one: CoreOptions) => new TestNode(one, votersNamed(...voters)));
    this.#nodes = voters.map((id) =>
      make({
        ...{ id, directoryId: memberNamed(id).directoryId, electionTicks: ELECTION_TICKS, heartbeatTicks: 2 },
        ...{ random: this.#random, maxInflightBytes: 1000, leaseDriftTicks: undefined },
        keepBehindSnapshotBytes: this.#random.below(2) * 300,
        maxAppendBytes: 200,
        maxInflightAppends: 3,
      }),
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
    else if (kind === 'join') this.#cut.clear();
    else if (node.running) {
      if ((kind === 'store' || kind === 'deliver') && node.group !== undefined) this.#store(node);
      else if (kind === 'propose') this.#propose(node);
      else if (kind === 'read') this.#read(node);
      else if (kind === 'compact') node.compact();
      else if (kind === 'crash') this.#crash(node);
      else this.#tick(node);
    }
    this.#checker.check(node);
  }

  #tick(node: TestNode): void {
    node.core.tick();
    this.#pass(node);
  }

  #propose(node: TestNode): void {
    const count = 1 + this.#random.below(3);
    const commands = Array.from({ length: count }, () => bytesOf(String(++this.#proposals)));
    if (node.core.propose(commands) !== undefined) this.#pass(node);
  }

  #read(node: TestNode): void {
    const id = ++this.#reads;
    this.#checker.asked(id);
    if (node.core.read(id)) this.#pass(node);
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
  }

  #store(node: TestNode): void {
    const { group } = node;
    if (group === undefined) return;
    const messages = node.store();
    this.#checker.stored(node, group);
    this.#send(node, messages);
    this.#pass(node);
  }

  #pass(node: TestNode): void {
    const ready = node.ready();
    this.#note(() => describeReady(ready).map((line) => `${node.id} ${line}`));
    this.#checker.ready(node, ready);
    this.#checker.check(node);
    if (ready.restore !== undefined) this.#restores++;
    this.#readsProven += ready.reads.length;
    if (node.core.status.role === 'leader') this.#terms.add(node.core.status.term);
    this.#send(node, ready.messages);
  }

  #send(node: TestNode, messages: readonly Message[]): void {
    this.#checker.sent(messages);
    for (const message of messages) {
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
    this.#cut.clear();
    for (const node of this.#nodes) this.#start(node);
    let target: { readonly term: number; readonly index: number } | undefined;
    for (let round = 0; round < HEALING_ROUNDS; round++) {
      for (const node of this.#nodes) this.#tick(node);
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
      if (this.#nodes.every((node) => node.applied.length >= reached)) return;
    }
    const states = this.#nodes
      .map(({ core }) => core.status)
      .map((s) => `${s.role} ${s.term} ${s.commitIndex}/${s.lastIndex}`);
    assert(false, 'a healed quorum makes progress', { states: states.join('; ') });
  }

  #note(line: () => readonly string[]): void {
    this.trace.push(line);
    if (this.trace.length > TRACED_EVENTS) this.trace.shift();
  }
}
