/**
 * `npm run rolling`: restarts the members of a group one at a time, each told to leave and started again,
 * once with static members and once without, under a steady load.
 *
 *   static    nothing may move: the others hear of nothing, and the member comes back to its partitions
 *   dynamic   partitions go from the member to others and back; none may go from one of the others to another
 *
 * Prints how long the others, the partitions that stay with them, and the partitions of the member that is
 * restarted go without a record; the same for a time in which nothing is done, since a busy machine has gaps
 * of its own. Ends with 1 when something moves that should not, or when the checker of the groups harness
 * finds something; with `--check` also when one of the others goes without a record for longer than 200 ms.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Latencies } from '../chaos/latencies.js';
import { DEFAULT_MEMBERS } from './stage.js';
import type { Seat } from './fleet.js';
import { Gaps } from './gaps.js';
import { buildMembers, leftOutOf, Stage } from './stage.js';
import type { StageOptions } from './stage.js';

const ALLOWED_GAP_MS = 200;
const QUIET_MS = 10_000;
/** Between two restarts, so that what follows on one is not counted for the next. */
const CALM_MS = 1_000;
const MODES = ['static', 'dynamic'] as const;
type Mode = (typeof MODES)[number];

/** Longer than a restart takes: a static member's place is kept for so long. */
const SESSION = { 'group.consumer.session.timeout.ms': '30000', 'group.consumer.heartbeat.interval.ms': '3000' };

class Rolling {
  readonly #others = new Latencies();
  readonly #staying = new Latencies();
  readonly #moving = new Latencies();
  readonly #quietMembers = new Latencies();
  readonly #quietPartitions = new Latencies();
  #needlessMoves = 0;
  #moves = 0;

  constructor(
    private readonly mode: Mode,
    private readonly stage: Stage,
  ) {}

  async run(): Promise<void> {
    const { stage, mode } = this;
    await stage.begin();
    await this.#everybodyReads();
    await this.#quiet();
    for (const seat of stage.fleet.seats) {
      await this.#restart(seat);
      await sleep(CALM_MS);
    }
    await stage.stopWriting();
    await stage.drained();
    await stage.end();
    if (mode === 'static' && this.#moves > 0) stage.problem(`${this.#moves} partitions of static members have moved`);
    if (this.#needlessMoves > 0) {
      stage.problem(`${this.#needlessMoves} partitions have moved between members that were not restarted`);
    }
  }

  /** Good: nothing moved that should not, and nothing was found. */
  tell(isChecked: boolean): boolean {
    const { stage, mode } = this;
    const { anomalies, handOvers } = stage.checker.finish(stage.written());
    const repeated = handOvers.reduce((sum, one) => sum + one.repeated, 0);
    console.log(`${mode} members, longest time without a record, ms:`);
    console.log(`  nothing happens: each member      ${String(this.#quietMembers)}`);
    console.log(`  nothing happens: each partition   ${String(this.#quietPartitions)}`);
    console.log(`  restarts: each of the others      ${String(this.#others)}`);
    console.log(`  restarts: partitions that stay    ${String(this.#staying)}`);
    console.log(`  restarts: partitions of the member ${String(this.#moving)}`);
    const longest = this.#others.percentile(1);
    if (isChecked && longest > ALLOWED_GAP_MS) {
      stage.problem(`one of the others went without a record for ${Math.round(longest)} ms`);
    }
    for (const { kind, detail } of anomalies) console.log(`  ${kind}: ${detail}`);
    const { problems, totalAcknowledged } = stage.recorder;
    const isGood = anomalies.length === 0 && problems.length === 0;
    console.log(
      `${isGood ? 'GOOD' : 'BAD'}: ${mode}, ${stage.fleet.seats.length} restarts, ${this.#moves} partitions moved (${this.#needlessMoves} between others), ${totalAcknowledged} acknowledged, ${stage.records} given, ${repeated} of them twice, ${problems.length} problems, ${anomalies.length} anomalies`,
    );
    return isGood;
  }

  async #quiet(): Promise<void> {
    const gaps = this.#watch(this.stage.fleet.seats);
    await sleep(QUIET_MS);
    gaps.end(this.#quietMembers, this.#quietPartitions, new Set());
  }

  async #restart(seat: Seat): Promise<void> {
    const { stage } = this;
    const { fleet } = stage;
    const others = fleet.seats.filter((other) => other !== seat);
    const before = this.#owners();
    const own = [...seat.owned];
    const pauses = this.#pausesOf(own);
    const gaps = this.#watch(others);
    const begunMs = performance.now();
    await fleet.stop(seat);
    const leftMs = performance.now() - begunMs;
    fleet.start(seat);
    await stage.until(() => (seat.owned.size > 0 ? undefined : 'it owns nothing'), `${seat.memberName} is not back`);
    await stage.settled(`after ${seat.name} was restarted`);
    await this.#everybodyReads();
    const tookMs = performance.now() - begunMs;
    const moved = this.#judgeMoves(before, seat.name);
    for (const ms of pauses.end()) this.#moving.add(ms);
    const worst = gaps.end(this.#others, this.#staying, moved);
    console.log(
      `${stage.clock()} ${seat.name} left within ${Math.round(leftMs)} ms and was back with everybody reading after ${Math.round(tookMs)} ms; ${moved.size} partitions moved, longest silence of another member ${Math.round(worst)} ms`,
    );
  }

  /** Partitions by the seat that owns them. */
  #owners(): ReadonlyMap<number, string> {
    const { seats } = this.stage.fleet;
    return new Map(seats.flatMap(({ name, owned }) => [...owned].map((partition) => [partition, name] as const)));
  }

  /** Partitions that another seat owns than before. */
  #judgeMoves(before: ReadonlyMap<number, string>, restarted: string): ReadonlySet<number> {
    const moved = new Set<number>();
    for (const [partition, owner] of this.#owners()) {
      const previous = before.get(partition);
      if (owner === previous) continue;
      moved.add(partition);
      if (owner !== restarted && previous !== restarted) this.#needlessMoves++;
    }
    this.#moves += moved.size;
    return moved;
  }

  /** Longest silences of these members, and of partitions that stay with them. */
  #watch(seats: readonly Seat[]) {
    const { stage } = this;
    const gaps = new Gaps(
      new Set(seats.map(({ memberName }) => memberName)),
      seats.flatMap(({ owned }) => [...owned]),
      performance.now(),
    );
    const touched = new Set<number>();
    const partitions = new Set(seats.flatMap(({ owned }) => [...owned]));
    const stop = stage.listen((event) => {
      gaps.observe(event);
      if (event.kind === 'assigned' || event.kind === 'revoked' || event.kind === 'lost') touched.add(event.partition);
    });
    return {
      end: (members: Latencies, staying: Latencies, moved: ReadonlySet<number>): number => {
        stop();
        const nowMs = performance.now();
        const ofMembers = gaps.ofMembers(nowMs);
        for (const ms of ofMembers) members.add(ms);
        const left = [...partitions].filter((partition) => !touched.has(partition) && !moved.has(partition));
        for (const ms of gaps.ofPartitions(left, nowMs)) staying.add(ms);
        return Math.max(...ofMembers);
      },
    };
  }

  /** How long each of the partitions is given to nobody. */
  #pausesOf(partitions: readonly number[]) {
    const lastMs = new Map(partitions.map((partition) => [partition, performance.now()]));
    const longest = new Map(partitions.map((partition) => [partition, 0]));
    const stop = this.stage.listen((event) => {
      if (event.kind !== 'record') return;
      const last = lastMs.get(event.partition);
      if (last === undefined) return;
      longest.set(event.partition, Math.max(longest.get(event.partition) ?? 0, event.atMs - last));
      lastMs.set(event.partition, event.atMs);
    });
    return {
      end: () => {
        stop();
        return [...longest.values()];
      },
    };
  }

  /** Every partition has been read on from here. */
  async #everybodyReads(): Promise<void> {
    const { checker } = this.stage;
    const before = [...checker.printedUntil];
    await this.stage.until(() => {
      const { printedUntil } = checker;
      const stuck = before.flatMap((end, partition) => (printedUntil[partition] === end ? [partition] : []));
      return stuck.length === 0 ? undefined : `partitions ${stuck.join(', ')}`;
    }, 'partitions are not read on');
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      mode: { type: 'string', default: MODES.join(',') },
      members: { type: 'string', default: '12' },
      languages: { type: 'string', default: DEFAULT_MEMBERS.join(',') },
      partitions: { type: 'string', default: '24' },
      rate: { type: 'string', default: '1200' },
      check: { type: 'boolean', default: false },
      'log-level': { type: 'string', default: 'info' },
    },
  });
  const crew = await buildMembers(values.languages.split(','));
  const { programs } = crew;
  let isGood = true;
  for (const mode of MODES.filter((known) => values.mode.split(',').includes(known))) {
    const dataDir = mkdtempSync(path.join(os.tmpdir(), 'barnabas-rolling-'));
    const options: StageOptions = {
      members: Number(values.members),
      areStatic: mode === 'static',
      partitions: Number(values.partitions),
      ...{ brokers: 3, controllers: 1, gateways: 2 },
      recordsPerSecond: Number(values.rate),
      languages: values.languages.split(','),
      ...{ set: SESSION, dataDir, logLevel: values['log-level'], isNetworkFaulty: false },
    };
    console.log(
      `rolling restart of ${options.members} ${mode} members (${[...programs.keys()].join(', ')}; left out: ${leftOutOf(crew)})`,
    );
    const stage = await Stage.open(options, programs);
    const rolling = new Rolling(mode, stage);
    try {
      await rolling.run();
    } finally {
      await stage.close();
    }
    if (rolling.tell(values.check)) rmSync(dataDir, { recursive: true, force: true });
    else {
      isGood = false;
      console.log(`data, logs and history.jsonl are in ${dataDir}`);
    }
  }
  return isGood ? 0 : 1;
}

void main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
