/**
 * What goes into the Raft core and comes out of it: entries, messages between nodes, and Ready.
 * No behaviour. Words of the Raft paper. Indexes and terms begin at 1; 0 means "before the first".
 */

export type NodeId = number;

export type RoleName = 'follower' | 'preCandidate' | 'candidate' | 'leader';

/** Who a replica is: a node with another disk is another replica (KIP-853). */
export interface ReplicaId {
  readonly id: NodeId;
  readonly directoryId: string;
}

/** A replica, and where it is reached. */
export interface Member extends ReplicaId {
  readonly endpoint: string;
}

/** Who takes part. Voters elect and are counted; learners only follow. In force from when it is appended. */
export interface Configuration {
  readonly voters: readonly Member[];
  readonly learners: readonly Member[];
}

/** A change of the membership. Each concerns one member. */
export type MembershipChange =
  | { readonly kind: 'addLearner'; readonly member: Member }
  /** A learner becomes a voter. */
  | { readonly kind: 'promote'; readonly id: NodeId }
  /** A voter or learner takes part no more. */
  | { readonly kind: 'remove'; readonly id: NodeId }
  /** A member is reached elsewhere. */
  | { readonly kind: 'update'; readonly member: Member };

export type EntryKind = 'command' | 'noop' | MembershipChange['kind'];

/**
 * One entry of the log. `noop` is the first entry of each leader; it carries no command. A change of
 * the membership carries the whole configuration that it leads to, encoded (configuration.ts).
 */
export interface Entry {
  readonly index: number;
  readonly term: number;
  readonly kind: EntryKind;
  readonly command: Uint8Array;
}

/** What must survive a crash beside the entries. */
export interface HardState {
  readonly term: number;
  readonly votedFor: NodeId | undefined;
}

/** Names a snapshot: the last entry it contains. The core never sees more of it. */
export interface SnapshotMark {
  readonly index: number;
  readonly term: number;
}

interface Envelope {
  readonly from: NodeId;
  readonly fromDirectory: string;
  readonly to: NodeId;
  /** A node with another disk than the one that is meant does not take the message for its own. */
  readonly toDirectory: string;
  /** The sender's term; in a pre-vote, the term it would like to begin. */
  readonly term: number;
}

/** Would you vote for me, were I to start an election? Changes nothing on either side. */
export interface PreVote extends Envelope {
  readonly type: 'preVote';
  readonly lastIndex: number;
  readonly lastTerm: number;
}
/** `term` is the term asked for if granted, else the responder's own. */
export interface PreVoteResponse extends Envelope {
  readonly type: 'preVoteResponse';
  readonly granted: boolean;
}
export interface Vote extends Envelope {
  readonly type: 'vote';
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** The leader itself has asked for this election: whoever still trusts that leader may vote all the same. */
  readonly force: boolean;
}
export interface VoteResponse extends Envelope {
  readonly type: 'voteResponse';
  readonly granted: boolean;
}
/** Entries that follow (prevIndex, prevTerm); without entries, a probe. */
export interface Append extends Envelope {
  readonly type: 'append';
  readonly prevIndex: number;
  readonly prevTerm: number;
  readonly entries: readonly Entry[];
  readonly commitIndex: number;
}
export interface AppendResponse extends Envelope {
  readonly type: 'appendResponse';
  readonly result: /** The follower holds everything up to matchIndex on disk, as the leader does. */
    | { readonly ok: true; readonly matchIndex: number }
    /**
     * It does not hold (prevIndex, prevTerm) of the append. It may agree with the leader at hintIndex,
     * where it holds an entry of hintTerm, and nowhere above.
     */
    | { readonly ok: false; readonly prevIndex: number; readonly hintIndex: number; readonly hintTerm: number };
}
/** The leader is alive. `round` grows with each round of read barriers. */
export interface Heartbeat extends Envelope {
  readonly type: 'heartbeat';
  readonly commitIndex: number;
  readonly round: number;
}
export interface HeartbeatResponse extends Envelope {
  readonly type: 'heartbeatResponse';
  readonly round: number;
}
/**
 * Leader to follower: start from this snapshot. On its way the driver adds the snapshot's content,
 * and hands the message to the follower's core when that content is on the follower's disk.
 */
export interface InstallSnapshot extends Envelope {
  readonly type: 'installSnapshot';
  readonly snapshot: SnapshotMark;
  /** The configuration as of the snapshot. */
  readonly configuration: Configuration;
}
/** Leader to a voter that holds its whole log: stand for election at once (dissertation, 3.10). */
export interface TimeoutNow extends Envelope {
  readonly type: 'timeoutNow';
}

export type Message =
  | PreVote
  | PreVoteResponse
  | Vote
  | VoteResponse
  | Append
  | AppendResponse
  | Heartbeat
  | HeartbeatResponse
  | InstallSnapshot
  | TimeoutNow;

/** One group to put on disk, atomically and synced, in this order: snapshot, entries, hard state. */
export interface PersistGroup {
  /** A snapshot received: replaces the whole log. Its content is on disk already. */
  readonly snapshot: SnapshotMark | undefined;
  /** Replace everything from the first one's index on. */
  readonly entries: readonly Entry[];
  /** Present if it has changed. */
  readonly hardState: HardState | undefined;
  /** To send once the group is on disk, and not before: they promise what is in it. */
  readonly messages: readonly Message[];
}

/** What the driver is to do now. */
export interface Ready {
  /** May be sent at once. */
  readonly messages: readonly Message[];
  /** Given only while no earlier group is under way; answered by advance(). */
  readonly persist: PersistGroup | undefined;
  /** The state machine starts anew from this snapshot, which is on disk, before anything of `committed`. */
  readonly restore: SnapshotMark | undefined;
  /** To apply, in order. All are on this node's disk as well. */
  readonly committed: readonly Entry[];
  /** Read barriers proven: they may be answered when `index` has been applied. */
  readonly reads: readonly { readonly id: number; readonly index: number }[];
  /** Read barriers that this node can no longer prove. */
  readonly readsLost: readonly number[];
}
