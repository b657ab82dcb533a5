/**
 * What must be true of any quorum at any moment, whatever is lost, late or crashed. Knows all nodes and
 * their disks; each check throws an InvariantError that names the rule.
 *
 *   election safety        a term has one leader; a node gives one vote in a term, crashes included
 *   leader completeness    whoever begins to lead holds every committed entry
 *   commit by own term     a leader's commit index only moves to an entry of its own term
 *   durability             what a leader commits is on the disks of a majority at that moment
 *   log matching           an entry, named by index and term, has one content and one predecessor
 *   state-machine safety   all nodes apply the same entries in the same order
 *   linearizable reads     a barrier is proven at no less than what was committed when it was asked for
 */
import { assert, present } from '@barnabas/common';
import type { Entry, Message, NodeId, PersistGroup, Ready } from '../index.js';
import { describeEntry } from './describe.js';
import type { TestNode } from './test-node.js';

export class Checker {
  readonly #leaders = new Map<number, NodeId>();
  readonly #votes = new Map<string, NodeId>();
  readonly #entries = new Map<string, string>();
  /** Terms of committed entries, by index; index 0 is the beginning. */
  readonly #committed: number[] = [0];
  readonly #applied: string[] = [];
  readonly #commitSeen = new Map<NodeId, number>();
  readonly #reads = new Map<number, number>();

  constructor(readonly nodes: readonly TestNode[]) {}

  /** The highest index known to be committed. */
  get committedIndex(): number {
    return this.#committed.length - 1;
  }

  restarted(node: TestNode): void {
    this.#commitSeen.delete(node.id);
  }

  asked(readId: number): void {
    this.#reads.set(readId, this.committedIndex);
  }

  /** Messages that leave a node. */
  sent(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.type !== 'voteResponse' || !message.granted) continue;
      this.#voted(message.from, message.term, message.to);
    }
  }

  /** A node's own vote, which it sends to nobody. */
  stored(node: TestNode, group: PersistGroup): void {
    const { hardState } = group;
    if (hardState?.votedFor === node.id) this.#voted(node.id, hardState.term, node.id);
  }

  ready(node: TestNode, ready: Ready): void {
    for (const entry of ready.persist?.entries ?? []) this.#match(node, entry);
    for (const { id, index } of ready.reads) {
      const least = present(this.#reads.get(id), 'a read that was asked for');
      assert(index >= least, 'a read barrier is linearizable', { id, index, least });
    }
    this.#checkApplied(node);
  }

  /** After every event. */
  check(node: TestNode): void {
    if (!node.running) return;
    const { role, term } = node.core.status;
    if (role === 'leader') this.#leads(node, term);
    this.#checkCommit(node, role === 'leader');
  }

  #voted(voter: NodeId, term: number, candidate: NodeId): void {
    const key = `${voter} in ${term}`;
    const other = this.#votes.get(key) ?? candidate;
    assert(other === candidate, 'a node votes once in a term', { voter, term, candidate, other });
    this.#votes.set(key, candidate);
  }

  #leads(node: TestNode, term: number): void {
    const other = this.#leaders.get(term);
    assert(other === undefined || other === node.id, 'a term has one leader', { term, id: node.id, other });
    if (other !== undefined) return;
    this.#leaders.set(term, node.id);
    const { snapshot, firstIndex } = node.core.status;
    this.#committed.forEach((committedTerm, index) => {
      const holds = index < firstIndex ? index <= snapshot.index : node.core.termAt(index) === committedTerm;
      assert(holds, 'a new leader holds every committed entry', { term, id: node.id, index });
    });
  }

  #checkCommit(node: TestNode, leads: boolean): void {
    const { commitIndex, firstIndex } = node.core.status;
    const seen = this.#commitSeen.get(node.id) ?? 0;
    this.#commitSeen.set(node.id, commitIndex);
    if (leads && commitIndex > seen) {
      const own = node.core.termAt(commitIndex) === node.core.status.term;
      assert(own, 'a leader commits by an entry of its own term', { id: node.id, commitIndex });
    }
    for (let index = Math.max(seen + 1, firstIndex); index <= commitIndex; index++) {
      const term = present(node.core.termAt(index), 'term of a committed entry', { index });
      const known = this.#committed[index];
      if (known === undefined) {
        assert(index === this.#committed.length, 'entries are committed in order', { index });
        this.#committed.push(term);
        assert(leads, 'the leader commits first', { id: node.id, index });
      }
      assert(known === undefined || known === term, 'a committed entry stays', { id: node.id, index, known, term });
      if (leads) this.#checkDurable(index, term);
    }
  }

  #checkDurable(index: number, term: number): void {
    const holders = this.nodes.filter((node) => node.holdsOnDisk(index, term)).length;
    const majority = Math.floor(this.nodes.length / 2) + 1;
    assert(holders >= majority, 'a committed entry is on the disks of a majority', { index, term, holders });
  }

  #match(node: TestNode, entry: Entry): void {
    const key = `${entry.index}/${entry.term}`;
    const value = `${describeEntry(entry)} after ${node.core.termAt(entry.index - 1)}`;
    const known = this.#entries.get(key) ?? value;
    assert(known === value, 'logs match', { id: node.id, known, value });
    this.#entries.set(key, value);
  }

  #checkApplied(node: TestNode): void {
    // The newest, and whatever no other node has applied yet.
    const from = Math.min(Math.max(0, node.applied.length - 50), this.#applied.length);
    for (let at = from; at < node.applied.length; at++) {
      const entry = present(node.applied[at], 'entry');
      assert(entry.index === at + 1, 'entries are applied in order', { id: node.id, index: entry.index, at });
      const value = describeEntry(entry);
      const known = this.#applied[at];
      if (known === undefined) this.#applied.push(value);
      else assert(known === value, 'all state machines see the same', { id: node.id, known, value });
    }
  }
}
