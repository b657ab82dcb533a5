/**
 * One run, from the start of the cluster to the verdict.
 *
 *   start -> members join -> write -> faults, one after another or over each other -> heal -> the group is
 *   stable -> writers stop -> no lag -> members leave -> judge
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '@barnabas/common';
import { planFaults } from '../chaos/plan.js';
import type { PlannedFault } from '../chaos/plan.js';
import type { Anomaly, HandOver } from './checker.js';
import { beginGroupFault } from './faults.js';
import type { GroupFaultContext, GroupFaultKind } from './faults.js';
import { buildMembers, Stage, TOPIC } from './stage.js';
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
  return planFaults({ random: new SeededRandom(seed), totalMs: faultMs, kinds });
}

export async function run(options: RunOptions): Promise<number> {
  const programs = await buildMembers(options.languages);
  const faults = plan(options);
  const { seed, members, partitions, brokers, gateways, faultMs } = options;
  console.log(
    `groups, seed ${seed}: ${members} members (${[...programs.keys()].join(', ')}) over ${partitions} partitions, ${options.controllers} controllers, ${brokers} brokers, ${gateways} gateways, ${faults.length} faults in ${faultMs / 60_000} minutes, data in ${options.dataDir}`,
  );
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
  readonly #faultsByKind = new Map<GroupFaultKind, number>();
  /** Printed and not known to be committed, of members that were killed, as they were killed. */
  #inFlightAtKills = 0;

  constructor(
    private readonly options: RunOptions,
    private readonly stage: Stage,
    private readonly faults: readonly PlannedFault<GroupFaultKind>[],
  ) {}

  async run(): Promise<void> {
    const { stage } = this;
    await stage.begin();
    console.log(`${stage.clock()} all members share the partitions`);
    const stopListening = stage.listen((event) => {
      if (event.kind === 'kill') this.#inFlightAtKills += stage.checker.inFlightOf(event.member);
    });
    await this.#bringFaults();
    console.log(`${stage.clock()} all is healed`);
    await stage.settled('when everything was healed');
    await this.#progress();
    await stage.stopWriting();
    await stage.drained();
    console.log(`${stage.clock()} nothing is left to read: ${stage.records} records`);
    stopListening();
    await stage.end();
  }

  judge(): number {
    const { stage, options } = this;
    const { recorder, checker } = stage;
    const { anomalies, handOvers } = checker.finish(stage.written());
    const { problems, errors, sent, totalAcknowledged } = recorder;
    console.log(`faults: ${[...this.#faultsByKind].map(([kind, count]) => `${count} ${kind}`).join(', ') || 'none'}`);
    console.log(
      `errors that writers were given: ${[...errors].map(([name, count]) => `${count} ${name}`).join(', ') || 'none'}`,
    );
    this.#tellOfHandOvers(handOvers);
    for (const { kind, detail } of anomalies.slice(0, SHOWN_ANOMALIES)) console.log(`  ${kind}: ${detail}`);
    if (anomalies.length > SHOWN_ANOMALIES) console.log(`  and ${anomalies.length - SHOWN_ANOMALIES} more`);
    for (const problem of problems) console.log(`  problem: ${problem}`);
    const isGood = anomalies.length === 0 && problems.length === 0;
    console.log(
      `${isGood ? 'GOOD' : `BAD (data, logs and history.jsonl in ${options.dataDir})`}: ${sent} sent, ${totalAcknowledged} acknowledged, ${stage.records} given to members, committed offsets asked for ${stage.observer.asked} times, ${problems.length} problems, anomalies: ${countsOf(anomalies)}`,
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
    tell(
      'in good order',
      handOvers.filter(({ ending, isDisturbed }) => ending === 'orderly' && !isDisturbed),
    );
    tell(
      'in good order while a node was down',
      handOvers.filter(({ ending, isDisturbed }) => ending === 'orderly' && isDisturbed),
    );
    tell(
      'of members killed',
      handOvers.filter(({ ending }) => ending === 'killed'),
    );
    tell(
      'lost',
      handOvers.filter(({ ending }) => ending === 'lost'),
    );
    console.log(
      `duplicates: ${sum(handOvers, 'repeated')}, bound: ${sum(handOvers, 'inFlight')} in flight as partitions changed hands (${this.#inFlightAtKills} of members as they were killed)`,
    );
  }

  async #bringFaults(): Promise<void> {
    const { stage, options } = this;
    const { cluster, fleet } = stage;
    const context: GroupFaultContext = {
      ...{ cluster, fleet, partitions: options.partitions, disks: undefined },
      leaderOf: (partition) => stage.client.router.view.topic(TOPIC)?.partitions[partition]?.leader ?? -1,
      coordinator: () => stage.observer.description?.coordinatorId ?? -1,
    };
    const running = new Set<Promise<void>>();
    for (const fault of this.faults) {
      await this.#sleepUntil(fault.atMs);
      if (!fault.overlaps) await this.#calm(running);
      if (performance.now() - stage.startedMs > options.faultMs) break;
      const life = this.#live(fault, context).catch((error: unknown) =>
        stage.problem(`${fault.kind} could not be brought about: ${String(error)}`),
      );
      running.add(life);
      void life.then(() => running.delete(life));
    }
    await this.#sleepUntil(options.faultMs);
    await Promise.all(running);
    await cluster.startAll();
    for (const seat of fleet.seats) fleet.start(seat);
  }

  async #live(fault: PlannedFault<GroupFaultKind>, context: GroupFaultContext): Promise<void> {
    const { stage } = this;
    const begunMs = performance.now();
    // Whom it befalls is known when it has: from now on until then any node may be down.
    const isOfNode = !fault.kind.endsWith('-member');
    const name = `${fault.kind}@${fault.atMs}`;
    if (isOfNode) stage.observe({ kind: 'fault', atMs: begunMs, node: name });
    try {
      const begun = await beginGroupFault(fault, context);
      if (begun === undefined) return;
      this.#faultsByKind.set(fault.kind, (this.#faultsByKind.get(fault.kind) ?? 0) + 1);
      console.log(`${stage.clock()} ${fault.kind}: ${begun.victim}`);
      await sleep(fault.durationMs);
      await begun.undo();
    } finally {
      if (isOfNode) stage.observe({ kind: 'fault-over', atMs: performance.now(), node: name });
    }
    const seconds = ((performance.now() - begunMs) / 1000).toFixed(1);
    console.log(
      `${stage.clock()}   ${fault.kind} is over after ${seconds} s; ${stage.recorder.totalAcknowledged} acknowledged, ${stage.records} given`,
    );
  }

  /** Faults are over and every partition is read on, or that takes too long: then the next comes all the same. */
  async #calm(running: ReadonlySet<Promise<void>>): Promise<void> {
    const deadlineMs = performance.now() + CALM_MS;
    const before = [...this.stage.checker.printedUntil];
    const isRead = () => before.every((end, partition) => end < (this.stage.checker.printedUntil[partition] ?? 0));
    while ((running.size > 0 || !isRead()) && performance.now() < deadlineMs) await sleep(50);
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

  async #sleepUntil(atMs: number): Promise<void> {
    const leftMs = this.stage.startedMs + atMs - performance.now();
    if (leftMs > 0) await sleep(leftMs);
  }
}

function countsOf(anomalies: readonly Anomaly[]): string {
  const byKind = new Map<string, number>();
  for (const { kind } of anomalies) byKind.set(kind, (byKind.get(kind) ?? 0) + 1);
  return [...byKind].map(([kind, count]) => `${count} ${kind}`).join(', ') || 'none';
}
