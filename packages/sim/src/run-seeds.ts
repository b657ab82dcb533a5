/** Runs one seed after another until one fails; with a planted bug, until one fails by a check that is there for it. */
import type { RunReport, Scenario } from './kernel/report.js';

export interface SeedRange {
  readonly firstSeed: number;
  readonly seeds: number;
  readonly events: number;
  readonly plant: string | undefined;
  /** Runs each seed again and compares the hashes. */
  readonly twice: boolean;
}

export interface Summary {
  readonly seeds: number;
  readonly events: number;
  readonly virtualMs: number;
  readonly seconds: number;
  /** The first run that failed. */
  readonly failed: RunReport | undefined;
}

export type OnProgress = (soFar: Omit<Summary, 'failed'>) => void;

export async function runSeeds(scenario: Scenario, range: SeedRange, onProgress: OnProgress): Promise<Summary> {
  const begun = performance.now();
  let [seeds, events, virtualMs] = [0, 0, 0];
  const soFar = () => ({ seeds, events, virtualMs, seconds: (performance.now() - begun) / 1000 });
  for (let seed = range.firstSeed; seed < range.firstSeed + range.seeds; seed++) {
    const report = await runOne(scenario, range, seed);
    seeds += 1;
    events += report.events;
    virtualMs += report.virtualMs;
    const { failure } = report;
    if (failure !== undefined && isWanted(scenario, range.plant, failure.check)) return { ...soFar(), failed: report };
    onProgress(soFar());
  }
  return { ...soFar(), failed: undefined };
}

/** Without a planted bug, any failure is. */
function isWanted({ plants }: Scenario, plant: string | undefined, check: string): boolean {
  return plants.find(({ name }) => name === plant)?.caughtBy.includes(check) ?? true;
}

async function runOne(scenario: Scenario, range: SeedRange, seed: number): Promise<RunReport> {
  const options = { seed, events: range.events, ...(range.plant === undefined ? {} : { plant: range.plant }) };
  const report = await scenario.run(options);
  if (!range.twice || report.failure !== undefined) return report;
  const again = await scenario.run(options);
  if (again.hash === report.hash) return report;
  const message = `the seed gave ${report.hash} and then ${again.hash}: something under test does not depend on it alone`;
  return { ...report, failure: { check: 'determinism', message, stack: message, trace: [] } };
}
