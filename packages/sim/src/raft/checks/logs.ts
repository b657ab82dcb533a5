/**
 * What is in the logs, judged by what leaders send, state machines are given, and clients are told.
 *
 *   log-matching          an entry, named by index and term, has one content and one predecessor
 *   state-machine         all state machines see the same entries in the same order, over crashes too
 *   leader-completeness   whoever leads has everything that was committed in earlier terms
 *   acknowledged          what was acknowledged stands where it was said to
 *   read-barrier          a read sees everything that was acknowledged, or read, before it was asked for
 */
import type { Committed, PeerMessage } from '@barnabas/raft';
import { Violation } from '../../kernel/violation.js';

type Append = Extract<PeerMessage, { type: 'append' }>;

export class LogChecks {
  /** By index, from 1: `<term> <command>`. */
  readonly #entries: string[] = [''];
  readonly #positions = new Map<string, number>();
  readonly #sentEntries = new Map<string, string>();
  /** Highest index that a node of the term knew to be committed. */
  readonly #committed = new Map<number, number>();
  /** Leaders that have been looked at when they began. */
  readonly #seenTerms = new Set<number>();
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

  /** A node has been given a whole image in place of its own. */
  restored(nodeId: number, index: number, before: number): void {
    if (index >= before) return;
    throw new Violation('state-machine', 'a state machine has been taken back', { nodeId, index, before });
  }

  /** A node of this term knows that everything up to the index is committed. */
  committed(term: number, index: number): void {
    if (index > (this.#committed.get(term) ?? 0)) this.#committed.set(term, index);
  }

  /** Looked at after each event: the first time, its log holds only what it began with, and the entry that begins its term. */
  leads(nodeId: number, term: number, lastIndex: number): void {
    if (this.#seenTerms.has(term)) return;
    this.#seenTerms.add(term);
    this.#isComplete(nodeId, term, lastIndex - 1);
  }

  /** The node's state machine has been told that it leads. */
  announced(nodeId: number, term: number, applied: number): void {
    this.#isComplete(nodeId, term, applied);
  }

  acknowledged(commands: readonly string[], { firstIndex, lastIndex, term }: Committed): void {
    commands.forEach((command, at) => {
      const index = firstIndex + at;
      const line = this.#entries[index];
      if (line !== `${term} ${command}` || lastIndex !== firstIndex + commands.length - 1) {
        throw new Violation('acknowledged', 'a command does not stand where it was said to', { command, index, line });
      }
    });
    this.committed(term, lastIndex);
    this.#told = Math.max(this.#told, lastIndex);
  }

  /** A read has been answered with a prefix of this length; `least` is `told` of when it was asked for. */
  read(nodeId: number, index: number, least: number, applied: number): void {
    if (index < least || applied < index) {
      throw new Violation('read-barrier', 'a read has missed what was there before', {
        ...{ nodeId, index, least, applied },
      });
    }
    this.#told = Math.max(this.#told, index);
  }

  sent({ prevTerm, entries }: Append): void {
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

  #isComplete(nodeId: number, term: number, upTo: number): void {
    for (const [earlier, index] of this.#committed) {
      if (earlier < term && index > upTo) {
        throw new Violation('leader-completeness', 'a leader lacks what was committed before it', {
          ...{ nodeId, term, upTo, earlier, index },
        });
      }
    }
  }
}
