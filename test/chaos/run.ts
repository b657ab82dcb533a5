/**
 * One chaos run, from the start of the cluster to the verdict.
 *
 *   start -> write and read -> faults, one after another or over each other -> heal -> every
 *   partition is written again -> writers stop -> readers come to the end -> read everything -> judge
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BarnabasClient } from '@barnabas/client';
import { SeededRandom } from '@barnabas/common';
import { canTellOwners } from '../support/socket-owner.js';
import { check } from './checker.js';
import { ChaosCluster } from './cluster.js';
import type { Shape } from './cluster.js';
import { bringFaults, clock } from './bring-faults.js';
import { begin } from './faults.js';
import type { FaultContext } from './faults.js';
import { fullDisks } from './full-disks.js';
import type { FullDisks } from './full-disks.js';
import { describe, planFaults } from './plan.js';
import type { FaultKind, PlannedFault } from './plan.js';
import { DirectWriter, ThinStreamWriter, ThinWriter } from './producers.js';
import type { Writer } from './producers.js';
import { DirectReader, endOffsets, readEverything, ThinReader } from './readers.js';
import type { Reader } from './readers.js';
import { Recorder } from './recorder.js';
import { tally, told } from './tally.js';

export interface RunOptions {
  readonly seed: number;
  readonly faultMs: number;
  readonly kinds: readonly FaultKind[];
  readonly shape: Shape;
  readonly replication: number;
  readonly minInsync: number;
  readonly partitions: number;
  readonly recordsPerSecond: number;
  readonly set: Readonly<Record<string, string>>;
  readonly dataDir: string | undefined;
  readonly logLevel: string;
  readonly isExplanation: boolean;
}

const TOPIC = 'chaos';
/** Short, so that a run sees many elections. */
const SETTINGS = {
  'broker.session.timeout.ms': 2_000,
  'broker.heartbeat.interval.ms': 400,
  'controller.quorum.election.timeout.ms': 1_000,
  'replica.lag.time.max.ms': 5_000,
  'replica.socket.timeout.ms': 2_000,
  'log.segment.bytes': 1024 * 1024,
};
/** How long a healed cluster may take until every partition is written again. */
const RECOVERY_MS = 60_000;
/** Longer than any writer waits for an outcome. */
const OUTCOMES_MS = 150_000;
/** How long a fault waits for the one before it. */
const CALM_MS = 120_000;
const DRAIN_MS = 60_000;
const SHOWN_ANOMALIES = 20;

export async function run(options: RunOptions): Promise<number> {
  const { seed, kinds, faultMs, shape } = options;
  const random = new SeededRandom(seed);
  const plan = kinds.length === 0 ? [] : planFaults({ random, totalMs: faultMs, kinds });
  if (options.isExplanation) {
    for (const fault of plan) console.log(describe(fault));
    return 0;
  }
  if (!canTellOwners) {
    console.log('chaos needs Linux: it finds out by /proc which process dials. Nothing was run.');
    return 0;
  }
  const dataDir = options.dataDir ?? mkdtempSync(path.join(os.tmpdir(), 'barnabas-chaos-'));
  mkdirSync(dataDir, { recursive: true });
  if (readdirSync(dataDir).length > 0) {
    console.log(`${dataDir} is not empty: every run founds a cluster of its own`);
    return 1;
  }
  const { controllers, brokers, gateways } = shape;
  console.log(
    `chaos, seed ${seed}: ${controllers} controllers, ${brokers} brokers, ${gateways} gateways, RF ${options.replication}, min.insync.replicas ${options.minInsync}, ${plan.length} faults in ${faultMs / 60_000} minutes, data in ${dataDir}`,
  );
  const disks = kinds.includes('disk-full') ? fullDisks(dataDir) : undefined;
  if (kinds.includes('disk-full')) {
    console.log(`disk-full: ${disks?.how ?? 'left out, it needs root and mkfs.ext4, or prlimit (util-linux)'}`);
  }
  const verdict = await new Run(options, dataDir, plan, random, disks).run();
  if (verdict === 0 && options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
  return verdict;
}

class Run {
  readonly #options: RunOptions;
  readonly #dataDir: string;
  readonly #plan: readonly PlannedFault[];
  readonly #random: SeededRandom;
  readonly #recorder: Recorder;
  #faultsByKind: ReadonlyMap<FaultKind, number> = new Map();
  #startedMs = performance.now();

  constructor(
    options: RunOptions,
    dataDir: string,
    plan: readonly PlannedFault[],
    random: SeededRandom,
    private readonly disks: FullDisks | undefined,
  ) {
    this.#options = options;
    this.#dataDir = dataDir;
    this.#plan = plan;
    this.#random = random;
    this.#recorder = new Recorder(options.partitions);
  }

  async run(): Promise<number> {
    const cluster = await ChaosCluster.start({
      shape: this.#options.shape,
      dataDir: this.#dataDir,
      set: { ...SETTINGS, ...this.#options.set },
      logLevel: this.#options.logLevel,
      onUnexpectedExit: (node, how) => this.#recorder.problem(`${this.#clock()} ${node.name} ${how}`),
      prepareDisk: (dir) => this.disks?.prepare(dir),
    });
    const client = new BarnabasClient({ bootstrap: cluster.bootstrap, clientId: 'chaos', requestTimeoutMs: 10_000 });
    try {
      await this.#createTopic(client);
      const writers = this.#writers(cluster);
      const readers = this.#readers(cluster);
      const writing = Promise.all(writers.map((writer) => writer.run()));
      const reading = Promise.all(readers.map((reader) => reader.run()));
      this.#startedMs = performance.now();
      await this.#bringFaults(cluster, client);
      console.log(`${this.#clock()} all is healed`);
      await this.#recovered();
      for (const writer of writers) writer.stop();
      await this.#within(OUTCOMES_MS, writing, 'a writer has not heard of everything it sent');
      const ends = await endOffsets(cluster.bootstrap, TOPIC, this.#options.partitions);
      for (const reader of readers) reader.drain(ends);
      await this.#within(DRAIN_MS, reading, 'a reader has not come to the end');
      for (const reader of readers) reader.stop();
      const { bootstrap } = cluster;
      const final = readEverything({ bootstrap, recorder: this.#recorder, topic: TOPIC }, ends);
      await this.#within(DRAIN_MS + this.#recorder.sent / 100, final, 'the log cannot be read to its end');
      await cluster.stopAll();
    } finally {
      await client.close(0);
      await cluster.close();
      this.disks?.close();
    }
    return this.#judge();
  }

  async #createTopic(client: BarnabasClient): Promise<void> {
    const { partitions, replication, minInsync } = this.#options;
    await client.admin().createTopics([
      {
        name: TOPIC,
        partitions,
        replicationFactor: replication,
        configs: { 'min.insync.replicas': String(minInsync) },
      },
    ]);
    await client.router.view.ensureTopic(TOPIC, { timeoutMs: RECOVERY_MS, allowAutoTopicCreation: false });
  }

  #writers({ bootstrap }: ChaosCluster): readonly Writer[] {
    const recorder = this.#recorder;
    const recordsPerSecond = this.#options.recordsPerSecond / 5;
    const options = (name: string) => ({ name, recorder, bootstrap, topic: TOPIC, recordsPerSecond });
    return [
      new DirectWriter(options('idempotent-1'), true),
      new DirectWriter(options('idempotent-2'), true),
      new DirectWriter(options('plain'), false),
      new ThinWriter(options('thin')),
      new ThinStreamWriter(options('thin-stream')),
    ];
  }

  #readers({ bootstrap }: ChaosCluster): readonly Reader[] {
    const recorder = this.#recorder;
    const options = (name: string) => ({ name, recorder, bootstrap, topic: TOPIC });
    const random = () => new SeededRandom(this.#random.below(2 ** 31));
    return [
      new DirectReader(options('reader-1'), random()),
      new DirectReader(options('reader-2'), random()),
      new ThinReader(options('thin-reader')),
    ];
  }

  async #bringFaults(cluster: ChaosCluster, client: BarnabasClient): Promise<void> {
    const { partitions, faultMs } = this.#options;
    const context: FaultContext = {
      cluster,
      partitions,
      disks: this.disks,
      leaderOf: (partition) => client.router.view.topic(TOPIC)?.partitions[partition]?.leader ?? -1,
    };
    this.#faultsByKind = await bringFaults({
      plan: this.#plan,
      ...{ startedMs: this.#startedMs, totalMs: faultMs, calmMs: CALM_MS },
      begin: (fault) => {
        this.#recorder.takeLongestPauseMs();
        return begin(fault, context);
      },
      watch: () => {
        const before = [...this.#recorder.acknowledged];
        return () => before.every((count, partition) => count < (this.#recorder.acknowledged[partition] ?? 0));
      },
      figures: () =>
        `${this.#recorder.totalAcknowledged} acknowledged, longest pause of a partition ${Math.round(this.#recorder.takeLongestPauseMs())} ms`,
      onProblem: (text) => this.#recorder.problem(`${this.#clock()} ${text}`),
    });
    // Whatever faults lay over each other have left behind.
    for (const node of cluster.nodes) node.process?.signal('SIGCONT');
    await cluster.startAll();
  }

  /** Every partition takes writes again. */
  async #recovered(): Promise<void> {
    const begunMs = performance.now();
    const before = [...this.#recorder.acknowledged];
    const stuck = () =>
      before.flatMap((count, partition) => (this.#recorder.acknowledged[partition] === count ? [partition] : []));
    while (stuck().length > 0 && performance.now() - begunMs < RECOVERY_MS) await sleep(50);
    const left = stuck();
    if (left.length > 0)
      this.#recorder.problem(
        `partitions ${left.join(', ')} take no writes ${RECOVERY_MS / 1000} s after everything was healed`,
      );
    else
      console.log(`${this.#clock()} every partition takes writes, ${Math.round(performance.now() - begunMs)} ms after`);
  }

  async #within(ms: number, work: Promise<unknown>, problem: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<true>((resolve) => {
      timer = setTimeout(() => resolve(true), ms);
    });
    const isLate = await Promise.race([work.then(() => false), late]);
    clearTimeout(timer);
    if (isLate) this.#recorder.problem(`${problem} after ${Math.round(ms / 1000)} s`);
  }

  #judge(): number {
    const { history, problems, errors, sent, totalAcknowledged, polled } = this.#recorder;
    const { anomalies, declared } = check(history);
    console.log(`faults: ${told(this.#faultsByKind)}`);
    console.log(`errors that clients were given: ${told(errors)}`);
    if (declared.length > 0) console.log(`declared by the API: ${tally(declared.map(({ kind }) => kind))}`);
    for (const { kind, detail } of anomalies.slice(0, SHOWN_ANOMALIES)) console.log(`  ${kind}: ${detail}`);
    if (anomalies.length > SHOWN_ANOMALIES) console.log(`  and ${anomalies.length - SHOWN_ANOMALIES} more`);
    for (const problem of problems) console.log(`  problem: ${problem}`);
    const isGood = anomalies.length === 0 && problems.length === 0;
    if (!isGood) this.#writeHistory();
    const result = isGood ? 'GOOD' : `BAD (data, logs and history.jsonl in ${this.#dataDir})`;
    console.log(
      `${result}: ${sent} sent, ${totalAcknowledged} acknowledged, ${polled} read, ${problems.length} problems, anomalies: ${tally(anomalies.map(({ kind }) => kind))}`,
    );
    return isGood ? 0 : 1;
  }

  #writeHistory(): void {
    const lines = this.#recorder.history.map((operation) => JSON.stringify(operation));
    writeFileSync(path.join(this.#dataDir, 'history.jsonl'), `${lines.join('\n')}\n`);
  }

  #clock(): string {
    return clock(this.#startedMs);
  }
}
