/**
 * What is to go on disk, and what is to be sent before and after. Keeps the one rule on which all
 * promises of Raft rest: a message that promises something leaves only when that is on disk.
 *
 * Groups go one after another: while one is being written, what comes gathers into the next (group
 * commit). A message that waits is given to the first group that starts after it, so everything the
 * node held when it spoke is in that group or in an earlier one.
 *
 * At once:  append, heartbeat, installSnapshot, timeoutNow (their sender's term and vote are on disk
 *           since it was elected), pre-votes and their answers (they promise nothing).
 * After:    votes and requests for them, and all that answers a leader.
 */
import { assert, unreachable } from '@barnabas/common';
import type { RaftLog } from './raft-log.js';
import type { HardState, Message, NodeId, PersistGroup, SnapshotMark } from './types.js';

export class Persistence {
  #now: Message[] = [];
  #waiting: Message[] = [];
  /** Messages of the group under way that this node sends to itself. */
  #ownUnderWay: Message[] = [];
  #hardState: HardState | undefined;
  #snapshot: SnapshotMark | undefined;
  #underWay: PersistGroup | undefined;

  constructor(
    readonly id: NodeId,
    readonly log: RaftLog,
  ) {}

  send(message: Message): void {
    switch (message.type) {
      case 'append':
      case 'heartbeat':
      case 'installSnapshot':
      case 'timeoutNow':
      case 'preVote':
      case 'preVoteResponse':
        this.#now.push(message);
        return;
      case 'vote':
      case 'voteResponse':
      case 'appendResponse':
      case 'heartbeatResponse':
        this.#waiting.push(message);
        return;
      default:
        unreachable(message);
    }
  }

  hardStateChanged(hardState: HardState): void {
    this.#hardState = hardState;
    // What was promised in an earlier term and has not left, nobody has heard: better never said.
    this.#waiting = this.#waiting.filter((message) => message.term >= hardState.term);
  }

  /** A snapshot takes the log's place; entries waiting are part of the past. */
  snapshotAccepted(mark: SnapshotMark): void {
    this.#snapshot = mark;
  }

  /** A snapshot that is not on disk as such yet; nothing behind it can be applied. */
  get snapshotPending(): boolean {
    return this.#snapshot !== undefined || this.#underWay?.snapshot !== undefined;
  }

  takeMessages(): Message[] {
    const messages = this.#now;
    this.#now = [];
    return messages;
  }

  /** The next group, if none is under way and there is anything in it. */
  next(): PersistGroup | undefined {
    if (this.#underWay !== undefined) return undefined;
    const somethingNew = this.#hardState !== undefined || this.#snapshot !== undefined || this.#waiting.length > 0;
    if (!somethingNew && this.log.stableIndex === this.log.lastIndex) return undefined;
    this.#ownUnderWay = this.#waiting.filter((message) => message.to === this.id);
    this.#underWay = {
      snapshot: this.#snapshot,
      entries: this.log.takeUnstable(),
      hardState: this.#hardState,
      messages: this.#waiting.filter((message) => message.to !== this.id),
    };
    this.#waiting = [];
    this.#hardState = undefined;
    this.#snapshot = undefined;
    return this.#underWay;
  }

  /** The group is on disk. Returns what this node has to tell itself, and the snapshot that is now in force. */
  stored(): { readonly own: readonly Message[]; readonly snapshot: SnapshotMark | undefined } {
    const group = this.#underWay;
    assert(group !== undefined, 'a group is under way');
    const own = this.#ownUnderWay;
    this.#underWay = undefined;
    this.#ownUnderWay = [];
    this.log.stored();
    return { own, snapshot: group.snapshot };
  }
}
