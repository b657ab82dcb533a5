/**
 * The cluster of a chaos run: a process for each node, each reached by the others and by clients
 * through a FaultyNetwork. Starts, kills, stops and pauses processes; reports those that end without
 * having been told to, and starts them again.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { systemClock, systemTimers } from '@barnabas/common/node';
import { FaultyNetwork } from '../support/faulty-network.js';
import { NodeProcess } from '../support/node-process.js';
import { stablePorts } from '../support/ports.js';
import { ownerOf } from '../support/socket-owner.js';

export type Role = 'controller' | 'broker' | 'gateway';

export interface Shape {
  readonly controllers: number;
  readonly brokers: number;
  readonly gateways: number;
}

export interface ClusterOptions {
  readonly shape: Shape;
  readonly dataDir: string;
  /** Configuration of every node, as with --set. */
  readonly set: Readonly<Record<string, string | number>>;
  readonly logLevel: string;
  /** Nothing lies between the nodes: for measurements. */
  readonly isDirect?: boolean;
  /** A process has ended that nobody told to. */
  readonly onUnexpectedExit: (node: ChaosNode, how: string) => void;
  /** Called with the data directory of each broker, before it starts for the first time. */
  readonly prepareDisk?: (dataDir: string) => void;
}

/** The name of whoever is no node and has no name of its own: the workload, in this process. */
export const CLIENTS = 'clients';
/** In this order nodes are stopped; they are started in the other. */
const STOP_ORDER: readonly Role[] = ['gateway', 'broker', 'controller'];
const RESTART_AFTER_MS = 500;
const GRACE_MS = 10_000;

export class ChaosNode {
  readonly name: string;
  port = 0;
  advertisedPort = 0;
  process: NodeProcess | undefined;
  /** Its end is of our making. */
  isExpectedToEnd = false;

  constructor(
    readonly role: Role,
    readonly id: number,
  ) {
    this.name = `${role}-${id}`;
  }

  get isRunning(): boolean {
    return this.process !== undefined && !this.process.hasExited;
  }

  get address(): string {
    return `127.0.0.1:${this.advertisedPort}`;
  }
}

export class ChaosCluster {
  readonly nodes: readonly ChaosNode[];
  readonly network: FaultyNetwork;
  /** Processes beside the nodes that have names of their own on the network, by process id. */
  others: () => Iterable<readonly [pid: number, name: string]> = () => [];
  readonly #options: ClusterOptions;
  readonly #clusterId = randomUUID();
  #isClosing = false;

  private constructor(options: ClusterOptions) {
    const { shape } = options;
    this.#options = options;
    const many = (role: Role, count: number) =>
      Array.from({ length: count }, (_, index) => new ChaosNode(role, index + 1));
    this.nodes = [
      ...many('controller', shape.controllers),
      ...many('broker', shape.brokers),
      ...many('gateway', shape.gateways),
    ];
    this.network = new FaultyNetwork({
      clock: systemClock,
      timers: systemTimers,
      whoDials: (socket) => {
        const nodes = this.nodes.flatMap((node) =>
          node.isRunning ? [[node.process?.pid ?? 0, node.name] as const] : [],
        );
        const pids = new Map([...nodes, ...this.others()]);
        return pids.get(ownerOf(socket, pids.keys()) ?? 0) ?? CLIENTS;
      },
    });
  }

  /** Resolves when every process serves; rejects, with nothing left running, if one of them does not. */
  static async start(options: ClusterOptions): Promise<ChaosCluster> {
    const cluster = new ChaosCluster(options);
    mkdirSync(path.join(options.dataDir, 'logs'), { recursive: true });
    const ports = await stablePorts(cluster.nodes.length);
    for (const [index, node] of cluster.nodes.entries()) {
      node.port = ports[index] ?? 0;
      node.advertisedPort = options.isDirect === true ? node.port : await cluster.network.open(node.name, node.port);
    }
    try {
      for (const node of cluster.of('broker')) options.prepareDisk?.(cluster.dataDirOf(node));
      await Promise.all(
        cluster.nodes.map(async (node) => {
          await cluster.startNode(node);
          await node.process?.ready;
        }),
      );
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  dataDirOf({ name }: Pick<ChaosNode, 'name'>): string {
    return path.join(this.#options.dataDir, name);
  }

  of(role: Role): readonly ChaosNode[] {
    return this.nodes.filter((node) => node.role === role);
  }

  broker(id: number): ChaosNode | undefined {
    return this.of('broker').find((node) => node.id === id);
  }

  /** Where clients begin: the gateways. */
  get bootstrap(): readonly string[] {
    return this.of('gateway').map(({ address }) => address);
  }

  /** Starts the node unless it runs; resolves when it serves, or has ended again. */
  async startNode(node: ChaosNode): Promise<void> {
    if (node.isRunning || this.#isClosing) return;
    node.isExpectedToEnd = false;
    const process = new NodeProcess({
      args: this.#argsOf(node),
      logFile: path.join(this.#options.dataDir, 'logs', `${node.name}.log`),
    });
    node.process = process;
    void this.#watch(node, process);
    await process.ready.catch(() => {});
  }

  async kill(node: ChaosNode): Promise<void> {
    node.isExpectedToEnd = true;
    await node.process?.kill();
  }

  /** SIGTERM. A process that does not end in its grace is killed, which counts as unexpected. */
  async stop(node: ChaosNode): Promise<void> {
    const { process } = node;
    if (process === undefined || process.hasExited) return;
    node.isExpectedToEnd = true;
    const timer = setTimeout(() => {
      this.#options.onUnexpectedExit(node, `has not stopped in ${3 * GRACE_MS} ms after SIGTERM and is killed`);
      process.signal('SIGKILL');
    }, 3 * GRACE_MS);
    await process.stop();
    clearTimeout(timer);
  }

  /** kill -9 of all, at once. */
  async killAll(): Promise<void> {
    for (const node of this.nodes) node.isExpectedToEnd = true;
    for (const node of this.nodes) node.process?.signal('SIGKILL');
    await Promise.all(this.nodes.flatMap(({ process }) => (process === undefined ? [] : [process.exited])));
  }

  async stopAll(): Promise<void> {
    for (const role of STOP_ORDER) await Promise.all(this.of(role).map((node) => this.stop(node)));
  }

  async startAll(): Promise<void> {
    await Promise.all(this.nodes.map((node) => this.startNode(node)));
  }

  /** Ends everything, in whatever state it is. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.killAll();
    await this.network.close();
  }

  async #watch(node: ChaosNode, process: NodeProcess): Promise<void> {
    const { code, signal } = await process.exited;
    if (node.isExpectedToEnd || this.#isClosing) return;
    this.#options.onUnexpectedExit(node, `has ended by itself with ${signal ?? `code ${code}`}`);
    await new Promise((resolve) => setTimeout(resolve, RESTART_AFTER_MS));
    if (node.process === process) await this.startNode(node);
  }

  #argsOf(node: ChaosNode): readonly string[] {
    const { role, id, port, address } = node;
    const { set, logLevel } = this.#options;
    const voters = this.of('controller').map((controller) => `${controller.id}@${controller.address}`);
    const ports: Readonly<Record<Role, readonly string[]>> = {
      controller: ['--controller-port', String(port)],
      broker: ['--broker-port', String(port), '--set', `advertised.listeners=CLIENT://${address}`],
      gateway: ['--port', String(port), '--http-port', '0'],
    };
    return [
      ...['start', '--role', role, '--data-dir', this.dataDirOf(node), '--node-id', String(id)],
      ...['--cluster-id', this.#clusterId, '--host', '127.0.0.1', ...ports[role]],
      ...['--set', `controller.quorum.voters=${voters.join(',')}`],
      ...Object.entries(set).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
      ...['--log-level', logLevel, '--grace-ms', String(GRACE_MS), '--json', '--stop-with-stdin'],
    ];
  }
}
