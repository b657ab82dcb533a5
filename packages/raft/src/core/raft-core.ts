/**
 * One node of a Raft quorum, without disk, network or time: inputs go in by tick, step, propose, read
 * and advance; what is to be done comes out by ready. Owns the current role and the rules about terms
 * that hold for every role; what a role does stands in its own file.
 *
 *            patience ends                majority would vote            majority has voted
 *   follower ------------> preCandidate --------------------> candidate -------------------> leader
 *      ^ ^                  |   ^ patience ends: asks anew     |   |                           |
 *      | +------------------+   +--- patience ends ------------+   |                           |
 *      +---- a majority refuses, a leader is heard, or a later term --------------------------+
 *                                                    (leader: also when a majority is silent, or it was removed)
 * A follower that its leader hands the lead to becomes a candidate at once.
 *
 * Invariants, checked after every call:
 *   I1  term and commit index never fall
 *   I2  a leader has voted for itself in its term, and that vote is on its disk
 *   I3  the log's own (raft-log.ts, L1 to L4)
 * Protocol: docs/protocols/raft.md.
 */
import { assert } from '@barnabas/common';
import { Candidate, PreCandidate } from './candidate.js';
import { isSame } from './configuration.js';
import type { ChangeRefusal } from './configuration.js';
import { Follower } from './follower.js';
import { Leader } from './leader.js';
import type { TransferRefusal } from './leader.js';
import { NodeState, senderOf } from './node-state.js';
import type { CoreOptions, RecoveredState } from './node-state.js';
import type { Transition } from './role.js';
import { Rules } from './rules.js';
import type {
  Configuration,
  Member,
  MembershipChange,
  Message,
  NodeId,
  Ready,
  ReplicaId,
  RoleName,
  SnapshotMark,
} from './types.js';
import { answerPreVote, answerVote } from './voting.js';

type AnyRole = Follower | PreCandidate | Candidate | Leader;

const LEGAL_TRANSITIONS: Readonly<Record<RoleName, readonly RoleName[]>> = {
  follower: ['follower', 'preCandidate', 'candidate'],
  preCandidate: ['follower', 'preCandidate', 'candidate'],
  candidate: ['follower', 'preCandidate', 'leader'],
  leader: ['follower'],
};

export interface CoreStatus {
  readonly role: RoleName;
  readonly term: number;
  readonly votedFor: NodeId | undefined;
  readonly leaderId: NodeId | undefined;
  readonly lastIndex: number;
  readonly stableIndex: number;
  readonly commitIndex: number;
  /** Handed out as committed. */
  readonly takenIndex: number;
  readonly firstIndex: number;
  readonly snapshot: SnapshotMark;
  /** Of a leader: the entry that begins its term. */
  readonly termStartIndex: number | undefined;
  /** In force here, committed or not. */
  readonly configuration: Configuration;
  readonly configurationIndex: number;
  /** Of a leader: whom the lead is being handed to. */
  readonly transferringTo: NodeId | undefined;
}

/** Reads by lease are measured on a clock; without one, in ticks of the core. */
export interface ReadOptions {
  readonly lease?: boolean;
  /** In ticks, on the same clock as ready's. */
  readonly now?: number;
}

export class RaftCore {
  readonly #node: NodeState;
  #role: AnyRole;
  #restore: SnapshotMark | undefined;
  #readsLost: number[] = [];
  #checkedTerm = 0;
  #checkedCommit = 0;
  #ticks = 0;

  constructor(options: CoreOptions, recovered: RecoveredState, rules = new Rules()) {
    const node = new NodeState(options, recovered, rules);
    this.#node = node;
    this.#role = new Follower(node);
    this.#follow(this.#role.enter());
    // Alone, there is nobody to wait for.
    if (node.isVoter && node.voters.ids.length === 1 && !node.trustsLeader) this.#become('preCandidate');
    this.#check();
  }

  /** Time has passed: one tick, whatever that is. */
  tick(): void {
    this.#ticks++;
    this.#node.ticksSinceLeader++;
    this.#follow(this.#role.tick());
    this.#check();
  }

  /** A message has come. */
  step(message: Message): void {
    const node = this.#node;
    if (message.to !== node.id || message.toDirectory !== node.directoryId) return;
    this.#step(message);
    this.#check();
  }

  /** Appends commands to the log, an entry each; undefined if this node does not lead, or is handing over the lead. */
  propose(commands: readonly Uint8Array[]): { firstIndex: number; lastIndex: number; term: number } | undefined {
    if (!(this.#role instanceof Leader)) return undefined;
    const placed = this.#role.propose(commands);
    this.#check();
    return placed && { ...placed, term: this.#node.term };
  }

  /** Appends a change of the membership, which is in force at once. */
  changeMembership(change: MembershipChange): { index: number; term: number } | ChangeRefusal {
    if (!(this.#role instanceof Leader)) return 'notLeader';
    const index = this.#role.change(change);
    this.#check();
    return typeof index === 'string' ? index : { index, term: this.#node.term };
  }

  /**
   * Begins to hand the lead to a voter, the furthest if none is named; status says until when. Returns
   * whom.
   */
  transferLeadership(to?: NodeId): NodeId | TransferRefusal {
    if (!(this.#role instanceof Leader)) return 'notLeader';
    return this.#role.transfer(to);
  }

  /** A node that is no member has announced itself. False if it will not be sent the log: this node does not lead, or its id is taken. */
  observe(member: Member): boolean {
    return this.#role instanceof Leader && this.#role.followers.observe(member);
  }

  /** Asks for a read barrier, answered in Ready by its id. False if this node does not lead. */
  read(id: number, { lease = false, now = this.#ticks }: ReadOptions = {}): boolean {
    if (!(this.#role instanceof Leader)) return false;
    if (lease) this.#role.addLeaseRead(id, now);
    else this.#role.addBarrier(id);
    return true;
  }

  /**
   * What is to be done now. The caller carries all of it out; it is not given twice. `now` is the time
   * in ticks on a clock that never stands still, for leases; without it, ticks are counted.
   */
  ready(now = this.#ticks): Ready {
    const { persistence, log } = this.#node;
    if (this.#role instanceof Leader) this.#role.flush(now);
    const restore = this.#restore;
    this.#restore = undefined;
    const readsLost = this.#readsLost;
    this.#readsLost = [];
    const ready: Ready = {
      messages: persistence.takeMessages(),
      restore,
      committed: persistence.snapshotPending ? [] : log.takeCommitted(),
      persist: persistence.next(),
      reads: this.#role instanceof Leader ? this.#role.takeProven() : [],
      readsLost,
    };
    this.#check();
    return ready;
  }

  /** The group of the last Ready that had one is on disk. */
  advance(): void {
    const { own, snapshot } = this.#node.persistence.stored();
    if (snapshot !== undefined) this.#restore = snapshot;
    for (const message of own) this.#step(message);
    if (this.#role instanceof Leader) this.#follow(this.#role.stored());
    this.#check();
  }

  /** A snapshot of this node's own state machine is on disk: the log behind it may go. */
  compact(mark: SnapshotMark): void {
    this.#node.log.compact(mark, this.#node.options.keepBehindSnapshotBytes);
    this.#check();
  }

  /** The driver has given up sending a snapshot, or has sent all of it. Without effect if the follower has answered. */
  snapshotEnded(follower: NodeId): void {
    if (this.#role instanceof Leader) this.#role.followers.get(follower)?.snapshotEnded();
  }

  /** The index of the snapshot that this leader waits for a follower to install. */
  snapshotAwaitedBy(follower: NodeId): number | undefined {
    const state = this.#role instanceof Leader ? this.#role.followers.get(follower)?.state : undefined;
    return state?.kind === 'snapshot' ? state.mark.index : undefined;
  }

  /** What a replica is known to hold; undefined if this node does not lead, or does not send to it. */
  matchIndexOf(replica: ReplicaId): number | undefined {
    if (!(this.#role instanceof Leader)) return undefined;
    if (isSame(replica, this.#node)) return this.#node.log.stableIndex;
    return this.#role.followers.from(replica)?.matchIndex;
  }

  /** A learner, or an observer, that could vote without holding up commits for long. */
  isCaughtUp(replica: ReplicaId): boolean {
    return this.#role instanceof Leader && this.#role.followers.from(replica)?.isCaughtUp === true;
  }

  /** Of a leader: those that follow and are no members. */
  get observers(): readonly Member[] {
    return this.#role instanceof Leader ? this.#role.followers.observers.map(({ member }) => member) : [];
  }

  /** The configuration as of an entry, from the snapshot on. */
  configurationAt(index: number): Configuration {
    return this.#node.log.configurationAt(index);
  }

  /** The term of an entry that is still in memory. */
  termAt(index: number): number | undefined {
    return this.#node.log.termAt(index);
  }

  get status(): CoreStatus {
    const { log, term, votedFor, leaderId } = this.#node;
    return {
      role: this.#role.name,
      term,
      votedFor,
      leaderId,
      lastIndex: log.lastIndex,
      stableIndex: log.stableIndex,
      commitIndex: log.commitIndex,
      takenIndex: log.takenIndex,
      firstIndex: log.firstIndex,
      snapshot: log.snapshot,
      termStartIndex: this.#role instanceof Leader ? this.#role.termStartIndex : undefined,
      configuration: log.configuration,
      configurationIndex: log.configurationIndex,
      transferringTo: this.#role instanceof Leader ? this.#role.transferringTo : undefined,
    };
  }

  #step(message: Message): void {
    const node = this.#node;
    if (message.term < node.term) {
      this.#answerFromLaterTerm(message);
      return;
    }
    if (message.term > node.term && !this.#admitLaterTerm(message)) return;
    if (message.type === 'vote') {
      // Somebody else's message may have brought the term here: that frees nobody from a lease.
      if (message.force || !node.promisesLease) answerVote(node, message);
    } else if (message.type === 'preVote') {
      answerPreVote(node, message);
    } else {
      if (isFromLeader(message)) this.#yieldTo(message.from);
      this.#follow(this.#role.step(message));
    }
  }

  /** A message of a later term has come. False if it is to be ignored. */
  #admitLaterTerm(message: Message): boolean {
    // A node that the leader's messages do not reach must not unseat it for those whom they do reach.
    const isForced = message.type === 'vote' && message.force;
    const asksForVote = message.type === 'preVote' || message.type === 'vote';
    if (asksForVote && !isForced && this.#node.trustsLeader) return false;
    // A pre-vote is about a term that has not begun.
    if (message.type === 'preVote' || (message.type === 'preVoteResponse' && message.granted)) return true;
    this.#node.beginTerm(message.term, undefined);
    this.#node.leaderId = undefined;
    this.#become('follower');
    return true;
  }

  /** A message of an earlier term: its sender is told that the world has moved on, if it would otherwise not learn. */
  #answerFromLaterTerm(message: Message): void {
    const node = this.#node;
    if (isFromLeader(message)) {
      // Without an answer, a leader whose follower has come back with a later term would go on
      // sending, and the follower, refused its pre-votes by the others, would wait for ever.
      node.send(senderOf(message), { type: 'heartbeatResponse', round: 0 });
    } else if (message.type === 'preVote') {
      node.send(senderOf(message), { type: 'preVoteResponse', granted: false });
    } else if (message.type === 'vote') {
      node.send(senderOf(message), { type: 'voteResponse', granted: false });
    }
  }

  /** Another node leads this node's term. */
  #yieldTo(leaderId: NodeId): void {
    assert(this.#role.name !== 'leader', 'a term has one leader', { term: this.#node.term, other: leaderId });
    if (this.#role.name !== 'follower') {
      this.#node.leaderId = leaderId;
      this.#become('follower');
    }
  }

  /** Carries out what a role wants to become. */
  #follow(transition: Transition): void {
    if (transition === undefined) return;
    if (transition === 'follower') this.#node.leaderId = undefined;
    if (transition === 'transferred') this.#become('candidate', true);
    else this.#become(transition);
  }

  #become(name: RoleName, byTransfer = false): void {
    const legal = LEGAL_TRANSITIONS[this.#role.name].includes(name);
    assert(legal, 'a role changes as the table allows', { from: this.#role.name, to: name });
    if (this.#role instanceof Leader) {
      for (const { id } of this.#role.takeProven()) this.#readsLost.push(id);
      this.#readsLost.push(...this.#role.abandonBarriers());
    }
    this.#role = this.#make(name, byTransfer);
    this.#follow(this.#role.enter());
  }

  #make(name: RoleName, byTransfer: boolean): AnyRole {
    switch (name) {
      case 'follower':
        return new Follower(this.#node);
      case 'preCandidate':
        return new PreCandidate(this.#node);
      case 'candidate':
        return new Candidate(this.#node, byTransfer);
      case 'leader':
        return new Leader(this.#node);
    }
  }

  #check(): void {
    const { log, term, votedFor, id } = this.#node;
    const facts = { term, commitIndex: log.commitIndex, before: this.#checkedTerm };
    assert(term >= this.#checkedTerm && log.commitIndex >= this.#checkedCommit, 'I1 must hold', facts);
    assert(this.#role.name !== 'leader' || votedFor === id, 'I2 must hold', facts);
    log.checkInvariants();
    this.#checkedTerm = term;
    this.#checkedCommit = log.commitIndex;
  }
}

function isFromLeader(message: Message): boolean {
  return ['append', 'heartbeat', 'installSnapshot', 'timeoutNow'].includes(message.type);
}
