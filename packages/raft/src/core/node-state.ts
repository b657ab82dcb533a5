/**
 * What a node is whatever its role: its id, term, vote, log, leader and election clock. Roles share
 * it; only RaftCore changes the term, and only voting.ts and candidate.ts give the vote.
 *
 * Invariants: N1 the term never falls. N2 the vote changes only together with the term, or from nobody to somebody.
 */
import { assert } from '@barnabas/common';
import type { Random } from '@barnabas/common';
import { isSame, NO_MEMBERS } from './configuration.js';
import { Persistence } from './persistence.js';
import { RaftLog } from './raft-log.js';
import type { Rules } from './rules.js';
import type { Configuration, Entry, HardState, Message, NodeId, ReplicaId, SnapshotMark } from './types.js';
import { Voters } from './voters.js';

export interface CoreOptions {
  readonly id: NodeId;
  readonly directoryId: string;
  /** A follower's patience is random in [electionTicks, 1.5 * electionTicks). */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly maxAppendBytes: number;
  /** Appends on their way to one follower that have not been answered, by number and by bytes. */
  readonly maxInflightAppends: number;
  readonly maxInflightBytes: number;
  /** Bytes of log kept in memory behind a snapshot. */
  readonly keepBehindSnapshotBytes: number;
  /**
   * Ticks that a node's clock may count fewer than another's while the other counts an election
   * time-out; from 0 up to electionTicks. Undefined: no leases. All nodes of a quorum have the same.
   */
  readonly leaseDriftTicks: number | undefined;
  readonly random: Random;
}

/** What a node finds on its disk. On a new one: term 0, no vote, snapshot {0, 0}, no entries. */
export interface RecoveredState {
  readonly hardState: HardState;
  readonly snapshot: SnapshotMark;
  /** As of the snapshot; on a new disk, what it was formatted with. */
  readonly configuration: Configuration;
  /** Those after the snapshot. */
  readonly entries: readonly Entry[];
}

export const EMPTY_STATE: RecoveredState = {
  hardState: { term: 0, votedFor: undefined },
  snapshot: { index: 0, term: 0 },
  configuration: NO_MEMBERS,
  entries: [],
};

type EnvelopeField = 'from' | 'fromDirectory' | 'to' | 'toDirectory' | 'term';
type WithoutEnvelope<M> = M extends Message ? Omit<M, EnvelopeField> & { readonly term?: number } : never;

export const senderOf = ({ from, fromDirectory }: Message): ReplicaId => ({ id: from, directoryId: fromDirectory });

export class NodeState implements ReplicaId {
  readonly id: NodeId;
  readonly directoryId: string;
  readonly log: RaftLog;
  readonly persistence: Persistence;
  leaderId: NodeId | undefined;
  /** Ticks since the role began, a leader was heard or a vote was given. */
  electionElapsed = 0;
  /** This time's patience. */
  electionTimeout = 0;
  /** Ticks since a leader of any term was heard; kept where leases may rest on it. */
  ticksSinceLeader: number;
  #term: number;
  #votedFor: NodeId | undefined;
  #voters: Voters;
  #votersOf: Configuration;

  constructor(
    readonly options: CoreOptions,
    recovered: RecoveredState,
    readonly rules: Rules,
  ) {
    this.id = options.id;
    this.directoryId = options.directoryId;
    assert(options.heartbeatTicks >= 1, 'a heartbeat takes at least a tick');
    assert(options.electionTicks > options.heartbeatTicks, 'an election waits for more than one heartbeat');
    this.log = new RaftLog(recovered.snapshot, recovered.entries, recovered.configuration);
    this.persistence = new Persistence(this.id, this.log);
    this.#term = recovered.hardState.term;
    this.#votedFor = recovered.hardState.votedFor;
    // Before it crashed it may have answered a leader, whose lease rests on that answer.
    this.ticksSinceLeader = recovered.hardState.term > 0 ? 0 : Number.POSITIVE_INFINITY;
    this.#votersOf = this.log.configuration;
    this.#voters = this.#votersNow();
    assert(this.log.lastTerm <= this.#term, 'no entry on disk is from a later term than the term on disk', {
      term: this.#term,
      lastTerm: this.log.lastTerm,
    });
  }

  get term(): number {
    return this.#term;
  }
  get votedFor(): NodeId | undefined {
    return this.#votedFor;
  }

  /** Those of the configuration in force. */
  get voters(): Voters {
    if (this.#votersOf !== this.log.configuration) {
      this.#votersOf = this.log.configuration;
      this.#voters = this.#votersNow();
    }
    return this.#voters;
  }

  /** This very replica votes, as far as it knows. */
  get isVoter(): boolean {
    return this.voters.has(this);
  }

  /**
   * It may stand for election. One that its last configuration no longer names may be needed until that
   * is committed (dissertation, 4.2.2): of two, 1 leads, appends "remove 1" and crashes; 2, which lacks
   * that entry, cannot win the vote of 1. So 1 stands, though its own vote does not count.
   */
  get mayStand(): boolean {
    if (this.isVoter) return true;
    const { configurationIndex, commitIndex } = this.log;
    if (configurationIndex <= commitIndex) return false;
    return this.log.configurationAt(configurationIndex - 1).voters.some((voter) => isSame(voter, this));
  }

  /** Begins a later term, in which this node has voted for nobody, or for itself. */
  beginTerm(term: number, votedFor: NodeId | undefined): void {
    assert(term > this.#term, 'the term never falls', { term, current: this.#term });
    this.#term = term;
    this.#votedFor = votedFor;
    this.persistence.hardStateChanged({ term, votedFor });
  }

  voteFor(candidate: NodeId): void {
    if (this.#votedFor === candidate) return;
    assert(this.#votedFor === undefined, 'a node votes once in a term', { term: this.#term, candidate });
    this.#votedFor = candidate;
    this.persistence.hardStateChanged({ term: this.#term, votedFor: candidate });
  }

  /** Starts the election clock anew with a new random patience. */
  resetElectionClock(): void {
    this.electionElapsed = 0;
    const { electionTicks, random } = this.options;
    this.electionTimeout = electionTicks + random.below(Math.ceil(electionTicks / 2));
  }

  /** Shortens this time's patience: an election in which the votes are split is held again soon. */
  loseHope(): void {
    const { heartbeatTicks, electionTicks, random } = this.options;
    const soon = this.electionElapsed + heartbeatTicks + random.below(Math.ceil(electionTicks / 4));
    this.electionTimeout = Math.min(this.electionTimeout, soon);
  }

  /** A living leader is known: this node helps nobody to unseat it. */
  get trustsLeader(): boolean {
    return this.promisesLease || (this.leaderId !== undefined && this.electionElapsed < this.options.electionTicks);
  }

  /**
   * Where there are leases, whoever led may hold one that rests on this node's answer: for an election
   * time-out from the last word of a leader on, and neither a later term that somebody talks of nor a
   * restart of this node ends that early.
   */
  get promisesLease(): boolean {
    const { electionTicks, leaseDriftTicks } = this.options;
    return leaseDriftTicks !== undefined && this.ticksSinceLeader < electionTicks;
  }

  send(to: ReplicaId, message: WithoutEnvelope<Message>): void {
    const { id: from, directoryId: fromDirectory } = this;
    const envelope = { from, fromDirectory, to: to.id, toDirectory: to.directoryId };
    this.persistence.send({ term: this.#term, ...message, ...envelope } as Message);
  }

  #votersNow(): Voters {
    const { voters } = this.log.configuration;
    return new Voters(voters, this.rules.majorityOf(voters.length));
  }
}
