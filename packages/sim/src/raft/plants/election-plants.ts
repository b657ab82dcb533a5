/** Bugs of elections. */
import { Rules } from '@barnabas/raft/core';
import type { Elector, PreVote } from '@barnabas/raft/core';
import type { QuorumPlant } from './plant.js';

export const voteTwice: QuorumPlant = {
  name: 'vote-twice',
  says: 'a node grants every vote that it is asked for, however often in a term',
  caughtBy: ['votes'],
  needs: ['isolation'],
  said: (message) => (message.type === 'voteResponse' ? { ...message, granted: true } : message),
};

export const ignorePreVoteTerm: QuorumPlant = {
  name: 'ignore-pre-vote-term',
  says: 'a pre-vote is given whatever the term that it was asked for',
  caughtBy: ['pre-vote'],
  needs: ['isolation', 'freeze'],
  rules: () => new TermlessPreVote(),
};

class TermlessPreVote extends Rules {
  override grantsPreVote({ log }: Elector, { lastIndex, lastTerm }: PreVote): boolean {
    return log.isUpToDate(lastIndex, lastTerm);
  }
}

export const countRefusedVotes: QuorumPlant = {
  name: 'count-refused-votes',
  says: 'a candidate counts a vote that was refused',
  caughtBy: ['one-leader', 'leader-completeness', 'state-machine', 'fault'],
  needs: ['isolation'],
  heard: (message) => (message.type === 'voteResponse' ? { ...message, granted: true } : message),
};

export const electTheIgnorant: QuorumPlant = {
  name: 'elect-the-ignorant',
  says: 'a vote is given however little the candidate holds',
  caughtBy: ['leader-completeness', 'state-machine', 'fault'],
  needs: ['isolation', 'powerLoss'],
  heard: (message) => {
    const asks = message.type === 'vote' || message.type === 'preVote';
    return asks ? { ...message, lastIndex: 1e9, lastTerm: message.term } : message;
  },
};

export const answerInThePast: QuorumPlant = {
  name: 'answer-in-the-past',
  says: 'now and then a node answers with a term that is over',
  caughtBy: ['terms'],
  said: (message, { dice }) =>
    message.type === 'heartbeatResponse' && dice.below(50) === 0 ? { ...message, term: message.term - 1 } : message,
};
