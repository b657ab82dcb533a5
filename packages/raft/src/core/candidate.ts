/**
 * The two steps to leadership. A pre-candidate asks whether it would be elected and disturbs nobody;
 * a candidate begins a new term, votes for itself and asks for votes.
 *
 * Legal transitions:
 *   preCandidate  to candidate when a majority would vote for it; to follower when one would not;
 *                 to preCandidate anew when its patience ends
 *   candidate     to leader when a majority has voted for it; to follower when one has refused;
 *                 to preCandidate when its patience ends
 * The voters are those of the node's last configuration, committed or not; who may stand is decided in node-state.ts.
 * Invariant: C1 no vote counts, its own included, that is not on its voter's disk.
 */
import { senderOf } from './node-state.js';
import type { NodeState } from './node-state.js';
import type { Role, Transition } from './role.js';
import type { Message, NodeId } from './types.js';

export class PreCandidate implements Role {
  readonly name = 'preCandidate';
  readonly #votes = new Map<NodeId, boolean>();

  constructor(readonly node: NodeState) {}

  enter(): Transition {
    this.node.leaderId = undefined;
    this.node.resetElectionClock();
    this.#votes.set(this.node.id, true);
    this.#ask();
    return this.#result();
  }

  tick(): Transition {
    this.node.electionElapsed++;
    if (this.node.electionElapsed >= this.node.electionTimeout) return 'preCandidate';
    // Whoever still trusted the old leader was silent; by now it may have lost patience as well.
    // Asking again at the pace of heartbeats saves waiting for a whole election time-out.
    if (this.node.electionElapsed % this.node.options.heartbeatTicks === 0) this.#ask();
    return undefined;
  }

  step(message: Message): Transition {
    if (message.type !== 'preVoteResponse' || !this.node.voters.has(senderOf(message))) return undefined;
    if (message.granted && message.term !== this.node.term + 1) return undefined;
    this.#votes.set(message.from, message.granted);
    return this.#result();
  }

  #ask(): void {
    const { node } = this;
    for (const voter of node.voters.others(node)) {
      if (this.#votes.has(voter.id)) continue;
      const { lastIndex, lastTerm } = node.log;
      node.send(voter, { type: 'preVote', term: node.term + 1, lastIndex, lastTerm });
    }
  }

  #result(): Transition {
    const outcome = this.node.voters.outcome(this.#votes);
    if (outcome === 'won') return 'candidate';
    return outcome === 'lost' ? 'follower' : undefined;
  }
}

export class Candidate implements Role {
  readonly name = 'candidate';
  readonly #votes = new Map<NodeId, boolean>();

  constructor(
    readonly node: NodeState,
    /** The leader of the term before has asked for this election. */
    readonly byTransfer: boolean,
  ) {}

  enter(): Transition {
    const { node } = this;
    node.leaderId = undefined;
    node.resetElectionClock();
    node.beginTerm(node.term + 1, node.id);
    // Both wait for the disk. Its own vote, because forgetting it would let the node vote again. And
    // the requests, because they tell of the log's end: a vote given to entries that a crash then
    // takes away could elect this node, restarted in the same term, without a committed entry.
    node.send(node, { type: 'voteResponse', granted: true });
    const { lastIndex, lastTerm } = node.log;
    for (const voter of node.voters.others(node)) {
      node.send(voter, { type: 'vote', lastIndex, lastTerm, force: this.byTransfer });
    }
    return undefined;
  }

  tick(): Transition {
    this.node.electionElapsed++;
    return this.node.electionElapsed >= this.node.electionTimeout ? 'preCandidate' : undefined;
  }

  step(message: Message): Transition {
    if (message.type !== 'voteResponse' || !this.node.voters.has(senderOf(message))) return undefined;
    this.#votes.set(message.from, message.granted);
    // Somebody else stands as well, and perhaps nobody can win. Whoever tries again first, wins: to wait
    // for a whole patience would leave the quorum without a leader for longer than twice the time-out.
    if (!message.granted) this.node.loseHope();
    const outcome = this.node.voters.outcome(this.#votes);
    if (outcome === 'won') return 'leader';
    return outcome === 'lost' ? 'follower' : undefined;
  }
}
