/**
 * Three controllers as real processes on one machine. Knows how to start, kill, stop and resume them;
 * who leads it asks them.
 */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { v1 } from '@barnabas/protocol';
import { createConnector } from '@barnabas/rpc';
import type { Connector } from '@barnabas/rpc';
import { NodeProcess } from '../support/node-process.js';
import { freePorts } from '../support/ports.js';

export interface ControllersOptions {
  readonly dataDir: string;
  readonly electionTimeoutMs: number;
  readonly set?: Readonly<Record<string, string | number>>;
  /** One of them that somebody else runs. */
  readonly absent?: number;
}

const SIZE = 3;
const ASK_TIMEOUT_MS = 1_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class Controllers {
  readonly connector: Connector = createConnector();
  readonly ids = Array.from({ length: SIZE }, (_, at) => at + 1);
  readonly #processes = new Map<number, NodeProcess>();
  readonly clusterId = randomUUID();
  #ports: readonly number[] = [];

  private constructor(private readonly options: ControllersOptions) {}

  static async start(options: ControllersOptions): Promise<Controllers> {
    const controllers = new Controllers(options);
    controllers.#ports = await freePorts(SIZE);
    try {
      const own = controllers.ids.filter((id) => id !== options.absent);
      await Promise.all(own.map((id) => controllers.startOne(id)));
      await controllers.leader();
    } catch (error) {
      await controllers.close();
      throw error;
    }
    return controllers;
  }

  address(id: number): string {
    return `127.0.0.1:${this.#ports[id - 1] ?? 0}`;
  }

  admin(id: number) {
    return this.connector.channel(this.address(id)).client(v1.AdminServiceDefinition);
  }

  /** Configuration that all of them share. */
  get settings(): Readonly<Record<string, string | number>> {
    const { electionTimeoutMs, set = {} } = this.options;
    const voters = this.ids.map((voter) => `${voter}@${this.address(voter)}`).join(',');
    return {
      'controller.quorum.voters': voters,
      'controller.quorum.election.timeout.ms': electionTimeoutMs,
      ...set,
    };
  }

  /** Resolves when it takes part in the quorum. */
  async startOne(id: number): Promise<void> {
    const { dataDir } = this.options;
    const started = new NodeProcess({
      args: [
        ...['start', '--role', 'controller', '--data-dir', path.join(dataDir, `controller-${id}`)],
        ...['--node-id', String(id), '--cluster-id', this.clusterId, '--host', '127.0.0.1'],
        ...['--controller-port', String(this.#ports[id - 1] ?? 0)],
        ...Object.entries(this.settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
        ...['--log-level', 'warn', '--json', '--stop-with-stdin'],
      ],
      logFile: path.join(dataDir, `controller-${id}.log`),
    });
    this.#processes.set(id, started);
    await started.ready;
  }

  /** SIGKILL. */
  async kill(id: number): Promise<void> {
    await this.#processes.get(id)?.kill();
  }

  /** SIGSTOP. */
  pause(id: number): void {
    this.#processes.get(id)?.signal('SIGSTOP');
  }

  /** SIGCONT. */
  resume(id: number): void {
    this.#processes.get(id)?.signal('SIGCONT');
  }

  pid(id: number): number {
    return this.#processes.get(id)?.pid ?? 0;
  }

  /** Who leads, by its own proof: DescribeQuorum is answered behind a read barrier. Asks until one does. */
  async leader(among: readonly number[] = this.ids): Promise<v1.DescribeQuorumResponse> {
    for (;;) {
      const answers = among.map((id) => this.admin(id).describeQuorum({}, { timeoutMs: ASK_TIMEOUT_MS }));
      try {
        return await Promise.any(answers);
      } catch {
        await sleep(5);
      }
    }
  }

  /** Everybody has what the leader has, or nearly: whoever leads may be killed next. */
  async untilLevel(): Promise<number> {
    for (;;) {
      const { voters, leaderId } = await this.leader();
      if (
        voters.length === SIZE &&
        voters.every(({ lag, lastContactMs }) => lag >= 0 && lag < 20 && lastContactMs >= 0)
      ) {
        return leaderId;
      }
      await sleep(20);
    }
  }

  async close(): Promise<void> {
    this.connector.close();
    for (const process of this.#processes.values()) process.signal('SIGKILL');
    await Promise.all([...this.#processes.values()].map(({ exited }) => exited));
  }
}
