/**
 * What a node is whatever its role: its id, term, vote, log, leader and election clock. Roles share
 * it; only RaftCore changes the term, and only voting.ts and candidate.ts give the vote.
 *
 * Invariants: N1 the term never falls. N2 the vote changes only together with the term, or from nobody to somebody.
 */
import { assert } from '@barnabas/common';
import type { Random } from '@barnabas/common';
import { Persistence } from './persistence.js';
import { RaftLog } from './raft-log.js';
import type { Entry, HardState, Message, NodeId, SnapshotMark } from './types.js';
import { Voters } from './voters.js';

export interface CoreOptions {
  readonly id: NodeId;
  readonly voters: readonly NodeId[];
  /** A follower's patience is random in [electionTicks, 2 * electionTicks). */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly maxAppendBytes: number;
  readonly maxInflightAppends: number;
  /** Bytes of log kept in memory behind a snapshot. */
  readonly keepBehindSnapshotBytes: number;
  readonly random: Random;
}

/** What a node finds on its disk. On a new one: term 0, no vote, snapshot {0, 0}, no entries. */
export interface RecoveredState {
  readonly hardState: HardState;
  readonly snapshot: SnapshotMark;
  /** Those after the snapshot. */
  readonly entries: readonly Entry[];
}

export const EMPTY_STATE: RecoveredState = {
  hardState: { term: 0, votedFor: undefined },
  snapshot: { index: 0, term: 0 },
  entries: [],
};

type WithoutEnvelope<M> = M extends Message ? Omit<M, 'from' | 'term'> & { readonly term?: number } : never;

export class NodeState {
  readonly id: NodeId;
  readonly voters: Voters;
  readonly log: RaftLog;
  readonly persistence: Persistence;
  leaderId: NodeId | undefined;
  /** Ticks since the role began, a leader was heard or a vote was given. */
  electionElapsed = 0;
  /** This time's patience. */
  electionTimeout = 0;
  #term: number;
  #votedFor: NodeId | undefined;

  constructor(
    readonly options: CoreOptions,
    recovered: RecoveredState,
  ) {
    this.id = options.id;
    this.voters = new Voters(options.voters);
    assert(this.voters.has(this.id), 'a node is one of its voters', { id: this.id });
    assert(options.heartbeatTicks >= 1, 'a heartbeat takes at least a tick');
    assert(options.electionTicks > options.heartbeatTicks, 'an election waits for more than one heartbeat');
    this.log = new RaftLog(recovered.snapshot, recovered.entries);
    this.persistence = new Persistence(this.id, this.log);
    this.#term = recovered.hardState.term;
    this.#votedFor = recovered.hardState.votedFor;
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
    this.electionTimeout = this.options.electionTicks + this.options.random.below(this.options.electionTicks);
  }

  /** A living leader is known: this node helps nobody to unseat it. */
  get trustsLeader(): boolean {
    return this.leaderId !== undefined && this.electionElapsed < this.options.electionTicks;
  }

  send(message: WithoutEnvelope<Message>): void {
    this.persistence.send({ term: this.#term, ...message, from: this.id } as Message);
  }
}
