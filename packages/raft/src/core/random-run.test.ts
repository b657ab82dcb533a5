import { randomRun } from './test-kit/random-run.js';

const SEEDS = Number(process.env.RAFT_SEEDS ?? 100);

describe('quorums under random misfortune', () => {
  for (const nodes of [1, 3, 5]) {
    it(`${nodes} nodes keep every promise and make progress when healed`, () => {
      const sum = { committed: 0, elections: 0, restores: 0, reads: 0 };
      for (let seed = 1; seed <= (nodes === 1 ? SEEDS / 10 : SEEDS); seed++) {
        const result = randomRun({ seed, nodes, events: 2000 });
        for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += result[key];
      }
      // The runs would prove nothing if nothing happened in them.
      expect(sum.committed).toBeGreaterThan(SEEDS);
      expect(sum.elections).toBeGreaterThan(SEEDS / 10);
      if (process.env.RAFT_SEEDS !== undefined) console.log(nodes, sum);
      if (nodes > 1) {
        expect(sum.restores).toBeGreaterThan(SEEDS / 10);
        expect(sum.reads).toBeGreaterThan(SEEDS / 10);
      }
    }, 120_000);
  }
});
