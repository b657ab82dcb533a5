import { ClusterLife } from '../test-kit/cluster-life.js';
import type { LifeOptions } from '../test-kit/cluster-life.js';

const SEEDS = 20;

function live(seed: number, options: LifeOptions = {}): ClusterLife {
  const life = new ClusterLife(seed, options);
  life.run();
  return life;
}

test('whatever happens to brokers and replicas, the invariants hold and nothing committed is lost', () => {
  const seen = { isr: 0, elr: 0, unclean: 0, reassignments: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { elections, endedReassignments } = live(seed);
    seen.isr += elections.isr;
    seen.elr += elections.elr;
    seen.unclean += elections.unclean;
    seen.reassignments += endedReassignments;
  }
  // The lives are worth looking at: all of it happens.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(20);
});

test.each(['watermark-below-min-isr', 'early-admission'] as const)('%s would be noticed', (plant) => {
  const find = () => {
    for (let seed = 1; seed <= SEEDS; seed++) live(seed, { plant });
  };
  expect(find).toThrow(/a leader holds everything that was committed/);
});
