/**
 * How any node, whatever its role, answers a request for its vote or pre-vote. The request's term is
 * the node's own by now; in a pre-vote it may be later.
 *
 * V1  one vote in a term, to a log at least as up to date as this one (Raft paper, 5.2 and 5.4.1).
 * V2  a pre-vote changes nothing here, so it can be given to several (dissertation, 9.6).
 */
import type { NodeState } from './node-state.js';
import type { PreVote, Vote } from './types.js';

export function answerVote(node: NodeState, request: Vote): void {
  const free = node.votedFor === undefined && node.leaderId === undefined;
  const granted = (node.votedFor === request.from || free) && isUpToDate(node, request);
  if (granted) {
    node.voteFor(request.from);
    // Whoever gave its vote gives the candidate time to win.
    node.electionElapsed = 0;
  }
  node.send({ type: 'voteResponse', to: request.from, granted });
}

export function answerPreVote(node: NodeState, request: PreVote): void {
  const granted = request.term > node.term && isUpToDate(node, request);
  const term = granted ? request.term : node.term;
  node.send({ type: 'preVoteResponse', to: request.from, granted, term });
}

function isUpToDate(node: NodeState, request: PreVote | Vote): boolean {
  return node.log.isUpToDate(request.lastIndex, request.lastTerm);
}
