/** Bugs of replication, commit and snapshots. */
import type { PeerMessage, StoredSnapshot } from '@barnabas/raft';
import { Rules } from '@barnabas/raft/core';
import type { RaftLog, Voters } from '@barnabas/raft/core';
import { withOverrides } from '../../kernel/overrides.js';
import type { Stage } from '../../kernel/stage.js';
import type { QuorumPlan } from '../plan.js';
import type { QuorumPlant } from './plant.js';

const DIVERGED = ['state-machine', 'leader-completeness', 'acknowledged', 'log-matching', 'commits'] as const;

/**
 * Figure 8 of the Raft paper again and again: leaders are deposed one after another, with entries that
 * nobody else has yet, and entries go one by one, so that those of an old term arrive without the next.
 */
const shortReigns = (plan: QuorumPlan): QuorumPlan => ({
  ...plan,
  ...{
    nodes: 3,
    voters: 3,
    changeEveryMs: undefined,
    clients: 3,
    misfortunes: ['deposition'],
    misfortuneEveryMs: 75,
    loss: 0,
    maxNetworkMs: 20,
  },
  config: {
    ...plan.config,
    ...{ heartbeatIntervalMs: 20, electionTimeoutMs: 100 },
    ...{ maxAppendBytes: 1, maxInflightAppends: 1, snapshotAfterBytes: 1_000_000 },
  },
});

export const countAMinority: QuorumPlant = {
  name: 'count-a-minority',
  says: 'a leader commits what one follower less than a majority holds',
  caughtBy: [...DIVERGED, 'read-barrier', 'linearizable'],
  needs: ['isolation', 'powerLoss'],
  rules: () => new MinorityCounts(),
};

class MinorityCounts extends Rules {
  override heldByQuorum(_log: RaftLog, voters: Voters, matchIndexOf: (id: number) => number): number {
    return descending(voters, matchIndexOf)[Math.max(0, voters.majority - 2)] ?? 0;
  }
}

const descending = (voters: Voters, matchIndexOf: (id: number) => number): readonly number[] =>
  voters.ids.map(matchIndexOf).sort((one, other) => other - one);

export const commitByAnOldTerm: QuorumPlant = {
  name: 'commit-by-an-old-term',
  says: 'an entry of an earlier term is committed once a majority holds it',
  caughtBy: DIVERGED,
  tune: shortReigns,
  rules: () => new AnyTermCommits(),
};

class AnyTermCommits extends Rules {
  override commitsBy(entryTerm: number | undefined): boolean {
    return entryTerm !== undefined;
  }
}

export const changeWithoutQuorum: QuorumPlant = {
  name: 'membership-change-without-quorum',
  says: 'a change of the membership is committed by the leader alone',
  caughtBy: [...DIVERGED, 'one-leader', 'read-barrier', 'linearizable'],
  needs: ['isolation', 'split'],
  tune: (plan) => ({ ...plan, nodes: 5, voters: 3, changeEveryMs: 100 }),
  rules: () => new LonelyChange(),
};

class LonelyChange extends Rules {
  override heldByQuorum(log: RaftLog, voters: Voters, matchIndexOf: (id: number) => number): number {
    const isChanging = log.configurationIndex > log.commitIndex;
    return isChanging ? (descending(voters, matchIndexOf)[0] ?? 0) : super.heldByQuorum(log, voters, matchIndexOf);
  }
}

function mixedUp(message: PeerMessage, { dice }: Stage): PeerMessage {
  if (message.type !== 'append' || dice.below(30) > 0) return message;
  const entries = message.entries.map((entry) =>
    entry.kind === 'command' ? { ...entry, command: Buffer.from(`mixed-up-${dice.below(1e9)} r0`) } : entry,
  );
  return { ...message, entries };
}

export const sendSomethingElse: QuorumPlant = {
  name: 'send-something-else',
  says: 'now and then a leader sends another command than it has',
  caughtBy: ['log-matching'],
  said: mixedUp,
};

export const storeSomethingElse: QuorumPlant = {
  name: 'store-something-else',
  says: 'now and then a follower stores another command than it was sent',
  caughtBy: ['state-machine'],
  heard: mixedUp,
};

export const acknowledgeBeforeCommit: QuorumPlant = {
  name: 'acknowledge-before-commit',
  says: 'a proposal is answered once the leader has appended it',
  caughtBy: ['acknowledged'],
  node: (node) =>
    withOverrides(node, {
      propose: async (commands, options) => {
        const firstIndex = node.nextIndex;
        const { term } = node.status;
        const committed = node.propose(commands, options);
        if (node.status.role !== 'leader') return committed;
        committed.catch(() => {});
        return { firstIndex, lastIndex: firstIndex + commands.length - 1, term };
      },
    }),
};

export const shortSnapshot: QuorumPlant = {
  name: 'short-snapshot',
  says: 'a snapshot lacks the last entry that it is said to contain',
  caughtBy: ['fault', 'state-machine'],
  needs: ['kill'],
  stateMachine: (machine) => withOverrides(machine, { snapshot: () => [...machine.snapshot()].slice(0, -1) }),
};

export const snapshotBackwards: QuorumPlant = {
  name: 'snapshot-backwards',
  says: 'now and then a snapshot is applied that is older than what has been applied',
  caughtBy: ['state-machine'],
  tune: (plan) => ({ ...plan, config: { ...plan.config, snapshotAfterBytes: 200 } }),
  stateMachine: (machine, stage) => {
    let last: { readonly index: number; readonly records: readonly Uint8Array[] } | undefined;
    return withOverrides(machine, {
      snapshot: () => {
        const records = [...machine.snapshot()];
        last = { index: records.length, records };
        return records;
      },
      apply: (entries) => {
        machine.apply(entries);
        const appliedIndex = entries.at(-1)?.index ?? 0;
        if (last === undefined || last.index >= appliedIndex || stage.dice.below(10) > 0) return;
        machine.restore(storedOf(last)).catch((error: unknown) => stage.fail(error));
      },
    });
  },
};

function storedOf({
  index,
  records,
}: {
  readonly index: number;
  readonly records: readonly Uint8Array[];
}): StoredSnapshot {
  async function* pieces(): AsyncGenerator<readonly Buffer[], void, undefined> {
    yield await Promise.resolve(records.map((record) => Buffer.from(record)));
  }
  return { index, term: 0, records: pieces() };
}
