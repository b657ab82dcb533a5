/**
 * What a user of this package sees: a node of a Raft quorum and the state machine behind it.
 *
 * Promises:
 *   U1  every node applies the same commands in the same order, each once between two restores
 *   U2  what `propose` resolved for is on the disks of a majority
 *   U3  a state machine is called by one caller at a time, never from inside propose() or readBarrier(),
 *       and not before the turn after `startRaft` has resolved (except for the first restore)
 *   U4  a command that was not resolved may still be committed later, unless it was refused with NOT_CONTROLLER
 * Protocol: docs/protocols/raft.md.
 */
import type { Clock, Logger, Random, Timers } from '@barnabas/common';
import type { KeyValueStore } from '@barnabas/store';
import type { RaftTransport } from './transport/types.js';

/** A member of the quorum. Node id and directory id together are its identity (KIP-853). */
export interface Voter {
  /** node.id */
  readonly id: number;
  /**
   * The id of its metadata directory: a UUID in base64url, made when that disk was formatted. A node
   * that comes back with an empty disk has another one, and is not the voter it was. Left out of an
   * initial voter, it is derived from cluster id and node id, the same on all nodes (`directoryIdOf`).
   */
  readonly directoryId?: string;
  /** `host:port` where its RaftService is served. */
  readonly endpoint: string;
}

/** A committed entry. */
export interface AppliedEntry {
  /** From 1, without gaps. */
  readonly index: number;
  readonly term: number;
  /** Null in entries that Raft made for itself, such as the first one of each leader. */
  readonly command: Buffer | null;
}

/** A whole image to start from, as read from this node's disk. */
export interface StoredSnapshot {
  /** The image contains every entry up to this one, included. */
  readonly index: number;
  readonly term: number;
  /** What `StateMachine.snapshot` gave, in its order, in pieces; can be read once. */
  readonly records: AsyncIterable<readonly Buffer[]>;
}

/** What the quorum replicates. A method that throws ends the node: see `RaftNode.failed`. */
export interface StateMachine {
  /** Committed entries, in order. They are kept nowhere for the callee: it copies what it keeps of `command`. */
  apply(entries: readonly AppliedEntry[]): void;
  /**
   * The image as of the last applied entry. Called between two applies; the iterable is read later,
   * piece by piece while further entries are applied, so it must hold on to an immutable image.
   * No record is larger than a command may be (`maxCommandBytes`).
   */
  snapshot(): Iterable<Uint8Array>;
  /** Forgets everything and starts from the snapshot. No other call comes before it has resolved. */
  restore(snapshot: StoredSnapshot): Promise<void>;
  /**
   * A term: this node leads it, and everything of earlier terms has been applied. Undefined: it leads
   * no more; what was proposed and not applied is to be forgotten.
   */
  onLeadership(term: number | undefined): void;
}

/** Where a proposal stands in the log. */
export interface Committed {
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly term: number;
}

export type RaftRole = 'follower' | 'preCandidate' | 'candidate' | 'leader';

/** A voter or observer as this node knows it. */
export interface ReplicaStatus {
  readonly id: number;
  readonly directoryId: string;
  readonly endpoint: string;
  /** Last entry that it is known to hold on disk; -1 if this node does not lead. */
  readonly matchIndex: number;
  /** Milliseconds since this node heard from it; 0 for itself; -1 if never. */
  readonly lastContactMs: number;
}

export interface RaftStatus {
  readonly nodeId: number;
  /** Of this node's disk. */
  readonly directoryId: string;
  readonly role: RaftRole;
  readonly term: number;
  /** Undefined while none is known. */
  readonly leaderId: number | undefined;
  readonly commitIndex: number;
  /** Last entry that the state machine has seen. */
  readonly appliedIndex: number;
  /** Last entry in the log, committed or not. */
  readonly lastIndex: number;
  /** Last entry covered by the snapshot on disk; 0 if there is none. */
  readonly snapshotIndex: number;
  /** Those who vote by the configuration in force here. */
  readonly voters: readonly ReplicaStatus[];
  /** Those who follow without a vote: learners, and nodes that have announced themselves to this one. */
  readonly observers: readonly ReplicaStatus[];
}

export interface ProposeOptions {
  /**
   * Refuse with NOT_CONTROLLER unless this node leads this term. For callers who decided on a state
   * that they got as leader of that term.
   */
  readonly term?: number;
}

export interface ReadBarrierOptions {
  /**
   * Answer at once while this leader holds a lease, without asking the others. Only where leases are
   * switched on (`leaseClockDriftMs`); without a lease in force, as if it had not been asked for.
   */
  readonly lease?: boolean;
}

/** Whom a change of the quorum's membership is about. */
export interface ReplicaKey {
  readonly id: number;
  /** Left out: whichever directory the node of that id has. */
  readonly directoryId?: string;
}

export interface MembershipOptions {
  readonly timeoutMs: number;
}

export interface RaftNode {
  /**
   * Appends commands, one entry each, at once and in the order of the calls: the first takes
   * `nextIndex` as it was before the call. Resolves when all are committed and applied here.
   *
   * Entries of one call stand together, but a crash may commit only the first of them: what must
   * happen together belongs in one command.
   *
   * Rejects with
   *   NOT_CONTROLLER           this node does not lead (or not `options.term`): nothing was appended
   *   REQUEST_TIMED_OUT        leadership was lost, or the node stopped, after the append: the outcome is unknown
   *   MESSAGE_TOO_LARGE        a command exceeds `maxCommandBytes`: nothing was appended
   *   THROTTLING_QUOTA_EXCEEDED  too much is waiting for its commit: nothing was appended; retry later
   */
  propose(commands: readonly Uint8Array[], options?: ProposeOptions): Promise<Committed>;
  /** The index that the next command proposed here will take, if this node leads until then. */
  readonly nextIndex: number;
  /**
   * Resolves with an applied index, once this node has proved that it still led after the call was
   * made: what the state machine shows then is linearizable. Rejects with NOT_CONTROLLER.
   */
  readBarrier(options?: ReadBarrierOptions): Promise<number>;
  /**
   * Makes a voter of a node that follows as an observer: it becomes a learner, catches up, is promoted.
   * Resolves when the promotion is committed. After a failure that came late it may have remained a
   * learner, which does no harm: calling again goes on from there, `removeVoter` takes it out.
   *
   * Rejects with
   *   NOT_CONTROLLER     this node does not lead, or ceased to before the change began
   *   DUPLICATE_VOTER    a node of that id votes already; one with a new disk comes after its old self is removed
   *   VOTER_NOT_FOUND    no such observer has announced itself to this leader
   *   INVALID_REQUEST    another change of the membership is under way, or a transfer of the leadership
   *   REQUEST_TIMED_OUT  it has not caught up in time, or the outcome of the change is unknown
   */
  addVoter(voter: ReplicaKey & { readonly endpoint?: string }, options: MembershipOptions): Promise<void>;
  /**
   * Takes the vote, or the place as a learner, from a node; resolves when that is committed. A leader
   * may remove itself: it then ceases to lead.
   *
   * Rejects with NOT_CONTROLLER, VOTER_NOT_FOUND, INVALID_REQUEST (the last voter, or another change is
   * under way), REQUEST_TIMED_OUT, as addVoter does.
   */
  removeVoter(voter: ReplicaKey, options: MembershipOptions): Promise<void>;
  /**
   * Hands the lead to another voter; undefined means the one that is furthest. What is proposed
   * meanwhile waits. Resolves with the id of the node that leads then.
   *
   * Rejects with NOT_CONTROLLER, VOTER_NOT_FOUND, INVALID_REQUEST (a transfer is under way, or there is
   * nobody to hand it to), REQUEST_TIMED_OUT (given up: this node may still lead).
   */
  transferLeadership(to: number | undefined, options: MembershipOptions): Promise<number>;
  readonly status: RaftStatus;
  /** Ends in good order. The store stays open and belongs to the caller. */
  stop(): Promise<void>;
  /** Rejects with the fault (dead disk, broken invariant, throwing state machine) that ended the node. Never resolves. */
  readonly failed: Promise<never>;
}

export interface RaftConfig {
  /** A follower that hears nothing for this long, and up to half as long again, starts an election. */
  readonly electionTimeoutMs: number;
  /** How often an idle leader reports. At most a fifth of the election timeout. */
  readonly heartbeatIntervalMs: number;
  /** Largest single command. */
  readonly maxCommandBytes: number;
  /** Entries in one append message, in bytes; a single larger entry goes alone. */
  readonly maxAppendBytes: number;
  /** Append messages on their way to one follower that have not been answered. */
  readonly maxInflightAppends: number;
  /** And in bytes; one append may go beyond. */
  readonly maxInflightBytes: number;
  /** Bytes proposed and not yet committed, beyond which proposals are refused. */
  readonly maxUncommittedBytes: number;
  /** Bytes of log behind the last snapshot after which the next is made. */
  readonly snapshotAfterBytes: number;
  /** Bytes of log kept in memory behind a snapshot, so that slightly late followers need no snapshot. */
  readonly keepBehindSnapshotBytes: number;
  /** Size of a piece of a snapshot on disk and on the wire. */
  readonly snapshotChunkBytes: number;
  /** Pieces of a snapshot on their way to one follower that have not been answered. */
  readonly snapshotWindowChunks: number;
  /**
   * By how much two nodes' clocks may disagree on the length of an election time-out. Switches reads by
   * lease on where it is not 0; the same on all nodes, and at most half the election time-out. A node
   * that was started with leases helps nobody to be elected for its first election time-out.
   */
  readonly leaseClockDriftMs: number;
}

export interface RaftOptions {
  readonly nodeId: number;
  /** A disk of another cluster is refused with INCONSISTENT_CLUSTER_ID, one of another node with INVALID_CONFIG. */
  readonly clusterId: string;
  /** `host:port` where this node's RaftService is served, as the others reach it. */
  readonly endpoint: string;
  /**
   * The first voters of a new cluster, the same on all of them. Looked at only where the store is new,
   * which is then formatted with them; on any other, the configuration on disk counts. A node that is
   * not among them, or is given none, formats its disk as an observer's.
   */
  readonly initialVoters?: readonly Voter[];
  /** `host:port` of controllers that a node without a vote may ask who leads. */
  readonly bootstrapServers?: readonly string[];
  /** This node's own store; nothing else may be in it. */
  readonly store: KeyValueStore;
  /** Undefined for a quorum of one. */
  readonly transport?: RaftTransport;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly stateMachine: StateMachine;
  /** Defaults stand in config.ts. */
  readonly config?: Partial<RaftConfig>;
}
