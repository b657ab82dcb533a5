import { Tally } from './kernel/tally.js';
import { SCENARIOS } from './scenarios.js';

// Generous: what else runs on the machine must not fail a simulation.
jest.setTimeout(300_000);

describe.each(SCENARIOS)('the $name scenario', (scenario) => {
  const { events } = scenario;

  it('keeps every promise over a few dozen seeds, in which much happens', async () => {
    const tally = new Tally();
    for (let seed = 1; seed <= 40; seed++) {
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
    for (let seed = 1; seed <= 6; seed++) {
      const first = await scenario.run({ seed, events });
      const second = await scenario.run({ seed, events });
      expect(second.hash).toBe(first.hash);
      expect(second.events).toBe(first.events);
      hashes.add(first.hash);
    }
    expect(hashes.size).toBe(6);
  });

  it.each(scenario.plants.map((plant) => [plant.name, plant] as const))('catches: %s', async (name, { caughtBy }) => {
    for (let seed = 1; seed <= 500; seed++) {
      const { failure } = await scenario.run({ seed, events, plant: name });
      if (failure !== undefined && caughtBy.includes(failure.check)) return;
    }
    throw new Error(`not caught by ${caughtBy.join(' or ')}`);
  });
});
