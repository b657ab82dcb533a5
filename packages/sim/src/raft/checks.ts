/**
 * What must hold for a quorum, seen from outside: from the messages between its nodes, from what
 * their state machines are given, and from what its clients are told.
 *
 *   one-leader            a term has one leader
 *   votes                 a node gives one vote in a term, over crashes too
 *   terms                 what a node says is never of an earlier term than what it said before
 *   log-matching          an entry, named by index and term, has one content and one predecessor
 *   state-machine         all state machines see the same entries in the same order, over crashes too
 *   leader-completeness   whoever leads has applied everything that was acknowledged in earlier terms
 *   acknowledged          what was acknowledged stands where it was said to
 *   linearizable          a read sees everything that was acknowledged, or read, before it was asked for
 */
import type { Committed, PeerMessage } from '@barnabas/raft';
import { Violation } from '../kernel/violation.js';

export class QuorumChecks {
  /** By index, from 1. */
  readonly #entries: string[] = [''];
  readonly #positions = new Map<string, number>();
  readonly #leaders = new Map<number, number>();
  readonly #votes = new Map<string, number>();
  readonly #terms = new Map<number, number>();
  readonly #sentEntries = new Map<string, string>();
  /** Highest index acknowledged, by the term of the leader that did. */
  readonly #acknowledged = new Map<number, number>();
  /** The highest index that anybody has been told of. */
  #told = 0;

  /** Entries that some state machine has seen. */
  get length(): number {
    return this.#entries.length - 1;
  }

  /** For a read that is asked for now: what it must see at least. */
  get told(): number {
    return this.#told;
  }

  applied(nodeId: number, index: number, line: string): void {
    const known = this.#entries[index];
    if (known !== undefined) {
      if (known !== line) throw new Violation('state-machine', 'two nodes differ', { nodeId, index, line, known });
      return;
    }
    if (index !== this.#entries.length) throw new Violation('state-machine', 'a gap', { nodeId, index });
    this.#entries.push(line);
    const command = line.slice(line.indexOf(' ') + 1);
    if (command === '') return;
    const before = this.#positions.get(command);
    if (before !== undefined)
      throw new Violation('state-machine', 'a command stands twice', { command, before, index });
    this.#positions.set(command, index);
  }

  leads(nodeId: number, term: number): void {
    const other = this.#leaders.get(term) ?? nodeId;
    this.#leaders.set(term, other);
    if (other !== nodeId) throw new Violation('one-leader', 'a term has two leaders', { term, nodeId, other });
  }

  /** The node's state machine has been told that it leads. */
  announced(nodeId: number, term: number, applied: number): void {
    this.leads(nodeId, term);
    for (const [earlier, index] of this.#acknowledged) {
      if (earlier < term && index > applied) {
        throw new Violation('leader-completeness', 'a leader lacks what was acknowledged', {
          ...{ nodeId, term, applied, earlier, index },
        });
      }
    }
  }

  acknowledged(commands: readonly string[], { firstIndex, lastIndex, term }: Committed): void {
    commands.forEach((command, at) => {
      const index = firstIndex + at;
      const line = this.#entries[index];
      if (line !== `${term} ${command}` || lastIndex !== firstIndex + commands.length - 1) {
        throw new Violation('acknowledged', 'a command does not stand where it was said to', { command, index, line });
      }
    });
    this.#acknowledged.set(term, Math.max(this.#acknowledged.get(term) ?? 0, lastIndex));
    this.#told = Math.max(this.#told, lastIndex);
  }

  /** A read has been answered with a prefix of this length; `least` is `told` of when it was asked for. */
  read(nodeId: number, index: number, least: number, applied: number): void {
    if (index < least || applied < index) {
      throw new Violation('linearizable', 'a read has missed what was there before', { nodeId, index, least, applied });
    }
    this.#told = Math.max(this.#told, index);
  }

  sent(message: PeerMessage): void {
    // A pre-vote is about a term that has not begun, a snapshot's transfer about the one in which it began.
    if (message.type === 'preVote' || message.type === 'preVoteResponse') return;
    if (message.type === 'snapshotChunk' || message.type === 'snapshotChunkResponse') return;
    if (message.type === 'announce' || message.type === 'announceResponse') return;
    const { from, term } = message;
    const before = this.#terms.get(from) ?? 0;
    if (term < before) throw new Violation('terms', 'a node has gone back to an earlier term', { from, term, before });
    this.#terms.set(from, term);
    if (message.type === 'vote') this.#voted(from, term, from);
    if (message.type === 'voteResponse' && message.granted) this.#voted(from, term, message.to);
    if (message.type === 'append') this.#appended(message);
  }

  #voted(voter: number, term: number, candidate: number): void {
    const other = this.#votes.get(`${voter} in ${term}`) ?? candidate;
    this.#votes.set(`${voter} in ${term}`, other);
    if (other !== candidate) throw new Violation('votes', 'a node has voted twice', { voter, term, candidate, other });
  }

  #appended({ prevTerm, entries }: Extract<PeerMessage, { type: 'append' }>): void {
    let before = prevTerm;
    for (const { index, term, kind, command } of entries) {
      const content = `${kind} ${Buffer.from(command).toString('latin1')} after ${before}`;
      const known = this.#sentEntries.get(`${index}/${term}`) ?? content;
      this.#sentEntries.set(`${index}/${term}`, known);
      if (known !== content)
        throw new Violation('log-matching', 'an entry has two contents', { index, term, known, content });
      before = term;
    }
  }
}
