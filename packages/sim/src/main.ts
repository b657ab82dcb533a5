/**
 * `npm run sim`: runs seeds, says how fast, and on a failure prints the seed, the last events and the
 * command that replays it. Exit code 0 only if all is as it should be: no failure, or, with --plant,
 * the planted bug was caught by a check that is there for it.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import { describeFailure, describeProgress, describeSummary } from './describe.js';
import type { RunReport, Scenario } from './kernel/report.js';
import { runSeeds } from './run-seeds.js';
import type { SeedRange } from './run-seeds.js';
import { SCENARIOS } from './scenarios.js';

const PROGRESS_EVERY_MS = 2000;

interface Options {
  readonly seed: number;
  readonly seeds?: number;
  /** Undefined: as many as the scenario is used to. */
  readonly events?: number;
  readonly scenario?: string;
  readonly plant?: string;
  readonly trace: number;
  readonly twice: boolean;
}

function wholeNumber(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new InvalidArgumentError('a whole number, 0 or more');
  return number;
}

function program(): Command {
  const names = SCENARIOS.map(({ name }) => name);
  const plants = SCENARIOS.flatMap((scenario) =>
    scenario.plants.map(({ name, says }) => `  ${scenario.name}  ${name.padEnd(28)} ${says}`),
  );
  return new Command('sim')
    .description('Runs whole systems in virtual time, seeded, under misfortune, with checks after every event.')
    .option('--seed <S>', 'the first seed', wholeNumber, 1)
    .option('--seeds <N>', 'how many seeds (1000; 1 if --seed alone is given)', wholeNumber)
    .option(
      '--events <N>',
      'events of a seed before all is healed (broker 600, raft 2000, cluster 6000, groups 6000)',
      wholeNumber,
    )
    .addOption(new Option('--scenario <NAME>', 'only this one').choices(names))
    .option('--plant <NAME>', 'turns a planted bug on, and runs until a check catches it')
    .option('--trace <N>', 'how many of the last events a failure shows', wholeNumber, 60)
    .option('--twice', 'runs each seed twice and compares the hashes of what happened', false)
    .addHelpText('after', `\nPlanted bugs:\n${plants.join('\n')}`);
}

function chosen(options: Options): readonly Scenario[] {
  const { scenario, plant } = options;
  const byName = SCENARIOS.filter(({ name }) => scenario === undefined || name === scenario);
  if (plant === undefined) return byName;
  const byPlant = byName.filter(({ plants }) => plants.some(({ name }) => name === plant));
  if (byPlant.length === 0) throw new InvalidArgumentError(`no planted bug is called ${plant}: --help lists them`);
  return byPlant;
}

/** True if all is as it should be. */
async function runScenario(scenario: Scenario, options: Options, range: SeedRange): Promise<boolean> {
  let printedAt = performance.now();
  const summary = await runSeeds(scenario, range, (soFar) => {
    if (performance.now() - printedAt < PROGRESS_EVERY_MS) return;
    printedAt = performance.now();
    console.log(describeProgress(scenario.name, soFar, range.seeds));
  });
  const { failed } = summary;
  if (failed?.failure !== undefined)
    console.log(describeFailure(failed, failed.failure, { ...range, trace: options.trace }));
  console.log(describeSummary(scenario.name, summary));
  return options.plant === undefined ? failed === undefined : isCaught(scenario, options.plant, failed);
}

function isCaught(scenario: Scenario, plant: string, failed: RunReport | undefined): boolean {
  const { caughtBy = [] } = scenario.plants.find(({ name }) => name === plant) ?? {};
  const check = failed?.failure?.check;
  const caught = check !== undefined && caughtBy.includes(check);
  console.log(caught ? `${plant} was caught` : `${plant} was NOT caught by ${caughtBy.join(' or ')}`);
  return caught;
}

async function main(argv: readonly string[]): Promise<number> {
  const command = program();
  command.parse([...argv], { from: 'user' });
  const options = command.opts<Options>();
  const isOneSeed = options.seeds === undefined && command.getOptionValueSource('seed') === 'cli';
  const seeds = options.seeds ?? (isOneSeed ? 1 : 1000);
  const { seed: firstSeed, plant, twice } = options;
  let isFine = true;
  for (const scenario of chosen(options)) {
    const range = { firstSeed, seeds, events: options.events ?? scenario.events, plant, twice };
    isFine = (await runScenario(scenario, options, range)) && isFine;
  }
  return isFine ? 0 : 1;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  },
);
