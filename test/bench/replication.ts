/**
 * What replication costs and gives: three broker processes, three controllers, and this process as the
 * client. Everything shares the machine's cores and one disk, so RF 3 does three times the work of RF 1
 * on the same hardware.
 */
import { BarnabasClient } from '@barnabas/client';
import type * as hdr from 'hdr-histogram-js';
import fs from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { ChaosCluster } from '../chaos/cluster.js';
import { cpuSeconds, residentBytes } from './measure.js';
import { Workload } from './workload.js';
import type { Flow } from './workload.js';

const BROKERS = 3;
const POLL_MS = 50;
/** Until RF 3 partitions have all their replicas in sync. */
const LEVEL_TIMEOUT_MS = 300_000;

export interface ReplicaFigures {
  readonly produced: Flow;
  readonly latency: hdr.Histogram;
}

/** Throughput and latency at a replication factor, acks=all, fsync per write. */
export async function replicas(
  directory: string,
  replicationFactor: number,
  totalBytes: number,
  seconds: number,
): Promise<ReplicaFigures> {
  return withCluster(directory, async ({ client, pids }) => {
    const workload = new Workload(client, { serverPids: pids, replicationFactor, configs: minIsr(replicationFactor) });
    const shape = { acks: 'all' as const, recordBytes: 1024, fsync: true };
    const warm = await workload.produce({ ...shape, totalBytes: totalBytes / 4 });
    await workload.dropTopic(warm.topic);
    const latency = await workload.endToEnd(1000, seconds, true);
    const produced = await workload.produce({ ...shape, totalBytes });
    return { produced, latency };
  });
}

/** How fast a follower that was away fetches what it has missed. */
export async function catchUp(
  directory: string,
  totalBytes: number,
): Promise<{ readonly bytes: number; readonly bytesPerSecond: number }> {
  return withCluster(directory, async ({ cluster, client, pids }) => {
    const workload = new Workload(client, { serverPids: pids, replicationFactor: 3, configs: minIsr(3) });
    await workload.endToEnd(100, 1, true);
    const away = cluster.broker(BROKERS);
    if (away === undefined) throw new Error('there is no third broker');
    await cluster.stop(away);
    const { bytes, topic } = await workload.produce({ acks: 'all', recordBytes: 1024, totalBytes, fsync: true });
    await cluster.startNode(away);
    // From when it serves: the start of a process is measured elsewhere.
    const began = performance.now();
    await untilLevel(client, topic);
    return { bytes, bytesPerSecond: bytes / ((performance.now() - began) / 1000) };
  });
}

export interface IdleFigures {
  readonly partitions: number;
  /** Resident, of all brokers together, beyond what they had without partitions. */
  readonly memoryBytes: number;
  /** CPU seconds a second, of all brokers. */
  readonly cores: number;
  /** Bytes a second on the loopback interface; 0 where the system does not tell. */
  readonly networkBytes: number;
}

/** What partitions cost to which nothing happens. */
export async function idlePartitions(directory: string, scale: number): Promise<readonly IdleFigures[]> {
  return withCluster(directory, async ({ client, brokerPids }) => {
    const figures: IdleFigures[] = [];
    const memory = () => brokerPids().reduce((sum, pid) => sum + (residentBytes(pid) ?? 0), 0);
    const cpu = () => brokerPids().reduce((sum, pid) => sum + (cpuSeconds(pid) ?? 0), 0);
    const before = memory();
    let made = 0;
    for (const partitions of [100, 1000, 5000].map((count) => Math.max(10, count * scale))) {
      const name = `idle-${partitions}`;
      await client.admin().createTopics([{ name, partitions: partitions - made, replicationFactor: 3 }]);
      made = partitions;
      await untilLevel(client, name);
      await sleep(10_000 * scale);
      const [start, cpuBefore, netBefore] = [performance.now(), cpu(), loopbackBytes()];
      await sleep(Math.max(2_000, 10_000 * scale));
      const seconds = (performance.now() - start) / 1000;
      figures.push({
        partitions,
        memoryBytes: memory() - before,
        cores: (cpu() - cpuBefore) / seconds,
        networkBytes: (loopbackBytes() - netBefore) / seconds,
      });
    }
    return figures;
  });
}

interface Running {
  readonly cluster: ChaosCluster;
  readonly client: BarnabasClient;
  readonly pids: () => readonly number[];
  readonly brokerPids: () => readonly number[];
}

async function withCluster<T>(directory: string, work: (running: Running) => Promise<T>): Promise<T> {
  const dataDir = path.join(directory, 'replication');
  const cluster = await ChaosCluster.start({
    shape: { controllers: 3, brokers: BROKERS, gateways: 0 },
    dataDir,
    set: {},
    logLevel: 'error',
    isDirect: true,
    onUnexpectedExit: (node, how) => console.error(`PROBLEM ${node.name} ${how}`),
  });
  const bootstrap = cluster.of('broker').map(({ address }) => address);
  const client = new BarnabasClient({ bootstrap, clientId: 'bench' });
  const pidsOf = (nodes: ChaosCluster['nodes']) => nodes.flatMap(({ process: { pid } = {} }) => pid ?? []);
  try {
    return await work({
      cluster,
      client,
      pids: () => pidsOf(cluster.nodes),
      brokerPids: () => pidsOf(cluster.of('broker')),
    });
  } finally {
    await client.close();
    await cluster.close();
    fs.rmSync(dataDir, { recursive: true, force: true });
  }
}

/** All replicas of the topic are in sync, and have all that their leaders have. */
async function untilLevel(client: BarnabasClient, topic: string): Promise<void> {
  const deadline = performance.now() + LEVEL_TIMEOUT_MS;
  for (;;) {
    const described = await client.admin().describeReplicas({ topics: [{ topic }] });
    const isLevel = described.every(({ replicas: all }) => all.every(({ inSync, lag }) => inSync && lag === 0));
    if (described.length > 0 && isLevel) return;
    if (performance.now() > deadline) throw new Error(`the replicas of ${topic} have not caught up`);
    await sleep(POLL_MS);
  }
}

function minIsr(replicationFactor: number): Record<string, string> {
  return { 'min.insync.replicas': String(Math.min(2, replicationFactor)) };
}

/** Received on the loopback interface since the machine started. */
function loopbackBytes(): number {
  try {
    return Number(/^\s*lo:\s*(\d+)/m.exec(fs.readFileSync('/proc/net/dev', 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
