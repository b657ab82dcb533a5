import { Tally } from './kernel/tally.js';
import { SCENARIOS } from './scenarios.js';

const EVENTS = 600;

// Generous: what else runs on the machine must not fail a simulation.
jest.setTimeout(120_000);

describe.each(SCENARIOS)('the $name scenario', (scenario) => {
  it('keeps every promise over a few dozen seeds, in which much happens', async () => {
    const tally = new Tally();
    for (let seed = 1; seed <= 40; seed++) {
      const { failure, counts } = await scenario.run({ seed, events: EVENTS });
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
      const first = await scenario.run({ seed, events: EVENTS });
      const second = await scenario.run({ seed, events: EVENTS });
      expect(second.hash).toBe(first.hash);
      expect(second.events).toBe(first.events);
      hashes.add(first.hash);
    }
    expect(hashes.size).toBe(6);
  });

  it.each(scenario.plants.map((plant) => [plant.name, plant] as const))('catches: %s', async (name, { caughtBy }) => {
    for (let seed = 1; seed <= 200; seed++) {
      const { failure } = await scenario.run({ seed, events: EVENTS, plant: name });
      if (failure !== undefined && caughtBy.includes(failure.check)) return;
    }
    throw new Error(`not caught by ${caughtBy.join(' or ')}`);
  });
});
