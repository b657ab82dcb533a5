/**
 * What must be true of any quorum at any moment, whatever is lost, late or crashed. Knows all nodes and
 * their disks; each check throws an InvariantError that names the rule.
 *
 *   election safety        a term has one leader; a node gives one vote in a term, crashes included
 *   leader completeness    whoever begins to lead holds every committed entry
 *   commit by own term     a leader's commit index only moves to an entry of its own term
 *   durability             what a leader commits is on the disks of a majority of the voters at that
 *                          moment, by the configuration that it commits by
 *   one at a time          a configuration differs from the one before by one member at most
 *   only voters stand      nobody asks for votes but voters of its last configuration, or of the one before
 *   log matching           an entry, named by index and term, has one content and one predecessor
 *   state-machine safety   all nodes apply the same entries in the same order
 *   linearizable reads     a barrier is proven at no less than what was committed when it was asked for
 */
import { assert, present } from '@barnabas/common';
import { decodeConfiguration, isMembershipChange, isSame, majorityOf } from '../index.js';
import type { Configuration, Entry, Message, NodeId, PersistGroup, Ready } from '../index.js';
import { describeEntry } from './describe.js';
import { holds } from './test-node.js';
import type { Disk, TestNode } from './test-node.js';

export class Checker {
  readonly #leaders = new Map<number, NodeId>();
  readonly #votes = new Map<string, NodeId>();
  /** The last term that a node has led since it started. */
  readonly #led = new Map<NodeId, number>();
  readonly #entries = new Map<string, string>();
  /** Terms of committed entries, by index; index 0 is the beginning. */
  readonly #committed: number[] = [0];
  readonly #applied: string[] = [];
  readonly #commitSeen = new Map<NodeId, number>();
  readonly #reads = new Map<number, number>();
  readonly #lostDisks = new Map<string, Disk>();

  constructor(readonly nodes: readonly TestNode[]) {}

  /** The highest index known to be committed. */
  get committedIndex(): number {
    return this.#committed.length - 1;
  }

  restarted(node: TestNode): void {
    this.#commitSeen.delete(node.id);
    this.#led.delete(node.id);
  }

  /** A disk is gone for good; what it had acknowledged may still be counted. */
  lost(node: TestNode): void {
    const { member } = node;
    this.#lostDisks.set(member.directoryId, node.replaceDisk());
    this.restarted(node);
  }

  asked(readId: number): void {
    this.#reads.set(readId, this.committedIndex);
  }

  /** Messages that leave a node. */
  sent(node: TestNode, messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.type === 'voteResponse' && message.granted) this.#voted(message, message.to);
      else if (message.type === 'preVote' || message.type === 'vote') this.#checkStands(node);
    }
  }

  /** A node's own vote, which it sends to nobody. */
  stored(node: TestNode, group: PersistGroup): void {
    const { hardState } = group;
    if (hardState?.votedFor !== node.id) return;
    this.#voted({ from: node.id, fromDirectory: node.member.directoryId, term: hardState.term }, node.id);
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
    if (role === 'leader') {
      this.#leads(node, term);
      this.#led.set(node.id, term);
    }
    // Also one that has just committed its own removal, and leads no more.
    this.#checkCommit(node, this.#led.get(node.id) === term);
  }

  #voted(
    { from, fromDirectory, term }: { readonly from: NodeId; readonly fromDirectory: string; readonly term: number },
    candidate: NodeId,
  ): void {
    const key = `${fromDirectory} in ${term}`;
    const other = this.#votes.get(key) ?? candidate;
    assert(other === candidate, 'a node votes once in a term', { voter: from, term, candidate, other });
    this.#votes.set(key, candidate);
  }

  #checkStands(node: TestNode): void {
    if (!node.running) return;
    const { configuration, configurationIndex, snapshot } = node.core.status;
    const before =
      configurationIndex > snapshot.index ? node.core.configurationAt(configurationIndex - 1) : configuration;
    const voters = [...configuration.voters, ...before.voters];
    assert(
      voters.some((voter) => isSame(voter, node.member)),
      'only voters stand for election',
      { id: node.id, configuration: JSON.stringify(configuration) },
    );
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
      if (leads) this.#checkDurable(node, index, term);
    }
  }

  #checkDurable(leader: TestNode, index: number, term: number): void {
    const { voters } = leader.core.status.configuration;
    const holders = voters.filter((voter) => {
      const lost = this.#lostDisks.get(voter.directoryId);
      if (lost !== undefined) return holds(lost, index, term);
      return this.nodes.some((node) => isSame(node.member, voter) && node.holdsOnDisk(index, term));
    }).length;
    const enough = holders >= majorityOf(voters.length);
    assert(enough, 'a committed entry is on the disks of a majority', { index, term, holders, voters: voters.length });
  }

  #match(node: TestNode, entry: Entry): void {
    const key = `${entry.index}/${entry.term}`;
    const value = `${describeEntry(entry)} after ${node.core.termAt(entry.index - 1)}`;
    const known = this.#entries.get(key) ?? value;
    assert(known === value, 'logs match', { id: node.id, known, value });
    this.#entries.set(key, value);
    if (isMembershipChange(entry.kind)) this.#checkChange(node, entry);
  }

  #checkChange(node: TestNode, entry: Entry): void {
    const { snapshot } = node.core.status;
    if (entry.index <= snapshot.index) return;
    const after = present(decodeConfiguration(entry.command), 'configuration');
    const before = node.core.configurationAt(entry.index - 1);
    const names = ({ voters }: Configuration): string[] => voters.map(({ directoryId }) => directoryId);
    const [old, now] = [names(before), names(after)];
    // A node that follows from the beginning does not know the first voters of all.
    if (old.length === 0) return;
    const difference = [...old.filter((name) => !now.includes(name)), ...now.filter((name) => !old.includes(name))];
    assert(difference.length <= 1, 'the voters change one at a time', {
      index: entry.index,
      old: old.join(),
      now: now.join(),
    });
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
