/**
 * A planted bug of a quorum: its real nodes with a disk, a network, a state machine or a surface that
 * misbehaves as a real bug would make it. Only the simulator can turn one on; each is there to prove
 * that a check can fail.
 */
import type { Rules } from '@barnabas/raft/core';
import type { PeerMessage, RaftNode, RaftStatus, StateMachine } from '@barnabas/raft';
import type { KeyValueStore } from '@barnabas/store';
import type { Stage } from '../../kernel/stage.js';
import type { Misfortune, QuorumPlan } from '../plan.js';

export interface QuorumPlant {
  readonly name: string;
  /** The bug, in a sentence. */
  readonly says: string;
  /** Checks of which one must find it. */
  readonly caughtBy: readonly string[];
  /** What a run must have for it to show. */
  readonly needs?: readonly Misfortune[];
  /** A quorum in which it shows sooner. */
  tune?(plan: QuorumPlan): QuorumPlan;
  /** The node's core, with one of its rules broken. */
  rules?(): Rules;
  store?(store: KeyValueStore, stage: Stage): KeyValueStore;
  stateMachine?(machine: StateMachine, stage: Stage): StateMachine;
  node?(node: RaftNode, stage: Stage): RaftNode;
  /** A message as it is sent. */
  said?(message: PeerMessage, stage: Stage, speaker: RaftStatus | undefined): PeerMessage;
  /** What is on its way as well once the message is sent, and comes from nobody. */
  forged?(message: PeerMessage, stage: Stage): readonly PeerMessage[];
  /** A message as it arrives. */
  heard?(message: PeerMessage, stage: Stage, hearer: RaftStatus | undefined): PeerMessage;
}

/** What a quorum does that has forgotten something it had promised to keep. */
export const FORGETFUL = [
  'votes',
  'terms',
  'state-machine',
  'log-matching',
  'one-leader',
  'leader-completeness',
  'acknowledged',
] as const;
