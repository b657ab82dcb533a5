/**
 * Runs a transcript: a readable script of inputs, each followed by what the cores answered. Grammar:
 *
 *   # comment
 *   command arguments
 *   ----
 *   output, up to an empty line
 *
 * Commands (N is a node, A->B the messages on their way from A to B):
 *   nodes COUNT [of VOTERS] [keep BYTES] [append BYTES] [window MESSAGES] [bytes BYTES] [drift TICKS]
 *                        new nodes 1 to COUNT, of whom the first VOTERS vote (default all); log kept behind
 *                        a snapshot (default 0), bytes in one append, appends on their way unanswered, in
 *                        number and bytes; leases, with a bound for clock drift (default none)
 *   tick N [TIMES]       time passes
 *   patience N           time passes until the node stands for election (10 ticks for node 1, 12 for node 2, ...)
 *   propose N TEXT...    one entry each
 *   read N ID [lease]    asks for a read barrier
 *   observe N M...       these have announced themselves to N
 *   add N M              N appends a change of the membership: M becomes a learner,
 *   promote N M          a voter,
 *   remove N M           nothing any more
 *   transfer N [M]       N hands the lead to M, or to the furthest
 *   ready N              takes a Ready: sends what may go at once, applies, begins to store
 *   store N              the group under way is on disk: sends what waited for it
 *   deliver A->B [TIMES] all messages on their way there (or the first few)
 *   drop A->B [TIMES]    loses them
 *   cut N...             from now on, and until "join", nothing reaches these nodes or leaves them
 *   join                 ends all cuts
 *   settle [N...]        all nodes, or those named: ready, store and deliver among them until nothing
 *                        more happens; other messages stay on their way
 *   quiet settle [N...]  the same without its output
 *   gone N FOLLOWER      the driver of N has given up sending a snapshot
 *   compact N            makes a snapshot of what is applied
 *   crash N [stored]     the group under way is lost, or with "stored" is not
 *   start N              after a crash
 *   disk N               it dies, and is started with a new disk, formatted without voters
 *   members [N...]       the configuration in force: {voters | learners}; 2.2 is node 2 with its second disk
 *   log [N...]           what cores hold
 *   status [N...]
 */
import { assert, present } from '@barnabas/common';
import type { Random } from '@barnabas/common';
import { NO_MEMBERS } from '../index.js';
import type { MembershipChange, Message, NodeId, RaftCore } from '../index.js';
import { describeConfiguration, describeEntry, describeMessage, describeReady } from './describe.js';
import { bytesOf, memberNamed, TestNode, votersNamed } from './test-node.js';
import type { Packet } from './test-node.js';

const ELECTION_TICKS = 10;

/** Node 1 has the shortest patience, 10 ticks, and each further one 2 ticks more: known beforehand, and never equal. */
const patienceOf = (id: NodeId): Random => ({ below: () => 2 * (id - 1), float: () => 0 });

/** Runs a whole transcript and returns it with the outputs as they are. */
export function runTranscript(text: string): string {
  const run = new TranscriptRun();
  const blocks = text.split('\n\n').map((block) => block.trim());
  const done = blocks.filter((block) => block !== '').map((block) => runBlock(run, block));
  return `${done.join('\n\n')}\n`;
}

function runBlock(run: TranscriptRun, block: string): string {
  const [input = ''] = block.split('\n----');
  const commands = input.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  if (commands.length === 0) return input;
  const output = commands.flatMap((command) => run.command(command));
  return `${input}\n----\n${output.length === 0 ? 'ok' : output.join('\n')}`;
}

/** The state of a transcript; also for tests that look at more than its output. */
export class TranscriptRun {
  readonly #nodes = new Map<NodeId, TestNode>();
  #network: Packet[] = [];
  #cut: readonly NodeId[] = [];

  core(id: NodeId): RaftCore {
    return this.#node(id).core;
  }

  node(id: NodeId): TestNode {
    return this.#node(id);
  }

  command(line: string): string[] {
    const [verb = '', ...words] = line.split(' ');
    if (verb === 'quiet') {
      this.command(words.join(' '));
      return [];
    }
    if (verb === 'nodes') return this.#makeNodes(words);
    if (verb === 'cut' || verb === 'join') {
      this.#cut = words.map(Number);
      this.#network = this.#network.filter(({ message }) => !this.#isCut(message));
      return [];
    }
    if (verb === 'settle') return this.#settle(words.length === 0 ? this.#running() : words.map(Number));
    if (verb === 'log' || verb === 'status' || verb === 'members') {
      const ids = words.length === 0 ? this.#running() : words.map(Number);
      const show = { log: this.#log, status: this.#status, members: this.#members }[verb];
      return ids.flatMap((id) => show.call(this, this.#node(id)));
    }
    if (verb === 'deliver') return this.#take(words).flatMap((packet) => this.#deliver(packet));
    if (verb === 'drop') return this.#take(words).map(({ message }) => `lost   ${describeMessage(message)}`);
    return this.#nodeCommand(verb, this.#node(Number(words[0])), words.slice(1));
  }

  #nodeCommand(verb: string, node: TestNode, words: readonly string[]): string[] {
    switch (verb) {
      case 'tick':
        for (let times = Number(words[0] ?? 1); times > 0; times--) node.core.tick();
        return [];
      case 'patience':
        for (let ticks = 0; ticks < 2 * ELECTION_TICKS && node.core.status.role === 'follower'; ticks++)
          node.core.tick();
        return this.#status(node);
      case 'propose': {
        const placed = node.core.propose(words.map(bytesOf));
        return [placed === undefined ? 'refused' : `${placed.firstIndex} to ${placed.lastIndex}, term ${placed.term}`];
      }
      case 'read':
        return node.core.read(Number(words[0]), { lease: words[1] === 'lease' }) ? [] : ['refused'];
      case 'observe':
        return words.flatMap((id) => (node.core.observe(this.#node(Number(id)).member) ? [] : [`not ${id}`]));
      case 'add':
        return this.#change(node, { kind: 'addLearner', member: this.#node(Number(words[0])).member });
      case 'promote':
        return this.#change(node, { kind: 'promote', id: Number(words[0]) });
      case 'remove':
        return this.#change(node, { kind: 'remove', id: Number(words[0]) });
      case 'transfer': {
        const target = node.core.transferLeadership(words[0] === undefined ? undefined : Number(words[0]));
        return [typeof target === 'string' ? `refused: ${target}` : `to ${target}`];
      }
      case 'ready':
        return this.#ready(node);
      case 'store':
        return this.#store(node);
      case 'compact':
        node.compact();
        return this.#log(node);
      case 'gone':
        node.core.snapshotEnded(Number(words[0]));
        return [];
      case 'crash':
        node.crash(words[0] === 'stored');
        return [];
      case 'start':
        node.start();
        return this.#status(node);
      case 'disk':
        node.replaceDisk();
        node.start();
        return this.#status(node);
      default:
        throw new Error(`no such command: ${verb}`);
    }
  }

  #change(node: TestNode, change: MembershipChange): string[] {
    const placed = node.core.changeMembership(change);
    if (typeof placed === 'string') return [`refused: ${placed}`];
    return [`${placed.index}/${placed.term} ${change.kind} ${describeConfiguration(node.core.status.configuration)}`];
  }

  #members({ id, core }: TestNode): string[] {
    const { configuration, configurationIndex, commitIndex } = core.status;
    const committed = configurationIndex <= commitIndex ? 'committed' : 'not known to be committed';
    return [`${id}: ${describeConfiguration(configuration)} from entry ${configurationIndex}, ${committed}`];
  }

  #makeNodes([count = '', ...settings]: readonly string[]): string[] {
    const ids = Array.from({ length: Number(count) }, (_, at) => at + 1);
    const setting = (name: string, otherwise: number): number => {
      const at = settings.indexOf(name);
      return at === -1 ? otherwise : Number(settings[at + 1]);
    };
    const voting = setting('of', ids.length);
    const first = votersNamed(...ids.slice(0, voting));
    const leaseDriftTicks = settings.includes('drift') ? setting('drift', 0) : undefined;
    for (const id of ids) {
      const options = {
        ...{ id, directoryId: memberNamed(id).directoryId, electionTicks: ELECTION_TICKS, heartbeatTicks: 1 },
        ...{ random: patienceOf(id), maxInflightBytes: setting('bytes', 1e9), leaseDriftTicks },
        keepBehindSnapshotBytes: setting('keep', 0),
        maxAppendBytes: setting('append', 1000),
        maxInflightAppends: setting('window', 4),
      };
      this.#nodes.set(id, new TestNode(options, id <= voting ? first : NO_MEMBERS));
    }
    return [];
  }

  #node(id: NodeId): TestNode {
    return present(this.#nodes.get(id), 'node', { id });
  }

  #running(): NodeId[] {
    return [...this.#nodes.values()].filter((node) => node.running).map(({ id }) => id);
  }

  #ready(node: TestNode): string[] {
    const ready = node.ready();
    this.#send(node, ready.messages);
    return describeReady(ready);
  }

  #store(node: TestNode): string[] {
    const messages = node.store();
    this.#send(node, messages);
    return messages.map((message) => `send   ${describeMessage(message)}`);
  }

  #send(node: TestNode, messages: readonly Message[]): void {
    for (const message of messages) {
      if (this.#isCut(message)) continue;
      if (message.type !== 'installSnapshot') this.#network.push({ message });
      else this.#network.push({ message, content: present(node.contentOf(message), 'snapshot in force') });
    }
  }

  #isCut({ from, to }: Message): boolean {
    return this.#cut.includes(from) || this.#cut.includes(to);
  }

  /** Takes the messages of A->B off the network. */
  #take([way = '', times]: readonly string[]): Packet[] {
    const [from, to] = way.split('->').map(Number);
    const limit = times === undefined ? Number.POSITIVE_INFINITY : Number(times);
    const taken: Packet[] = [];
    this.#network = this.#network.filter((packet) => {
      if (packet.message.from !== from || packet.message.to !== to || taken.length >= limit) return true;
      taken.push(packet);
      return false;
    });
    assert(taken.length > 0, 'there is a message on its way', { way });
    return taken;
  }

  #deliver(packet: Packet): string[] {
    const node = this.#node(packet.message.to);
    if (!node.running) return [`lost   ${describeMessage(packet.message)}`];
    node.receive(packet);
    return [`${describeMessage(packet.message)}`];
  }

  #settle(ids: readonly NodeId[]): string[] {
    const output: string[] = [];
    for (let quiet = false; !quiet; ) {
      quiet = true;
      for (const id of ids) {
        const node = this.#node(id);
        const lines = this.#ready(node);
        if (node.group !== undefined) this.#store(node);
        if (lines.length === 0) continue;
        output.push(`ready ${id}`, ...lines.map((line) => `  ${line}`));
        quiet = false;
      }
      const among = this.#network.filter(({ message }) => ids.includes(message.to) && ids.includes(message.from));
      this.#network = this.#network.filter((packet) => !among.includes(packet));
      for (const packet of among) output.push(`deliver ${this.#deliver(packet).join('')}`);
      if (among.length > 0) quiet = false;
    }
    return output;
  }

  #log(node: TestNode): string[] {
    const { firstIndex, lastIndex, stableIndex, commitIndex, snapshot } = node.core.status;
    const terms = Array.from({ length: lastIndex - firstIndex + 1 }, (_, at) => {
      const index = firstIndex + at;
      return `${index}/${node.core.termAt(index)}`;
    });
    const applied = node.applied.filter(({ kind }) => kind === 'command').map(describeEntry);
    return [
      `${node.id}: [${terms.join(' ')}] on disk ${stableIndex}, commit ${commitIndex}, snapshot ${snapshot.index}/${snapshot.term}`,
      `   applied [${applied.join(', ')}]`,
    ];
  }

  #status({ id, core }: TestNode): string[] {
    const { role, term, votedFor, leaderId, lastIndex, commitIndex } = core.status;
    const leader = leaderId === undefined ? 'nobody' : leaderId;
    return [
      `${id}: ${role} of term ${term}, vote ${votedFor ?? 'none'}, follows ${leader}, log to ${lastIndex}, commit ${commitIndex}`,
    ];
  }
}
