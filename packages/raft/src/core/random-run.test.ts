import { randomRun } from './test-kit/random-run.js';
import type { RandomRunResult } from './test-kit/random-run.js';

const SEEDS = Number(process.env.RAFT_SEEDS ?? 100);
const FIRST_SEED = Number(process.env.RAFT_FIRST_SEED ?? 1);

describe('quorums under random misfortune', () => {
  for (const nodes of [1, 3, 5]) {
    it(`${nodes} nodes keep every promise and make progress when healed`, () => {
      const sum: Record<keyof RandomRunResult, number> = {
        ...{ committed: 0, elections: 0, restores: 0, reads: 0 },
        ...{ leaseReads: 0, changes: 0, transfers: 0, lostDisks: 0 },
      };
      for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
        const result = randomRun({ seed, nodes, events: 2000 });
        for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += result[key];
      }
      if (process.env.RAFT_SEEDS !== undefined) console.log(nodes, sum);
      // The runs would prove nothing if nothing happened in them.
      expect(sum.committed).toBeGreaterThan(SEEDS);
      expect(sum.elections).toBeGreaterThan(SEEDS / 10);
      for (const kind of ['restores', 'reads', 'leaseReads', 'changes', 'transfers', 'lostDisks'] as const) {
        expect([kind, sum[kind] > SEEDS / 10]).toEqual([kind, true]);
      }
    }, 600_000);
  }
});
