/**
 * How any node, whatever its role, answers a request for its vote or pre-vote. The request's term is
 * the node's own by now; in a pre-vote it may be later. Whether it votes itself does not matter: one
 * that was promoted may not know it yet, and the candidate, which does, asks it by its own name.
 *
 * V1  one vote in a term, to a log at least as up to date as this one (Raft paper, 5.2 and 5.4.1).
 * V2  a pre-vote changes nothing here, so it can be given to several (dissertation, 9.6).
 */
import { senderOf } from './node-state.js';
import type { NodeState } from './node-state.js';
import type { PreVote, Vote } from './types.js';

export function answerVote(node: NodeState, request: Vote): void {
  const granted = node.rules.grantsVote(node, request);
  if (granted) {
    node.voteFor(request.from);
    // Whoever gave its vote gives the candidate time to win.
    node.electionElapsed = 0;
  }
  node.send(senderOf(request), { type: 'voteResponse', granted });
}

export function answerPreVote(node: NodeState, request: PreVote): void {
  const granted = node.rules.grantsPreVote(node, request);
  const term = granted ? request.term : node.term;
  node.send(senderOf(request), { type: 'preVoteResponse', granted, term });
}
