/** What a seed decides about a quorum: how many nodes, how patient, which misfortunes. */
import type { RaftConfig } from '@barnabas/raft';
import type { DiskLatency } from '../disk/simulated-disk.js';
import type { Dice } from '../kernel/dice.js';

export const MISFORTUNES = [
  'powerLoss',
  'kill',
  'freeze',
  'stall',
  'slowDisk',
  'failedWrite',
  'isolation',
  'deposition',
  'oneWay',
  'split',
] as const;
export type Misfortune = (typeof MISFORTUNES)[number];

export interface QuorumPlan {
  /** Nodes in all. */
  readonly nodes: number;
  /** How many of them vote from the beginning; the others follow as observers until somebody makes voters of them. */
  readonly voters: number;
  /** How often an administrator changes who votes or leads; undefined for never. */
  readonly changeEveryMs: number | undefined;
  readonly clients: number;
  readonly misfortunes: readonly Misfortune[];
  readonly misfortuneEveryMs: number;
  readonly latency: DiskLatency;
  readonly maxNetworkMs: number;
  /** Probabilities for each message. */
  readonly loss: number;
  readonly duplication: number;
  /** A message that comes after everybody has forgotten it. */
  readonly lateness: number;
  /** Of each node's clock; above 1 for one that runs fast. */
  readonly clockRates: readonly number[];
  readonly config: Partial<RaftConfig>;
}

/** How far clocks run apart: not at all, as crystals do, and worse than any machine's. */
const SKEWS = [0, 0.001, 0.2];

export function planQuorum(dice: Dice, needs: readonly Misfortune[]): QuorumPlan {
  const heartbeatIntervalMs = dice.between(10, 40);
  const voters = dice.pick([1, 3, 3, 3, 5, 5]);
  const nodes = Math.min(5, voters + dice.between(0, 2 * voters));
  const skew = dice.pick(SKEWS);
  const electionTimeoutMs = heartbeatIntervalMs * dice.between(5, 8);
  return {
    nodes,
    voters,
    changeEveryMs: dice.chance(0.7) ? dice.between(10, 300) : undefined,
    clients: dice.between(2, 5),
    misfortunes: MISFORTUNES.filter((one) => dice.chance(0.5) || needs.includes(one)),
    misfortuneEveryMs: dice.between(30, 300),
    latency: { maxReadMs: dice.between(0, 2), maxWriteMs: dice.between(0, 3), maxSyncMs: dice.between(0, 10) },
    maxNetworkMs: dice.between(1, 20),
    loss: dice.pick([0, 0.01, 0.1]),
    duplication: dice.pick([0, 0.05]),
    lateness: dice.pick([0, 0.01]),
    clockRates: Array.from({ length: nodes }, () => 1 + skew * (2 * dice.float() - 1)),
    config: {
      heartbeatIntervalMs,
      electionTimeoutMs,
      leaseClockDriftMs: dice.chance(0.5) ? driftMs(electionTimeoutMs, skew) : 0,
      snapshotWindowChunks: dice.between(1, 3),
      maxCommandBytes: 100,
      maxAppendBytes: dice.pick([50, 500]),
      maxInflightAppends: dice.between(1, 4),
      maxUncommittedBytes: 2000,
      snapshotAfterBytes: dice.pick([200, 1000, 1_000_000]),
      keepBehindSnapshotBytes: dice.pick([0, 200]),
      snapshotChunkBytes: dice.pick([50, 1000]),
    },
  };
}

/**
 * By how much a leader must shorten its lease: what a slow clock takes for an election time-out is longer
 * than what a fast one does.
 */
export function driftMs(electionTimeoutMs: number, skew: number): number {
  return Math.ceil(electionTimeoutMs * (1 - (1 - skew) / (1 + skew))) + 1;
}
