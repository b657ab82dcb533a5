/**
 * A leader's followers: voters, learners and observers, what it knows of each, and what it sends to
 * them. Observers are nodes that have announced themselves and are no members: they get the log, are
 * counted for nothing, and are forgotten when they are silent for long. A member that is removed goes
 * on as an observer, and so learns that it was removed.
 *
 * Invariant: W1 every member of the configuration in force, but for this node, has its Progress, and
 * under its own directory id.
 */
import { assert } from '@barnabas/common';
import { isSame, memberOf } from './configuration.js';
import type { NodeState } from './node-state.js';
import { Progress } from './progress.js';
import type { Window } from './progress.js';
import { entryBytes } from './raft-log.js';
import type { Member, NodeId, ReplicaId } from './types.js';

/** Checks of the quorum after which a silent observer is forgotten. It comes back by announcing itself. */
const FORGET_AFTER_CHECKS = 10;

export class Followers {
  readonly #all = new Map<NodeId, Progress>();
  readonly #window: Window;

  constructor(readonly node: NodeState) {
    const { maxInflightAppends: messages, maxInflightBytes: bytes } = node.options;
    this.#window = { messages, bytes };
    this.reconcile();
  }

  get(id: NodeId): Progress | undefined {
    return this.#all.get(id);
  }

  /** The one that a message comes from: a node that has its id but another disk is somebody else. */
  from(sender: ReplicaId): Progress | undefined {
    const progress = this.#all.get(sender.id);
    return progress !== undefined && isSame(progress.member, sender) ? progress : undefined;
  }

  [Symbol.iterator](): IterableIterator<Progress> {
    return this.#all.values();
  }

  get observers(): Progress[] {
    return [...this.#all.values()].filter(({ member }) => !this.#isMember(member));
  }

  /** The configuration has changed. */
  reconcile(): void {
    const { voters, learners } = this.node.log.configuration;
    for (const member of [...voters, ...learners]) if (!isSame(member, this.node)) this.#take(member);
  }

  /** A node says that it follows. Of two disks of one node id the member's comes first. */
  observe(member: Member): boolean {
    if (member.id === this.node.id || memberOf(this.node.log.configuration, member.id) !== undefined) return false;
    this.#take(member);
    return true;
  }

  tick(): void {
    for (const progress of this.#all.values()) progress.tick();
  }

  /** Whether a majority of the voters has been heard since the last check. */
  checkQuorum(): boolean {
    const { node } = this;
    const heard = node.voters.ids.filter((id) => (id === node.id ? node.isVoter : this.#all.get(id)?.active === true));
    for (const progress of this.#all.values()) {
      progress.silentChecks = progress.active ? 0 : progress.silentChecks + 1;
      progress.active = false;
    }
    for (const { id, silentChecks } of this.observers) if (silentChecks >= FORGET_AFTER_CHECKS) this.#all.delete(id);
    return heard.length >= node.voters.majority;
  }

  sendHeartbeats(round: number): void {
    for (const follower of this.#all.values()) {
      // A follower is told of no commit beyond what it is known to hold: its log might differ there.
      const commitIndex = Math.min(follower.matchIndex, this.node.log.commitIndex);
      this.node.send(follower.member, { type: 'heartbeat', commitIndex, round });
    }
  }

  sendAppends(): void {
    for (const follower of this.#all.values()) this.#sendAppends(follower);
  }

  #isMember(replica: ReplicaId): boolean {
    const member = memberOf(this.node.log.configuration, replica.id);
    return member !== undefined && isSame(member, replica);
  }

  #take(member: Member): void {
    const known = this.from(member);
    if (known === undefined) this.#all.set(member.id, new Progress(member, this.node.log.lastIndex + 1));
    else known.member = member;
  }

  #sendAppends(follower: Progress): void {
    const { log } = this.node;
    const nudge = follower.nudge;
    follower.nudge = false;
    if (follower.state.kind !== 'replicate') {
      if (!follower.isPaused(this.#window)) this.#sendAppend(follower);
      return;
    }
    const { state } = follower;
    let sent = false;
    while (follower.state === state && follower.nextIndex <= log.lastIndex && !follower.isPaused(this.#window)) {
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
    const lastIndex = prevIndex + entries.length;
    this.node.send(follower.member, { type: 'append', prevIndex, prevTerm, entries, commitIndex });
    follower.commitSent = Math.min(commitIndex, lastIndex);
    follower.sent(
      lastIndex,
      entries.reduce((sum, entry) => sum + entryBytes(entry), 0),
    );
  }

  #sendSnapshot(follower: Progress): void {
    // To one that is away it would only be lost, and it is large.
    if (!follower.active) return;
    const { snapshot } = this.node.log;
    assert(snapshot.index > 0, 'a log that does not begin at its beginning has a snapshot');
    follower.awaitSnapshot(snapshot);
    const configuration = this.node.log.configurationAt(snapshot.index);
    this.node.send(follower.member, { type: 'installSnapshot', snapshot, configuration });
  }
}
