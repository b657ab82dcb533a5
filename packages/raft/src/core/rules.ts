/**
 * The decisions on which Raft's safety rests, each by itself and without side effects; everything else
 * in the core asks here. Production code knows no rules but these. The simulator hands RaftCore a
 * subclass that breaks one of them, to see its checkers find it (RaftParts in start-raft.ts): there is
 * no switch.
 */
import type { RaftLog } from './raft-log.js';
import type { NodeId, PreVote, SnapshotMark, Vote } from './types.js';
import { majorityOf } from './voters.js';
import type { Voters } from './voters.js';

/** What a node knows when it is asked for its vote. */
export interface Elector {
  readonly term: number;
  readonly votedFor: NodeId | undefined;
  readonly leaderId: NodeId | undefined;
  readonly log: RaftLog;
}

export class Rules {
  /** How many of so many voters decide. Any two such sets have a voter in common. */
  majorityOf(voters: number): number {
    return majorityOf(voters);
  }

  /** One vote in a term, to a log at least as up to date as this one (Raft paper, 5.2 and 5.4.1). */
  grantsVote(node: Elector, request: Vote): boolean {
    const free = node.votedFor === undefined && node.leaderId === undefined;
    const ours = node.votedFor === request.from;
    return (ours || free) && node.log.isUpToDate(request.lastIndex, request.lastTerm);
  }

  /** Whether it would get the vote in that term, which has not begun here (dissertation, 9.6). */
  grantsPreVote(node: Elector, request: PreVote): boolean {
    return request.term > node.term && node.log.isUpToDate(request.lastIndex, request.lastTerm);
  }

  /** How far enough voters hold the log on their disks. */
  heldByQuorum(_log: RaftLog, voters: Voters, matchIndexOf: (id: NodeId) => number): number {
    return voters.reachedByMajority(matchIndexOf);
  }

  /**
   * An entry of an earlier term that a majority holds may still be replaced (paper, figure 8): it
   * counts only through an entry of the leader's own term behind it.
   */
  commitsBy(entryTerm: number | undefined, ownTerm: number): boolean {
    return entryTerm === ownTerm;
  }

  /** A snapshot never takes a log back behind what is committed. */
  takesSnapshot(log: RaftLog, snapshot: SnapshotMark): boolean {
    return snapshot.index > log.commitIndex;
  }

  /**
   * Whether a leader may begin a change of the membership. Not while one is uncommitted, else majorities
   * need not overlap. And not before it has committed an entry of its own term, else:
   *   1. of four, 1 leads term 1, appends "5 votes too" and reaches nobody but 5 with it
   *   2. 2 leads term 2 by the votes of 2, 3 and 4, appends "remove 1", and commits it with 3 alone: two of
   *      the three that are left
   *   3. 1 comes back, and leads term 3 by the votes of 1, 4 and 5, three of its five: it lacks what was committed
   * (Ongaro, "bug in single-server membership changes", 2015.) Had 2 first committed an entry of term 2,
   * a majority of the four would hold that, and not vote for 1.
   */
  admitsChange(log: RaftLog, termStartIndex: number): boolean {
    return log.commitIndex >= termStartIndex && log.commitIndex >= log.configurationIndex;
  }

  /**
   * Whether nobody else can have been elected by now, since a majority had last heard this leader no
   * earlier than `heardAt`, and helps nobody else for an election time-out from then on.
   */
  holdsLease(now: number, heardAt: number, leaseTicks: number): boolean {
    return now - heardAt < leaseTicks;
  }
}
