/**
 * Each of the rules on which safety rests, broken: the checker must find it. What breaks a rule stands
 * here; production code has no switch for it. Each begins to look at the seed given, where it was found
 * last; RAFT_PLANT_SEEDS=500 looks from the first on, as after a change of the random runs.
 */
import { InvariantError } from '@barnabas/common';
import { Rules } from './index.js';
import type { Elector, PreVote, RaftLog, Vote, Voters } from './index.js';
import { randomRun } from './test-kit/random-run.js';
import { TestNode } from './test-kit/test-node.js';

const SEEDS = process.env.RAFT_PLANT_SEEDS;

class CountsAMinority extends Rules {
  override majorityOf(voters: number): number {
    return Math.max(1, super.majorityOf(voters) - 1);
  }
}

class CommitsByAnOldTerm extends Rules {
  override commitsBy(): boolean {
    return true;
  }
}

class VotesForAnybody extends Rules {
  override grantsVote(node: Elector, request: Vote): boolean {
    return node.votedFor === undefined || node.votedFor === request.from;
  }
  override grantsPreVote(): boolean {
    return true;
  }
}

class VotesTwice extends Rules {
  override grantsVote(node: Elector, request: Vote): boolean {
    return node.log.isUpToDate(request.lastIndex, request.lastTerm);
  }
}

class AppliesSnapshotsBackwards extends Rules {
  override takesSnapshot(): boolean {
    return true;
  }
}

class ChangesWithoutQuorum extends Rules {
  override heldByQuorum(log: RaftLog, voters: Voters, matchIndexOf: (id: number) => number): number {
    const isChanging = log.configurationIndex > log.commitIndex;
    return isChanging ? log.configurationIndex : super.heldByQuorum(log, voters, matchIndexOf);
  }
}

class ChangesAtAnyTime extends Rules {
  override admitsChange(): boolean {
    return true;
  }
}

class ReadsByAnOldLease extends Rules {
  override holdsLease(): boolean {
    return true;
  }
}

/** What it throws, and the first seed in which it does. */
function found(rules: Rules, likelySeed: number): { readonly seed: number; readonly text: string } | undefined {
  const first = SEEDS === undefined ? likelySeed : 1;
  for (let seed = first; seed < first + Number(SEEDS ?? 100); seed++) {
    try {
      const makeNode = (...args: ConstructorParameters<typeof TestNode>): TestNode =>
        new TestNode(args[0], args[1], rules);
      randomRun({ seed, nodes: 3, events: 2000, makeNode });
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      return { seed, text: error.message.split('\n')[0] ?? '' };
    }
  }
  return undefined;
}

describe('a broken rule is found', () => {
  it.each([
    ['a minority decides', 1, new CountsAMinority(), 'majority|one leader|committed|same|own term'],
    ['an entry of an earlier term commits', 1, new CommitsByAnOldTerm(), 'own term'],
    ['a vote is given however little the candidate holds', 1, new VotesForAnybody(), 'committed|replaced|same|lost'],
    ['a node votes twice in a term', 1, new VotesTwice(), 'votes once'],
    ['a snapshot takes a log back', 14, new AppliesSnapshotsBackwards(), 'never takes a log back'],
    [
      'a change of the membership is committed by its leader alone',
      1,
      new ChangesWithoutQuorum(),
      'majority|committed',
    ],
    [
      'changes of the membership overlap',
      162,
      new ChangesAtAnyTime(),
      'majority|committed|replaced|one leader|lost|same|progress',
    ],
    ['a lease never ends', 74, new ReadsByAnOldLease(), 'linearizable'],
  ])(
    '%s',
    (_, seed, rules, says) => {
      const result = found(rules, seed);
      if (process.env.RAFT_PLANT_SEEDS !== undefined) console.log(result);
      expect(result?.text).toMatch(new RegExp(says));
    },
    600_000,
  );

  it('but for a pre-vote without a term check, which disturbs without harm', () => {
    class Lenient extends Rules {
      override grantsPreVote(node: Elector, request: PreVote): boolean {
        return node.log.isUpToDate(request.lastIndex, request.lastTerm);
      }
    }
    const node: Elector = {
      ...{ term: 5, votedFor: undefined, leaderId: undefined },
      log: { isUpToDate: () => true } as unknown as RaftLog,
    };
    const request = { type: 'preVote', from: 1, fromDirectory: '', to: 2, toDirectory: '' } as const;
    const old: PreVote = { ...request, term: 5, lastIndex: 9, lastTerm: 4 };
    expect([new Rules(), new Lenient()].map((rules) => rules.grantsPreVote(node, old))).toEqual([false, true]);
  });
});
