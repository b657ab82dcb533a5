/**
 * One run, from the start of the cluster to the verdict.
 *
 *   start -> members join -> write -> faults, one after another or over each other -> heal -> the group is
 *   stable -> writers stop -> no lag -> members leave -> judge
 */
import { SeededRandom } from '@barnabas/common';
import { bringFaults } from '../chaos/bring-faults.js';
import type { RunningFault } from '../chaos/faults.js';
import { planFaults } from '../chaos/plan.js';
import type { PlannedFault } from '../chaos/plan.js';
import { tally, told } from '../chaos/tally.js';
import { beginGroupFault, durationOf, isOfMember } from './faults.js';
import type { GroupFaultContext, GroupFaultKind } from './faults.js';
import type { HandOver } from './hand-overs.js';
import { buildMembers, leftOutOf, Stage, TOPIC } from './stage.js';
import type { StageOptions } from './stage.js';

export interface RunOptions extends StageOptions {
  readonly seed: number;
  readonly faultMs: number;
  readonly kinds: readonly GroupFaultKind[];
}

/** How long a fault waits for the one before it. */
const CALM_MS = 60_000;
const SHOWN_ANOMALIES = 20;

export function plan({ seed, kinds, faultMs }: Pick<RunOptions, 'seed' | 'kinds' | 'faultMs'>) {
  if (kinds.length === 0) return [];
  return planFaults({ random: new SeededRandom(seed), totalMs: faultMs, kinds, durationOf });
}

export async function run(options: RunOptions): Promise<number> {
  const crew = await buildMembers(options.languages);
  const { programs } = crew;
  const faults = plan(options);
  const { seed, members, partitions, brokers, gateways, faultMs } = options;
  console.log(
    `groups, seed ${seed}: ${members} members (${[...programs.keys()].join(', ')}) over ${partitions} partitions, ${options.controllers} controllers, ${brokers} brokers, ${gateways} gateways, ${faults.length} faults in ${faultMs / 60_000} minutes, data in ${options.dataDir}`,
  );
  console.log(`programs left out: ${leftOutOf(crew)}`);
  const stage = await Stage.open(options, programs);
  const theRun = new Run(options, stage, faults);
  try {
    await theRun.run();
  } finally {
    await stage.close();
  }
  return theRun.judge();
}

class Run {
  #faultsByKind: ReadonlyMap<GroupFaultKind, number> = new Map();
  /** Printed and not known to be committed as faults began, by kind: of the member that it befell, or of all. */
  readonly #inFlightAt = new Map<GroupFaultKind, number>();

  constructor(
    private readonly options: RunOptions,
    private readonly stage: Stage,
    private readonly faults: readonly PlannedFault<GroupFaultKind>[],
  ) {}

  async run(): Promise<void> {
    const { stage } = this;
    await stage.begin();
    console.log(`${stage.clock()} all members share the partitions`);
    await this.#bringFaults();
    console.log(`${stage.clock()} all is healed`);
    await stage.settled('when everything was healed');
    await this.#progress();
    await stage.stopWriting();
    await stage.drained();
    console.log(`${stage.clock()} nothing is left to read: ${stage.records} records`);
    await stage.end();
  }

  judge(): number {
    const { stage, options } = this;
    const { recorder, checker } = stage;
    const { anomalies, handOvers, givenToFenced } = checker.finish(stage.written());
    const { problems, errors, sent, totalAcknowledged } = recorder;
    console.log(`faults: ${told(this.#faultsByKind)}`);
    console.log(`errors that writers were given: ${told(errors)}`);
    console.log(`programs that ran: ${this.#programs()}`);
    this.#tellOfHandOvers(handOvers);
    console.log(`given to members that had been fenced and had not heard of it: ${givenToFenced} records`);
    for (const { kind, detail } of anomalies.slice(0, SHOWN_ANOMALIES)) console.log(`  ${kind}: ${detail}`);
    if (anomalies.length > SHOWN_ANOMALIES) console.log(`  and ${anomalies.length - SHOWN_ANOMALIES} more`);
    for (const problem of problems) console.log(`  problem: ${problem}`);
    const isGood = anomalies.length === 0 && problems.length === 0;
    console.log(
      `${isGood ? 'GOOD' : `BAD (data, logs and history.jsonl in ${options.dataDir})`}: ${sent} sent, ${totalAcknowledged} acknowledged, ${stage.records} given to members, committed offsets asked for ${stage.observer.asked} times, ${problems.length} problems, anomalies: ${tally(anomalies.map(({ kind }) => kind))}`,
    );
    return isGood ? 0 : 1;
  }

  #tellOfHandOvers(handOvers: readonly HandOver[]): void {
    const sum = (of: readonly HandOver[], what: 'repeated' | 'inFlight') =>
      of.reduce((total, one) => total + one[what], 0);
    const tell = (name: string, of: readonly HandOver[]) => {
      const largest = Math.max(0, ...of.map(({ repeated }) => repeated));
      console.log(
        `  ${name}: ${of.length}, ${sum(of, 'repeated')} records given twice of ${sum(of, 'inFlight')} in flight, at most ${largest} at once`,
      );
    };
    console.log('partitions that changed hands:');
    const ended = (how: HandOver['ending']) => handOvers.filter(({ ending }) => ending === how);
    tell(
      'in good order',
      ended('orderly').filter(({ isDisturbed }) => !isDisturbed),
    );
    tell(
      'in good order while a node was in trouble',
      ended('orderly').filter(({ isDisturbed }) => isDisturbed),
    );
    tell('of members killed', ended('killed'));
    tell('of members paused or cut off', ended('hindered'));
    tell('lost', ended('lost'));
    console.log(
      `duplicates: ${sum(handOvers, 'repeated')}, bound: ${sum(handOvers, 'inFlight')} in flight as partitions changed hands`,
    );
    const [ofMembers, ofNodes] = [true, false].map((which) =>
      told(new Map([...this.#inFlightAt].filter(([kind]) => isOfMember(kind) === which))),
    );
    console.log(`in flight as faults began: of the member ${ofMembers}; of all members ${ofNodes}`);
  }

  #programs(): string {
    const { stage } = this;
    const seats = new Map<string, number>();
    const lives = new Map<string, number>();
    for (const { language, lives: more } of stage.fleet.seats) {
      seats.set(language, (seats.get(language) ?? 0) + 1);
      lives.set(language, (lives.get(language) ?? 0) + more);
    }
    const of = (name: string) =>
      `${seats.get(name)} seats, ${lives.get(name)} processes, ${stage.recordsOf(name)} records`;
    return [...seats.keys()].map((name) => `${name} (${of(name)})`).join(', ');
  }

  async #bringFaults(): Promise<void> {
    const { stage, options } = this;
    const { cluster, fleet } = stage;
    const context: GroupFaultContext = {
      ...{ cluster, fleet, partitions: options.partitions, disks: undefined },
      leaderOf: (partition) => stage.client.router.view.topic(TOPIC)?.partitions[partition]?.leader ?? -1,
      coordinator: () => stage.observer.description?.coordinatorId ?? -1,
    };
    this.#faultsByKind = await bringFaults({
      plan: this.faults,
      ...{ startedMs: stage.startedMs, totalMs: options.faultMs, calmMs: CALM_MS },
      begin: (fault) => this.#begin(fault, context),
      watch: () => {
        const before = [...stage.checker.printedUntil];
        return () =>
          before.every(
            (end, partition) => fleet.isHindered(partition) || end < (stage.checker.printedUntil[partition] ?? 0),
          );
      },
      isLongLived: (kind) => kind === 'long-pause-member',
      figures: () => `${stage.recorder.totalAcknowledged} acknowledged, ${stage.records} given`,
      onProblem: (text) => stage.problem(text),
    });
    // Whatever faults that lay over each other have left behind.
    for (const node of cluster.nodes) node.process?.signal('SIGCONT');
    await cluster.startAll();
    for (const seat of fleet.seats) fleet.start(seat);
  }

  async #begin(fault: PlannedFault<GroupFaultKind>, context: GroupFaultContext): Promise<RunningFault | undefined> {
    const { stage } = this;
    const { kind } = fault;
    if (isOfMember(kind)) {
      const stopListening = stage.listen((event) => {
        if (event.kind === 'kill' || event.kind === 'hindered') this.#countInFlight(kind, [event.member]);
      });
      return beginGroupFault(fault, context).finally(stopListening);
    }
    // Whom it befalls is known when it has: from now on until it is over any node may be in trouble.
    const node = `${kind}@${fault.atMs}`;
    const over = () => stage.observe({ kind: 'fault-over', atMs: performance.now(), node });
    stage.observe({ kind: 'fault', atMs: performance.now(), node });
    this.#countInFlight(
      kind,
      stage.fleet.seats.map(({ memberName }) => memberName),
    );
    const begun = await beginGroupFault(fault, context).catch((error: unknown) => {
      over();
      throw error;
    });
    if (begun === undefined) over();
    return begun && { victim: begun.victim, undo: () => begun.undo().finally(over) };
  }

  #countInFlight(kind: GroupFaultKind, members: readonly string[]): void {
    const { checker } = this.stage;
    const inFlight = members.reduce((sum, member) => sum + checker.inFlightOf(member), 0);
    this.#inFlightAt.set(kind, (this.#inFlightAt.get(kind) ?? 0) + inFlight);
  }

  /** Every partition is written and read again. */
  async #progress(): Promise<void> {
    const { checker } = this.stage;
    const before = [...checker.printedUntil];
    const tookMs = await this.stage.until(() => {
      const { printedUntil } = checker;
      const stuck = before.flatMap((end, partition) => (printedUntil[partition] === end ? [partition] : []));
      return stuck.length === 0 ? undefined : `partitions ${stuck.join(', ')}`;
    }, 'partitions are not read on');
    console.log(`${this.stage.clock()} every partition is read on, ${Math.round(tookMs)} ms after`);
  }
}
