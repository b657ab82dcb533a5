/** Planted bugs of a quorum: its real nodes with a disk, a network or a surface that misbehaves. */
import type { PeerMessage, RaftNode, StateMachine } from '@barnabas/raft';
import type { KeyValueStore } from '@barnabas/store';
import { completionsLost, unsynced } from '../disk/faulty-stores.js';
import { withOverrides } from '../kernel/overrides.js';
import type { Stage } from '../kernel/stage.js';
import type { Misfortune } from './plan.js';

export interface QuorumPlant {
  readonly name: string;
  readonly says: string;
  readonly caughtBy: readonly string[];
  readonly needs?: readonly Misfortune[];
  store?(store: KeyValueStore, stage: Stage): KeyValueStore;
  stateMachine?(machine: StateMachine, stage: Stage): StateMachine;
  node?(node: RaftNode, stage: Stage): RaftNode;
  /** A message as it is sent. */
  said?(message: PeerMessage, stage: Stage): PeerMessage;
  /** A message as it arrives. */
  heard?(message: PeerMessage, stage: Stage): PeerMessage;
}

export const NO_QUORUM_PLANT: QuorumPlant = { name: 'none', says: 'nothing is planted', caughtBy: [] };

/** What a quorum does that has forgotten something it had promised to keep. */
const FORGETFUL = ['votes', 'terms', 'state-machine', 'log-matching', 'one-leader', 'leader-completeness', 'fault'];

function mixedUp(message: PeerMessage, { dice }: Stage): PeerMessage {
  if (message.type !== 'append' || dice.below(30) > 0) return message;
  const entries = message.entries.map((entry) =>
    entry.kind === 'noop' ? entry : { ...entry, command: Buffer.from(`mixed up ${dice.below(1e9)}`) },
  );
  return { ...message, entries };
}

export const QUORUM_PLANTS: readonly QuorumPlant[] = [
  {
    name: 'promise-before-sync',
    says: 'votes are given and entries confirmed before they are synced',
    caughtBy: [...FORGETFUL, 'linearizable'],
    needs: ['powerLoss'],
    store: (store) => unsynced(store),
  },
  {
    name: 'lose-a-group',
    says: 'now and then the completion of a write is never noticed',
    caughtBy: ['progress'],
    store: (store, { dice }) => completionsLost(store, dice, 100),
  },
  {
    name: 'vote-for-everybody',
    says: 'a node grants every vote that it is asked for',
    caughtBy: ['votes'],
    needs: ['isolation'],
    said: (message) => (message.type === 'voteResponse' ? { ...message, granted: true } : message),
  },
  {
    name: 'count-refused-votes',
    says: 'a candidate counts a vote that was refused',
    caughtBy: ['one-leader', 'leader-completeness', 'state-machine', 'fault'],
    needs: ['isolation'],
    heard: (message) => (message.type === 'voteResponse' ? { ...message, granted: true } : message),
  },
  {
    name: 'elect-the-ignorant',
    says: 'a vote is given however little the candidate holds',
    caughtBy: ['leader-completeness', 'state-machine', 'fault'],
    needs: ['isolation', 'powerLoss'],
    heard: (message) => {
      const asks = message.type === 'vote' || message.type === 'preVote';
      return asks ? { ...message, lastIndex: 1e9, lastTerm: message.term } : message;
    },
  },
  {
    name: 'answer-in-the-past',
    says: 'now and then a node answers with a term that is over',
    caughtBy: ['terms'],
    said: (message, { dice }) =>
      message.type === 'heartbeatResponse' && dice.below(50) === 0 ? { ...message, term: message.term - 1 } : message,
  },
  {
    name: 'count-a-minority',
    says: 'followers that refuse entries count as if they held them',
    caughtBy: ['state-machine', 'leader-completeness', 'acknowledged', 'log-matching', 'fault'],
    needs: ['isolation', 'powerLoss'],
    heard: (message) => {
      if (message.type !== 'appendResponse' || message.result.ok) return message;
      return { ...message, result: { ok: true, matchIndex: message.result.prevIndex + 1 } };
    },
  },
  {
    name: 'send-something-else',
    says: 'now and then a leader sends another command than it has',
    caughtBy: ['log-matching'],
    said: mixedUp,
  },
  {
    name: 'store-something-else',
    says: 'now and then a follower stores another command than it was sent',
    caughtBy: ['state-machine'],
    heard: mixedUp,
  },
  {
    name: 'read-without-proof',
    says: 'a node answers reads without asking whether it still leads',
    caughtBy: ['linearizable'],
    needs: ['isolation', 'freeze'],
    node: (node) =>
      withOverrides(node, {
        readBarrier: () => Promise.resolve(node.status.appliedIndex),
      }),
  },
  {
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
  },
  {
    name: 'short-snapshot',
    says: 'a snapshot lacks the last entry that it is said to contain',
    caughtBy: ['fault', 'state-machine'],
    needs: ['kill'],
    stateMachine: (machine) => withOverrides(machine, { snapshot: () => [...machine.snapshot()].slice(0, -1) }),
  },
];
