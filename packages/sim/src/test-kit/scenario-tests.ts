/**
 * What every scenario must show in the test suite: it keeps its promises while much happens, a seed says
 * everything, and each planted bug is caught by a check that is there for it.
 *
 * Seeds at which a plant is known to be caught are tried first, so that a test need not go through
 * dozens; when the code under test has changed so much that a bug is caught elsewhere, the search begins
 * at 1. `npm run sim -- --plant NAME` tells where it is caught now.
 */
import type { Scenario } from '../kernel/report.js';
import { Tally } from '../kernel/tally.js';

export interface ScenarioTestOptions {
  /** Seeds without a plant. */
  readonly seeds: number;
  /** By plant: a seed at which it is caught. Absent: 1. */
  readonly caughtAt: Readonly<Record<string, number>>;
}

/** Within so many seeds a planted bug must be caught. */
const PLANT_SEEDS = 500;

export function testScenario(scenario: Scenario, { seeds, caughtAt }: ScenarioTestOptions): void {
  const { events } = scenario;

  it('keeps every promise over a few dozen seeds, in which much happens', async () => {
    const tally = new Tally();
    for (let seed = 1; seed <= seeds; seed++) {
      const { failure, counts } = await scenario.run({ seed, events });
      if (failure !== undefined) throw new Error(`seed ${seed}: ${failure.stack}`);
      tally.add(counts);
    }
    const counts = tally.counts();
    for (const [what, atLeast] of Object.entries(scenario.expects)) {
      expect([what, (counts[what] ?? 0) >= atLeast]).toEqual([what, true]);
    }
  });

  it('depends on its seed alone', async () => {
    const hashes = new Set<string>();
    for (let seed = 1; seed <= 4; seed++) {
      const first = await scenario.run({ seed, events });
      const second = await scenario.run({ seed, events });
      expect(second.hash).toBe(first.hash);
      expect(second.events).toBe(first.events);
      hashes.add(first.hash);
    }
    expect(hashes.size).toBe(4);
  });

  it('names only plants that there are', () => {
    const names = scenario.plants.map(({ name }) => name);
    expect(Object.keys(caughtAt).filter((name) => !names.includes(name))).toEqual([]);
  });

  it.each(scenario.plants.map((plant) => [plant.name, plant] as const))('catches: %s', async (name, { caughtBy }) => {
    for (const seed of seedsFrom(caughtAt[name])) {
      const { failure } = await scenario.run({ seed, events, plant: name });
      if (failure !== undefined && caughtBy.includes(failure.check)) return;
    }
    throw new Error(`not caught by ${caughtBy.join(' or ')}`);
  });
}

function* seedsFrom(known: number | undefined): Generator<number> {
  if (known !== undefined) yield known;
  for (let seed = 1; seed <= PLANT_SEEDS; seed++) if (seed !== known) yield seed;
}
