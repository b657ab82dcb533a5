/** Defaults and limits of a node's settings. */
import { BarnabasError } from '@barnabas/protocol';
import type { RaftConfig } from './types.js';

const MIB = 1 << 20;

export const RAFT_DEFAULTS: RaftConfig = {
  electionTimeoutMs: 1000,
  heartbeatIntervalMs: 100,
  maxCommandBytes: 2 * MIB,
  maxAppendBytes: MIB,
  maxInflightAppends: 16,
  maxInflightBytes: 4 * MIB,
  maxUncommittedBytes: 64 * MIB,
  snapshotAfterBytes: 20 * MIB,
  keepBehindSnapshotBytes: 4 * MIB,
  snapshotChunkBytes: MIB / 4,
  snapshotWindowChunks: 8,
  leaseClockDriftMs: 0,
};

/** Elections are counted in ticks; the finer they are, the rarer two nodes stand at the same time. */
const TICKS_PER_HEARTBEAT = 4;

export interface Ticks {
  readonly tickMs: number;
  readonly heartbeatTicks: number;
  readonly electionTicks: number;
}

export function ticksOf(config: RaftConfig): Ticks {
  const tickMs = config.heartbeatIntervalMs / TICKS_PER_HEARTBEAT;
  return {
    tickMs,
    heartbeatTicks: TICKS_PER_HEARTBEAT,
    electionTicks: Math.round(config.electionTimeoutMs / tickMs),
  };
}

export function checkedConfig(given: Partial<RaftConfig> = {}): RaftConfig {
  const config = { ...RAFT_DEFAULTS, ...given };
  for (const [key, value] of Object.entries(config) as [keyof RaftConfig, number][]) {
    const least = key === 'keepBehindSnapshotBytes' || key === 'leaseClockDriftMs' ? 0 : 1;
    if (!Number.isSafeInteger(value) || value < least) {
      throw new BarnabasError('INVALID_CONFIG', `${key} must be a whole number from ${least} on, not ${value}`);
    }
  }
  if (config.heartbeatIntervalMs * 5 > config.electionTimeoutMs) {
    throw new BarnabasError(
      'INVALID_CONFIG',
      `the election time-out (${config.electionTimeoutMs} ms) must be at least five times the heartbeat interval (${config.heartbeatIntervalMs} ms)`,
    );
  }
  if (config.leaseClockDriftMs * 2 > config.electionTimeoutMs) {
    throw new BarnabasError(
      'INVALID_CONFIG',
      `clocks that may drift by ${config.leaseClockDriftMs} ms within an election time-out of ${config.electionTimeoutMs} ms leave no lease: it is at most half of it`,
    );
  }
  return config;
}
