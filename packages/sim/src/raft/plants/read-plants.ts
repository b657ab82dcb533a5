/** Bugs of reads. */
import { Rules } from '@barnabas/raft/core';
import { withOverrides } from '../../kernel/overrides.js';
import type { QuorumPlant } from './plant.js';

export const staleLeaseRead: QuorumPlant = {
  name: 'stale-lease-read',
  says: 'a leader takes its lease for good, however long ago a majority has heard it',
  caughtBy: ['read-barrier', 'linearizable'],
  needs: ['isolation', 'freeze'],
  tune: (plan) => ({ ...plan, config: { ...plan.config, leaseClockDriftMs: 1 } }),
  rules: () => new EverlastingLease(),
};

class EverlastingLease extends Rules {
  override holdsLease(): boolean {
    return true;
  }
}

export const readWithoutProof: QuorumPlant = {
  name: 'read-without-proof',
  says: 'a node answers reads without asking whether it still leads',
  caughtBy: ['read-barrier', 'linearizable'],
  needs: ['isolation', 'freeze'],
  node: (node) =>
    withOverrides(node, {
      readBarrier: () => Promise.resolve(node.status.appliedIndex),
    }),
};
