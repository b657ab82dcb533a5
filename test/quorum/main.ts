/**
 * `npm run quorum -- --kills N --seed S`: three real controllers under a steady load of metadata changes
 * and linearizable queries. Kills the leader with SIGKILL again and again, then stops it with SIGSTOP for
 * `--pause` seconds and lets it go on. Prints a line for each, and how long it took until somebody led.
 *
 * Ends with 1 if an acknowledged change is lost or a query was stale; the data are kept then. With
 * `--check` also if a new leader took longer than twice the election time-out, which on a machine that
 * has other things to do says little.
 */
import { SeededRandom } from '@barnabas/common';
import { registersProblem } from '@barnabas/sim/linearizability';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { Controllers } from './controllers.js';
import { Workload } from './workload.js';

const LANES = { writers: 6, readers: 6, creators: 1 };
/** Queries that the stopped leader finds when it goes on, one after another. */
const QUERY_STOPPED_EVERY_MS = 50;

interface Options {
  readonly kills: number;
  readonly seed: number;
  readonly pauseSeconds: number;
  readonly electionTimeoutMs: number;
  readonly check: boolean;
}

function options(): Options {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '30' },
      seed: { type: 'string', default: '1' },
      pause: { type: 'string', default: '10' },
      'election-timeout': { type: 'string', default: '1000' },
      check: { type: 'boolean', default: false },
    },
  });
  return {
    kills: Number(values.kills),
    seed: Number(values.seed),
    pauseSeconds: Number(values.pause),
    electionTimeoutMs: Number(values['election-timeout']),
    check: values.check,
  };
}

class Run {
  readonly problems: string[] = [];
  readonly #newLeaderMs: number[] = [];
  readonly #random: SeededRandom;

  constructor(
    private readonly given: Options,
    private readonly controllers: Controllers,
    private readonly workload: Workload,
  ) {
    this.#random = new SeededRandom(given.seed);
  }

  async kill(number: number): Promise<void> {
    const { controllers, workload } = this;
    await workload.progress(100 + this.#random.below(200));
    const leaderId = await controllers.untilLevel();
    const before = workload.acknowledged;
    const killedAt = performance.now();
    await controllers.kill(leaderId);
    const { newLeader, tookMs } = await this.#awaitLeader(leaderId, killedAt);
    await workload.progress(20);
    await controllers.startOne(leaderId);
    const lost = await this.#lost();
    console.log(
      `kill ${number}: controller ${leaderId} after ${before} changes; controller ${newLeader} led ${tookMs.toFixed(0)} ms later; ${lost} lost`,
    );
  }

  /** SIGSTOP and SIGCONT. Whoever asks the stopped leader meanwhile must not get an old answer when it goes on. */
  async pause(): Promise<void> {
    const { controllers, workload, given } = this;
    const leaderId = await controllers.untilLevel();
    const stoppedAt = performance.now();
    controllers.pause(leaderId);
    const { newLeader, tookMs } = await this.#awaitLeader(leaderId, stoppedAt);
    const before = workload.acknowledged;
    const queries: Promise<boolean>[] = [];
    while (performance.now() - stoppedAt < given.pauseSeconds * 1000) {
      queries.push(workload.readAt(leaderId, 60_000).catch(() => false));
      await new Promise((resolve) => setTimeout(resolve, QUERY_STOPPED_EVERY_MS));
    }
    const changes = workload.acknowledged - before;
    controllers.resume(leaderId);
    const answered = (await Promise.all(queries)).filter(Boolean).length;
    const lost = await this.#lost();
    console.log(
      `pause: controller ${leaderId} stood still for ${given.pauseSeconds} s; controller ${newLeader} led ${tookMs.toFixed(0)} ms later and acknowledged ${changes} changes; ${queries.length} queries waited for the stopped one, which answered ${answered}; ${lost} lost`,
    );
  }

  judge(): void {
    const { workload, problems } = this;
    const { history } = workload;
    const problem = registersProblem(history);
    if (problem !== undefined) problems.push(`a query was not linearizable: ${problem}`);
    for (const fault of workload.faults.slice(0, 5)) problems.push(`unexpected: ${fault}`);
    console.log(
      `${workload.acknowledged} changes acknowledged, ${workload.acknowledgedTopics.length} of them topics; ${history.length} writes and reads judged, ${workload.answered} of them queries: ${problem === undefined ? 'linearizable' : 'NOT linearizable'}`,
    );
  }

  printDistribution(): void {
    const sorted = [...this.#newLeaderMs].sort((one, other) => one - other);
    if (sorted.length === 0) return;
    const at = (share: number) =>
      (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(0);
    const timeout = this.given.electionTimeoutMs;
    console.log(
      `until a new leader, ms (election time-out ${timeout}): min ${at(0)}, p50 ${at(0.5)}, p90 ${at(0.9)}, max ${at(1)}`,
    );
    const late = sorted.filter((ms) => ms > 2 * timeout).length;
    console.log(`  longer than twice the time-out: ${late} of ${sorted.length}`);
    if (this.given.check && late > 0) this.problems.push(`a new leader took too long ${late} times`);
    const step = timeout / 5;
    for (let from = Math.floor((sorted[0] ?? 0) / step) * step; from <= (sorted.at(-1) ?? 0); from += step) {
      const count = sorted.filter((ms) => ms >= from && ms < from + step).length;
      console.log(`  ${String(from).padStart(5)} to ${String(from + step).padStart(5)}: ${'#'.repeat(count)}`);
    }
  }

  async #awaitLeader(gone: number, sinceMs: number): Promise<{ readonly newLeader: number; readonly tookMs: number }> {
    const { leaderId } = await this.controllers.leader(this.controllers.ids.filter((id) => id !== gone));
    const tookMs = performance.now() - sinceMs;
    this.workload.turnTo(leaderId);
    this.#newLeaderMs.push(tookMs);
    return { newLeader: leaderId, tookMs };
  }

  async #lost(): Promise<number> {
    const missing = await this.workload.missingTopics();
    if (missing.length > 0) this.problems.push(`acknowledged and gone: ${missing.slice(0, 10).join(', ')}`);
    return missing.length;
  }
}

async function main(): Promise<number> {
  const given = options();
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'barnabas-quorum-'));
  console.log(`killing the leader of three controllers ${given.kills} times, seed ${given.seed}, data in ${dataDir}`);
  const controllers = await Controllers.start({
    dataDir,
    electionTimeoutMs: given.electionTimeoutMs,
    // The broker on paper is never heard from; snapshots are made all the time.
    set: { 'broker.session.timeout.ms': 3_600_000, 'metadata.log.max.record.bytes.between.snapshots': 20_000 },
  });
  const random = new SeededRandom(given.seed + 1);
  const workload = new Workload(controllers, (bound) => random.below(bound));
  const run = new Run(given, controllers, workload);
  try {
    await workload.prepare();
    workload.start(LANES);
    for (let number = 1; number <= given.kills && run.problems.length === 0; number++) await run.kill(number);
    if (given.pauseSeconds > 0 && run.problems.length === 0) await run.pause();
    await workload.finish();
    run.judge();
    run.printDistribution();
  } finally {
    await controllers.close();
  }
  for (const problem of run.problems) console.log(`FAILED: ${problem}`);
  if (run.problems.length > 0) return 1;
  fs.rmSync(dataDir, { recursive: true, force: true });
  return 0;
}

void main().then((code) => {
  process.exitCode = code;
});
