/** A real `barnabas start` process of all roles, for crash tests, benchmarks and clients in other languages. */
import { NodeProcess } from './node-process.js';
import type { ReadyLine } from './node-process.js';

export { program, repository } from './node-process.js';

export interface ServerOptions {
  readonly dataDir: string;
  /** Ports to use again after a restart; free ones when absent. */
  readonly ports?: Ports;
  /** Configuration, as with --set. */
  readonly set?: Readonly<Record<string, string | number>>;
  readonly args?: readonly string[];
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error';
}

export interface Ports {
  readonly gateway: number;
  readonly broker: number;
  readonly controller: number;
}

const portOf = (address: string | undefined) => Number(address?.split(':').at(-1));

export class Server {
  private constructor(
    private readonly node: NodeProcess,
    readonly ready: ReadyLine,
  ) {}

  static async start(options: ServerOptions): Promise<Server> {
    const { gateway = 0, broker = 0, controller = 0 } = options.ports ?? {};
    const args = ['start', '--json', '--stop-with-stdin', '--data-dir', options.dataDir];
    args.push('--port', `${gateway}`, '--http-port', '0');
    args.push('--broker-port', `${broker}`, '--controller-port', `${controller}`);
    args.push('--log-level', options.logLevel ?? 'error', ...(options.args ?? []));
    for (const [key, value] of Object.entries(options.set ?? {})) args.push('--set', `${key}=${value}`);
    const node = new NodeProcess({ args });
    return new Server(node, await node.ready);
  }

  get pid(): number {
    return this.ready.pid;
  }

  /** Where clients begin: the gateway. */
  get bootstrap(): string {
    return this.ready.bootstrap;
  }

  get ports(): Ports {
    const { gateway, broker, controller } = this.ready.roles;
    return { gateway: portOf(gateway), broker: portOf(broker), controller: portOf(controller) };
  }

  /** SIGKILL: no chance to write, flush or say anything. */
  kill(): Promise<void> {
    return this.node.kill();
  }

  /** SIGTERM, and the exit code. */
  stop(): Promise<number | null> {
    return this.node.stop();
  }
}
