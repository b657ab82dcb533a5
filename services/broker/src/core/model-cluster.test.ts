/** Real cores joined by a lossy bag of messages; see test-kit/model-cluster.ts. */
import { SeededRandom } from '@barnabas/common';
import { ModelCluster } from './test-kit/model-cluster.js';
import type { ModelOptions, ModelPlant } from './test-kit/model-cluster.js';

const SEEDS = Number(process.env['MODEL_SEEDS'] ?? 150);
const FIRST = Number(process.env['MODEL_SEED'] ?? 1);
const STEPS = 1500;

function live(seed: number, options: Partial<ModelOptions> = {}): ModelCluster {
  const cluster = new ModelCluster({ random: new SeededRandom(seed), ...options });
  try {
    for (let step = 0; step < STEPS; step++) cluster.step();
    cluster.heal();
  } catch (error) {
    throw new Error(
      `seed ${seed}, step ${cluster.counts.steps}: ${error instanceof Error ? error.stack : error}\n${cluster.describe()}`,
    );
  }
  return cluster;
}

it('never loses or contradicts what was committed, and heals', () => {
  const total = { truncations: 0, rebuilds: 0, admissions: 0, restarts: 0, acknowledged: 0 };
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const { counts, acknowledged } = live(seed, { minIsr: 1 + (seed % 2) });
    total.truncations += counts.truncations;
    total.rebuilds += counts.rebuilds;
    total.admissions += counts.admissions;
    total.restarts += counts.restarts;
    total.acknowledged += acknowledged.length;
  }
  // It has seen what it is there to see.
  if (process.env['MODEL_SEEDS'] !== undefined) process.stdout.write(`${JSON.stringify(total)}\n`);
  for (const count of Object.values(total)) expect(count).toBeGreaterThan(SEEDS / 10);
});

/** Bugs that the model is there for: each is found within a few lives. */
it.each<[string, ModelPlant, number]>([
  ['followers acknowledge what their disks do not have', { acknowledgesUnsynced: true }, 1],
  ['a corrupt log is made anew while it is counted on', { rebuildsAtOnce: true }, 2],
  ['a proposal that is still on its way does not count', { forgetsProposals: true }, 1],
  ['logs are taken to agree', { agreesBlindly: true }, 1],
])('finds it when %s', (_, plant, minIsr) => {
  const lives = Array.from({ length: 60 }, (_unused, index) => () => live(index + 1, { plant, minIsr }));
  expect(lives.some(fails)).toBe(true);
});

function fails(run: () => unknown): boolean {
  try {
    run();
    return false;
  } catch {
    return true;
  }
}
