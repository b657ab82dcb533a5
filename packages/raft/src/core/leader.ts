/**
 * A leader: appends, replicates, decides what is committed, proves reads, and makes sure that it is
 * still followed. Messages to followers are made in `flush`, once before each Ready, so that whatever
 * came in one turn goes out in one append.
 *
 * Legal transitions: to follower when a majority has been silent for an election time-out.
 * Invariants:
 *   D1  a leader only appends to its log
 *   D2  it counts replicas only of entries of its own term (Raft paper, 5.4.2), itself only when its disk has them
 * Protocol: docs/protocols/raft.md, sections 3 to 5.
 */
import { present } from '@barnabas/common';
import type { NodeState } from './node-state.js';
import { Progress } from './progress.js';
import { ReadBarriers } from './read-barriers.js';
import type { Role, Transition } from './role.js';
import type { AppendResponse, Message, NodeId, Ready } from './types.js';

const NO_COMMAND = new Uint8Array(0);

export class Leader implements Role {
  readonly name = 'leader';
  readonly #followers: Map<NodeId, Progress>;
  readonly #barriers = new ReadBarriers();
  #proven: Ready['reads'][number][] = [];
  #heartbeatElapsed = 0;
  #heartbeatDue = false;
  /** The no-op at the beginning of this leader's term. */
  #termStartIndex = 0;

  constructor(readonly node: NodeState) {
    const nextIndex = node.log.lastIndex + 1;
    this.#followers = new Map(node.voters.others(node.id).map((id) => [id, new Progress(id, nextIndex)]));
  }

  enter(): Transition {
    const { node } = this;
    node.leaderId = node.id;
    node.electionElapsed = 0;
    // Entries of earlier terms are committed only together with one of this term; the no-op sees to it.
    this.#termStartIndex = node.log.lastIndex + 1;
    node.log.append({ index: this.#termStartIndex, term: node.term, kind: 'noop', command: NO_COMMAND });
    this.#advanceCommit();
    return undefined;
  }

  tick(): Transition {
    const { node } = this;
    if (++this.#heartbeatElapsed >= node.options.heartbeatTicks) {
      this.#heartbeatElapsed = 0;
      this.#heartbeatDue = true;
    }
    if (++node.electionElapsed >= node.options.electionTicks) {
      node.electionElapsed = 0;
      if (!this.#hearsMajority()) return 'follower';
    }
    return undefined;
  }

  step(message: Message): Transition {
    const follower = this.#followers.get(message.from);
    if (follower === undefined) return undefined;
    if (message.type === 'appendResponse') {
      follower.active = true;
      this.#onAppendResponse(follower, message.result);
    } else if (message.type === 'heartbeatResponse') {
      follower.heard();
      follower.nudge = follower.matchIndex < this.node.log.lastIndex;
      follower.confirmedRound = Math.max(follower.confirmedRound, message.round);
      this.#proveBarriers();
    }
    return undefined;
  }

  /** Appends commands, an entry each. */
  propose(commands: readonly Uint8Array[]): { firstIndex: number; lastIndex: number } {
    const { log, term } = this.node;
    const firstIndex = log.lastIndex + 1;
    for (const command of commands) log.append({ index: log.lastIndex + 1, term, kind: 'command', command });
    return { firstIndex, lastIndex: log.lastIndex };
  }

  addBarrier(id: number): void {
    this.#barriers.add(id);
  }

  takeProven(): Ready['reads'] {
    const proven = this.#proven;
    this.#proven = [];
    return proven;
  }

  /** This leader leads no more. Returns the barriers that it can no longer prove. */
  abandonBarriers(): number[] {
    return this.#barriers.abandon();
  }

  /** This node's own disk holds more of the log. */
  stored(): void {
    this.#advanceCommit();
  }

  snapshotEnded(follower: NodeId): void {
    this.#followers.get(follower)?.snapshotEnded();
  }

  /** The snapshot that a follower is waiting for. */
  snapshotAwaitedBy(follower: NodeId): number | undefined {
    const state = this.#followers.get(follower)?.state;
    return state?.kind === 'snapshot' ? state.mark.index : undefined;
  }

  matchIndexOf(id: NodeId): number {
    return id === this.node.id ? this.node.log.stableIndex : present(this.#followers.get(id), 'follower').matchIndex;
  }

  /** Everything of earlier terms is committed, and an entry of this one. */
  get commitsOwnTerm(): boolean {
    return this.node.log.commitIndex >= this.#termStartIndex;
  }

  get termStartIndex(): number {
    return this.#termStartIndex;
  }

  flush(): void {
    const newRound = this.commitsOwnTerm && this.#barriers.begin(this.node.log.commitIndex);
    if (newRound) this.#proveBarriers();
    if (newRound || this.#heartbeatDue) for (const follower of this.#followers.values()) this.#sendHeartbeat(follower);
    this.#heartbeatDue = false;
    for (const follower of this.#followers.values()) this.#sendAppends(follower);
  }

  #onAppendResponse(follower: Progress, result: AppendResponse['result']): void {
    if (result.ok) {
      follower.accepted(result.matchIndex);
      this.#advanceCommit();
      return;
    }
    // Of this log, nothing above the last entry of at most the hint's term can be in the follower's.
    const agree = this.node.log.lastIndexWithTermUpTo(result.hintIndex, result.hintTerm);
    follower.refused(result.prevIndex, agree.index);
  }

  #advanceCommit(): void {
    const { log, voters, term } = this.node;
    const index = voters.reachedByMajority((id) => this.matchIndexOf(id));
    // An entry of an earlier term that a majority holds may still be replaced (paper, figure 8): it
    // counts only through an entry of this term behind it.
    if (index > log.commitIndex && log.termAt(index) === term) log.commitTo(index);
  }

  #sendHeartbeat(follower: Progress): void {
    // A follower is told of no commit beyond what it is known to hold: its log might differ there.
    const commitIndex = Math.min(follower.matchIndex, this.node.log.commitIndex);
    this.node.send({ type: 'heartbeat', to: follower.id, commitIndex, round: this.#barriers.round });
  }

  #sendAppends(follower: Progress): void {
    const { log, options } = this.node;
    const { state } = follower;
    const nudge = follower.nudge;
    follower.nudge = false;
    if (state.kind === 'snapshot') return;
    if (state.kind === 'probe') {
      if (!state.sent) this.#sendAppend(follower);
      return;
    }
    let sent = false;
    while (
      follower.state === state &&
      follower.nextIndex <= log.lastIndex &&
      state.inflight.length < options.maxInflightAppends
    ) {
      this.#sendAppend(follower);
      sent = true;
    }
    const commitNews = follower.commitSent < Math.min(log.commitIndex, follower.nextIndex - 1);
    if (!sent && (nudge || commitNews)) this.#sendAppend(follower, 'empty');
  }

  /** One append from nextIndex on, or the snapshot where the log no longer reaches back so far. */
  #sendAppend(follower: Progress, content: 'entries' | 'empty' = 'entries'): void {
    const { log, options } = this.node;
    const prevIndex = follower.nextIndex - 1;
    const prevTerm = log.termAt(prevIndex);
    if (prevTerm === undefined) {
      this.#sendSnapshot(follower);
      return;
    }
    const entries = content === 'empty' ? [] : log.slice(follower.nextIndex, options.maxAppendBytes);
    const commitIndex = log.commitIndex;
    this.node.send({ type: 'append', to: follower.id, prevIndex, prevTerm, entries, commitIndex });
    follower.commitSent = Math.min(commitIndex, prevIndex + entries.length);
    if (follower.state.kind === 'probe') {
      follower.state.sent = true;
    } else if (follower.state.kind === 'replicate' && entries.length > 0) {
      follower.nextIndex += entries.length;
      follower.state.inflight.push(follower.nextIndex - 1);
    }
  }

  #sendSnapshot(follower: Progress): void {
    // To one that is away it would only be lost, and it is large.
    if (!follower.active) return;
    const { snapshot } = this.node.log;
    follower.awaitSnapshot(snapshot);
    this.node.send({ type: 'installSnapshot', to: follower.id, snapshot });
  }

  #proveBarriers(): void {
    const round = this.node.voters.reachedByMajority((id) =>
      id === this.node.id ? this.#barriers.round : present(this.#followers.get(id), 'follower').confirmedRound,
    );
    this.#proven.push(...this.#barriers.confirm(round));
  }

  #hearsMajority(): boolean {
    let heard = 1;
    for (const follower of this.#followers.values()) {
      if (follower.active) heard++;
      follower.active = false;
    }
    return heard >= this.node.voters.majority;
  }
}
