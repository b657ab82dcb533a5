/**
 * Nodes of a cluster in this process: real gRPC and LevelDB, free ports, nothing shared but what
 * their configuration says. For tests that need more than one node, or want to look into one.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startNode } from '@barnabas/cli/node';
import type { RoleName, RunningNode } from '@barnabas/cli/node';
import { BarnabasClient } from '@barnabas/client';
import type { ClientOptions } from '@barnabas/client';
import { silentLogger } from '@barnabas/common';
import { formatAddress } from '@barnabas/common/config';
import { PrometheusMetrics } from '@barnabas/common/node';

export { freePorts } from './ports.js';

const FREE_PORTS = {
  'controller.listeners': 'CONTROLLER://127.0.0.1:0',
  listeners: 'CLIENT://127.0.0.1:0',
  'gateway.listeners': 'CLIENT://127.0.0.1:0',
  'http.port': 0,
};

export interface NodeSpec {
  /** Its directory, and how it is found again. */
  readonly name: string;
  /** All three unless told otherwise. */
  readonly roles?: readonly RoleName[];
  readonly config?: Readonly<Record<string, unknown>>;
}

/** The nodes and clients of one test; `close` leaves nothing behind. */
export class Nodes {
  readonly root = mkdtempSync(path.join(tmpdir(), 'barnabas-cluster-'));
  readonly #running = new Map<string, RunningNode>();
  readonly #clients = new Set<BarnabasClient>();

  async start({ name, roles, config }: NodeSpec): Promise<RunningNode> {
    const node = await startNode({
      dataDir: this.directory(name),
      logger: silentLogger,
      metrics: new PrometheusMetrics({ processMetrics: false }),
      config: { ...FREE_PORTS, ...config },
      ...(roles === undefined ? {} : { roles }),
    });
    // A fault must fail the test that caused it, not the process.
    node.failed.catch(() => {});
    this.#running.set(name, node);
    return node;
  }

  directory(name: string): string {
    return path.join(this.root, name);
  }

  async stop(name: string, graceMs = 5_000): Promise<void> {
    const node = this.#running.get(name);
    this.#running.delete(name);
    await node?.stop(graceMs);
  }

  client(node: Pick<RunningNode, 'bootstrap'>, options: Omit<ClientOptions, 'bootstrap'> = {}): BarnabasClient {
    const client = new BarnabasClient({ bootstrap: node.bootstrap ?? '', ...options });
    this.#clients.add(client);
    return client;
  }

  /** The clients first, then gateways and brokers, then the controllers they say goodbye to. */
  async close(): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.close(1_000)));
    const nodes = [...this.#running];
    const isController = (node: RunningNode) => node.addresses.has('controller');
    await Promise.all(nodes.filter(([, node]) => !isController(node)).map(([name]) => this.stop(name, 1_000)));
    await Promise.all(nodes.filter(([, node]) => isController(node)).map(([name]) => this.stop(name, 1_000)));
    rmSync(this.root, { recursive: true, force: true });
  }
}

export function addressOf(node: RunningNode, role: RoleName): string {
  const address = node.addresses.get(role);
  if (address === undefined) throw new Error(`the node has no ${role}`);
  return formatAddress(address);
}

/** Every record of the partitions, up to the ends they have now: by partition, in order of offset. */
export async function readAll(client: BarnabasClient, topic: string, partitions: number): Promise<readonly Found[]> {
  const consumer = client.consumer();
  const found: Found[] = [];
  try {
    const all = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
    const ends = new Map((await consumer.endOffsets(all)).map(({ partition, offset }) => [partition, offset]));
    await consumer.assign(all.map((one) => ({ ...one, position: 'earliest' as const })));
    const left = new Set(all.map(({ partition }) => partition).filter((partition) => ends.get(partition) !== 0));
    if (left.size === 0) return found;
    for await (const { partition, offset, key, value } of consumer) {
      found.push({ partition, offset, key: key?.toString() ?? null, value: value?.toString() ?? null });
      if (offset === (ends.get(partition) ?? 0) - 1) left.delete(partition);
      if (left.size === 0) break;
    }
  } finally {
    await consumer.close();
  }
  return found.sort((left, right) => left.partition - right.partition || left.offset - right.offset);
}

export interface Found {
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
}

/** A gauge of the node, as its gateway shows it. */
export async function metric(node: Pick<RunningNode, 'http'>, name: string): Promise<number> {
  const url = `http://${node.http === undefined ? '' : formatAddress(node.http)}/metrics`;
  const text = await (await fetch(url)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  if (line === undefined) throw new Error(`there is no metric ${name}`);
  return Number(line.slice(name.length + 1));
}

/** Asks until it is so. Whoever waits for something that never comes fails by the test's own time limit. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
}
