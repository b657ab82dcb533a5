/**
 * A follower: stores what its leader sends, and stands for election when it hears from none.
 *
 * Legal transitions: to preCandidate when its patience ends.
 * Invariant: F1 what it acknowledges to a leader it holds exactly as that leader does, and on disk.
 */
import { assert } from '@barnabas/common';
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
    this.node.electionElapsed++;
    return this.node.electionElapsed >= this.node.electionTimeout ? 'preCandidate' : undefined;
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
  }

  #append(message: Append): void {
    const { log } = this.node;
    if (message.prevIndex < log.commitIndex) {
      // Everything committed agrees with every leader; an old message says nothing new.
      this.#acknowledge(message.from, log.commitIndex);
    } else if (log.termAt(message.prevIndex) !== message.prevTerm) {
      this.#reject(message);
    } else {
      const matchIndex = log.accept(message.prevIndex, message.entries);
      log.commitTo(Math.min(message.commitIndex, matchIndex));
      this.#acknowledge(message.from, matchIndex);
    }
  }

  #heartbeat(message: Heartbeat): void {
    // The leader names no index beyond what this node has acknowledged.
    this.node.log.commitTo(message.commitIndex);
    this.node.send({ type: 'heartbeatResponse', to: message.from, round: message.round });
  }

  #installSnapshot(message: InstallSnapshot): void {
    const { log, persistence } = this.node;
    const mark = message.snapshot;
    if (mark.index <= log.commitIndex) {
      this.#acknowledge(message.from, log.commitIndex);
      return;
    }
    if (log.holds(mark)) {
      // The log contains the snapshot already, and perhaps more, which is to stay.
      log.commitTo(mark.index);
    } else {
      log.restore(mark);
      persistence.snapshotAccepted(mark);
    }
    this.#acknowledge(message.from, mark.index);
  }

  #acknowledge(leaderId: number, matchIndex: number): void {
    this.node.send({ type: 'appendResponse', to: leaderId, result: { ok: true, matchIndex } });
  }

  #reject(message: Append): void {
    // Not the entry before but the last place where both could agree: entries here of terms later
    // than the leader's at that index are none of its log, so whole terms are skipped at a time.
    const hint = this.node.log.lastIndexWithTermUpTo(message.prevIndex, message.prevTerm);
    this.node.send({
      type: 'appendResponse',
      to: message.from,
      result: { ok: false, prevIndex: message.prevIndex, hintIndex: hint.index, hintTerm: hint.term },
    });
  }
}
