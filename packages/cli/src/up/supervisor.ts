/**
 * Runs the nodes of a cluster and reports on them: a JSON line for each as it is up, one for the
 * whole cluster when it is ready, one for a node that ended by itself.
 *
 * Stops in the order in which nodes need each other: gateways, then brokers, which hand their
 * leaderships over, then controllers.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from '../errors.js';
import type { ClusterPlan, PlannedNode } from './plan.js';

export interface NodeExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A node that runs. */
export interface SupervisedNode {
  readonly node: PlannedNode;
  readonly pid: number;
  /** Resolves when the node serves; rejects if it ends before. */
  readonly ready: Promise<void>;
  readonly exited: Promise<NodeExit>;
  /** Resolves when the node has ended, in good order if it can do so within `graceMs`. */
  stop(graceMs: number): Promise<void>;
  kill(): void;
}

export interface SupervisorOptions {
  readonly plan: ClusterPlan;
  readonly startNode: (node: PlannedNode) => Promise<SupervisedNode>;
  /** Resolves when the cluster serves as a whole. */
  readonly clusterReady: (signal: AbortSignal) => Promise<void>;
  readonly report: (line: object) => void;
  readonly restart: boolean;
  /** How long after its end a node is started again. */
  readonly restartAfterMs: number;
  readonly graceMs: number;
  /** Aborted when the cluster is to stop. */
  readonly stopped: AbortSignal;
}

const STOP_ORDER = ['gateway', 'broker', 'controller'] as const;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #running = new Map<PlannedNode, SupervisedNode>();
  readonly #over = new AbortController();
  readonly #failure: Promise<never>;
  #fail: (error: unknown) => void = () => {};
  #isReady = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#failure = new Promise<never>((_, reject) => {
      this.#fail = reject;
    });
    this.#failure.catch(() => {});
  }

  /** Starts everything, serves until `stopped`, stops everything. Rejects if the cluster cannot start or no node is left. */
  async run(): Promise<void> {
    const { plan, report, clusterReady } = this.#options;
    const stop = AbortSignal.any([this.#options.stopped, this.#over.signal]);
    const stopRequested = new Promise<void>((resolve) => {
      if (stop.aborted) resolve();
      stop.addEventListener('abort', () => resolve(), { once: true });
    });
    try {
      const start = async () => {
        const nodes = await Promise.all(plan.nodes.map((node) => this.#start(node)));
        await Promise.all(nodes.map((node) => node.ready));
        await clusterReady(stop);
        this.#isReady = true;
        if (!stop.aborted) report({ ready: true, bootstrap: plan.bootstrap.join(',') });
      };
      await Promise.race([start(), stopRequested, this.#failure]);
      await Promise.race([stopRequested, this.#failure]);
    } catch (error) {
      // A failure after the request to stop is the stop itself.
      if (!this.#options.stopped.aborted) throw error;
    } finally {
      this.#over.abort();
      await this.#stopAll();
    }
  }

  async #start(node: PlannedNode): Promise<SupervisedNode> {
    const child = await this.#options.startNode(node);
    this.#running.set(node, child);
    if (this.#over.signal.aborted) child.kill();
    void this.#watch(node, child);
    return child;
  }

  async #watch(node: PlannedNode, child: SupervisedNode): Promise<void> {
    const { role, id, host, port } = node;
    const { report, restart } = this.#options;
    child.ready.then(
      () => report({ role, id, pid: child.pid, address: `${host}:${port}` }),
      (error: unknown) => {
        if (!this.#isReady) this.#fail(error);
      },
    );
    const exit = await child.exited;
    this.#running.delete(node);
    if (this.#over.signal.aborted || this.#options.stopped.aborted) return;
    report({ role, id, pid: child.pid, exited: exit.code, signal: exit.signal });
    if (restart && this.#isReady) await this.#restart(node);
    else if (this.#running.size === 0) this.#fail(new CliError('no node is running any more'));
  }

  async #restart(node: PlannedNode): Promise<void> {
    await sleep(this.#options.restartAfterMs, undefined, { signal: this.#over.signal }).catch(() => {});
    if (this.#over.signal.aborted || this.#options.stopped.aborted) return;
    await this.#start(node).catch(this.#fail);
  }

  async #stopAll(): Promise<void> {
    for (const role of STOP_ORDER) {
      const children = [...this.#running.values()].filter((child) => child.node.role === role);
      await Promise.all(children.map((child) => child.stop(this.#options.graceMs)));
    }
  }
}
