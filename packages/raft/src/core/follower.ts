/**
 * A follower: stores what its leader sends, and stands for election when it hears from none. One that
 * has no vote follows all the same, and never stands.
 *
 * Legal transitions, of voters: to preCandidate when its patience ends; to candidate when its leader hands it the lead.
 * Invariant: F1 what it acknowledges to a leader it holds exactly as that leader does, and on disk.
 */
import { assert } from '@barnabas/common';
import { senderOf } from './node-state.js';
import type { NodeState } from './node-state.js';
import type { Role, Transition } from './role.js';
import type { Append, Heartbeat, InstallSnapshot, Message } from './types.js';

export class Follower implements Role {
  readonly name = 'follower';

  constructor(readonly node: NodeState) {}

  enter(): Transition {
    this.node.resetElectionClock();
    return undefined;
  }

  tick(): Transition {
    const { node } = this;
    node.electionElapsed++;
    if (node.electionElapsed < node.electionTimeout) return undefined;
    if (node.mayStand) return 'preCandidate';
    node.leaderId = undefined;
    node.resetElectionClock();
    return undefined;
  }

  step(message: Message): Transition {
    if (message.type === 'append') {
      this.#hear(message.from);
      this.#append(message);
    } else if (message.type === 'heartbeat') {
      this.#hear(message.from);
      this.#heartbeat(message);
    } else if (message.type === 'installSnapshot') {
      this.#hear(message.from);
      this.#installSnapshot(message);
    } else if (message.type === 'timeoutNow') {
      this.#hear(message.from);
      // One that does not know of its own vote yet, or any more, would stand in vain.
      if (this.node.isVoter) return 'transferred';
    }
    // Answers to requests of an earlier role come late: nobody waits for them.
    return undefined;
  }

  #hear(leaderId: number): void {
    const { node } = this;
    assert(node.leaderId === undefined || node.leaderId === leaderId, 'a term has one leader', {
      term: node.term,
      leaderId: node.leaderId,
      other: leaderId,
    });
    node.leaderId = leaderId;
    node.electionElapsed = 0;
    node.ticksSinceLeader = 0;
  }

  #append(message: Append): void {
    const { log } = this.node;
    if (message.prevIndex < log.commitIndex) {
      // Everything committed agrees with every leader; an old message says nothing new.
      this.#acknowledge(message, log.commitIndex);
    } else if (log.termAt(message.prevIndex) !== message.prevTerm) {
      this.#reject(message);
    } else {
      const matchIndex = log.accept(message.prevIndex, message.entries);
      log.commitTo(Math.min(message.commitIndex, matchIndex));
      this.#acknowledge(message, matchIndex);
    }
  }

  #heartbeat(message: Heartbeat): void {
    // The leader names no index beyond what this node has acknowledged.
    this.node.log.commitTo(message.commitIndex);
    this.node.send(senderOf(message), { type: 'heartbeatResponse', round: message.round });
  }

  #installSnapshot(message: InstallSnapshot): void {
    const { log, persistence, rules } = this.node;
    const mark = message.snapshot;
    if (!rules.takesSnapshot(log, mark)) {
      this.#acknowledge(message, log.commitIndex);
      return;
    }
    if (log.holds(mark)) {
      // The log contains the snapshot already, and perhaps more, which is to stay.
      log.commitTo(mark.index);
    } else {
      log.restore(mark, message.configuration);
      persistence.snapshotAccepted(mark);
    }
    this.#acknowledge(message, mark.index);
  }

  #acknowledge(leader: Message, matchIndex: number): void {
    this.node.send(senderOf(leader), { type: 'appendResponse', result: { ok: true, matchIndex } });
  }

  #reject(message: Append): void {
    // Not the entry before but the last place where both could agree: entries here of terms later
    // than the leader's at that index are none of its log, so whole terms are skipped at a time.
    const hint = this.node.log.lastIndexWithTermUpTo(message.prevIndex, message.prevTerm);
    this.node.send(senderOf(message), {
      type: 'appendResponse',
      result: { ok: false, prevIndex: message.prevIndex, hintIndex: hint.index, hintTerm: hint.term },
    });
  }
}
