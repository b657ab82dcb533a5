/**
 * A real `barnabas start` process for crash tests, benchmarks and clients in other languages. It ends
 * with the process that started it, however that ends: its standard input is our pipe.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

const root = path.resolve(__dirname, __dirname.includes(`${path.sep}dist${path.sep}`) ? '../../..' : '../..');
export const repository = root;
/** The compiled program; `npm test` and `npm run …` compile before they get here. */
export const program = path.join(root, 'packages', 'cli', 'dist', 'bin.js');

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

interface ReadyLine {
  readonly pid: number;
  readonly bootstrap: string;
  readonly roles: Readonly<Record<string, string>>;
}

const portOf = (address: string | undefined) => Number(address?.split(':').at(-1));

export class Server {
  private constructor(
    private readonly child: ChildProcess,
    private readonly ended: Promise<unknown>,
    readonly ready: ReadyLine,
  ) {}

  static async start(options: ServerOptions): Promise<Server> {
    const { gateway = 0, broker = 0, controller = 0 } = options.ports ?? {};
    const args = ['start', '--json', '--stop-with-stdin', '--data-dir', options.dataDir];
    args.push(
      '--port',
      `${gateway}`,
      '--http-port',
      '0',
      '--broker-port',
      `${broker}`,
      '--controller-port',
      `${controller}`,
    );
    args.push('--log-level', options.logLevel ?? 'error', ...(options.args ?? []));
    for (const [key, value] of Object.entries(options.set ?? {})) args.push('--set', `${key}=${value}`);

    const child = spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.on('error', () => {});
    const ended = once(child, 'exit');
    const lines = createInterface({ input: child.stdout });
    const line = await new Promise<string | undefined>((resolve) => {
      lines.once('line', resolve);
      lines.once('close', () => resolve(undefined));
    });
    if (line === undefined) {
      const [code, signal] = (await ended) as [number | null, string | null];
      throw new Error(`barnabas start ended with ${signal ?? code} before it was ready`);
    }
    return new Server(child, ended, JSON.parse(line) as ReadyLine);
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
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  /** SIGTERM, and the exit code. */
  async stop(): Promise<number | null> {
    this.child.kill('SIGTERM');
    const [code] = (await this.ended) as [number | null];
    return code;
  }
}
