/**
 * `npm run failover -- --mode kill|shutdown --runs N --partitions P`: how long writes pause when the
 * broker that leads all partitions is killed, or stops in good order, under load.
 *
 * kill: from the SIGKILL to the first acknowledgement of a record sent after it, of the first
 * partition and of the last, split at the moment in which the controller fences the broker (its own
 * log says when). shutdown: the latencies of all records from the SIGTERM until the process has ended,
 * and the errors that clients were given.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { BarnabasClient } from '@barnabas/client';
import { ChaosCluster } from './cluster.js';
import type { ChaosNode } from './cluster.js';
import { Latencies } from './latencies.js';
import { FailoverLoad } from './failover-load.js';

const TOPIC = 'failover';
const BROKERS = 3;
const REPLICAS = [
  [1, 2, 3],
  [2, 3, 1],
  [3, 1, 2],
];
const READY_MS = 180_000;
const SETTLE_MS = 2_000;
const POLL_MS = 100;

interface Options {
  readonly mode: 'kill' | 'shutdown';
  readonly runs: number;
  readonly partitions: number;
  readonly recordsPerSecond: number;
  readonly set: Readonly<Record<string, string | number>>;
  readonly logLevel: string;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      mode: { type: 'string', default: 'kill' },
      runs: { type: 'string', default: '20' },
      partitions: { type: 'string', default: '1000' },
      rate: { type: 'string', default: '500' },
      set: { type: 'string', multiple: true, default: [] },
      'log-level': { type: 'string', default: 'info' },
    },
  });
  const assignments = values.set.map((assignment) => assignment.split(/=(.*)/s).slice(0, 2) as [string, string]);
  const dataDir = mkdtempSync(path.join(os.tmpdir(), 'barnabas-failover-'));
  const set = {
    'broker.session.timeout.ms': 1_000,
    'broker.heartbeat.interval.ms': 200,
    // Leaders stay where a run has put them.
    'auto.leader.rebalance.enable': 'false',
    ...Object.fromEntries(assignments),
  };
  const options: Options = {
    mode: values.mode === 'shutdown' ? 'shutdown' : 'kill',
    runs: Number(values.runs),
    partitions: Number(values.partitions),
    recordsPerSecond: Number(values.rate),
    set,
    logLevel: values['log-level'],
  };
  console.log(
    `fail-over, ${options.mode}: ${options.runs} runs, ${options.partitions} partitions led by one of ${BROKERS} brokers, RF 3, min.insync.replicas 2, ${options.recordsPerSecond} records/s, session timeout ${set['broker.session.timeout.ms']} ms`,
  );
  const cluster = await ChaosCluster.start({
    shape: { controllers: 3, brokers: BROKERS, gateways: 1 },
    dataDir,
    set,
    logLevel: options.logLevel,
    isDirect: true,
    onUnexpectedExit: (node, how) => {
      console.log(`PROBLEM ${node.name} ${how}`);
      process.exitCode = 1;
    },
  });
  try {
    await new Failover(cluster, dataDir, options).run();
  } finally {
    await cluster.close();
    if (process.exitCode === undefined) rmSync(dataDir, { recursive: true, force: true });
    else console.log(`data and logs in ${dataDir}`);
  }
  return Number(process.exitCode ?? 0);
}

class Failover {
  readonly #client: BarnabasClient;
  readonly #load: FailoverLoad;
  /** By what was measured. */
  readonly #results = new Map<string, Latencies>();

  constructor(
    private readonly cluster: ChaosCluster,
    private readonly dataDir: string,
    private readonly options: Options,
  ) {
    const { partitions, recordsPerSecond } = options;
    this.#client = new BarnabasClient({ bootstrap: cluster.bootstrap, clientId: 'failover' });
    this.#load = new FailoverLoad({ bootstrap: cluster.bootstrap, topic: TOPIC, partitions, recordsPerSecond });
  }

  async run(): Promise<void> {
    const { partitions, runs, mode } = this.options;
    const assignments = Array.from({ length: partitions }, () => REPLICAS[0] ?? []);
    const configs = { 'min.insync.replicas': '2' };
    await this.#client.admin().createTopics([{ name: TOPIC, assignments, configs }]);
    await this.#client.router.view.ensureTopic(TOPIC, { timeoutMs: READY_MS, allowAutoTopicCreation: false });
    const loading = this.#load.run();
    for (let run = 1; run <= runs; run++) {
      const leader = await this.#ready();
      await sleep(SETTLE_MS);
      const line = mode === 'kill' ? await this.#kill(leader) : await this.#shutdown(leader);
      console.log(`run ${run}: ${leader.name}: ${line}`);
      await this.cluster.startNode(leader);
    }
    this.#load.stop();
    await loading;
    await this.#client.close();
    for (const [name, latencies] of this.#results) console.log(`${name}: ${latencies.toString()}`);
    const errors = [...this.#load.errors].map(([name, count]) => `${count} ${name}`).join(', ') || 'none';
    console.log(`${this.#load.acknowledged} acknowledged; errors that clients were given: ${errors}`);
    if (this.#load.errors.size > 0) process.exitCode = 1;
  }

  /** All replicas in sync, and one broker leading everything. */
  async #ready(): Promise<ChaosNode> {
    const begunMs = performance.now();
    const admin = this.#client.admin();
    for (;;) {
      const partitions = this.#client.router.view.topic(TOPIC)?.partitions ?? [];
      const outOfSync = partitions.filter(({ isr }) => isr.length < BROKERS).length;
      const leaders = new Map<number, number>();
      for (const { leader } of partitions) leaders.set(leader, (leaders.get(leader) ?? 0) + 1);
      const [id = -1, led = 0] = [...leaders].sort(([, a], [, b]) => b - a)[0] ?? [];
      const node = this.cluster.broker(id);
      if (outOfSync === 0 && led === partitions.length && node?.isRunning === true) return node;
      if (performance.now() - begunMs > READY_MS) {
        throw new Error(
          `after ${READY_MS} ms ${outOfSync} partitions are out of sync; leaders: ${JSON.stringify([...leaders])}`,
        );
      }
      // After a run the leaders are spread over two brokers, or are with one that does not come first.
      if (outOfSync === 0) await admin.electLeaders('preferred').catch(() => {});
      await sleep(POLL_MS);
    }
  }

  async #kill(leader: ChaosNode): Promise<string> {
    const [killedAt, killedMs] = [Date.now(), performance.now()];
    await this.cluster.kill(leader);
    const { firstMs, lastMs } = await this.#load.measure(killedMs);
    const fencedMs = this.#fencedAt(killedAt) - killedAt;
    this.#add('first partition', firstMs);
    this.#add('last partition', lastMs);
    this.#add('of which detection', fencedMs);
    this.#add('first partition, after detection', firstMs - fencedMs);
    this.#add('last partition, after detection', lastMs - fencedMs);
    return `fenced after ${fencedMs} ms, first acknowledged write after ${Math.round(firstMs)} ms, every partition after ${Math.round(lastMs)} ms`;
  }

  async #shutdown(leader: ChaosNode): Promise<string> {
    const latencies = this.#load.collect();
    const begunMs = performance.now();
    await this.cluster.stop(leader);
    const stoppedMs = performance.now() - begunMs;
    // What was sent in the last moment is answered by whoever leads now.
    await sleep(1_000);
    this.#load.endCollecting();
    this.#add('p99 of a shutdown', latencies.percentile(0.99));
    this.#add('worst of a shutdown', latencies.percentile(1));
    return `stopped after ${Math.round(stoppedMs)} ms; produce latency ${latencies.toString()}`;
  }

  /** When a controller fenced a broker last, by its log; Date's milliseconds. */
  #fencedAt(after: number): number {
    for (const { name } of this.cluster.of('controller')) {
      const lines = readFileSync(path.join(this.dataDir, 'logs', `${name}.log`), 'utf8').split('\n');
      for (const line of lines.reverse()) {
        if (!line.includes('was fenced')) continue;
        const at = Date.parse((JSON.parse(line) as { time: string }).time);
        if (at >= after) return at;
      }
    }
    return Number.NaN;
  }

  #add(name: string, ms: number): void {
    const known = this.#results.get(name) ?? new Latencies();
    this.#results.set(name, known);
    known.add(ms);
  }
}

void main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
